"""A confusion matrix as a page shows it: of so many classes as one can read, and the pairs that are confused most.

Pure functions of counts. Must not know how they are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SHOWN_CLASSES = 30
"""A matrix of more classes is shown for the most confused ones."""

SHOWN_PAIRS = 200


@dataclass(frozen=True)
class Pair:
    """Images of one class that were taken for another.

    Attributes:
        label: number of their own class.
        predicted: number of the class they were taken for.
        images: how many; None where nobody counted.
        share: of all labelled images of their class.
        examples: some of them, as in summary.json.
    """

    label: int
    predicted: int
    images: int | None
    share: float | None
    examples: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Where the page shows it."""
        return f"pair-{self.label}-{self.predicted}"


@dataclass(frozen=True)
class Confusion:
    """What is shown.

    Attributes:
        classes: numbers of the classes of the matrix, rising; none where there is no matrix.
        rows: for each of them the images by predicted class, as many.
        shares: the same as shares of all images of the class, those of classes not shown included.
        pairs: the most confused ones, most images first.
        mistakes: images of all pairs; None where nobody counted.
        all_pairs: how many pairs there are, shown or not; None where nobody counted.
    """

    classes: list[int]
    rows: list[list[int]]
    shares: list[list[float]]
    pairs: list[Pair]
    mistakes: int | None
    all_pairs: int | None

    @property
    def linked(self) -> frozenset[tuple[int, int]]:
        """The cells that have a pair to go to."""
        return frozenset((pair.label, pair.predicted) for pair in self.pairs)

    @property
    def largest_share(self) -> float:
        """Of a pair that is shown."""
        return max((pair.share or 0.0 for pair in self.pairs), default=0.0) or 1.0


def confusion(
    matrix: Sequence[Sequence[int]] | None, examples: Iterable[Mapping[str, Any]], names: Sequence[str]
) -> Confusion:
    """Return what a page shows of a confusion matrix.

    Args:
        matrix: [label][predicted] -> images; None where it was too large to be kept.
        examples: mistakes, the most telling first; {label, predicted, ...}.
        names: of the classes; only how many there are counts here.
    """
    by_cell: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for example in examples:
        by_cell.setdefault((example["label"], example["predicted"]), []).append(example)
    if matrix is None:
        pairs = [Pair(*cell, None, None, found) for cell, found in by_cell.items()]
        return Confusion([], [], [], pairs[:SHOWN_PAIRS], None, None)
    counts = np.asarray(matrix, np.int64).reshape(len(names), len(names))
    totals = np.maximum(counts.sum(axis=1), 1)
    cells = _confused(counts)
    pairs = [
        Pair(a, b, int(counts[a, b]), float(counts[a, b] / totals[a]), by_cell.get((a, b), []))
        for a, b in cells[:SHOWN_PAIRS]
    ]
    classes = _most_confused(cells, len(names))
    shown = counts[np.ix_(classes, classes)]
    shares = shown / totals[classes][:, None]
    mistakes = int(counts.sum() - counts.trace())
    return Confusion(classes, shown.tolist(), shares.tolist(), pairs, mistakes, len(cells))


def _confused(counts: Any) -> list[tuple[int, int]]:
    """Return the cells beside the diagonal that hold images, most images first."""
    found = np.argwhere(counts)
    found = found[found[:, 0] != found[:, 1]]
    order = np.lexsort((found[:, 1], found[:, 0], -counts[found[:, 0], found[:, 1]]))
    return [(a, b) for a, b in found[order].tolist()]


def _most_confused(cells: Iterable[tuple[int, int]], classes: int) -> list[int]:
    if classes <= SHOWN_CLASSES:
        return list(range(classes))
    found: dict[int, None] = {}
    for cell in cells:
        if len(found.keys() | set(cell)) > SHOWN_CLASSES:
            break
        found.update(dict.fromkeys(cell))
    return sorted(found)
