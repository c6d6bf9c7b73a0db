"""What containers have in common: distinct names, cuts between extents, batches, and what a lost container costs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.batches import BATCH_BYTES, BATCH_IMAGES, Failure
from pipeline.errors import ChangedError, TransientError
from pipeline.sources.container import (
    Extent,
    Image,
    UniqueNames,
    container_unit,
    cut_container,
    fail_the_rest,
    make_batches,
    split_at_places,
)
from pipeline.sources.labels import LabelRule
from pipeline.sources.read_rule import ReadRule
from pipeline.storage import StoredObject
from pipeline.units import UNIT_BYTES

RULE = ReadRule(LabelRule(("cat", "dog")))
WHOLE = container_unit("tar", StoredObject("/a/x.tar", 10 * UNIT_BYTES, 7))


class TestUniqueNames:
    @given(st.lists(st.sampled_from(["x", "y", "x#2", "x#3", "x#2#2", "y#2", ""]), max_size=30))
    def test_are_distinct_stable_and_begin_as_they_were(self, names: list[str]) -> None:
        taken = UniqueNames()
        unique = [taken.unique(name) for name in names]
        assert len(set(unique)) == len(unique)
        assert all(new.startswith(old) for new, old in zip(unique, names, strict=True))
        again = UniqueNames()
        assert [again.unique(name) for name in names[:7]] == unique[:7]

    def test_the_first_keeps_its_name_and_the_others_count(self) -> None:
        names = UniqueNames()
        assert [names.unique(name) for name in ("x", "x", "x#2", "x", "x#2")] == ["x", "x#2", "x#2#2", "x#3", "x#2#3"]

    def test_many_of_one_name_take_no_longer_than_many(self) -> None:
        names, started = UniqueNames(), time.monotonic()
        assert [names.unique("x") for _ in range(100_000)][-1] == "x#100000"
        assert time.monotonic() - started < 3


PIECES = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 1_000, UNIT_BYTES // 3, UNIT_BYTES, 2 * UNIT_BYTES])),
    max_size=60,
)


@given(PIECES, st.integers(1, 10))
@example([(0, 5)], 3)
def test_a_cut_is_between_pieces_and_keeps_its_bounds(layout: list[tuple[int, int]], unit_images: int) -> None:
    ends = list(itertools.accumulate((size for _, size in layout), initial=100))
    extents = [Extent(start, end, n) for (n, _), (start, end) in zip(layout, itertools.pairwise(ends), strict=True)]
    units = list(cut_container(WHOLE, iter(extents), unit_images))
    firsts = [unit.first for unit in units]
    assert firsts == list(itertools.accumulate((unit.images or 0 for unit in units), initial=0))[:-1]
    assert sum(unit.images or 0 for unit in units) == sum(piece.images for piece in extents)
    assert all(unit.images for unit in units)
    starts, stops = [piece.start for piece in extents], [piece.stop for piece in extents]
    for unit in units:
        assert unit.span[0] in starts
        assert unit.span[1] in stops
        inside = [p for p in extents if unit.span[0] <= p.start and p.stop <= unit.span[1] and p.images]
        assert (unit.images or 0) <= unit_images or len(inside) == 1 or 0 in (p.stop - p.start for p in inside)
        assert unit.bytes <= UNIT_BYTES or len([p for p in inside if p.stop > p.start]) == 1
    for before, after in itertools.pairwise(units):
        assert before.span[1] <= after.span[0]


def images(sizes: list[int]) -> Iterator[Image]:
    for i, size in enumerate(sizes):
        yield Image(f"k{i}", bytes(size) if size >= 0 else Failure("read", "DATA_LOSS", "lost"), i, "cat")


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], [0]),
        ([1] * 600, [BATCH_IMAGES, BATCH_IMAGES, 600 - 2 * BATCH_IMAGES]),
        ([BATCH_BYTES, 1, BATCH_BYTES - 1, 1], [1, 2, 1]),
        ([2 * BATCH_BYTES, 2 * BATCH_BYTES], [1, 1]),
        ([-1] * 300, [BATCH_IMAGES, 300 - BATCH_IMAGES]),
    ],
)
def test_batches_keep_order_and_bounds(sizes: list[int], expected: list[int]) -> None:
    batches = list(make_batches(images(sizes), RULE))
    assert [len(batch.images) for batch in batches] == expected
    assert [key for batch in batches for key in batch.images.keys] == [f"k{i}" for i in range(len(sizes))]
    assert sum(len(batch.images.failures) for batch in batches) == sizes.count(-1)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileNotFoundError(), "NOT_FOUND"),
        (PermissionError(13, "Permission denied"), "PERMISSION_DENIED"),
        (PermissionError(), "PERMISSION_DENIED"),
        (ChangedError("modified"), "FAILED_PRECONDITION"),
    ],
)
@pytest.mark.parametrize(("planned", "read", "rows"), [(5, 0, 5), (5, 3, 5), (5, 5, 5), (None, 0, 1), (None, 3, 4)])
def test_what_is_lost_on_the_way_fails_in_as_many_rows_as_are_due(
    error: Exception, code: str, planned: int | None, read: int, rows: int
) -> None:
    def broken() -> Iterator[Image]:
        yield from images([1] * read)
        raise error

    found = list(fail_the_rest(replace(WHOLE, images=planned, first=40), broken(), "!#"))
    assert len(found) == rows
    failed = [image for image in found if isinstance(image.encoded, Failure)]
    assert [image.encoded.code for image in failed if isinstance(image.encoded, Failure)] == [code] * (rows - read)
    assert [image.key for image in failed] == [f"/a/x.tar!#{i}" for i in range(40 + read, 40 + rows)]


@pytest.mark.parametrize("error", [TransientError("503"), RuntimeError("a bug")])
def test_what_may_pass_and_bugs_are_no_rows(error: Exception) -> None:
    def broken() -> Iterator[Image]:
        yield from images([1])
        raise error

    with pytest.raises(type(error)):
        list(fail_the_rest(WHOLE, broken(), "#"))


@given(
    images=st.lists(st.integers(1, 40), min_size=1, max_size=300),
    unit_images=st.integers(1, 2048),
    limit=st.integers(1, 3000),
)
def test_a_unit_that_is_entered_where_it_may_be_gives_all_its_images_once_and_in_order(
    images: list[int], unit_images: int, limit: int
) -> None:
    whole = container_unit("tfrecord", StoredObject("/a", 10 * len(images), 1))
    extents = [Extent(10 * i, 10 * i + 10, n) for i, n in enumerate(images)]
    for unit in cut_container(whole, extents, unit_images):
        for wanted in (unit, replace(unit, images=min(limit, unit.images or 0))):
            entries = list(split_at_places(wanted))
            assert [entry.first for entry in entries] == [
                unit.first + sum(entry.images or 0 for entry in entries[:i]) for i in range(len(entries))
            ]
            assert sum(entry.images or 0 for entry in entries) == wanted.images
            assert all(0 < (entry.images or 0) <= max(BATCH_IMAGES, *images) for entry in entries)
            assert all(entry.span[0] % 10 == 0 and entry.span[0] < entry.span[1] for entry in entries)
            assert entries[0].span[0] == unit.span[0]
            assert (entries[-1].span[1] == unit.span[1]) or wanted.images != unit.images


def test_what_passes_through_comes_as_columns_of_each_batch() -> None:
    images = [
        Image("a", b"1", None, ""),
        Image("b", b"2", None, "", {"site": "x"}),
        Image("c", b"3", None, "", {"y": "z"}),
    ]
    (batch,) = make_batches(images, RULE)
    assert batch.images.more == {"site": [None, "x", None], "y": [None, None, "z"]}
    (plain,) = make_batches(images[:1], RULE)
    assert plain.images.more == {}
