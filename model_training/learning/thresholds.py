"""The thresholds of a model of labels: the probability from which an image has the label, for each label its own.

They are chosen on the validation images; the test images are not touched. Must not know what gives the probabilities.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from model_training.data.image_set import ImageSet
from model_training.learning.evaluation import Run, scoring_batches
from pipeline.model.outputs import THRESHOLD

FEWEST = 10
"""Number of validation images with a label, and of those without it, below which its threshold stays at 0.5."""


def choose_thresholds(run: Run, images: ImageSet) -> tuple[float, ...]:
    """Return the thresholds that are best for images, one a label; each label's scores are held, as its labels are.

    Args:
        run: from `load_outputs`; gives a probability for each label.
        images: that validate.
    """
    parts = [(run(pixels).scores, images.labels[numbers]) for pixels, numbers in scoring_batches(images)]
    scores, labels = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return tuple(best_threshold(scores[:, c], labels[:, c] > 0) for c in range(labels.shape[1]))


def best_threshold(scores: npt.NDArray[np.float32], has_label: npt.NDArray[np.bool_]) -> float:
    """Return the threshold of one label with which F1 is highest; of several the one that is nearest to 0.5.

    Args:
        scores: probabilities of images, float32 [n].
        has_label: which of the images have the label, bool [n].

    Returns:
        A number between two of the probabilities; 0.5 where fewer than FEWEST images have the label, or lack it.

    >>> scores = np.linspace(0, 1, 41, dtype=np.float32)
    >>> best_threshold(scores, scores > 0.7), best_threshold(scores, scores > 0.9)
    (0.71, 0.5)
    """
    support = int(has_label.sum())
    if min(support, len(scores) - support) < FEWEST:
        return THRESHOLD
    order = np.argsort(-scores, kind="stable")
    falling, hits = scores[order].astype(np.float64), np.cumsum(has_label[order])
    f1 = 2 * hits / (support + np.arange(1, len(scores) + 1))
    below = np.append(falling[1:], 0.0)
    is_cut = falling > below  # between equal probabilities there is no threshold
    best = np.flatnonzero(is_cut & (f1 == f1[is_cut].max(initial=0.0)))
    cuts = [_between(float(below[i]), float(falling[i])) for i in best.tolist()]
    return min(cuts, key=lambda cut: abs(cut - THRESHOLD), default=THRESHOLD)


def _between(low: float, high: float) -> float:
    """Return a number above `low` and at most `high`, near the middle: 0.5 if it is one, else one of few digits."""
    if low < THRESHOLD <= high:
        return THRESHOLD
    middle = (low + high) / 2
    for digits in range(2, 8):
        rounded = round(middle, digits - 1 - math.floor(math.log10(middle)))
        if low < float(np.float32(rounded)) <= high:  # as scoring compares
            return rounded
    return high
