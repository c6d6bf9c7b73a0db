"""This module chooses what a page shows of a confusion matrix: as many classes as a person can read, and pairs.

A pair is a class and another one for which the model takes its images. Pure functions of counts. Must not know how they
are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.metrics.figures import CellExample

SHOWN_CLASSES = 30
"""Number of classes in the matrix; if there are more, the most confused ones are shown."""

SHOWN_PAIRS = 200
"""Number of pairs that are shown, those with the most images first."""


E = TypeVar("E", bound=CellExample)


@dataclass(frozen=True)
class Pair(Generic[E]):
    """The images of one class that were taken for another.

    Attributes:
        label: number of their own class.
        predicted: number of the class they were taken for.
        images: number of these images; None: there is no matrix, so nobody counted.
        share: share of these among the labelled images of their class; None as above.
        examples: some of these images, as in summary.json.
    """

    label: int
    predicted: int
    images: int | None
    share: float | None
    examples: list[E] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Name of the place on the page that shows this pair."""
        return f"pair-{self.label}-{self.predicted}"


@dataclass(frozen=True)
class Confusion(Generic[E]):
    """The part of a confusion matrix that a page shows.

    Attributes:
        classes: numbers of the classes in the matrix, rising; empty: there is no matrix.
        rows: for each of these classes, the number of images by predicted class, for the same classes.
        shares: the same, divided by all images of the class, also those taken for a class that is not shown.
        pairs: the pairs with the most images, those first.
        mistakes: number of images of all pairs; None: there is no matrix, so nobody counted.
        all_pairs: number of pairs, shown or not; None as above.
    """

    classes: list[int]
    rows: list[list[int]]
    shares: list[list[float]]
    pairs: list[Pair[E]]
    mistakes: int | None
    all_pairs: int | None

    @property
    def links(self) -> frozenset[tuple[int, int]]:
        """The cells, (label, predicted), that link to a pair on the page."""
        return frozenset((pair.label, pair.predicted) for pair in self.pairs)

    @property
    def largest_share(self) -> float:
        """Greatest share of the pairs that are shown; 1 if no share is greater than 0."""
        return max((pair.share or 0.0 for pair in self.pairs), default=0.0) or 1.0


def confusion(matrix: Sequence[Sequence[int]] | None, examples: Iterable[E], names: Sequence[str]) -> Confusion[E]:
    """Return what a page shows of a confusion matrix.

    Args:
        matrix: [label][predicted] -> images; None: it was too large to be written out.
        examples: mistakes, those first that say most.
        names: names of all classes; only their number matters here.
    """
    by_cell: dict[tuple[int, int], list[E]] = {}
    for example in examples:
        if example["label"] is not None:
            by_cell.setdefault((example["label"], example["predicted"]), []).append(example)
    if matrix is None:
        pairs = [Pair(*cell, None, None, mistakes) for cell, mistakes in by_cell.items()]
        return Confusion([], [], [], pairs[:SHOWN_PAIRS], None, None)
    counts = np.asarray(matrix, np.int64).reshape(len(names), len(names))
    totals = np.maximum(counts.sum(axis=1), 1)
    cells = _off_diagonal(counts)
    pairs = [
        Pair(a, b, int(counts[a, b]), float(counts[a, b] / totals[a]), by_cell.get((a, b), []))
        for a, b in cells[:SHOWN_PAIRS]
    ]
    classes = _matrix_classes(cells, len(names))
    part = counts[np.ix_(classes, classes)]
    shares = part / totals[classes][:, None]
    off_diagonal = int(counts.sum() - counts.trace())
    return Confusion(classes, part.tolist(), shares.tolist(), pairs, off_diagonal, len(cells))


def _off_diagonal(counts: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the cells beside the diagonal that hold images, most images first."""
    cells = np.argwhere(counts)
    cells = cells[cells[:, 0] != cells[:, 1]]
    order = np.lexsort((cells[:, 1], cells[:, 0], -counts[cells[:, 0], cells[:, 1]]))
    return [(a, b) for a, b in cells[order].tolist()]


def _matrix_classes(cells: Iterable[tuple[int, int]], classes: int) -> list[int]:
    """Return the numbers of the classes that the matrix shows: all, or the most confused ones."""
    if classes <= SHOWN_CLASSES:
        return list(range(classes))
    chosen: set[int] = set()
    for cell in cells:
        if len(chosen | set(cell)) > SHOWN_CLASSES:
            break
        chosen.update(cell)
    return sorted(chosen)
