"""Above which score predictions may go into production without a look: counts of images by score, and what follows.

The counts merge exactly; shares, accuracies and thresholds are computed from them alone. Must not know where rows are
stored, or who accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.code_counts import CodeCounts
from pipeline.metrics.proportions import interval_of_share, ratio, wilson
from pipeline.metrics.review import Acceptance, Accepted, AcceptedImages, ClassThreshold, ThresholdRow

EDGES = np.array(
    [*(i / 100 for i in range(100)), *(0.99 + i / 1e3 for i in range(1, 10)), *(0.999 + i / 1e4 for i in range(1, 10))],
    np.float32,
)
"""Lower edges of the bins of a score: 100 of equal width, of which the last is cut twice into ten, as most scores of a
network that is sure of itself lie there. Edges are float32 like the scores, so that no score is at the wrong side."""

BINS = len(EDGES)

RIGHT, WRONG, UNLABELLED = range(3)
"""What is known of the image of a score: predicted as labelled, not so, or nothing: it has no label of the model's
classes, or the image was seen in training."""

_KINDS = 3

COLUMNS = ("status", "label", "label_score", "predicted", "score")
"""Columns of a row that are counted."""

WANTED_ACCURACY = 0.99
"""Accuracy of accepted images for which a report finds the score, unless a person wants another."""

SHOWN_CLASSES = 100
"""Number of classes that have a threshold of their own in the figures, those with the most mistakes first."""


def bins_of(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the bin of each score, float32 [n] from 0 to 1.

    >>> bins_of(np.array([0.0, 0.009, 0.01, 0.9899, 0.999, 1.0], np.float32)).tolist()
    [0, 0, 1, 98, 108, 117]
    """
    return np.clip(np.searchsorted(EDGES, scores, side="right") - 1, 0, BINS - 1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class ScoreCounts:
    """Images by predicted class, by what is known of them, and by bin of their score.

    Attributes:
        counts: of the code (class * 3 + kind) * BINS + bin.
    """

    counts: CodeCounts = field(default_factory=CodeCounts)

    @classmethod
    def of(cls, rows: pa.Table, seen: npt.NDArray[np.bool_] | None = None) -> ScoreCounts:
        """Return the counts of the scored images among rows.

        Args:
            rows: of a model of classes, with at least COLUMNS.
            seen: bool [n], of which rows the model's training had an exact copy: their labels prove nothing, so these
                images count as unlabelled; None: of none.
        """
        is_scored = pc.equal(rows["status"], "ok")
        scored = rows.select(COLUMNS).filter(is_scored)
        predicted = np.asarray(scored["predicted"], np.int64)
        right = np.asarray(pc.fill_null(pc.equal(scored["label"], scored["predicted"]), False), bool)
        labelled = np.asarray(pc.is_valid(scored["label_score"]), bool)
        if seen is not None:
            labelled &= ~seen[np.asarray(is_scored, bool)]
        kind = np.where(labelled, np.where(right, RIGHT, WRONG), UNLABELLED)
        return cls(CodeCounts.of((predicted * _KINDS + kind) * BINS + bins_of(np.asarray(scored["score"], np.float32))))

    def merge(self, other: ScoreCounts) -> ScoreCounts:
        """Return the counts of both; exact, associative and commutative."""
        return ScoreCounts(self.counts.merge(other.counts))

    @classmethod
    def merge_all(cls, every: Iterable[ScoreCounts]) -> ScoreCounts:
        """Return the counts of all."""
        return cls(CodeCounts.merge_all(one.counts for one in every))

    def total(self) -> npt.NDArray[np.int64]:
        """Return the images by kind and bin, int64 [3, BINS]."""
        table = np.zeros(_KINDS * BINS, np.int64)
        np.add.at(table, self.counts.codes % (_KINDS * BINS), self.counts.counts)
        return table.reshape(_KINDS, BINS)

    def of_class(self, number: int) -> npt.NDArray[np.int64]:
        """Return the images that are predicted as one class, by kind and bin, int64 [3, BINS]."""
        size = _KINDS * BINS
        return self.counts.part(number * size, (number + 1) * size).reshape(_KINDS, BINS)


def lowest_score(table: npt.NDArray[np.int64], accuracy: float) -> int | None:
    """Return the lowest bin from which on the accuracy is surely as wanted: the lower end of its 95 % interval is.

    It is looked for among the same images, so it is a little too low on average: a later run shows whether it holds.

    Args:
        table: images by kind and bin, int64 [3, BINS].
        accuracy: that is wanted, from 0 to 1.

    Returns:
        The bin, or None: no score will do, or no image is labelled.
    """
    right, wrong = np.cumsum(table[:, ::-1], axis=1)[:2, ::-1].tolist()
    for i in range(BINS):
        bounds = wilson(right[i], right[i] + wrong[i])
        if bounds is not None and bounds[0] >= accuracy:
            return i
    return None


def compute(counts: ScoreCounts, class_names: Sequence[str], wanted: float) -> Acceptance:
    """Return the table of thresholds, and the one for a wanted accuracy, of all images and of each class.

    Args:
        counts: of all images.
        class_names: of the model, in the order of its output.
        wanted: accuracy of the accepted images.
    """
    table = counts.total()
    chosen = lowest_score(table, wanted)
    return {
        "wanted_accuracy": wanted,
        "seen": None,
        "score": _score(chosen),
        "rows": [_row(table, i) for i in range(BINS)],
        "per_class": _by_class(counts, class_names, wanted),
    }


def _row(table: npt.NDArray[np.int64], first: int) -> ThresholdRow:
    counts = AcceptedCounts.from_bin(table, first)
    return {
        "score": _edge(first),
        "share": ratio(counts.images, counts.images + counts.left),
        **counts.to_json(),
    }


def _edge(first: int) -> float:
    """Return the lower edge of a bin as a person writes it."""
    return float(f"{EDGES[first]:.4f}")


def _score(chosen: int | None) -> float | None:
    return None if chosen is None else _edge(chosen)


def accepted_from(counts: ScoreCounts, wanted: float) -> Accepted:
    """Return what is accepted from the lowest score on that surely gives a wanted accuracy; nothing if none does."""
    table = counts.total()
    chosen = lowest_score(table, wanted)
    return AcceptedCounts.from_bin(table, chosen).figures(_score(chosen), wanted)


def _by_class(counts: ScoreCounts, class_names: Sequence[str], wanted: float) -> list[ClassThreshold]:
    """Return the thresholds of the classes with the most mistakes among the images predicted as them."""
    size = _KINDS * BINS
    is_wrong = counts.counts.codes % size // BINS == WRONG
    mistakes = np.zeros(len(class_names), np.int64)
    images = np.zeros(len(class_names), np.int64)
    np.add.at(mistakes, counts.counts.codes[is_wrong] // size, counts.counts.counts[is_wrong])
    np.add.at(images, counts.counts.codes // size, counts.counts.counts)
    order = np.lexsort((np.arange(len(class_names)), -images, -mistakes))
    rows: list[ClassThreshold] = []
    for number in [int(n) for n in order if images[n]][:SHOWN_CLASSES]:
        table = counts.of_class(number)
        chosen = lowest_score(table, wanted)
        accepted = AcceptedCounts.from_bin(table, chosen)
        rows.append(
            {
                "class": class_names[number],
                "images": int(images[number]),
                "mistakes": int(mistakes[number]),
                "score": _score(chosen),
                "accepted": accepted.images,
                "accuracy": ratio(accepted.right, accepted.labelled),
                "left_mistakes": accepted.left_mistakes,
            }
        )
    return rows


@dataclass(frozen=True)
class AcceptedCounts:
    """How many images are accepted, and how many of those and of the others are right.

    Attributes:
        images: accepted images.
        labelled: those whose label is a class of the model.
        right: those of the labelled ones that are predicted as labelled.
        left: scored images that are not accepted.
        left_mistakes: those of them that are labelled and not predicted so.
    """

    images: int = 0
    labelled: int = 0
    right: int = 0
    left: int = 0
    left_mistakes: int = 0

    @classmethod
    def of(
        cls, rows: pa.Table, accepted: npt.NDArray[np.bool_], seen: npt.NDArray[np.bool_] | None = None
    ) -> AcceptedCounts:
        """Return the counts of rows, which have at least COLUMNS.

        Args:
            rows: of a model of classes.
            accepted: bool [n], whether the prediction is accepted.
            seen: see `ScoreCounts.of`.
        """
        scored = np.asarray(pc.equal(rows["status"], "ok"), bool)
        labelled = np.asarray(pc.is_valid(rows["label_score"]), bool)
        if seen is not None:
            labelled &= ~seen
        right = np.asarray(pc.fill_null(pc.equal(rows["label"], rows["predicted"]), False), bool) & labelled
        left = scored & ~accepted
        masks = (accepted, accepted & labelled, accepted & right, left, left & labelled & ~right)
        return cls(*(int(mask.sum()) for mask in masks))

    @classmethod
    def from_bin(cls, table: npt.NDArray[np.int64], first: int | None) -> AcceptedCounts:
        """Return the counts if the images from a bin on are accepted; None: none is.

        Args:
            table: images by kind and bin, int64 [3, BINS].
            first: number of the bin.
        """
        stop = BINS if first is None else first
        right, wrong, unlabelled = table[:, stop:].sum(axis=1).tolist()
        left = table[:, :stop].sum(axis=1).tolist()
        return cls(right + wrong + unlabelled, right + wrong, right, sum(left), left[WRONG])

    def merge(self, other: AcceptedCounts) -> AcceptedCounts:
        """Return the counts of both."""
        return AcceptedCounts(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def figures(self, score: float | None, wanted: float | None) -> Accepted:
        """Return what a record keeps: the threshold and the counts.

        Args:
            score: from which on images are accepted; None: none is.
            wanted: accuracy for which the score was found; None: a person gave the score.
        """
        return {"score": score, "wanted_accuracy": wanted, **self.to_json()}

    def to_json(self) -> AcceptedImages:
        """Return the counts, and how many of the labelled images are right."""
        return {
            "images": self.images,
            "labelled": self.labelled,
            "accuracy": ratio(self.right, self.labelled),
            "accuracy_interval_95": interval_of_share(self.right, self.labelled),
            "left": self.left,
            "left_mistakes": self.left_mistakes,
        }


def is_accepted(rows: pa.Table, score: float | None) -> npt.NDArray[np.bool_]:
    """Return for each row whether its prediction is accepted, bool [n]; a row without a prediction is not.

    Args:
        rows: with at least the columns status and score.
        score: from which on predictions are accepted, compared as float32 like scores; None: none is.
    """
    if score is None:
        return np.zeros(len(rows), np.bool_)
    scores = np.asarray(pc.fill_null(rows["score"], np.float32(-1)), np.float32)
    return np.asarray(scores >= np.float32(score), bool)
