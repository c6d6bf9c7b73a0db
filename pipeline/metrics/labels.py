"""`LabelSums` are sums over the rows of a model that gives an image any of several labels.

From them follow precision, recall and F1 of each class, their means, and how often all labels of an image are right.
Every sum is an integer. Must not know where rows are stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.accuracy import HISTOGRAM_BINS, label_counts
from pipeline.metrics.proportions import interval_of_share, ratio
from pipeline.metrics.sums import Sums, failures_in
from pipeline.metrics.task_figures import LabelComputed, PerLabel
from pipeline.metrics.texts import Texts

MOST_NAMES = 20
"""Number of predicted labels of an image from which on images are counted together."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelSums(Sums):
    """Integer sums over the prediction rows of a model of labels.

    An image counts as labelled if it was scored, it has a list of labels, and that list is empty or holds a class of
    the model. Names in it that are no classes are left out.

    Attributes:
        labelled: number of labelled rows.
        unknown_labels: number of rows with a label that is no class of the model.
        unknown_names: number of such labels.
        correct: number of labelled rows whose predicted labels are exactly those of the image.
        true_positives: class -> number of labelled rows that have the label and were predicted to have it.
        false_positives: class -> number of labelled rows that were predicted to have the label and have it not.
        false_negatives: class -> number of labelled rows that have the label and were not predicted to have it.
        unlabelled: class -> number of scored rows that are not labelled and were predicted to have the label.
        names: number of predicted labels, MOST_NAMES for more -> number of scored rows with so many.
        confidence: bin of the highest probability, one of HISTOGRAM_BINS -> number of scored rows.
        unknown_texts: some labels that are no class -> number of them; None: an earlier version did not count them.
    """

    task = "labels"
    later = frozenset({"unknown_texts"})

    labelled: int = 0
    unknown_labels: int = 0
    unknown_names: int = 0
    correct: int = 0
    true_positives: Mapping[int, int] = field(default_factory=dict)
    false_positives: Mapping[int, int] = field(default_factory=dict)
    false_negatives: Mapping[int, int] = field(default_factory=dict)
    unlabelled: Mapping[int, int] = field(default_factory=dict)
    names: Mapping[int, int] = field(default_factory=dict)
    confidence: Mapping[int, int] = field(default_factory=dict)
    unknown_texts: Texts | None = field(default_factory=Texts)


@dataclass(frozen=True)
class Named:
    """The labels of rows and those predicted, side by side; each array has an element for each row.

    Attributes:
        scored: whether the row has a prediction.
        labelled: whether it counts as labelled, as in `LabelSums`.
        unknown: number of its labels that are no classes.
        hits: number of its labels that were predicted; 0 of a row that is not labelled, as in the next two.
        predicted: number of its predicted labels.
        support: number of its labels that are classes.
    """

    scored: npt.NDArray[np.bool_]
    labelled: npt.NDArray[np.bool_]
    unknown: Numbers
    hits: Numbers
    predicted: Numbers
    support: Numbers

    @property
    def mistakes(self) -> Numbers:
        """Number of labels that each row has and was not predicted to have, or the other way around."""
        return self.predicted + self.support - 2 * self.hits

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether all labels of each labelled row are predicted, and no other."""
        correct: npt.NDArray[np.bool_] = self.labelled & (self.mistakes == 0)
        return correct


def compare_names(rows: pa.Table, class_names: Sequence[str]) -> Named:
    """Return the labels of rows and those predicted, side by side."""
    return _compare(rows, class_names)[0]


def measure_labels(rows: pa.Table, class_names: Sequence[str]) -> LabelSums:
    """Return the sums of prediction rows (`pipeline.output.rows.row_schema`).

    Args:
        rows: rows of a model of labels.
        class_names: names of the model's classes, in the order of its output.
    """
    named, pairs = _compare(rows, class_names)
    names = np.bincount(pairs.predicted // pairs.classes, minlength=len(rows))[named.scored]
    own, guessed = (codes[named.labelled[codes // pairs.classes]] for codes in (pairs.own, pairs.predicted))
    hits = np.intersect1d(own, guessed, assume_unique=True)
    others = pairs.predicted[~named.labelled[pairs.predicted // pairs.classes]]
    return LabelSums(
        images=len(rows),
        scored=int(named.scored.sum()),
        failures=failures_in(rows),
        labelled=int(named.labelled.sum()),
        unknown_labels=int((named.unknown > 0).sum()),
        unknown_names=int(named.unknown.sum()),
        correct=int(named.correct.sum()),
        true_positives=_count(hits % pairs.classes),
        false_positives=_count(np.setdiff1d(guessed, hits, assume_unique=True) % pairs.classes),
        false_negatives=_count(np.setdiff1d(own, hits, assume_unique=True) % pairs.classes),
        unlabelled=_count(others % pairs.classes),
        names=_count(np.minimum(names, MOST_NAMES)),
        confidence=_count(np.clip((highest_scores(rows)[named.scored] * HISTOGRAM_BINS), 0, HISTOGRAM_BINS - 1)),
        unknown_texts=Texts.of(_unknown(rows, class_names)) if named.unknown.any() else Texts(),
    )


def _unknown(rows: pa.Table, class_names: Sequence[str]) -> list[str]:
    """Return the labels of rows that are no class."""
    names = pc.list_flatten(rows["label_names"].combine_chunks())
    unknown: list[str] = names.filter(pc.invert(pc.is_in(names, pa.array(class_names, pa.string())))).to_pylist()
    return unknown


def highest_scores(rows: pa.Table) -> npt.NDArray[np.float64]:
    """Return the highest probability of each row; NaN where it has no prediction."""
    first = pc.struct_field(pc.list_element(rows["top_k"].combine_chunks(), 0), "score")
    return np.asarray(pc.fill_null(first, float("nan")), np.float64)


def compute_labels(
    sums: LabelSums, class_names: Sequence[str], thresholds: Sequence[float], top_k: int
) -> LabelComputed:
    """Return the figures that a person reads; a ratio without images is None.

    Args:
        sums: the sums over all rows.
        class_names: names of the model's classes, in the order of its output.
        thresholds: for each class the probability from which on it is predicted; (): 0.5 for each.
        top_k: number of classes that a row lists.
    """
    per_class = [_per_label(sums, c, name, threshold_of(c, thresholds)) for c, name in enumerate(class_names)]
    hits, support, predicted = (
        sum(each.values()) for each in (sums.true_positives, support_of(sums), predicted_of(sums))
    )
    return {
        "task": "labels",
        "images": sums.images,
        "scored": sums.scored,
        "failed": sums.failed,
        "failures": sums.failure_counts(),
        "labelled": sums.labelled,
        "unlabelled": sums.scored - sums.labelled,
        "unknown_labels": sums.unknown_labels,
        "unknown_label_examples": label_counts(sums.unknown_texts),
        "unknown_names": sums.unknown_names,
        "exact_match": ratio(sums.correct, sums.labelled),
        "exact_match_interval_95": interval_of_share(sums.correct, sums.labelled),
        "micro": {
            "precision": ratio(hits, predicted),
            "recall": ratio(hits, support),
            "f1": ratio(2 * hits, support + predicted),
        },
        "macro": {
            "precision": _mean([c["precision"] for c in per_class]),
            "recall": _mean([c["recall"] for c in per_class]),
            "f1": _mean([c["f1"] for c in per_class]),
        },
        "per_class": per_class,
        "top_k": top_k,
        "confidence_histogram": [sums.confidence.get(i, 0) for i in range(HISTOGRAM_BINS)],
        "names_histogram": [sums.names.get(n, 0) for n in range(max(sums.names, default=-1) + 1)],
    }


def threshold_of(c: int, thresholds: Sequence[float]) -> float:
    """Return the probability from which on a class is predicted."""
    return thresholds[c] if thresholds else 0.5


def support_of(sums: LabelSums) -> Mapping[int, int]:
    """Return class -> number of labelled rows that have the label."""
    return Counter(sums.true_positives) + Counter(sums.false_negatives)


def predicted_of(sums: LabelSums) -> Mapping[int, int]:
    """Return class -> number of labelled rows that were predicted to have the label."""
    return Counter(sums.true_positives) + Counter(sums.false_positives)


def _per_label(sums: LabelSums, c: int, name: str, threshold: float) -> PerLabel:
    hits = sums.true_positives.get(c, 0)
    support, predicted = hits + sums.false_negatives.get(c, 0), hits + sums.false_positives.get(c, 0)
    return {
        "class": name,
        "threshold": threshold,
        "support": support,
        "predicted": predicted,
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + predicted),
        "unlabelled": sums.unlabelled.get(c, 0),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean over the classes of which there is a figure."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class _Pairs:
    """Which rows have which labels: sorted numbers row * classes + class, each once.

    Attributes:
        classes: number of classes, at least 1.
        own: the labels that the rows have, without unknown ones.
        predicted: the labels that were predicted.
    """

    classes: int
    own: Numbers
    predicted: Numbers


def _compare(rows: pa.Table, class_names: Sequence[str]) -> tuple[Named, _Pairs]:
    n, classes = len(rows), max(1, len(class_names))
    scored = np.asarray(pc.equal(rows["status"], "ok"), np.bool_)
    own_rows, own = _flatten(rows["label_names"], class_names)
    predicted_rows, predicted = _flatten(rows["predicted_names"], class_names)
    is_class = own >= 0
    names = np.bincount(own_rows, minlength=n)
    unknown = np.bincount(own_rows[~is_class], minlength=n)
    has_list = np.asarray(pc.is_valid(rows["label_names"]), np.bool_)
    labelled = scored & has_list & ((names == 0) | (names > unknown))
    own_pairs = np.unique(own_rows[is_class] * classes + own[is_class])
    predicted_pairs = np.unique(predicted_rows * classes + predicted)
    hits = np.intersect1d(own_pairs, predicted_pairs, assume_unique=True)
    by_row = [np.where(labelled, np.bincount(p // classes, minlength=n), 0) for p in (hits, predicted_pairs, own_pairs)]
    return Named(scored, labelled, unknown, *by_row), _Pairs(classes, own_pairs, predicted_pairs)


def _flatten(column: pa.ChunkedArray, class_names: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Return for each name in a column of lists the number of its row, and of its class; -1: it is no class."""
    lists = column.combine_chunks()
    parents = np.asarray(pc.list_parent_indices(lists), np.int64)
    numbers = pc.index_in(pc.list_flatten(lists), pa.array(class_names, pa.string()))
    return parents, np.asarray(pc.fill_null(numbers, -1), np.int64)


def _count(numbers: npt.NDArray[np.generic]) -> dict[int, int]:
    values, counts = np.unique(numbers.astype(np.int64), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
