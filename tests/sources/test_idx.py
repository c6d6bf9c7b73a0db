"""IDX files, plain and gzip, with the labels beside them: entered anywhere, whole and damaged."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from counting_store import CountingStore
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import sources, storage
from pipeline.batches import Code
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.scoring.planning import read_rule
from pipeline.sources import container, idx, kinds
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit

SPEC = ModelSpec(InputSpec(8, 8, "grayscale"), ("cat", "dog"), "f00")
RUN = Run.of("run-1", ScoreOptions(input=("in",), model="model", output="out", engine="tensorflow"), SPEC)
Row = tuple[bytes, int | None, Code | None]
"""Pixels, label, and why there are none."""

PLAIN, PACKED = "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"


def pixels_of(n: int, height: int = 3, width: int = 4) -> list[bytes]:
    return [random.Random(i).randbytes(height * width) for i in range(n)]


def images_file(images: Sequence[bytes], height: int = 3, width: int = 4, **claimed: int) -> bytes:
    header = {"magic": 0x803, "n": len(images), "height": height, "width": width, **claimed}
    return struct.pack(">IIII", *header.values()) + b"".join(images)


def labels_file(labels: Sequence[int], magic: int = 0x801) -> bytes:
    return struct.pack(">II", magic, len(labels)) + bytes(labels)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.lower().endswith(".gz") else data)
    return path


def units_of(path: Path, unit_images: int = 2048) -> list[WorkUnit]:
    found = storage.stat(str(path))
    assert found is not None
    return [WorkUnit.from_json(u.to_json()) for u in sources.index("idx", found, unit_images, Skipped())]


def rows_of(path: Path, units: Sequence[WorkUnit]) -> list[Row]:
    """Return the rows of units; checks their keys, and that each unit has as many as its plan says."""
    rows: list[Row] = []
    keys: list[str] = []
    for unit in units:
        start = len(rows)
        for batch in sources.read(unit, read_rule(RUN)):
            columns = batch.images
            keys += columns.keys
            for i, data in enumerate(batch.encoded):
                failure = columns.failures.get(i)
                label = int(columns.labels[i]) if columns.labelled[i] else None
                rows.append((data and data.partition(b" 255\n")[2], label, failure.code if failure else None))
        assert unit.images in (None, len(rows) - start)
    first = units[0].first if units else 0
    assert keys == [f"{path}#{i}" for i in range(first, first + len(rows))]
    return rows


def rows_in(path: Path, unit_images: int = 2048) -> list[Row]:
    return rows_of(path, units_of(path, unit_images))


def codes_in(path: Path, unit_images: int = 2048) -> list[Code | None]:
    return [row[2] for row in rows_in(path, unit_images)]


def messages_in(path: Path) -> list[str]:
    batches = [batch for unit in units_of(path) for batch in idx.read(unit, read_rule(RUN))]
    return [failure.message for batch in batches for failure in batch.images.failures.values()]


@pytest.mark.parametrize("name", [PLAIN, PACKED])
def test_images_are_pgm_files_of_their_pixels(tmp_path: Path, name: str) -> None:
    images = pixels_of(5, 28, 20)
    (unit,) = units_of(write(tmp_path / name, images_file(images, 28, 20)))
    (batch,) = sources.read(unit, read_rule(RUN))
    for pixels, data in zip(images, batch.encoded, strict=True):
        with Image.open(io.BytesIO(data)) as image:
            assert (image.mode, image.size) == ("L", (20, 28))
            assert np.asarray(image).tobytes() == pixels


@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 5), st.integers(1, 5), st.sampled_from([PLAIN, PACKED]))
@settings(deadline=None, max_examples=60)
def test_entered_anywhere_gives_the_rows_of_reading_from_the_start(
    n: int, unit_images: int, height: int, width: int, name: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        images = pixels_of(n, height, width)
        path = write(Path(folder, name), images_file(images, height, width))
        write(Path(folder, "train-labels-idx1-ubyte"), labels_file([i % 5 for i in range(n)]))
        expected: list[Row] = [(pixels, i % 5, None) for i, pixels in enumerate(images)]
        units = units_of(path, unit_images)
        assert rows_of(path, units) == expected
        if name == PACKED:
            assert [unit.images for unit in units] == [n] * bool(n)
        else:
            assert [unit.images for unit in units] == [min(unit_images, n - i) for i in range(0, n, unit_images)]
        for unit in units:
            assert rows_of(path, [unit]) == expected[unit.first : unit.first + (unit.images or 0)]
            assert rows_of(path, [idx.first_images(unit, 2)]) == expected[unit.first :][: min(2, unit.images or 0)]


class TestLabels:
    @pytest.mark.parametrize(
        ("images", "labels"),
        [
            ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
            ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"),
            ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
            ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
            ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
            ("t10k-images.idx3-ubyte.gz", "t10k-labels.idx1-ubyte.gz"),
            ("emnist-digits-test-images-idx3-ubyte.gz", "emnist-digits-test-labels-idx1-ubyte.gz"),
            ("images-idx3-ubyte", "labels-idx1-ubyte"),
            ("images-idx3-ubyte/train-images-idx3-ubyte", "images-idx3-ubyte/train-labels-idx1-ubyte"),
        ],
    )
    def test_are_found_by_name_beside_the_images(self, tmp_path: Path, images: str, labels: str) -> None:
        path = write(tmp_path / images, images_file(pixels_of(7)))
        write(tmp_path / labels, labels_file([1, 0, 1, 9, 255, 0, 0]))
        write(tmp_path / "unrelated-labels-idx1-ubyte", labels_file([3] * 7))
        assert idx.is_labels_name(labels)
        assert kinds.kind_by_name(images) == "idx"
        for unit_images in (2, 2048):
            assert [row[1] for row in rows_in(path, unit_images)] == [1, 0, 1, 9, 255, 0, 0]
        assert all(len(unit.locations) == 2 for unit in units_of(path, 2))

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (labels_file([1, 1]), [1, 1, None, None]),
            (labels_file([1, 1, 0, 0, 1, 1]), [1, 1, 0, 0]),
            (labels_file([1, 1, 0, 0], magic=0x803), [None] * 4),
            (labels_file([1, 1, 0, 0])[:7], [None] * 4),
            (struct.pack(">II", 0x801, 0xFFFFFFFF) + bytes([1, 1]), [1, 1, None, None]),
            (b"", [None] * 4),
        ],
    )
    @pytest.mark.parametrize("name", ["train-labels-idx1-ubyte", "train-labels-idx1-ubyte.gz"])
    def test_that_are_wrong_or_too_few_are_none(
        self, tmp_path: Path, content: bytes, expected: list[int | None], name: str
    ) -> None:
        path = write(tmp_path / PLAIN, images_file(pixels_of(4)))
        write(tmp_path / name, content)
        for unit_images in (1, 3, 2048):
            assert [row[1:] for row in rows_in(path, unit_images)] == [(label, None) for label in expected]

    def test_in_a_damaged_gzip_file_are_right_or_none(self, tmp_path: Path) -> None:
        path = write(tmp_path / PLAIN, images_file(pixels_of(9)))
        labels = [random.Random(i).randrange(10) for i in range(9)]
        packed = write(tmp_path / "train-labels-idx1-ubyte.gz", labels_file(labels))
        data = packed.read_bytes()
        for at in range(len(data)):
            for damaged in (data[:at], data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]):
                packed.write_bytes(damaged)
                rows = rows_in(path, 4)
                assert [row[1] for row in rows] in (labels, [None] * 9), at
                assert not any(row[2] for row in rows)

    def test_that_inflate_without_end_fill_no_memory(self, tmp_path: Path) -> None:
        path = write(tmp_path / PLAIN, images_file(pixels_of(3)))
        write(tmp_path / "train-labels-idx1-ubyte.gz", labels_file([1, 1, 0]) + bytes(100 << 20))
        tracemalloc.start()
        assert len(rows_in(path)) == 3
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()

    def test_changed_since_the_plan_fail_the_rows(self, tmp_path: Path) -> None:
        path = write(tmp_path / PLAIN, images_file(pixels_of(4)))
        labels = write(tmp_path / "train-labels-idx1-ubyte", labels_file([1, 1, 0, 0]))
        units = units_of(path, 2)
        os.utime(labels, ns=(1, 1))
        assert [row[2] for row in rows_of(path, units)] == ["FAILED_PRECONDITION"] * 4


class TestDamage:
    @pytest.mark.parametrize("unit_images", [1, 2048])
    def test_a_truncated_file_keeps_its_whole_images_and_fails_for_each_other(
        self, tmp_path: Path, unit_images: int
    ) -> None:
        images = pixels_of(5)
        data = images_file(images)
        for end in range(1, len(data)):
            path = write(tmp_path / PLAIN, data[:end])
            whole = max((end - 16) // 12, 0)
            rows = rows_in(path, unit_images)
            assert rows[:whole] == [(pixels, None, None) for pixels in images[:whole]]
            assert [row[2] for row in rows[whole:]] == ["DATA_LOSS"] * (5 - whole if end >= 16 else 1)

    @pytest.mark.parametrize("unit_images", [pytest.param(100, marks=pytest.mark.heavy), 2048])
    def test_every_bit_may_flip(self, tmp_path: Path, unit_images: int) -> None:
        data = images_file(pixels_of(5))
        for at in range(len(data)):
            for bit in range(8) if at < 16 else [at % 8]:
                path = write(tmp_path / PLAIN, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
                codes = codes_in(path, unit_images)
                assert "DATA_LOSS" in codes if at < 16 else codes == [None] * 5, (at, bit)

    def test_a_truncated_gzip_file_keeps_what_came_before_and_fails_for_each_other(self, tmp_path: Path) -> None:
        images = pixels_of(9)
        path = write(tmp_path / PACKED, images_file(images))
        data = path.read_bytes()
        kept = []
        for end in range(2, len(data)):
            path.write_bytes(data[:end])
            rows = rows_in(path)
            whole = [row[2] for row in rows].index("DATA_LOSS")
            assert rows[:whole] == [(pixels, None, None) for pixels in images[:whole]], end
            assert {row[2] for row in rows[whole:]} == {"DATA_LOSS"}, end
            assert len(rows) in (1, 9), end
            kept.append(whole)
        assert kept == sorted(kept)
        assert kept[-1] == 8  # the checksum behind the last image is missing

    def test_a_flip_in_a_gzip_file_is_noticed(self, tmp_path: Path) -> None:
        images = pixels_of(9)
        path = write(tmp_path / PACKED, images_file(images))
        data = path.read_bytes()
        unharmed = 0
        for at in range(len(data)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            rows = rows_in(path)
            if rows == [(pixels, None, None) for pixels in images]:
                unharmed += 1
            else:
                assert rows[-1][2] == "DATA_LOSS", at
        assert unharmed < 10  # such as the time in gzip's header

    @pytest.mark.parametrize(
        "claimed",
        [
            {"height": 0xFFFFFFFF, "width": 0xFFFFFFFF},
            {"height": 0x7FFFFFFF, "n": 0xFFFFFFFF},
            {"height": 0},
            {"width": 0},
            {"magic": 0x801},
            {"magic": 0},
        ],
    )
    @pytest.mark.parametrize("name", [PLAIN, PACKED])
    def test_a_header_that_cannot_be_true_is_one_failed_row(
        self, tmp_path: Path, name: str, claimed: dict[str, int]
    ) -> None:
        path = write(tmp_path / name, images_file(pixels_of(5), **claimed))
        started = time.monotonic()
        tracemalloc.start()
        assert codes_in(path, 2) == ["DATA_LOSS"]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()
        assert time.monotonic() - started < 2
        assert messages_in(path) == ["not an IDX file of images: its header is wrong"]

    def test_images_that_inflate_too_far_are_failed_rows_and_fill_no_memory(self, tmp_path: Path) -> None:
        path = tmp_path / PACKED
        with gzip.open(path, "wb") as file:
            file.write(images_file([], n=2, height=10_000, width=10_000))
            for _ in range(200):
                file.write(bytes(1_000_000))
        tracemalloc.start()
        assert codes_in(path) == ["RESOURCE_EXHAUSTED"] * 2
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()
        assert "no image inflates more than 200-fold" in messages_in(path)[0]

    @pytest.mark.parametrize("n", [0xFFFFFFFF, 0x01000005, idx.MISSING + 5])
    def test_a_header_that_claims_far_too_many_images_costs_one_failed_row(self, tmp_path: Path, n: int) -> None:
        images = pixels_of(5)
        path = write(tmp_path / PLAIN, images_file(images, n=n))
        for unit_images in (2, 5, 2048):
            rows = rows_in(path, unit_images)
            assert rows == [*((pixels, None, None) for pixels in images), (b"", None, "DATA_LOSS")]
        path = write(tmp_path / PACKED, images_file(images, n=n))
        assert codes_in(path) == ["DATA_LOSS"]

    def test_a_gzip_file_of_more_images_than_are_read_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(idx, "MOST", 4)
        path = write(tmp_path / PACKED, images_file(pixels_of(5)))
        assert codes_in(path) == ["RESOURCE_EXHAUSTED"]
        assert messages_in(path) == ["it has 5 images, and of a gzip file at most 4 are read: unpack it with gunzip"]
        assert codes_in(write(tmp_path / PLAIN, images_file(pixels_of(5)))) == [None] * 5

    @pytest.mark.parametrize("name", [PLAIN, PACKED])
    def test_a_file_that_goes_on_has_a_failed_row(self, tmp_path: Path, name: str) -> None:
        images = pixels_of(5)
        for claimed in (1, 4):
            path = write(tmp_path / name, images_file(images, n=claimed))
            for unit_images in (1, 2048):
                codes = codes_in(path, unit_images)
                lost = claimed if name == PLAIN else claimed - 1
                assert codes == [None] * lost + ["DATA_LOSS"]
            assert f"its size is not that of the {claimed} images in its header" in messages_in(path)[0]
        assert codes_in(write(tmp_path / name, images_file(images, n=0))) == ["DATA_LOSS"]

    @pytest.mark.parametrize("name", [PLAIN, PACKED])
    def test_an_empty_file_or_one_of_no_images_has_no_rows(self, tmp_path: Path, name: str) -> None:
        assert rows_in(write(tmp_path / name, images_file([]))) == []
        (tmp_path / name).write_bytes(b"")
        assert units_of(tmp_path / name) == []

    @pytest.mark.parametrize(
        "content", [b"x", b"<html>not found</html>", bytes(5_000), b"\x1f\x8b", gzip.compress(b"", mtime=0)]
    )
    def test_what_is_no_idx_file_is_one_failed_row(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / PLAIN).write_bytes(content)
        assert codes_in(tmp_path / PLAIN) == ["DATA_LOSS"]

    def test_a_file_that_could_be_read_only_later_is_read_whole(self, tmp_path: Path) -> None:
        path = write(tmp_path / PLAIN, images_file(pixels_of(5)))
        (found,) = storage.list_objects(str(path))
        unit = container.container_unit("idx", found)
        assert rows_of(path, [unit]) == [(pixels, None, None) for pixels in pixels_of(5)]
        path.unlink()
        (unit,) = sources.index("idx", found, 5, Skipped())
        assert [row[2] for row in rows_of(path, [unit])] == ["NOT_FOUND"]
        assert [row[2] for row in rows_of(path, [idx.first_images(unit, 3)])] == ["NOT_FOUND"]


def test_planning_reads_the_header_and_takes_seconds(tmp_path: Path, counted: CountingStore) -> None:
    path = write(tmp_path / PLAIN, struct.pack(">IIII", 0x803, 200_000, 28, 28))
    with path.open("r+b") as file:
        file.truncate(16 + 200_000 * 784)
    started = time.monotonic()
    assert sum(unit.images or 0 for unit in units_of(path)) == 200_000
    assert time.monotonic() - started < 5
    assert counted.taken < 0.01 * path.stat().st_size


def test_a_gzip_file_is_read_once(tmp_path: Path, counted: CountingStore) -> None:
    path = write(tmp_path / PACKED, images_file(pixels_of(2_000, 28, 28), 28, 28))
    (unit,) = units_of(path, 100)
    counted.taken = 0
    assert len(rows_of(path, [unit])) == 2_000
    assert counted.taken < 1.1 * path.stat().st_size
