"""A few texts with counts: exact, small, and the same in whatever order they come."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.texts import LONGEST, MOST, Texts

some = st.lists(st.text(max_size=3) | st.sampled_from([str(i) for i in range(40)]), max_size=60)


@given(some, some, some)
def test_merge_is_associative_and_commutative_and_equals_the_counts_of_all(
    a: list[str], b: list[str], c: list[str]
) -> None:
    one, two, three = map(Texts.of, (a, b, c))
    whole = Texts.of([*a, *b, *c])
    assert one.merge(two).merge(three) == one.merge(two.merge(three)) == three.merge(two).merge(one) == whole
    assert one.merge(Texts()) == one
    assert all(count == [*a, *b, *c].count(text) for text, count in whole.counts.items())
    assert len(whole.counts) == min(MOST, len({*a, *b, *c}))
    assert Texts.from_json(json.loads(json.dumps(whole.to_json()))) == whole


def test_long_texts_are_kept_short() -> None:
    (text,) = Texts.of(["x" * 5_000]).counts
    assert len(text) <= LONGEST
