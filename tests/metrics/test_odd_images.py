"""Odd images: the rules, laws of the sums, and what was not measured is never zero."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.odd_images import (
    COLUMNS,
    EXAMPLES,
    KINDS,
    ODD_SIZE,
    OddImages,
    compute,
    measure,
)

TYPES = dict(zip(COLUMNS, (pa.string(), pa.int32(), pa.int32(), *[pa.float32()] * 3), strict=True))

share = st.none() | st.sampled_from([0.0, 0.25, 1.0]) | st.floats(0, 1, width=32)
side = st.none() | st.sampled_from([1, 28, 1000, 40_000])
image = st.tuples(st.text("abc", max_size=3), side, side, share, share, st.none() | st.floats(0, 8, width=32))
tables = st.builds(
    lambda images, names: table(images).select(["key", *names]),
    st.lists(image, max_size=20),
    st.sampled_from([COLUMNS[1:], COLUMNS[1:], COLUMNS[1:3], COLUMNS[3:5], ()]),
)


def table(images: list[Any]) -> pa.Table:
    columns = list(zip(*images, strict=True)) or [()] * len(COLUMNS)
    return pa.table({name: pa.array(values, TYPES[name]) for name, values in zip(COLUMNS, columns, strict=True)})


def odd(*images: Any) -> dict[str, list[str]]:
    return {one["kind"]: one["examples"] for one in compute(measure(table(list(images)))) if one["images"]}


@given(tables, tables, tables)
def test_sums_merge_in_any_order_and_are_those_of_all_rows(one: pa.Table, two: pa.Table, three: pa.Table) -> None:
    first, second, third = map(measure, (one, two, three))
    assert first.merge(second).merge(third) == first.merge(second.merge(third))
    assert first.merge(second) == second.merge(first)
    assert first.merge(OddImages()) == first == OddImages().merge(first)
    if one.column_names == two.column_names:
        assert first.merge(second) == measure(pa.concat_tables([one, two]))


@given(st.lists(image, min_size=1, max_size=30))
def test_counts_are_those_of_a_loop_over_the_rows(images: list[Any]) -> None:
    images = [(f"{i:02d}{one[0]}", *one[1:]) for i, one in enumerate(images)]
    counts = dict.fromkeys(KINDS, 0)
    for row in table(images).to_pylist():
        _, width, height, mean, deviation, bits = row.values()
        if mean is not None and deviation is not None:
            counts["dark"] += mean + 2.3263 * deviation < 0.32
            counts["light"] += mean - 1.6449 * deviation > 0.95
        counts["blank"] += deviation is not None and deviation < 0.01
        counts["low_information"] += bits is not None and bits < 1.5
        if width is not None and height is not None:
            counts["odd_aspect"] += min(width, height) / max(width, height) < 0.35
    found = {one["kind"]: one for one in compute(measure(table(images)))}
    for kind in KINDS[:-1]:
        assert found[kind]["images"] == counts[kind]
        assert len(found[kind]["examples"]) == min(counts[kind], EXAMPLES)
        assert found[kind]["is_usual"] == (counts[kind] > 0.1 * found[kind]["measured"])


@pytest.mark.parametrize(
    ("image", "kinds"),
    [
        ((400, 300, 0.5, 0.25, 7.0), set()),
        ((400, 300, 0.05, 0.05, 5.0), {"dark"}),
        ((400, 300, 0.13, 0.31, 2.0), set()),  # a white digit on black
        ((400, 300, 0.98, 0.015, 5.0), {"light"}),
        ((400, 300, 0.95, 0.12, 3.0), set()),  # a printed page
        ((400, 300, 0.5, 0.0, 0.0), {"blank", "low_information"}),
        ((400, 300, 0.0, 0.0, 0.0), {"blank", "low_information", "dark"}),
        ((400, 130, 0.5, 0.25, 7.0), {"odd_aspect"}),
        ((130, 400, 0.5, 0.25, 7.0), {"odd_aspect"}),
        ((4100, 3100, 0.5, 0.25, 7.0), {"odd_size"}),
        ((39, 29, 0.5, 0.25, 7.0), {"odd_size"}),
        ((3700, 2700, 0.5, 0.25, 7.0), set()),
        ((None, None, None, None, None), set()),
    ],
)
def test_rules_are_those_of_the_page(image: tuple[Any, ...], kinds: set[str]) -> None:
    usual = [(f"{i}", 400, 300, 0.5, 0.25, 7.0) for i in range(30)]
    assert odd(*usual, ("this", *image)) == {kind: ["this"] for kind in kinds}


def test_what_more_than_a_tenth_is_is_usual() -> None:
    dark = [(f"{i}", 40, 40, 0.1, 0.02, 5.0) for i in range(3)]
    for light, is_usual in ((27, False), (26, True)):
        rows = [*dark, *[(f"a{i}", 40, 40, 0.5, 0.2, 5.0) for i in range(light)]]
        (found,) = (one for one in compute(measure(table(rows))) if one["images"])
        assert (found["kind"], found["images"], found["is_usual"]) == ("dark", 3, is_usual)


def test_examples_are_the_farthest_first_and_few() -> None:
    rows = [(f"{i:02d}", 400, 300, i / 100, 0.0, 5.0) for i in range(20)]
    assert odd(*rows)["dark"] == [f"{i:02d}" for i in range(EXAMPLES)]
    sizes = [(f"{i:02d}", 100, 100, None, None, None) for i in range(40)]
    sides = (2000, 9000, 6, 1200, 1, 4000, 3000, 990)
    large = [(f"x{i}", side, side, None, None, None) for i, side in enumerate(sides)]
    assert odd(*sizes, *large) == {"odd_size": ["x4", "x1", "x5", "x6", "x0", "x2"]}
    assert ODD_SIZE == 10


def test_what_rows_do_not_tell_is_not_measured_and_stays_so() -> None:
    rows = table([("a", 40, 40, 0.5, 0.2, 5.0)])
    old = measure(rows.select(["key", "width", "height"]))
    assert [one["kind"] for one in compute(old)] == ["odd_aspect", "odd_size"]
    both = old.merge(measure(rows))
    assert [(one["kind"], one["measured"]) for one in compute(both)] == [("odd_aspect", 2), ("odd_size", 2)]
    assert compute(OddImages()) == compute(measure(rows.select(["key"]))) == []
    empty = compute(measure(rows.slice(0, 0)))
    assert [(one["images"], one["is_usual"]) for one in empty] == [(0, False)] * len(KINDS)
