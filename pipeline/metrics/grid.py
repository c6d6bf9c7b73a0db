"""`Grid` counts points of whole numbers in cells that grow wider as points spread, so that it stays small."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Cell = tuple[int, ...]
"""Number of a cell along each axis: point // width."""

_BITS = 63
"""Number of widths, from 1 to 2**62; with the widest, two cells on each axis hold all points."""


@dataclass(frozen=True)
class Grid:
    """Points counted in cells of equal width.

    The width is the smallest power of two with which no more than `limit` cells hold points. It follows from all points
    together, whatever the order in which they come: so `merge` is associative and commutative, with a grid without
    points as identity. A few points far from all others take a cell each, and leave the others apart.

    Attributes:
        limit: number of cells with points, at most.
        width: width of a cell on each axis, a power of two.
        cells: cell -> number of points.

    >>> Grid.of(np.array([[0], [1], [5], [900]]), limit=3)
    Grid(limit=3, width=2, cells={(0,): 2, (2,): 1, (450,): 1})
    """

    limit: int
    width: int = 1
    cells: Mapping[Cell, int] = field(default_factory=dict)

    @classmethod
    def of(cls, points: npt.NDArray[np.int64], limit: int) -> Grid:
        """Return the grid of points, int64 [n, axes]."""
        shift = bisect_left(range(_BITS), -limit, key=lambda shift: -len(_cells(points >> shift)[0]))
        first, counts = _cells(points >> shift)
        cells = map(tuple, (points[first] >> shift).tolist())
        return cls(limit, 1 << shift, dict(zip(cells, counts.tolist(), strict=True)))

    def merge(self, other: Grid) -> Grid:
        """Return the grid of the points of both."""
        width = max(self.width, other.width)
        cells = Counter(self.widen(width).cells)
        cells.update(other.widen(width).cells)
        return Grid(self.limit, width, cells)._fit()

    def widen(self, width: int) -> Grid:
        """Return the same points in cells of a width, a power of two that is not smaller than the grid's own."""
        if width == self.width:
            return self
        by = width // self.width
        cells: Counter[Cell] = Counter()
        for cell, count in self.cells.items():
            cells[tuple(place // by for place in cell)] += count
        return Grid(self.limit, width, cells)

    def _fit(self) -> Grid:
        grid = self
        while len(grid.cells) > grid.limit:
            grid = grid.widen(2 * grid.width)
        return Grid(grid.limit, grid.width, dict(grid.cells))

    def to_json(self) -> dict[str, Any]:
        """Return the limit, the width, and a sorted list of [*cell, count]."""
        cells = [[*cell, count] for cell, count in sorted(self.cells.items())]
        return {"limit": self.limit, "width": self.width, "cells": cells}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Grid:
        """Return the grid that `to_json` wrote."""
        cells = {tuple(cell): count for *cell, count in content["cells"]}
        return cls(content["limit"], content["width"], cells)


def _cells(numbers: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the index of one point of each cell, and the number of points in each; `np.unique` by rows is slower."""
    codes = np.zeros(len(numbers), np.int64)
    for axis in numbers.T:
        values, places = np.unique(axis, return_inverse=True)
        codes = codes * len(values) + places
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    return first, counts
