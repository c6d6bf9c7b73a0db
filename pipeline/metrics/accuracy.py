"""`Metrics` are sums over rows, from which accuracy, log loss, calibration and confusion are computed.

They form an algebra: empty, measured from rows, merged, computed. Every sum is an integer, so that `merge` is exact,
associative and commutative; ratios appear in `compute` only. Must not know where rows are stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.agreement import agreement
from pipeline.metrics.figures import CalibrationBin, Computed, LabelCount, PerClass
from pipeline.metrics.proportions import interval_of_share, ratio
from pipeline.metrics.sums import Sums, failures_in
from pipeline.metrics.texts import Texts

FIXED_POINT = 1 << 20
"""Number of steps between 0 and 1 in sums of log losses and confidences, which are integers."""

EPSILON = 1e-7
"""Smallest probability in a log loss, as in Keras (`keras.config.epsilon`)."""

CALIBRATION_BINS = 15
"""Number of bins of the winner's probability in the reliability diagram."""

HISTOGRAM_BINS = 20
"""Number of bins of the winner's probability in the histogram."""

LARGEST_MATRIX = 1_000
"""Number of classes up to which the confusion matrix is written out."""


@dataclass(frozen=True)
class Metrics(Sums):
    """Integer sums over the prediction rows of a model of classes.

    An image counts as labelled if it was scored and its label is a class of the model.

    Attributes:
        images: number of rows.
        scored: number of rows with a prediction.
        failures: (stage, code) -> number of rows without a prediction.
        labelled: number of scored rows whose label is a class of the model.
        unknown_labels: number of rows whose label is no class of the model.
        correct: number of labelled rows whose predicted class is the label.
        top_k_correct: number of labelled rows whose label is among the row's top k.
        log_loss: sum of -ln(probability of the label), in units of 1 / FIXED_POINT.
        confusion: (label, predicted) -> number of labelled rows.
        unlabelled: predicted class -> number of scored rows that are not labelled.
        confidence: bin of the winner's probability, one of HISTOGRAM_BINS -> number of scored rows.
        calibration_images: bin of the winner's probability, one of CALIBRATION_BINS -> number of labelled rows.
        calibration_correct: the same bin -> number of labelled rows that are correct.
        calibration_confidence: the same bin -> sum of the winner's probability, in units of 1 / FIXED_POINT.
        unknown_texts: some labels that are no class -> number of rows; None: an earlier version did not count them.

    >>> Metrics(images=2, scored=2).merge(Metrics(images=1, failures={("read", "NOT_FOUND"): 1})).images
    3
    """

    task = "classes"
    later = frozenset({"unknown_texts"})

    labelled: int = 0
    unknown_labels: int = 0
    correct: int = 0
    top_k_correct: int = 0
    log_loss: int = 0
    confusion: Mapping[tuple[int, int], int] = field(default_factory=dict)
    unlabelled: Mapping[int, int] = field(default_factory=dict)
    confidence: Mapping[int, int] = field(default_factory=dict)
    calibration_images: Mapping[int, int] = field(default_factory=dict)
    calibration_correct: Mapping[int, int] = field(default_factory=dict)
    calibration_confidence: Mapping[int, int] = field(default_factory=dict)
    unknown_texts: Texts | None = field(default_factory=Texts)


_OF_SCORED = ["label", "label_score", "predicted", "score", "top_k"]
"""Columns whose rows are summed; to filter others, too, would take twice as long."""


def measure(rows: pa.Table) -> Metrics:
    """Return the metrics of prediction rows (`pipeline.output.rows.row_schema`)."""
    scored_mask = pc.equal(rows["status"], "ok")
    scored = rows.select(_OF_SCORED).filter(scored_mask)
    labelled_mask = pc.is_valid(scored["label_score"])
    labelled = scored.filter(labelled_mask)
    unlabelled = scored["predicted"].filter(pc.invert(labelled_mask))
    label, predicted = _integers(labelled["label"]), _integers(labelled["predicted"])
    confidence = _floats(labelled["score"])
    correct = label == predicted
    bins = _bins(confidence, CALIBRATION_BINS)
    has_both = pc.and_(pc.is_valid(rows["label"]), pc.is_valid(rows["label_name"]))
    has_any = pc.or_(pc.is_valid(rows["label"]), pc.is_valid(rows["label_name"]))
    unknown = pc.and_not(has_any, has_both)
    n_unknown = int(pc.sum(unknown).as_py() or 0)
    return Metrics(
        images=len(rows),
        scored=len(scored),
        failures=failures_in(rows),
        labelled=len(labelled),
        unknown_labels=n_unknown,
        correct=int(correct.sum()),
        top_k_correct=_top_k_correct(labelled["top_k"], label),
        log_loss=int(_fixed(-np.log(np.clip(_floats(labelled["label_score"]), EPSILON, 1.0))).sum()),
        confusion=dict(Counter(zip(label.tolist(), predicted.tolist(), strict=True))),
        unlabelled=dict(Counter(unlabelled.to_pylist())),
        confidence=dict(Counter(_bins(_floats(scored["score"]), HISTOGRAM_BINS).tolist())),
        calibration_images=dict(Counter(bins.tolist())),
        calibration_correct=dict(Counter(bins[correct].tolist())),
        calibration_confidence=_sums(bins, _fixed(confidence)),
        unknown_texts=Texts.of(_unknown(rows.filter(unknown))) if n_unknown else Texts(),
    )


def _unknown(rows: pa.Table) -> Iterator[str]:
    """Yield the labels of rows that have a name or a number only."""
    for number, name in zip(rows["label"].to_pylist(), rows["label_name"].to_pylist(), strict=True):
        yield str(number) if name is None else name


def compute(metrics: Metrics, class_names: Sequence[str], top_k: int) -> Computed:
    """Return the figures that a person reads; a ratio without images is None.

    Args:
        metrics: the sums over all rows.
        class_names: names of the model's classes, in the order of its output.
        top_k: number of classes that a row lists.
    """
    n = metrics.labelled
    return {
        "images": metrics.images,
        "scored": metrics.scored,
        "failed": metrics.failed,
        "failures": metrics.failure_counts(),
        "labelled": n,
        "unlabelled": metrics.scored - n,
        "unknown_labels": metrics.unknown_labels,
        "unknown_label_examples": label_counts(metrics.unknown_texts),
        "accuracy": ratio(metrics.correct, n),
        "accuracy_interval_95": interval_of_share(metrics.correct, n),
        **agreement(metrics.confusion),
        "top_k": top_k,
        "top_k_accuracy": ratio(metrics.top_k_correct, n),
        "log_loss": ratio(metrics.log_loss, n * FIXED_POINT),
        "expected_calibration_error": _calibration_error(metrics),
        "per_class": _per_class(metrics, class_names),
        "confusion_matrix": _matrix(metrics, len(class_names)),
        "calibration": _calibration(metrics),
        "confidence_histogram": [metrics.confidence.get(i, 0) for i in range(HISTOGRAM_BINS)],
        "unlabelled_predicted": {
            class_names[c]: count for c, count in sorted(metrics.unlabelled.items(), key=lambda item: item[0])
        },
    }


def label_counts(texts: Texts | None) -> list[LabelCount] | None:
    """Return some labels that are no class with their counts, the most frequent first; None: they were not counted."""
    return None if texts is None else [{"label": text, "images": n} for text, n in texts.most_frequent()]


def _per_class(metrics: Metrics, class_names: Sequence[str]) -> list[PerClass]:
    support: Counter[int] = Counter()
    predicted: Counter[int] = Counter()
    for (label, guess), count in metrics.confusion.items():
        support[label] += count
        predicted[guess] += count
    figures: list[PerClass] = []
    for c, name in enumerate(class_names):
        hits = metrics.confusion.get((c, c), 0)
        figures.append(
            {
                "class": name,
                "support": support[c],
                "predicted": predicted[c],
                "precision": ratio(hits, predicted[c]),
                "recall": ratio(hits, support[c]),
                "f1": ratio(2 * hits, support[c] + predicted[c]),
                "unlabelled": metrics.unlabelled.get(c, 0),
            }
        )
    return figures


def _matrix(metrics: Metrics, classes: int) -> list[list[int]] | None:
    """Return label x predicted class -> images, as in scikit-learn; None without labels or with too many classes."""
    if not metrics.labelled or classes > LARGEST_MATRIX:
        return None
    matrix = np.zeros((classes, classes), np.int64)
    for (label, guess), count in metrics.confusion.items():
        matrix[label, guess] = count
    rows: list[list[int]] = matrix.tolist()
    return rows


def _calibration(metrics: Metrics) -> list[CalibrationBin]:
    return [
        {
            "from": i / CALIBRATION_BINS,
            "to": (i + 1) / CALIBRATION_BINS,
            "images": (n := metrics.calibration_images.get(i, 0)),
            "accuracy": ratio(metrics.calibration_correct.get(i, 0), n),
            "confidence": ratio(metrics.calibration_confidence.get(i, 0), n * FIXED_POINT),
        }
        for i in range(CALIBRATION_BINS)
    ]


def _calibration_error(metrics: Metrics) -> float | None:
    """Return the ECE with bins of equal width (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017)."""
    gaps = sum(
        abs(metrics.calibration_correct.get(i, 0) * FIXED_POINT - metrics.calibration_confidence.get(i, 0))
        for i in metrics.calibration_images
    )
    return ratio(gaps, metrics.labelled * FIXED_POINT)


def _top_k_correct(top_k: pa.ChunkedArray, label: npt.NDArray[np.int64]) -> int:
    lists = top_k.combine_chunks()
    parents = np.asarray(pc.list_parent_indices(lists), np.int64)
    candidates = np.asarray(pc.list_flatten(lists).field("label"), np.int64)
    return int((candidates == label[parents]).sum())


def _integers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.asarray(column.to_numpy(), np.int64)


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(column.to_numpy(), np.float64)


def _bins(values: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.int64]:
    return np.clip((values * n).astype(np.int64), 0, n - 1)


def _fixed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.rint(values * FIXED_POINT).astype(np.int64)


def _sums(bins: npt.NDArray[np.int64], values: npt.NDArray[np.int64]) -> dict[int, int]:
    return {int(b): int(values[bins == b].sum()) for b in np.unique(bins)}
