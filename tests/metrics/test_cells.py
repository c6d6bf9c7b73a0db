"""Mistakes of every cell of the confusion matrix: fairly shared, and mergeable in any order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics import cells
from pipeline.metrics.cells import CELL, OF_UNIT, first_of_cells, is_mistake, merge_cells
from pipeline.metrics.figures import Candidate


def mistake(key: str, label: int, predicted: int, score: float) -> Candidate:
    return {"key": key, "label": label, "label_score": 0.1, "predicted": predicted, "score": score}


@st.composite
def many(draw: Any) -> list[Candidate]:
    number, share = st.integers(0, 2), st.sampled_from([0.3, 0.5, 0.9])
    drawn = draw(st.lists(st.tuples(number, number, share), max_size=14))
    return [mistake(f"k{i:02d}", *one) for i, one in enumerate(drawn)]


@given(many(), st.lists(st.integers(0, 2), min_size=14, max_size=14), st.integers(0, 8), st.integers(1, 3))
def test_list_of_the_whole_can_be_told_from_those_of_any_parts(
    every: list[Candidate], where: list[int], n: int, cell: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "OF_ARCHIVE", n)
        patch.setattr(cells, "CELL", cell)
        parts = [[e for e, k in zip(every, where, strict=False) if k == part] for part in range(3)]
        a, b, c = (first_of_cells(part, n) for part in parts)
        whole = first_of_cells(every, n)
        assert list(merge_cells(merge_cells(a, b), c)) == whole
        assert merge_cells(a, merge_cells(b, c)) == merge_cells(merge_cells(c, a), b)
        assert merge_cells(a, []) == a


@given(many(), st.integers(0, 8), many())
def test_what_has_left_a_list_never_returns(every: list[Candidate], n: int, more: list[Candidate]) -> None:
    later = [{**e, "key": f"x{e['key']}"} for e in more]
    kept = {e["key"] for e in first_of_cells(every, n)}
    left = {e["key"] for e in every} - kept
    assert not left & {e["key"] for e in first_of_cells([*every, *later], n)}  # type: ignore[list-item]


def test_each_cell_has_its_most_confident_mistake_before_one_has_its_second() -> None:
    sure = [mistake(f"sure {i}", 0, 1, 0.99 - i / 1_000) for i in range(30)]
    rare = [mistake("rare", 1, 2, 0.4), mistake("rarer", 2, 1, 0.3)]
    chosen = first_of_cells([*rare, *sure], 5)
    assert [e["key"] for e in chosen] == ["sure 0", "rare", "rarer", "sure 1", "sure 2"]
    assert len(first_of_cells([*rare, *sure], OF_UNIT)) == CELL + 2


def test_mistake_is_what_has_a_label_that_is_another_class() -> None:
    assert is_mistake(mistake("a", 0, 1, 0.5))
    assert not is_mistake(mistake("a", 1, 1, 0.5))
    assert not is_mistake({**mistake("a", 7, 1, 0.5), "label_score": None})
