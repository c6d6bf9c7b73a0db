"""What each shared image says: which labels count, who is right, what has changed. Pure: columns in, columns out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.comparison.join import Pairs
from pipeline.metrics.slices import Column
from pipeline.metrics.value import to_steps
from pipeline.task import Task

Mask = npt.NDArray[np.bool_]


class PairCounts(NamedTuple):
    """Sums over shared images of models of classes or of labels.

    Attributes:
        images: number of images.
        scored: those with a prediction in both.
        labelled: those of them that count for the accuracy.
        right_a: labelled images of which A is right.
        right_b: labelled images of which B is right.
        gained: labelled images of which only B is right.
        lost: labelled images of which only A is right.
        changed: scored images whose predictions differ.
    """

    images: int = 0
    scored: int = 0
    labelled: int = 0
    right_a: int = 0
    right_b: int = 0
    gained: int = 0
    lost: int = 0
    changed: int = 0


class ErrorSums(NamedTuple):
    """Sums over shared images of models of a value; absolute errors are in a unit, so that all are integers.

    Attributes:
        images: number of images.
        scored: those with a prediction in both.
        labelled: those of them that count for the error.
        error_a: sum of A's absolute errors.
        error_b: sum of B's absolute errors.
        squares_a: sum of the squares of A's absolute errors.
        squares_b: sum of the squares of B's absolute errors.
        difference: sum of B's absolute error minus A's.
        squares: sum of the squares of these differences.
    """

    images: int = 0
    scored: int = 0
    labelled: int = 0
    error_a: int = 0
    error_b: int = 0
    squares_a: int = 0
    squares_b: int = 0
    difference: int = 0
    squares: int = 0


class PlainCounts(NamedTuple):
    """Sums over shared images of models of an embedding."""

    images: int = 0
    scored: int = 0


AnyCounts = PairCounts | ErrorSums | PlainCounts

C = TypeVar("C", bound=AnyCounts)

_WITHOUT_LABELS = ("images", "scored", "changed")
"""Sums that need no label."""

KINDS: dict[Task, type[AnyCounts]] = {
    "classes": PairCounts,
    "labels": PairCounts,
    "value": ErrorSums,
    "embedding": PlainCounts,
}


def plus(one: C | None, other: C) -> C:
    """Return the sums over the images of two; None is without images.

    >>> plus(PlainCounts(3, 2), PlainCounts(1, 1))
    PlainCounts(images=4, scored=3)
    """
    return other if one is None else type(other)(*(x + y for x, y in zip(one, other, strict=True)))


def without_labels(counts: C) -> C:
    """Return the sums over the same images as if none of them had a label.

    >>> without_labels(PairCounts(images=4, scored=3, labelled=2, right_a=2, changed=1))
    PairCounts(images=4, scored=3, labelled=0, right_a=0, right_b=0, gained=0, lost=0, changed=1)
    """
    kept = {name: getattr(counts, name) for name in counts._fields if name in _WITHOUT_LABELS}
    return type(counts)(**kept)


@dataclass(frozen=True)
class Judged:
    """What shared images say; each array has an element for each image.

    Attributes:
        scored: whether both have a prediction.
        labelled: whether both are scored and have the same label, which both models know.
        labels_differ: whether both have a label, and another one.
        labelled_in_one: whether only one of them has a label.
        known_to_one: whether the label is the same, and only one of the models knows it as a class.
        right_a: whether A is right of a labelled image; of no other. Models of a value are never called right.
        right_b: the same of B.
        changed: whether both are scored, and their predictions differ.
        worse_by: how much larger B's absolute error is, 0 if the image is not labelled; models of a value only.
        sums: what each image adds to each field of the task's sums.
    """

    scored: Mask
    labelled: Mask
    labels_differ: Mask
    labelled_in_one: Mask
    known_to_one: Mask
    right_a: Mask
    right_b: Mask
    changed: Mask
    worse_by: npt.NDArray[np.float64]
    sums: Sequence[Column]

    @property
    def gained(self) -> Mask:
        """Whether only B is right."""
        return self.right_b & ~self.right_a

    @property
    def lost(self) -> Mask:
        """Whether only A is right."""
        return self.right_a & ~self.right_b


def judge(pairs: Pairs, task: Task, unit: float) -> Judged:
    """Return what shared images say.

    Args:
        pairs: the images.
        task: of both models.
        unit: of the sums of absolute errors; used by models of a value only.
    """
    scored = mask_of(pairs.a, "ok") & mask_of(pairs.b, "ok")
    none, zeros = np.zeros(len(pairs), np.bool_), np.zeros(len(pairs))
    if task == "embedding":
        return Judged(
            scored, none, none, none, none, none, none, none, zeros, [each.astype(np.int8) for each in (~none, scored)]
        )
    label_a, label_b = column_of(pairs.a, "label"), column_of(pairs.b, "label")
    has_a, has_b = (_is_there(label) for label in (label_a, label_b))
    same = has_a & has_b & (label_a == label_b)
    known_a, known_b = mask_of(pairs.a, "labelled"), mask_of(pairs.b, "labelled")
    labelled = scored & same & known_a & known_b
    changed = scored & (column_of(pairs.a, "predicted") != column_of(pairs.b, "predicted"))
    differ, in_one = has_a & has_b & (label_a != label_b), has_a ^ has_b
    to_one = scored & same & (known_a ^ known_b)
    if task == "value":
        errors_a, errors_b = (_errors(rows, labelled) for rows in (pairs.a, pairs.b))
        sums = _error_columns(scored, labelled, errors_a, errors_b, unit)
        return Judged(scored, labelled, differ, in_one, to_one, none, none, changed, errors_b - errors_a, sums)
    right_a, right_b = labelled & mask_of(pairs.a, "right"), labelled & mask_of(pairs.b, "right")
    columns = (~none, scored, labelled, right_a, right_b, right_b & ~right_a, right_a & ~right_b, changed)
    sums = [column.astype(np.int8) for column in columns]
    return Judged(scored, labelled, differ, in_one, to_one, right_a, right_b, changed, zeros, sums)


def mask_of(rows: pa.Table, name: str) -> Mask:
    """Return a column of truth values."""
    return np.asarray(rows[name], np.bool_)


def column_of(rows: pa.Table, name: str) -> npt.NDArray[Any]:
    """Return a column of numbers."""
    return np.asarray(rows[name].to_numpy())


def _is_there(label: npt.NDArray[Any]) -> Mask:
    there: Mask = ~np.isnan(label) if label.dtype.kind == "f" else label >= 0
    return there


def _errors(rows: pa.Table, labelled: Mask) -> npt.NDArray[np.float64]:
    error = np.abs(column_of(rows, "predicted") - column_of(rows, "label"))
    errors: npt.NDArray[np.float64] = np.where(labelled, error, 0.0)
    return errors


def _error_columns(
    scored: Mask, labelled: Mask, a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], unit: float
) -> list[Column]:
    """Return what each image adds to each field of `ErrorSums`."""
    steps_a, steps_b = to_steps(a, unit), to_steps(b, unit)
    apart = [y - x for x, y in zip(steps_a, steps_b, strict=True)]
    flags: list[Column] = [one.astype(np.int8) for one in (np.ones(len(a), np.bool_), scored, labelled)]
    squares = [[x * x for x in steps] for steps in (steps_a, steps_b, apart)]
    return [*flags, steps_a, steps_b, squares[0], squares[1], apart, squares[2]]
