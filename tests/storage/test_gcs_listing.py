"""Long listings of Google Cloud Storage: the same as one chain of pages, in order, in parallel."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

import pytest
from gcs_emulator import Emulator
from hypothesis import given
from hypothesis import strategies as st
from mostly_heavy import mostly_heavy

from pipeline import storage
from pipeline.storage import gcs_listing
from pipeline.storage.base import StoredObject
from pipeline.storage.gcs_listing import Named, Range, cut, in_order

names = st.text(st.sampled_from("/-.019aAzé\U0001f600"), max_size=8)


class Names:
    """A bucket of names, of which so many are read at once."""

    def __init__(self, all_names: Sequence[str], most: int) -> None:
        self._names = sorted(all_names)
        self._most = most
        self.ranges: list[Range] = []

    def read(self, part: Range) -> tuple[Named, bool]:
        self.ranges.append(part)
        stop = bisect_left(self._names, part.stop) if part.stop else len(self._names)
        inside = self._names[bisect_left(self._names, part.start) : stop]
        found = [(name, StoredObject(name, 1, 1)) for name in inside[: self._most]]
        return found, len(inside) <= self._most


@given(st.sets(names, min_size=2, max_size=60), st.integers(2, 5), st.integers(0, 3))
def test_any_names_are_listed_once_and_in_order(found: set[str], most: int, length: int) -> None:
    prefix = min(found)[:length]
    listed = sorted(name for name in found if name.startswith(prefix))
    seen, bucket = listed[:most], Names(listed, most)
    assert [o.location for o in in_order(bucket.read, prefix, seen)] == listed[most:]


@given(st.lists(names, min_size=1, max_size=9, unique=True), names)
def test_ranges_leave_nothing_out_and_do_not_overlap(seen: list[str], stop: str) -> None:
    seen.sort()
    stop = stop if stop > seen[-1] else ""
    ranges = cut(seen, "", stop)
    assert (ranges[0].start, ranges[-1].stop) == (seen[-1], stop)
    assert all(first.stop == second.start for first, second in pairwise(ranges))
    assert [part.start for part in ranges] == sorted({part.start for part in ranges})


def test_numbered_names_are_read_in_many_ranges_that_are_seldom_empty() -> None:
    bucket = Names([f"photos/IMG_{i:08d}.jpg" for i in range(100_000)], 1_600)
    seen = [f"photos/IMG_{i:08d}.jpg" for i in range(1_600)]
    assert sum(1 for _ in in_order(bucket.read, "photos/", seen)) == 98_400
    assert len(bucket.ranges) < 2.5 * 98_400 / 1_600


@pytest.mark.parametrize(
    "name",
    mostly_heavy(
        ["IMG_{:08d}.jpg", "{:08x}.png", "{:04d}/0.png", "n{:06d}_1.JPEG"], kept=["IMG_{:08d}.jpg", "{:04d}/0.png"]
    ),
)
def test_many_requests_are_under_way_at_once(name: str) -> None:
    everything = sorted(name.format(i * 37) for i in range(50_000))
    bucket = Names(everything, 1_600)
    under_way, most, lock = 0, [], threading.Lock()

    def read(part: Range) -> tuple[Named, bool]:
        nonlocal under_way
        with lock:
            under_way += 1
            most.append(under_way)
        found = bucket.read(part)
        if max(most) < gcs_listing.RANGES:
            time.sleep(0.05)  # so that others begin meanwhile, however slow this machine is
        with lock:
            under_way -= 1
        return found

    assert sum(1 for _ in in_order(read, "", everything[:1_600])) == 48_400
    assert max(most) == gcs_listing.RANGES
    assert len(bucket.ranges) < 3 * 48_400 / 1_600 + 60


def test_error_of_a_range_is_raised_and_no_thread_stays() -> None:
    def read(part: Range) -> tuple[Named, bool]:
        if part.is_seen:
            return [("a/2", StoredObject("a/2", 1, 1))], True
        raise ConnectionError("reset")

    found = in_order(read, "a/", ["a/01", "a/19"])
    with pytest.raises(ConnectionError, match="reset"):
        list(found)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("list")]


@pytest.fixture
def long(emulator: Emulator, gcs_bucket: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """600 objects in pages of 10."""
    monkeypatch.setattr(gcs_listing, "PAGES", 4)
    emulator.page_size = 10
    locations = [f"{gcs_bucket}/photos/{'abc'[i % 3]}/IMG {i:04d} é.png" for i in range(600)]
    for location in locations:
        storage.create(location, b"x")
    emulator.requests.clear()
    return sorted(locations)


@pytest.mark.heavy
def test_long_listing_is_complete(emulator: Emulator, gcs_bucket: str, long: list[str]) -> None:
    assert [found.location for found in storage.list_objects(f"{gcs_bucket}/photos")] == long
    assert emulator.count("startOffset") > 10


@pytest.mark.heavy
def test_page_that_fails_in_a_range_is_asked_for_again(emulator: Emulator, gcs_bucket: str, long: list[str]) -> None:
    emulator.fail("startOffset", status=503, times=3)
    assert [found.location for found in storage.list_objects(f"{gcs_bucket}/photos")] == long


def test_short_listing_takes_no_more_requests_than_it_has_pages(emulator: Emulator, gcs_bucket: str) -> None:
    for i in range(15):
        storage.create(f"{gcs_bucket}/few/{i}.png", b"x")
    emulator.page_size = 5
    emulator.requests.clear()
    assert sum(1 for _ in storage.list_objects(f"{gcs_bucket}/few")) == 15
    assert emulator.count("prefix=few/") == 3
