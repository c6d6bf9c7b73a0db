"""This module chooses mistakes for every cell of the confusion matrix, so that a person can look at each of them.

A list is cut fairly: each cell keeps its most confident mistake before any cell keeps its second. So a few cells with
many mistakes do not crowd out the others. Must not know where rows are stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.figures import Candidate, CellRow

CELL = 24
"""Number of mistakes of one cell, at most."""

OF_UNIT = 160
"""Number of mistakes of all cells of a unit that its receipt names, at most."""

PICTURED = 40
"""Number of these that have a picture, the first ones."""

OF_ARCHIVE = 720
"""Number of mistakes of all cells of the whole archive, at most."""

COLUMNS = ("key", "label", "label_score", "predicted", "row", "score")
"""Names of what a receipt keeps of a mistake."""

C = TypeVar("C", bound=Candidate)


def is_mistake(example: Candidate) -> bool:
    """Return whether an image has a label that is a class of the model, and another one was predicted."""
    return example["label_score"] is not None and example["label"] != example["predicted"]


def first_of_cells(mistakes: Iterable[C], n: int) -> list[C]:
    """Return the first mistakes of each cell, at most n in all and CELL of one: the most confident of each cell first.

    What it leaves out of some mistakes, it leaves out of more, too: with each that is added, an image stays at its
    place in its cell, and in the list of all, or moves back. So lists of parts can be merged in any order.

    Args:
        mistakes: images with label and predicted class, in any order.
        n: length of the list, at most.
    """
    counts: Counter[tuple[int | None, int]] = Counter()
    placed: list[tuple[int, float, str, C]] = []
    for example in sorted(mistakes, key=_by_confidence):
        cell = example["label"], example["predicted"]
        if counts[cell] < CELL:
            placed.append((counts[cell], -example["score"], example["key"], example))
        counts[cell] += 1
    placed.sort(key=lambda one: one[:3])
    return [one[3] for one in placed[:n]]


def merge_cells(one: Sequence[C], other: Sequence[C]) -> Sequence[C]:
    """Return the mistakes of two sets that the list of both together holds; associative and commutative."""
    return first_of_cells([*one, *other], OF_ARCHIVE) if one and other else one or other


def cells_of(rows: pa.Table) -> list[CellRow]:
    """Return the mistakes of a part of a model of classes that its receipt names, the first ones of each cell first."""
    is_known = pc.and_(pc.equal(rows["status"], "ok"), pc.is_valid(rows["label_score"]))
    wrong = pc.fill_null(pc.and_(is_known, pc.not_equal(rows["label"], rows["predicted"])), False)
    numbers = pa.array(range(len(rows)))
    table = rows.append_column("row", numbers).select(COLUMNS).filter(wrong)
    return first_of_cells(table.to_pylist(), OF_UNIT)


def _by_confidence(example: Candidate) -> tuple[float, str]:
    return -example["score"], example["key"]
