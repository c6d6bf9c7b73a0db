"""A stored object as a file: the same bytes as a file of Python's, fetched in few reads, and little where it hops."""

from __future__ import annotations

import io
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.errors import ChangedError
from pipeline.storage import StoredFile, StoredObject
from pipeline.storage.local import LocalStore
from pipeline.storage.stored_file import HOP, LEAST, WINDOW

SIZE = 700_000
CONTENT = random.Random(0).randbytes(SIZE)


class CountingStore(LocalStore):
    """Remembers the ranges that were read."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []

    def read(self, location: str, start: int = 0, stop: int | None = None, version: int | None = None) -> bytes:
        data = super().read(location, start, stop, version)
        self.ranges.append((start, start + len(data)))
        return data

    @property
    def taken(self) -> int:
        return sum(stop - start for start, stop in self.ranges)


@pytest.fixture(scope="module")
def found() -> Iterator[StoredObject]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x").write_bytes(CONTENT)
        (stored,) = storage.list_objects(folder)
        yield stored


OFFSETS = st.integers(-5, SIZE + 5) | st.sampled_from([0, 1, LEAST, HOP, WINDOW, SIZE]) | st.integers(-300, 300)
STEPS = st.lists(
    st.tuples(st.just("seek"), OFFSETS, st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]))
    | st.tuples(st.sampled_from(["read", "readinto"]), OFFSETS, st.just(0))
    | st.tuples(st.just("tell"), st.just(0), st.just(0)),
    max_size=20,
)


def take(file: Any, step: tuple[str, int, int]) -> object:
    """Return what a file answers; BytesIO moves a relative seek to before its start to 0, files refuse it."""
    verb, number, whence = step
    try:
        if verb == "seek" and whence == os.SEEK_CUR:
            return file.seek(max(number, -file.tell()), whence)
        if verb == "seek" and whence == os.SEEK_END:
            return file.seek(max(number, -file.seek(0, whence)), whence)
        if verb == "seek":
            return file.seek(number)
        if verb == "read":
            return file.read(number)
        if verb == "readinto":
            buffer = bytearray(max(number, 0))
            return file.readinto(buffer), bytes(buffer)
        return file.tell()
    except (OSError, ValueError):
        return "refused"


@given(st.tuples(st.integers(0, SIZE), st.none() | st.integers(0, SIZE)), STEPS)
@example((0, None), [("read", -1, 0), ("read", 5, 0), ("seek", -10, 2), ("read", 20, 0)])
@example((500, 100), [("read", 5, 0)])
@settings(deadline=None, max_examples=200)
def test_is_the_file_of_its_bytes(
    found: StoredObject, span: tuple[int, int | None], steps: Sequence[tuple[str, int, int]]
) -> None:
    ours, bytes_ = StoredFile(LocalStore(), found, *span), io.BytesIO(CONTENT[slice(*span)])
    assert [take(ours, step) for step in steps] == [take(bytes_, step) for step in steps]


@given(STEPS)
@settings(deadline=None, max_examples=50)
def test_can_stand_behind_a_buffer_of_the_standard_library(
    found: StoredObject, steps: Sequence[tuple[str, int, int]]
) -> None:
    ours = io.BufferedReader(StoredFile(LocalStore(), found), 10_000)
    bytes_ = io.BufferedReader(io.BytesIO(CONTENT))
    assert [take(ours, step) for step in steps] == [take(bytes_, step) for step in steps]


def test_a_seek_to_before_the_start_is_refused_as_by_a_file(found: StoredObject) -> None:
    file = StoredFile(LocalStore(), found, 100, 110)
    file.seek(4)
    for whence, offset in ((os.SEEK_SET, -1), (os.SEEK_CUR, -5), (os.SEEK_END, -11)):
        with pytest.raises(OSError, match="seek to byte -1"):
            file.seek(offset, whence)
    assert file.read() == CONTENT[104:110]


@pytest.mark.parametrize("size", [1, 512, 3_000, 100_000])
def test_reading_on_takes_few_reads_and_each_byte_once(found: StoredObject, size: int) -> None:
    store = CountingStore()
    file = StoredFile(store, found)
    pieces = list(iter(lambda: file.read(size), b"")) if size > 1 else [file.read(1) for _ in range(SIZE // 10)]
    assert b"".join(pieces) == CONTENT[: SIZE if size > 1 else SIZE // 10]
    assert len(store.ranges) <= 8
    assert store.taken < 1.2 * SIZE


def test_reading_on_over_short_gaps_is_reading_on(found: StoredObject) -> None:
    store = CountingStore()
    file = StoredFile(store, found)
    for start in range(0, SIZE, 5_000):
        file.seek(start)
        assert file.read(512) == CONTENT[start : start + 512]
    assert len(store.ranges) <= 8


@pytest.mark.parametrize("headers", [1, 2, 3, 4, 5])
def test_hopping_fetches_little(found: StoredObject, headers: int) -> None:
    store = CountingStore()
    file = StoredFile(store, found)
    for start in range(0, SIZE, 100_000):
        file.seek(start)
        for _ in range(headers):
            file.read(512)
    assert [start for start, _ in store.ranges] == list(range(0, SIZE, 100_000))
    assert store.taken <= 7 * LEAST


def test_what_is_behind_the_end_costs_no_read(found: StoredObject) -> None:
    store = CountingStore()
    file = StoredFile(store, found)
    file.seek(SIZE + 100)
    assert (file.read(), file.read(5), file.readinto(bytearray(5)), file.tell()) == (b"", b"", 0, SIZE + 100)
    assert StoredFile(store, found, 10, 10).read(1) == b""
    assert store.ranges == []


def test_nothing_is_fetched_that_is_outside(found: StoredObject) -> None:
    store = CountingStore()
    file = StoredFile(store, found, 1_000, 2_000)
    file.seek(500)
    assert file.read() == CONTENT[1_500:2_000]
    file.seek(0)
    assert file.read(1) == CONTENT[1_000:1_001]
    assert min(start for start, _ in store.ranges) >= 1_000
    assert max(stop for _, stop in store.ranges) <= 2_000


def test_an_object_shorter_than_thought_ends_where_it_ends(found: StoredObject) -> None:
    file = StoredFile(LocalStore(), StoredObject(found.location, 2 * SIZE, found.version))
    file.seek(SIZE - 10)
    assert file.read(100) == CONTENT[-10:]
    assert file.read(100) == b""
    assert file.readinto(bytearray(3)) == 0


def test_a_change_meanwhile_and_a_missing_object_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(CONTENT[:10_000])
    (found,) = storage.list_objects(str(path))
    file = StoredFile(LocalStore(), found)
    assert file.read(1) == CONTENT[:1]
    os.utime(path, ns=(1, 1))
    file.seek(9_000)
    with pytest.raises(ChangedError):
        file.read(1)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        StoredFile(LocalStore(), found).read(1)
