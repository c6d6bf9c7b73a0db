"""What is not scored, as sums: they merge in any order, and a record gives those of its plan and of what was inside."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.left_out import LeftOut, left_out

REASONS = st.sampled_from(["junk", "other files", "SVG images: render them as PNG"])
FOUND = st.dictionaries(REASONS, st.tuples(st.integers(1, 9), st.text("abc", min_size=1))).map(
    lambda found: LeftOut({why: n for why, (n, _) in found.items()}, {why: key for why, (_, key) in found.items()})
)


@given(FOUND, FOUND, FOUND)
def test_merge_is_associative_and_commutative_with_an_identity(a: LeftOut, b: LeftOut, c: LeftOut) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(b) == b.merge(a)
    assert a.merge(LeftOut()) == LeftOut().merge(a) == a


@given(FOUND, FOUND)
def test_counts_are_added_and_the_smaller_example_stays(a: LeftOut, b: LeftOut) -> None:
    both = a.merge(b)
    assert both.total == a.total + b.total
    assert both.counts == {
        why: a.counts.get(why, 0) + b.counts.get(why, 0) for why in a.counts.keys() | b.counts.keys()
    }
    for why, key in both.examples.items():
        assert key == min(found.examples[why] for found in (a, b) if why in found.examples)


def test_a_record_gives_those_of_its_plan_and_of_what_was_inside() -> None:
    record: Any = {"plan": {"skipped": {"junk": 4}, "skipped_examples": {"junk": "/b"}}}
    assert left_out(record) == LeftOut({"junk": 4}, {"junk": "/b"})
    record |= {
        "skipped_inside": {"junk": 1, "other files": 2},
        "skipped_inside_examples": {"junk": "/a", "other files": "/c"},
    }
    assert left_out(record) == LeftOut({"junk": 5, "other files": 2}, {"junk": "/a", "other files": "/c"})
    assert left_out({"plan": {"skipped": {"junk": 4}}}) == LeftOut({"junk": 4})  # type: ignore[typeddict-item]
