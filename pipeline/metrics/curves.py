"""Precision-recall and ROC curves of each class against all others, with their areas, from counts by score.

A row lists the classes with the highest probabilities only, and the probability of the label. So a class that a row
does not list has no known score there; of k listed classes none that is left out has more than 1 / (k + 1). From that
score on a curve is exact; below it, images whose score is not known count as 0. Must not know where rows are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.acceptance import BINS, EDGES, bins_of
from pipeline.metrics.code_counts import CodeCounts
from pipeline.metrics.review import Curve, Curves

SHOWN_CLASSES = 100
"""Number of classes that have a curve in the figures, those with the smallest area first."""

NEGATIVE, POSITIVE = range(2)

_KINDS = 2


@dataclass(frozen=True, eq=False)
class CurveCounts:
    """Labelled images by class, by whether that is their label, and by bin of its score.

    Attributes:
        labelled: number of images with labels.
        counts: of the code (class * 2 + kind) * BINS + bin; images that do not list a class are left out, unless it is
            their label.
    """

    labelled: int = 0
    counts: CodeCounts = field(default_factory=CodeCounts)

    @classmethod
    def of_classes(cls, rows: pa.Table) -> CurveCounts:
        """Return the counts of rows of a model of classes, with the columns label, label_score and top_k."""
        labelled = rows.filter(pc.is_valid(rows["label_score"]))
        label = np.asarray(labelled["label"], np.int64)
        parents, listed, scores = listed_classes(labelled["top_k"])
        is_label = listed == label[parents]
        has_label = np.zeros(len(labelled), np.bool_)
        has_label[parents[is_label]] = True
        own = np.asarray(labelled["label_score"], np.float32)[~has_label]
        classes = np.concatenate([listed, label[~has_label]])
        kinds = np.concatenate([is_label, np.ones(len(own), np.bool_)])
        return cls(len(labelled), _count(classes, kinds, np.concatenate([scores, own])))

    @classmethod
    def of_labels(cls, rows: pa.Table, class_names: Sequence[str]) -> CurveCounts:
        """Return the counts of rows of a model of labels, with the columns status, label_names and top_k."""
        labelled = rows.filter(pc.and_(pc.equal(rows["status"], "ok"), pc.is_valid(rows["label_names"])))
        names = labelled["label_names"].combine_chunks()
        owner = np.asarray(pc.list_parent_indices(names), np.int64)
        number = pc.fill_null(pc.index_in(names.flatten(), pa.array(class_names, pa.string())), -1)
        label = np.asarray(number, np.int64)
        owner, label = owner[label >= 0], label[label >= 0]
        parents, listed, scores = listed_classes(labelled["top_k"])
        n = max(1, len(class_names))
        truth = np.unique(owner * n + label)
        is_label = np.isin(parents * n + listed, truth)
        missing = np.setdiff1d(truth, (parents * n + listed)[is_label], assume_unique=False) % n
        classes = np.concatenate([listed, missing])
        kinds = np.concatenate([is_label, np.ones(len(missing), np.bool_)])
        return cls(len(labelled), _count(classes, kinds, np.concatenate([scores, np.zeros(len(missing), np.float32)])))

    def merge(self, other: CurveCounts) -> CurveCounts:
        """Return the counts of both; exact, associative and commutative."""
        return self.merge_all([self, other])

    @classmethod
    def merge_all(cls, every: Iterable[CurveCounts]) -> CurveCounts:
        """Return the counts of all."""
        parts = list(every)
        return cls(sum(one.labelled for one in parts), CodeCounts.merge_all(one.counts for one in parts))

    def of_class(self, number: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the images of other classes and those of one class by bin of its score, int64 [BINS] each."""
        first = number * _KINDS * BINS
        negative, positive = self.counts.part(first, first + _KINDS * BINS).reshape(_KINDS, BINS)
        negative[0] += self.labelled - negative.sum() - positive.sum()
        return negative, positive


def listed_classes(
    top_k: pa.ChunkedArray,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the row, the class and the score of each class that rows list, in order, from their column top_k."""
    lists = top_k.combine_chunks()
    flat = pc.list_flatten(lists)
    parents = np.asarray(pc.list_parent_indices(lists), np.int64)
    return parents, np.asarray(flat.field("label"), np.int64), np.asarray(flat.field("score"), np.float32)


def _count(classes: npt.NDArray[np.int64], kinds: npt.NDArray[np.bool_], scores: npt.NDArray[np.float32]) -> CodeCounts:
    return CodeCounts.of((classes * _KINDS + kinds) * BINS + bins_of(scores))


def compute(counts: CurveCounts, class_names: Sequence[str], top_k: int) -> Curves:
    """Return the curves of the classes that have images, those with the smallest average precision first.

    Args:
        counts: of all images.
        class_names: of the model, in the order of its output.
        top_k: number of classes that a row lists.
    """
    curves = []
    for number, name in enumerate(class_names):
        negative, positive = counts.of_class(number)
        if positive.sum():
            curves.append(_curve(name, negative, positive))
    curves.sort(key=lambda curve: (curve["average_precision"] or 0.0, curve["class"]))
    exact_from = 0.0 if top_k >= len(class_names) else 1 / (top_k + 1)
    return {"exact_from": exact_from, "classes": curves[:SHOWN_CLASSES], "more": max(0, len(curves) - SHOWN_CLASSES)}


def _curve(name: str, negative: npt.NDArray[np.int64], positive: npt.NDArray[np.int64]) -> Curve:
    """Return a curve, one point for each bin with images, from the highest score down.

    The average precision is sum((R_n - R_n-1) P_n), as in scikit-learn's `average_precision_score`; the area under the
    ROC curve is that of trapezoids, so that images in one bin count as ties.
    """
    at = np.flatnonzero(negative + positive)[::-1]
    hits, false = np.cumsum(positive[at]), np.cumsum(negative[at])
    recall = hits / hits[-1]
    precision = hits / (hits + false)
    rate = false / false[-1] if false[-1] else np.zeros(len(at))
    steps = np.diff(recall, prepend=0.0)
    heights = (recall + np.concatenate([[0.0], recall[:-1]])) / 2
    area = float((np.diff(rate, prepend=0.0) * heights).sum()) if false[-1] else None
    return {
        "class": name,
        "support": int(hits[-1]),
        "average_precision": float((steps * precision).sum()),
        "roc_auc": area,
        "score": [float(f"{EDGES[i]:.4f}") for i in at],
        "recall": _rounded(recall),
        "precision": _rounded(precision),
        "false_positive_rate": _rounded(rate),
    }


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [round(value, 4) for value in values.tolist()]
