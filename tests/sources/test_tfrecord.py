"""TFRecord files: against TensorFlow's own writer and reader, cut and entered anywhere, whole and damaged."""

from __future__ import annotations

import gzip
import os
import random
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from counting_store import CountingStore
from mostly_heavy import mostly_heavy

from pipeline import sources, storage
from pipeline.batches import BATCH_IMAGES, Code, EncodedBatch
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.scoring.planning import read_rule
from pipeline.sources import limits, records, tfrecord
from pipeline.sources.limits import LONGEST
from pipeline.sources.skipped import Skipped
from pipeline.units import UNIT_BYTES, WorkUnit

SPEC = ModelSpec(InputSpec(8, 8, "grayscale"), ("cat", "dog"), "f00")
Row = tuple[str, bytes, int | None, str | None, Code | None]
"""Key, image, label, its name, and why there is none."""


def run(**options: Any) -> Run:
    return Run.of(
        "run-1", ScoreOptions(input=("in",), model="model", output="out", engine="tensorflow", **options), SPEC
    )


def encoded(**features: Any) -> bytes:
    """Return a serialized tf.train.Example; a feature's list is of the type of its first value."""
    kinds = {bytes: "bytes_list", int: "int64_list", float: "float_list"}
    feature = {
        name.replace("__", "/"): {kinds[type((values if isinstance(values, list) else [values])[0])]: {
            "value": values if isinstance(values, list) else [values]
        }}
        for name, values in features.items()
    }  # fmt: skip
    data: bytes = tf.train.Example(features={"feature": feature}).SerializeToString(deterministic=True)
    return data


def image(i: int, size: int = 0) -> bytes:
    """Return the record of image i, whose file would be its number and padding."""
    return encoded(image__encoded=str(i).encode().ljust(size, b"."), image__class__label=i % 2)


def write(path: Path, records: Sequence[bytes], compression: str = "") -> Path:
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return path


def units_of(path: Path, unit_images: int = 2048) -> list[WorkUnit]:
    (found,) = storage.list_objects(str(path))
    return list(sources.index("tfrecord", found, unit_images, Skipped()))


def batches_of(units: Sequence[WorkUnit], **options: Any) -> list[EncodedBatch]:
    return [batch for unit in units for batch in tfrecord.read(unit, read_rule(run(**options)))]


def rows_of(units: Sequence[WorkUnit], **options: Any) -> list[Row]:
    rows: list[Row] = []
    for batch in batches_of(units, **options):
        columns = batch.images
        for i, key in enumerate(columns.keys):
            failure = columns.failures.get(i)
            assert failure is None or (failure.stage == "read" and not batch.encoded[i])
            label = int(columns.labels[i]) if columns.labelled[i] else None
            rows.append((key, batch.encoded[i], label, columns.label_names[i], failure.code if failure else None))
    return rows


def codes_of(rows: Sequence[Row]) -> list[Code | None]:
    return [row[4] for row in rows]


class TestRecords:
    @pytest.mark.parametrize("compression", ["", "GZIP"])
    def test_are_those_that_tensorflow_reads(self, tmp_path: Path, compression: str) -> None:
        path = write(tmp_path / "x.tfrecord", [image(i, 997 * i) for i in range(300)], compression)
        read = tf.data.TFRecordDataset(str(path), compression).as_numpy_iterator()
        features = [tf.train.Example.FromString(record).features.feature for record in read]
        expected = [
            (f["image/encoded"].bytes_list.value[0], f["image/class/label"].int64_list.value[0]) for f in features
        ]
        batches = batches_of(units_of(path))
        assert [len(batch.images) for batch in batches] == [BATCH_IMAGES, 44]
        assert [row[1:3] for row in rows_of(units_of(path))] == expected
        assert [row[0] for row in rows_of(units_of(path))] == [f"{path}#{i}" for i in range(300)]

    def test_of_35615_bytes_start_like_gzip_and_are_not(self, tmp_path: Path) -> None:
        record = image(0, 35_615)
        record = image(0, 2 * 35_615 - len(record))
        path = write(tmp_path / "x.tfrecord", [record, image(1)])
        assert path.read_bytes().startswith(b"\x1f\x8b")
        (unit,) = units_of(path)
        assert unit.images == 2
        assert codes_of(rows_of([unit])) == [None, None]

    @pytest.mark.parametrize(
        ("features", "options", "expected"),
        [
            ({"image__encoded": b"x", "image__class__label": 1}, {}, (b"x", 1, "dog", None)),
            ({"image": b"x", "label": 1}, {}, (b"x", 1, "dog", None)),
            ({"image": b"y", "image__encoded": b"x"}, {}, (b"x", None, None, None)),
            ({"image": b"x", "label": b"dog"}, {}, (b"x", 1, "dog", None)),
            ({"image": b"x", "label": "Кот".encode()}, {}, (b"x", None, "Кот", None)),
            ({"image": b"x", "label": b"\xff"}, {}, (b"x", None, "�", None)),
            ({"image": b"x", "label": 2}, {}, (b"x", 2, None, None)),
            ({"image": b"x", "label": -1}, {}, (b"x", -1, None, None)),
            ({"image": b"x", "label": 2}, {"label_offset": 1}, (b"x", 1, "dog", None)),
            ({"image": b"x", "label": 1}, {"label_source": "none"}, (b"x", None, None, None)),
            ({"image": b"x", "label": 0.5}, {}, (b"x", None, "0.5", None)),
            ({"image": [b"x", b"y"], "label": [1, 1]}, {}, (b"", None, "[1, 1]", "UNIMPLEMENTED")),
            ({"image": b"x", "label": [0, 1]}, {}, (b"x", 1, "dog", None)),
            ({"image": b"x", "label": [0.0, 1.0]}, {}, (b"x", 1, "dog", None)),
            ({"image": b"x", "label": 1.0}, {}, (b"x", 1, "dog", None)),
            ({"image": b"x", "label": [0, 1, 0]}, {}, (b"x", None, "[0, 1, 0]", None)),
            ({"jpg": b"x", "cls": 1}, {"image_key": "jpg", "label_key": "cls"}, (b"x", 1, "dog", None)),
            ({"image": b"y", "jpg": b"x", "label": 1}, {"image_key": "jpg"}, (b"x", 1, "dog", None)),
            ({"image": b"x", "label": 1}, {"label_key": "cls"}, (b"x", None, None, None)),
            ({"image": b""}, {}, (b"", None, None, None)),
            ({"pixels": b"x"}, {}, (b"", None, None, "INVALID_ARGUMENT")),
            ({"image": 5}, {}, (b"", None, None, "INVALID_ARGUMENT")),
            ({"image": b"x"}, {"image_key": "jpg"}, (b"", None, None, "INVALID_ARGUMENT")),
        ],
    )
    def test_image_and_label_are_found_under_the_names_in_use(
        self, tmp_path: Path, features: dict[str, Any], options: dict[str, Any], expected: tuple[Any, ...]
    ) -> None:
        (row,) = rows_of(units_of(write(tmp_path / "x.tfrecord", [encoded(**features)])), **options)
        assert row[1:] == expected

    def test_without_an_image_tell_what_they_have(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tfrecord", [encoded(pixels=b"x", width=28), b"\xff\xff", b""])
        (batch,) = batches_of(units_of(path))
        messages = [batch.images.failures[i].message for i in range(3)]
        assert messages[0] == (
            "record has no bytes feature 'image/encoded' or 'image'; it has pixels, width; see --image_key"
        )
        assert messages[1].startswith("not a tf.train.Example: ")
        assert "it has none" in messages[2]

    def test_without_a_label_take_the_folders_name_if_it_is_a_class(self, tmp_path: Path) -> None:
        (tmp_path / "dog").mkdir()
        path = write(tmp_path / "dog" / "x.tfrecord", [encoded(image=b"x"), encoded(image=b"x", label=0)])
        assert [row[2:4] for row in rows_of(units_of(path))] == [(1, "dog"), (0, "cat")]

    def test_of_many_megabytes_make_short_batches(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tfrecord", [image(i, 12 << 20) for i in range(3)] + [image(3, 40 << 20)])
        batches = batches_of(units_of(path))
        assert [len(batch.images) for batch in batches] == [2, 1, 1]
        assert [len(data) >> 20 for batch in batches for data in batch.encoded] == [12, 12, 12, 40]


class TestUnits:
    @pytest.mark.parametrize("size", [0, 3_000, 40_000])
    @pytest.mark.parametrize("unit_images", [1, 3, 7, 50])
    def test_entered_anywhere_give_the_rows_of_reading_from_the_start(
        self, tmp_path: Path, unit_images: int, size: int
    ) -> None:
        path = write(tmp_path / "x.tfrecord", [image(i, size + 13 * i) for i in range(29)])
        units = units_of(path, unit_images)
        assert [unit.images for unit in units] == [min(unit_images, 29 - i) for i in range(0, 29, unit_images)]
        assert [unit.first for unit in units] == list(range(0, 29, unit_images))
        assert [units[0].span[0], *(unit.span[1] for unit in units)] == [
            *(unit.span[0] for unit in units),
            path.stat().st_size,
        ]
        from_the_start = rows_of(units_of(path))
        assert len(from_the_start) == 29
        assert rows_of(units) == from_the_start
        for unit in reversed(units):
            assert rows_of([unit]) == from_the_start[unit.first : unit.first + (unit.images or 0)]

    def test_end_where_they_would_have_too_many_bytes(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tfrecord", [image(0)])
        frame = path.read_bytes()
        long = frame_header(200 << 20)
        with path.open("r+b") as file:  # two records of 200 MiB that take no disk, between small ones
            for offset in (len(frame), len(frame) + len(long) + (200 << 20) + 4):
                file.seek(offset)
                file.write(long)
            file.seek((200 << 20) + 4, os.SEEK_CUR)
            file.write(frame)
        units = units_of(path)
        assert [unit.images for unit in units] == [2, 2]
        assert all(unit.bytes <= UNIT_BYTES for unit in units)

    def test_of_a_record_larger_than_any_image_cost_that_record_alone(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tfrecord", [image(0)])
        frame = path.read_bytes()
        with path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(frame_header(5 << 28))
            file.seek((5 << 28) + 4, os.SEEK_CUR)
            file.write(frame)
        assert codes_of(assert_planned_as_read(path, 2048)) == [None, "RESOURCE_EXHAUSTED", None]

    def test_of_long_records_are_cut_without_reading_the_records(self, tmp_path: Path, counted: CountingStore) -> None:
        long = write(tmp_path / "long.tfrecord", [image(i, 1 << 20) for i in range(20)])
        assert sum(unit.images or 0 for unit in units_of(long, 7)) == 20
        assert counted.taken < 600_000 < long.stat().st_size
        counted.calls = counted.taken = 0
        short = write(tmp_path / "short.tfrecord", [image(i) for i in range(20_000)])
        assert sum(unit.images or 0 for unit in units_of(short)) == 20_000
        assert counted.calls < 10
        assert counted.taken < 1.1 * short.stat().st_size

    def test_of_gzip_are_one_of_unknown_length_even_of_several_members(self, tmp_path: Path) -> None:
        parts = [write(tmp_path / f"{i}.gz", [image(2 * i), image(2 * i + 1)], "GZIP").read_bytes() for i in range(3)]
        path = tmp_path / "x.tfrecord.gz"
        path.write_bytes(b"".join(parts) + bytes(512))
        (unit,) = units_of(path, 2)
        assert unit.images is None
        assert unit.span == (0, path.stat().st_size)
        assert [row[1] for row in rows_of([unit])] == [b"0", b"1", b"2", b"3", b"4", b"5"]

    @pytest.mark.parametrize("n", [1, 4, 5, 9])
    @pytest.mark.parametrize("compression", ["", "GZIP"])
    def test_can_be_cut_to_their_first_images(self, tmp_path: Path, compression: str, n: int) -> None:
        (unit,) = units_of(write(tmp_path / "x", [image(i) for i in range(5)], compression))
        short = tfrecord.first_images(unit, n)
        assert short.images == min(n, 5)
        assert rows_of([short]) == rows_of([unit])[:n]

    def test_of_an_empty_file_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "x.tfrecord").touch()
        assert units_of(tmp_path / "x.tfrecord") == []

    def test_of_an_empty_gzip_stream_have_no_rows(self, tmp_path: Path) -> None:
        assert rows_of(units_of(write(tmp_path / "x.tfrecord.gz", [], "GZIP"))) == []


def frame_header(length: int) -> bytes:
    return length.to_bytes(8, "little") + records.masked(length.to_bytes(8, "little")).to_bytes(4, "little")


SMALL = [image(i, 3 * i) for i in range(3)]


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, bytes, list[Row]]:
    """A file of three small records, its bytes, and its rows."""
    path = write(tmp_path / "x.tfrecord", SMALL)
    return path, path.read_bytes(), rows_of(units_of(path))


def starts_of(records: Sequence[bytes]) -> list[int]:
    starts = [0]
    for record in records:
        starts.append(starts[-1] + len(record) + 16)
    return starts


def assert_planned_as_read(path: Path, unit_images: int) -> list[Row]:
    """Check that every unit gives as many rows as its plan says; return all rows."""
    rows: list[Row] = []
    for unit in units_of(path, unit_images):
        found = rows_of([unit])
        assert len(found) == (unit.images or 1)
        rows += found
    assert [row[0] for row in rows] == [f"{path}#{i}" for i in range(len(rows))]
    return rows


class TestDamage:
    @pytest.mark.parametrize("unit_images", [1, 2, 2048])
    def test_a_truncated_file_keeps_its_whole_records_and_has_one_row_for_the_rest(
        self, small: tuple[Path, bytes, list[Row]], unit_images: int
    ) -> None:
        path, data, rows = small
        starts = starts_of(SMALL)
        assert starts[-1] == len(data)
        for end in range(len(data)):
            path.write_bytes(data[:end])
            found = assert_planned_as_read(path, unit_images)
            whole = sum(start <= end for start in starts[1:])
            assert found[:whole] == rows[:whole], end
            assert codes_of(found[whole:]) == ([] if end in starts else ["DATA_LOSS"]), end

    @pytest.mark.parametrize("unit_images", [1, 2048])
    def test_a_flipped_bit_costs_its_record_alone(self, small: tuple[Path, bytes, list[Row]], unit_images: int) -> None:
        path, data, rows = small
        starts = starts_of(SMALL)
        for at in range(len(data)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            found = assert_planned_as_read(path, unit_images)
            hit = sum(start <= at for start in starts) - 1
            assert found[:hit] == rows[:hit], at
            assert found[hit][4] == "DATA_LOSS", at
            assert found[hit + 1 :] == rows[hit + 1 :], at

    @pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.soak)])
    def test_every_flip_of_a_header_is_noticed(self, small: tuple[Path, bytes, list[Row]], stride: int) -> None:
        path, data, rows = small
        start = starts_of(SMALL)[1]
        for at in range(start, start + 12):
            for mask in {1 << bit for bit in range(8)} | set(range(1, 256, stride)):
                path.write_bytes(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])
                found = assert_planned_as_read(path, 2048)
                assert [found[0], found[2]] == [rows[0], rows[2]]
                assert codes_of(found) == [None, "DATA_LOSS", None]

    def test_messages_tell_record_byte_and_extent(self, small: tuple[Path, bytes, list[Row]]) -> None:
        path, data, _ = small
        second = starts_of(SMALL)[1]

        def message(damaged: bytes, unit_images: int = 2048) -> str:
            path.write_bytes(damaged)
            (failure,) = (f for b in batches_of(units_of(path, unit_images)) for f in b.images.failures.values())
            return failure.message

        flipped = bytearray(data)
        flipped[second + 20] ^= 1
        for unit_images in (1, 2048):
            found = message(bytes(flipped), unit_images)
            assert found == f"checksum of record 1 at byte {second} is wrong"
            cut = message(data[: second + 30], unit_images)
            assert cut == f"record 1 at byte {second} is cut short; the rest of the file is lost"
        flipped[second] ^= 1
        third = starts_of(SMALL)[2]
        text = f"record 1 at byte {second} has a wrong length checksum; reading goes on at byte {third}"
        for unit_images in (1, 2048):
            assert message(bytes(flipped), unit_images) == text
        flipped[third] ^= 1
        assert (
            message(bytes(flipped))
            == f"record 1 at byte {second} has a wrong length checksum; the rest of the file is lost"
        )

    def test_a_file_that_is_no_tfrecord_is_one_failed_row(self, tmp_path: Path) -> None:
        for content in (b"x", b"<html>not found</html>", os.urandom(1_000_000), bytes(5_000)):
            (tmp_path / "x.tfrecord").write_bytes(content)
            assert codes_of(assert_planned_as_read(tmp_path / "x.tfrecord", 10)) == ["DATA_LOSS"]

    def test_a_truncated_gzip_file_keeps_what_came_before_and_has_one_failed_row(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tfrecord.gz", [image(i, 40) for i in range(3)], "GZIP")
        data, rows = path.read_bytes(), rows_of(units_of(path))
        kept = set()
        for end in range(1, len(data)):
            path.write_bytes(data[:end])
            found = rows_of(units_of(path))
            assert found[:-1] == rows[: len(found) - 1], end
            assert found[-1][4] == "DATA_LOSS", end
            kept.add(len(found) - 1)
        assert kept >= {0, 3}

    @pytest.mark.parametrize(
        ("size", "longest"),
        mostly_heavy([(100 << 20, LONGEST), (100 << 20, 99 << 20), (600 << 20, LONGEST)], kept=[(100 << 20, LONGEST)]),
    )
    def test_a_record_that_inflates_too_far_costs_that_record_and_fills_no_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, longest: int
    ) -> None:
        monkeypatch.setattr(limits, "LONGEST", longest)
        good = write(tmp_path / "x.tfrecord", [image(0)]).read_bytes()
        with gzip.open(tmp_path / "x.tfrecord.gz", "wb") as file:
            file.write(good + frame_header(size))
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
            file.write(bytes(4) + good)
        units = units_of(tmp_path / "x.tfrecord.gz")
        tracemalloc.start()
        batches = batches_of(units)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
        tracemalloc.stop()
        assert codes_of(rows_of(units)) == [None, "RESOURCE_EXHAUSTED", None]
        text = batches[0].images.failures[1].message
        assert text.endswith("no image inflates more than 200-fold" if size < longest else f"larger than {longest:,}")

    @pytest.mark.parametrize("mutations", [400, pytest.param(1_500, marks=pytest.mark.soak)])
    def test_a_mutated_gzip_file_never_gives_an_image_that_was_not_there(self, tmp_path: Path, mutations: int) -> None:
        path = write(tmp_path / "x.tfrecord.gz", [image(i, 40) for i in range(5)], "GZIP")
        data, rows = path.read_bytes(), rows_of(units_of(path))
        rng = random.Random(0)
        for _ in range(mutations):
            damaged = bytearray(data)
            for at in rng.sample(range(len(data)), rng.choice([1, 1, 3])):
                damaged[at] = rng.randrange(256)
            path.write_bytes(damaged)
            for i, row in enumerate(rows_of(units_of(path))):
                assert row[4] in ("DATA_LOSS", None)
                assert row[4] == "DATA_LOSS" or row == rows[i]
