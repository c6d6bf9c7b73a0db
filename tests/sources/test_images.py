"""Image files: cut by content, so that a small change changes few units, and read in order, whatever became of them."""

from __future__ import annotations

import bisect
import itertools
import os
import random
import tempfile
import time
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from permissions import nobody

from pipeline import storage
from pipeline.batches import BATCH_BYTES, BATCH_IMAGES, EncodedBatch
from pipeline.model.input_rule import InputSpec
from pipeline.model.spec import ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.scoring.planning import read_rule
from pipeline.sources import images
from pipeline.sources.limits import LONGEST
from pipeline.sources.read_rule import ReadRule
from pipeline.storage import StoredObject
from pipeline.units import UNIT_BYTES, WorkUnit

RUN = Run.of(
    "run-1",
    ScoreOptions(input=("in",), model="model", output="out", engine="tensorflow"),
    ModelSpec(InputSpec(8, 8, "grayscale"), ("cat", "dog"), "f00"),
)


def cut(objects: Iterable[StoredObject], unit_images: int) -> Iterator[WorkUnit]:
    return images.cut(((found, None) for found in objects), unit_images)


def listing(sizes: Sequence[int], folder: str = "/archive") -> list[StoredObject]:
    return [StoredObject(f"{folder}/{i:07d}.png", size, 1_000 + i) for i, size in enumerate(sizes)]


class TestCutting:
    @given(
        st.lists(st.integers(0, 50_000) | st.integers(0, UNIT_BYTES * 2), max_size=80),
        st.integers(1, 20),
        st.text("abc", max_size=3),
    )
    @example([UNIT_BYTES + 1, UNIT_BYTES + 1], 5, "")
    @example([1, UNIT_BYTES + 1, 1], 5, "")
    @example([UNIT_BYTES] * 3, 5, "")
    @example([0] * 41, 10, "")
    def test_every_object_is_in_one_unit_in_order_and_no_unit_is_too_large_or_too_small(
        self, sizes: list[int], unit_images: int, folder: str
    ) -> None:
        objects = listing(sizes, f"/{folder}")
        units = list(cut(iter(objects), unit_images))
        fields = [o for u in units for o in zip(u.locations, u.sizes, u.versions, strict=True)]
        assert fields == [(o.location, o.size, o.version) for o in objects]
        for unit in units:
            assert unit.images == len(unit.locations) <= unit_images
            assert unit.bytes <= UNIT_BYTES or unit.images == 1
            assert (unit.id, unit.source, unit.first, unit.span) == ("", "images", 0, (0, 0))
        for unit, following in itertools.pairwise(units):
            quarter_full = unit.images * 4 >= unit_images or unit.bytes * 4 >= UNIT_BYTES  # type: ignore[operator]
            assert quarter_full or unit.bytes + following.sizes[0] > UNIT_BYTES

    def test_units_of_one_image_are_possible(self) -> None:
        assert [u.images for u in cut(listing([5] * 7), 1)] == [1] * 7

    def test_nothing_gives_no_unit(self) -> None:
        assert list(cut([], 2048)) == []

    def test_is_the_same_on_any_day(self) -> None:
        """Units made today are found by tomorrow's run: these ends may never change."""
        ends = [u.locations[-1] for u in cut(listing([1000] * 200), 16)]
        assert [int(Path(end).stem) for end in ends] == [
            4,
            19,
            35,
            43,
            50,
            65,
            80,
            96,
            107,
            114,
            128,
            138,
            152,
            168,
            184,
            199,
        ]

    def test_names_that_are_not_utf_8_are_cut_like_others(self) -> None:
        objects = [StoredObject(f"/a/\udcff{i:03d}.png", 1, 1) for i in range(100)]
        assert sum(u.images or 0 for u in cut(objects, 8)) == 100

    @pytest.mark.parametrize("names", [20_000, pytest.param(100_000, marks=pytest.mark.heavy)])
    def test_one_image_more_or_less_changes_few_units(self, names: int) -> None:
        rng = random.Random(0)
        objects = listing([100_000] * names)
        before = {unit.locations for unit in cut(objects, 2048)}
        changed = []
        for attempt in range(16):
            at = rng.randrange(len(objects))
            more = StoredObject(objects[at].location + "b", 100_000, 1)
            edited = objects[:at] + ([more] if attempt % 2 else []) + objects[at + (1 - attempt % 2) :]
            after = {unit.locations for unit in cut(edited, 2048)}
            changed.append(len(after - before))
        assert max(changed) <= 3
        assert sum(changed) / len(changed) < 1.5

    @pytest.mark.parametrize(
        "kind",
        [
            pytest.param("insert", marks=pytest.mark.soak),
            pytest.param("delete", marks=pytest.mark.soak),
            pytest.param("rename", marks=pytest.mark.heavy),
        ],
    )
    def test_sixty_edits_of_100_000_names(self, kind: str) -> None:
        rng = random.Random(f"{kind} 60")
        objects = listing([3_000] * 100_000)
        before = {unit.locations for unit in cut(objects, 2048)}
        changed = []
        for _ in range(60):
            edited = list(objects)
            at = rng.randrange(len(objects))
            if kind != "insert":
                del edited[at]
            if kind != "delete":
                name = objects[rng.randrange(len(objects))].location.replace(".png", "b.png")
                bisect.insort(edited, StoredObject(name, 3_000, 1), key=lambda o: o.location)
            changed.append(len({unit.locations for unit in cut(edited, 2048)} - before))
        times = 2 if kind == "rename" else 1
        assert sum(n <= times for n in changed) >= 57
        assert max(changed) <= 4 * times

    def test_costs_little_more_than_hashing_the_names_even_where_bytes_are_what_limits(self) -> None:
        rng = random.Random(0)
        for sizes in ([1_000] * 50_000, [rng.choice([10, 1 << 20, 200 << 20]) for _ in range(50_000)]):
            objects = listing(sizes)
            started = time.process_time()
            for found in objects:
                blake2b(found.location.encode(), digest_size=8).digest()
            hashed = time.process_time()
            assert sum(unit.images or 0 for unit in cut(objects, 2048)) == 50_000
            assert time.process_time() - hashed < 30 * (hashed - started)


def write(folder: Path, contents: Sequence[bytes]) -> None:
    for i, content in enumerate(contents):
        (folder / f"{i:05d}.png").write_bytes(content)


def unit_of(folder: Path) -> WorkUnit:
    """Return the files of a folder as one unit."""
    found = list(storage.list_objects(str(folder)))
    return WorkUnit(
        id="",
        source="images",
        locations=tuple(o.location for o in found),
        sizes=tuple(o.size for o in found),
        versions=tuple(o.version for o in found),
        images=len(found),
    )


def batches_of(unit: WorkUnit) -> list[EncodedBatch]:
    return list(images.read(unit, read_rule(RUN)))


class TestReading:
    @pytest.mark.heavy
    def test_gives_all_files_in_order_in_batches_of_bounded_length(self, tmp_path: Path) -> None:
        contents = [str(i).encode() for i in range(2 * BATCH_IMAGES + 88)]
        write(tmp_path, contents)
        unit = unit_of(tmp_path)
        batches = batches_of(unit)
        assert [len(batch.images) for batch in batches] == [BATCH_IMAGES, BATCH_IMAGES, 88]
        assert [data for batch in batches for data in batch.encoded] == contents
        assert [key for batch in batches for key in batch.images.keys] == list(unit.locations)
        assert not any(batch.images.failures for batch in batches)

    @pytest.mark.parametrize(
        ("mebibytes", "lengths"),
        [
            ([12, 12, 12], [2, 1]),
            ([16, 16, 1], [2, 1]),
            ([20, 14, 14, 4], [1, 3]),
            ([1, 40, 1], [1, 1, 1]),
            ([40, 0], [1, 1]),
            ([33], [1]),
        ],
    )
    def test_batches_are_bounded_in_bytes_unless_one_image_is_larger(
        self, tmp_path: Path, mebibytes: list[int], lengths: list[int]
    ) -> None:
        assert BATCH_BYTES == 32 << 20
        for i, size in enumerate(mebibytes):
            (tmp_path / f"{i}.png").touch()
            os.truncate(tmp_path / f"{i}.png", size << 20)
        batches = batches_of(unit_of(tmp_path))
        assert [len(batch.images) for batch in batches] == lengths
        assert [len(data) >> 20 for batch in batches for data in batch.encoded] == mebibytes

    def test_labels_come_from_the_folder_and_keys_from_the_location(self, tmp_path: Path) -> None:
        for name in ("cat", "cow"):
            (tmp_path / name).mkdir()
        (tmp_path / "cat" / "%41 é.png").write_bytes(b"1")
        (tmp_path / "cow" / os.fsdecode(b"\xff.png")).write_bytes(b"2")
        (batch,) = batches_of(unit_of(tmp_path))
        assert batch.images.keys == [f"{tmp_path}/cat/%2541 é.png", f"{tmp_path}/cow/%FF.png"]
        assert batch.images.label_names == ["cat", None]
        assert batch.images.labelled.tolist() == [True, False]

    def test_what_became_of_a_file_since_the_plan_is_a_failed_row_and_others_are_fine(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            write(folder, [b"same", b"changed", b"removed", b"forbidden", b"a folder", b"same size", b"last"])
            unit = unit_of(folder)
            files = [Path(location) for location in unit.locations]
            time.sleep(0.02)
            files[1].write_bytes(b"changed by someone")
            files[2].unlink()
            files[3].chmod(0)
            files[4].unlink()
            files[4].mkdir()
            files[5].write_bytes(b"SAME SIZE")
            with nobody():
                (batch,) = batches_of(unit)
        assert list(batch.encoded) == [b"same", b"", b"", b"", b"", b"", b"last"]
        assert {i: (failure.stage, failure.code) for i, failure in sorted(batch.images.failures.items())} == {
            1: ("read", "FAILED_PRECONDITION"),
            2: ("read", "NOT_FOUND"),
            3: ("read", "PERMISSION_DENIED"),
            4: ("read", "NOT_FOUND"),
            5: ("read", "FAILED_PRECONDITION"),
        }
        assert all(failure.message for failure in batch.images.failures.values())

    def test_an_empty_file_is_read_as_empty(self, tmp_path: Path) -> None:
        write(tmp_path, [b"", b"x"])
        (batch,) = batches_of(unit_of(tmp_path))
        assert list(batch.encoded) == [b"", b"x"]
        assert batch.images.ok.all()


class TestPicking:
    def unit(self, n: int) -> WorkUnit:
        (unit,) = cut(listing(range(1, n + 1)), 2048)
        return unit

    @pytest.mark.parametrize(("n", "kept"), [(1, 1), (3, 3), (10, 10), (11, 10)])
    def test_shortened_is_the_first_n_files(self, n: int, kept: int) -> None:
        short = images.first_images(self.unit(10), n)
        assert (short.images, short.locations) == (kept, self.unit(10).locations[:kept])
        assert short.sizes == tuple(range(1, kept + 1))
        assert short.versions == self.unit(10).versions[:kept]

    @given(st.integers(1, 60), st.integers(1, 70))
    def test_a_sample_is_evenly_spread_files_in_order(self, total: int, n: int) -> None:
        unit = self.unit(total)
        some = images.sample(unit, n)
        chosen = [unit.locations.index(location) for location in some.locations]
        assert len(chosen) == some.images == min(n, total)
        gaps = [b - a for a, b in itertools.pairwise([*chosen, total])]
        assert chosen[0] == 0
        assert max(gaps) - min(gaps) <= 1
        assert min(gaps) >= 1
        assert [unit.sizes[i] for i in chosen] == list(some.sizes)


@pytest.mark.parametrize(
    ("head", "known"),
    [
        (b"\x89PNG\r\n\x1a\n", True),
        (b"\xff\xd8\xff\xe0", True),
        (b"GIF89a", True),
        (b"II*\0", True),
        (b"MM\0*", True),
        (b"II+\0", True),
        (b"MM\0+", True),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", True),
        (b"BMW 320d, blue", False),
        (b"P5 28 28 255\n", True),
        (b"P6\n# by GIMP\n2 2\n255\n", True),
        (b"P5 is a process", False),
        (b"RIFF\1\2\3\4WEBPVP8 ", True),
        (b"RIFF\1\2\3\4WAVE", False),
        (b"\x89PNG", False),
        (b"<html>", False),
        (b"", False),
    ],
)
def test_an_image_is_known_by_its_first_bytes(head: bytes, known: bool) -> None:
    assert images.is_image(head) == known


def test_a_file_larger_than_any_image_is_a_failed_row_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    with (tmp_path / "b.png").open("wb") as file:
        file.truncate(LONGEST + 1)
    (unit, other) = cut(storage.list_objects(str(tmp_path)), 5)
    tracemalloc.start()
    (first,), (second,) = images.read(unit, read_rule(RUN)), images.read(other, read_rule(RUN))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    assert list(first.encoded) == [b"a"]
    assert list(second.encoded) == [b""]
    assert second.images.failures[0].code == "RESOURCE_EXHAUSTED"
    assert second.images.failures[0].message == "file of 536,870,913 bytes is larger than 536,870,912"


def test_columns_that_pass_through_stay_with_their_files(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode())
    found = [storage.stat(str(tmp_path / name)) for name in "abc"]
    (unit,) = images.cut(((one, None) for one in found if one), 10)
    unit = replace(unit, index={"more": {"site": ("x", None, "y")}})
    (batch,) = images.read(images.pick(unit, [2, 1]), ReadRule())
    assert (batch.encoded, batch.images.more) == ([b"c", b"b"], {"site": ("y", None)})
