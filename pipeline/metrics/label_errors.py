"""Labels that look wrong, and an estimate of how many are: confident learning, from sums and a look at each row.

After Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (JAIR 70, 2021,
https://arxiv.org/abs/1911.00068). A class is *confident* of an image if its probability is at least the mean
probability that the class has among the images with its label. An image of which another class than its label is
confident is a *suspect*. Must not know where rows are stored.

The predictions must be of images that the model was not trained on: a network can learn wrong labels by heart, and then
it is confident of them. A row lists the most probable classes only; another one is confident of an image only where it
is more probable than 1 / (k + 1) of k listed classes, which hardly any class is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.code_counts import CodeCounts
from pipeline.metrics.curves import listed_classes
from pipeline.metrics.proportions import Z95
from pipeline.metrics.review import LabelErrors, Suspect

FIXED_POINT = 1 << 30
"""Number of steps between 0 and 1 in sums of probabilities, which are integers: rounded down, so that a class is
confident of images that all have its mean probability."""

COLUMNS = ("label", "label_score", "top_k")
"""Columns of a row that are looked at."""

LEAST_IMAGES = 10
"""Number of images that a label must have, on average, for an estimate of how many labels are wrong."""

MOST_SEEN = 0.1
"""Share of the labelled images from the model's training beyond which the others alone are looked at with a warning."""

MOST_WRONG = 0.3
"""Share of wrong labels beyond which it is more likely the model that is wrong."""


@dataclass(frozen=True, eq=False)
class LabelScores:
    """Labelled images, and the probabilities of their labels, by label.

    Attributes:
        images: label -> number of images.
        sums: label -> sum of the probabilities of the label, in units of 1 / FIXED_POINT.
    """

    images: CodeCounts = field(default_factory=CodeCounts)
    sums: CodeCounts = field(default_factory=CodeCounts)

    @classmethod
    def of(cls, rows: pa.Table) -> LabelScores:
        """Return the sums over rows of a model of classes, with the columns label and label_score."""
        labelled = rows.select(["label", "label_score"]).filter(pc.is_valid(rows["label_score"]))
        label = np.asarray(labelled["label"], np.int64)
        steps = np.floor(np.asarray(labelled["label_score"], np.float64) * FIXED_POINT).astype(np.int64)
        return cls(CodeCounts.of(label), CodeCounts().add(label, steps))

    def merge(self, other: LabelScores) -> LabelScores:
        """Return the sums over both; exact, associative and commutative."""
        return self.merge_all([self, other])

    @classmethod
    def merge_all(cls, every: Iterable[LabelScores]) -> LabelScores:
        """Return the sums over all."""
        parts = list(every)
        return cls(CodeCounts.merge_all(one.images for one in parts), CodeCounts.merge_all(one.sums for one in parts))

    def thresholds(self, classes: int) -> npt.NDArray[np.float64]:
        """Return the probability from which on each class is confident of an image, float64 [classes].

        It is the mean probability of the class among the images with its label; infinity where there are none.
        """
        images, sums = self.images.dense(classes), self.sums.dense(classes)
        means = sums / FIXED_POINT / np.maximum(images, 1)
        return np.where(images > 0, means, np.inf)


@dataclass(frozen=True, eq=False)
class Confident:
    """What classes are confident of in some rows.

    Attributes:
        joint: of the code label * classes + confident class: number of images.
        rows: int64 [n], numbers of the suspects' rows.
        suggested: int64 [n], the class that is confident of each of them.
        margins: float64 [n], probability of the label minus that of the suggested class: the lower, the worse.
    """

    joint: CodeCounts
    rows: npt.NDArray[np.int64]
    suggested: npt.NDArray[np.int64]
    margins: npt.NDArray[np.float64]


def confident_in(rows: pa.Table, thresholds: npt.NDArray[np.float64]) -> Confident:
    """Return what classes are confident of in rows, which have at least COLUMNS.

    Args:
        rows: of a model of classes.
        thresholds: probability from which on each class is confident, float64 [classes].
    """
    numbers = np.flatnonzero(np.asarray(pc.is_valid(rows["label_score"]), bool))
    labelled = rows.select(list(COLUMNS)).take(pa.array(numbers))
    label = np.asarray(labelled["label"], np.int64)
    own = np.asarray(labelled["label_score"], np.float64)
    parents, listed, scores = listed_classes(labelled["top_k"])
    confident = np.where(own >= thresholds[label], label, -1)  # the label may be none of the listed ones
    best = np.where(confident >= 0, own, -1.0)
    is_confident = scores >= thresholds[listed]
    at, first = np.unique(parents[is_confident], return_index=True)  # a row lists the most probable class first
    winner, top = listed[is_confident][first], scores[is_confident][first].astype(np.float64)
    is_better = top > best[at]
    confident[at[is_better]], best[at[is_better]] = winner[is_better], top[is_better]
    known = confident >= 0
    suspect = known & (confident != label)
    return Confident(
        CodeCounts.of((label * len(thresholds) + confident)[known]),
        numbers[suspect],
        confident[suspect],
        (own - best)[suspect],
    )


def estimate(joint: CodeCounts, images: npt.NDArray[np.int64]) -> tuple[float, list[float]]:
    """Return the estimated number of wrong labels, and its 95 % interval.

    Each label's share of images of which another class is confident is taken for the share of its wrong labels, of all
    images with that label ("calibrated" in section 3.1 of the paper). The interval is that of the sampling of these
    shares alone, by the normal distribution: it does not tell how far the method itself is off.

    Args:
        joint: of the code label * classes + confident class: number of images.
        images: number of images of each label, int64 [classes].
    """
    classes = len(images)
    label, other = joint.codes // classes, joint.codes % classes
    known = np.zeros(classes, np.int64)
    wrong = np.zeros(classes, np.int64)
    np.add.at(known, label, joint.counts)
    np.add.at(wrong, label[label != other], joint.counts[label != other])
    shares = wrong / np.maximum(known, 1)
    number = float((images * shares).sum())
    variance = float((images.astype(np.float64) ** 2 * shares * (1 - shares) / np.maximum(known, 1)).sum())
    reach = Z95 * math.sqrt(variance)
    return number, [max(0.0, number - reach), min(float(images.sum()), number + reach)]


def errors_of(
    images: npt.NDArray[np.int64],
    seen: int | None,
    joint: CodeCounts,
    suspects: int,
    listed: int,
    first: Sequence[Suspect],
) -> LabelErrors:
    """Return the figures of labels that look wrong, with the estimate of how many are, if there are enough images.

    Args:
        images: number of images of each label that were looked at, int64 [classes].
        seen: number of labelled images that were not, as the model was trained on them; None: nobody knows.
        joint: of the code label * classes + confident class: number of images.
        suspects: number of labels that look wrong.
        listed: number of these that are listed.
        first: some of these, the worst first.
    """
    labelled = int(images.sum())
    number, interval = estimate(joint, images)
    enough = labelled >= LEAST_IMAGES * max(1, int((images > 0).sum()))
    return {
        "labelled": labelled,
        "seen": seen,
        "estimate": round(number, 1) if enough else None,
        "estimate_interval_95": [round(bound, 1) for bound in interval] if enough else None,
        "suspects": suspects,
        "listed": listed,
        "trust": _trust(labelled, seen, enough, number),
        "first": list(first),
    }


def _trust(
    labelled: int, seen: int | None, enough: bool, estimated: float
) -> Literal["good", "training unknown", "too few", "too many", "trained on these"]:
    """Return whether the estimate is to be trusted."""
    if not enough:
        return "too few"
    if estimated > MOST_WRONG * labelled:
        return "too many"
    if seen is None:
        return "training unknown"
    return "trained on these" if seen > MOST_SEEN * (seen + labelled) else "good"
