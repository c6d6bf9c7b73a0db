"""Numbers in cells that grow: the laws of a merge, and what a cell holds."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.grid import Grid

LIMIT = 5
points = st.lists(st.tuples(st.integers(-(2**40), 2**40) | st.integers(-9, 9), st.integers(-9, 9)), max_size=12)


def grid(drawn: list[tuple[int, int]]) -> Grid:
    return Grid.of(np.array(drawn, np.int64).reshape(-1, 2), LIMIT)


@given(points, points, points)
def test_merge_is_associative_and_commutative_and_that_of_all_points(
    a: list[tuple[int, int]], b: list[tuple[int, int]], c: list[tuple[int, int]]
) -> None:
    one, other, third = grid(a), grid(b), grid(c)
    whole = one.merge(other).merge(third)
    assert whole == one.merge(other.merge(third)) == third.merge(other.merge(one)) == grid([*a, *b, *c])
    assert one.merge(Grid(LIMIT)) == Grid(LIMIT).merge(one) == one
    assert Grid.from_json(json.loads(json.dumps(whole.to_json()))) == whole


@given(points)
def test_every_point_is_in_its_cell_and_cells_are_as_narrow_as_can_be(drawn: list[tuple[int, int]]) -> None:
    found = grid(drawn)
    cells = [(x // found.width, y // found.width) for x, y in drawn]
    assert found.cells == {cell: cells.count(cell) for cell in cells}
    assert len(found.cells) <= LIMIT
    half = found.width // 2
    assert half == 0 or len({(x // half, y // half) for x, y in drawn}) > LIMIT


def test_one_point_far_away_leaves_the_others_apart() -> None:
    near = [[x] for x in range(4)]
    assert Grid.of(np.array([*near, [2**50]]), LIMIT).width == 1
