"""How far the outputs of one network, computed twice, are apart: by two engines, two machines, or two precisions.

Probabilities would hide what is wrong where the network is sure. So the outputs before the softmax are compared, of
which the probabilities tell all but a constant for each image: their logarithms; and the outputs before a sigmoid.
Values and embeddings are compared as they are. Differences are shares of how much the outputs vary from image to image,
so that one tolerance suits networks of any scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.model.engines.network import Outputs, Scores
from pipeline.task import Task

LEAST = 1e-30
"""The least probability that is told from 0: float32 has no exact ones below 1e-38."""

LEAST_REST = float(np.finfo(np.float32).eps) / 4
"""The least difference of a probability from 1: half of the smallest one that float32 tells."""

LEAST_SPREAD = 1e-3
"""The least spread of outputs before a softmax or a sigmoid: below it, rounding would decide."""

LEAST_SPREAD_OF_VALUES = 1e-6
"""The least spread of values and embeddings."""

LEAST_SHARE = 1e-3
"""The least spread of values and embeddings, as a share of their size: below it, rounding would decide."""

STEPS = 4
"""Steps of float32 by which two probabilities may differ for their outputs before a sigmoid to count as equal."""

Numbers = npt.NDArray[np.float64]


def log_scores(scores: Scores) -> Numbers:
    """Return the logarithms of probabilities, float64 [n, classes]; NaN where there is none.

    >>> log_scores(np.array([[1.0, 0.0]], np.float32)).round(2).tolist()
    [[0.0, -69.08]]
    """
    return np.asarray(np.log(np.maximum(scores.astype(np.float64), LEAST)))


def logits(scores: Scores) -> Numbers:
    """Return the outputs before the sigmoid that gave probabilities, float64 [n, classes]; NaN where there is none.

    >>> logits(np.array([[0.5, 1.0, 0.0]], np.float32)).round(2).tolist()
    [[0.0, 17.33, -69.08]]
    """
    p = scores.astype(np.float64)
    return np.asarray(np.log(np.maximum(p, LEAST)) - np.log(np.maximum(1 - p, LEAST_REST)))


def _compared(scores: Scores, task: Task) -> Numbers:
    """Return the numbers by which the outputs of a task are compared."""
    if task == "classes":
        return log_scores(scores)
    return logits(scores) if task == "labels" else scores.astype(np.float64)


def _rounding(scores: Scores, task: Task) -> Numbers:
    """Return how far the compared numbers of labels, or of two classes, may be off because float32 holds the scores.

    A probability near 1 tells its output before the sigmoid in coarse steps only. The same holds for the first of two
    classes: it may be what is missing to 1, as where a network has a single sigmoid. The second one has its own digits.
    """
    p = np.clip(scores.astype(np.float64), LEAST, 1 - LEAST_REST)
    if task == "classes":
        return STEPS * 2 * LEAST_REST / p * [1, 0]
    return np.asarray(STEPS * np.spacing(p.astype(np.float32)).astype(np.float64) / (p * (1 - p)))


def spread(scores: Scores, task: Task = "classes") -> float:
    """Return how much outputs vary: the root mean square of their deviation from the mean over the images.

    Args:
        scores: float32 [n, k], of different images: probabilities, values or embeddings.
        task: what they are.
    """
    outputs = _compared(scores, task)
    deviation = float(np.sqrt(np.mean((outputs - outputs.mean(axis=0)) ** 2)))
    if task in ("classes", "labels"):
        return max(LEAST_SPREAD, deviation)
    return max(LEAST_SPREAD_OF_VALUES, LEAST_SHARE * float(np.sqrt(np.mean(outputs**2))), deviation)


def difference(scores: Scores, expected: Scores, task: Task = "classes") -> float:
    """Return the largest difference of outputs, as a share of the spread of the expected ones; NaN if one is NaN.

    Args:
        scores: float32 [n, k]: probabilities, values or embeddings.
        expected: of the same images, float32 [n, k].
        task: what they are.

    >>> one = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    >>> difference(one, one), round(difference(one[:, ::-1], one), 1)
    (0.0, 2.4)
    """
    off = np.abs(_compared(scores, task) - _compared(expected, task))
    if task == "labels" or (task == "classes" and scores.shape[1] == 2):
        off = np.maximum(off - _rounding(scores, task) - _rounding(expected, task), 0)
    return float(off.max() / spread(expected, task))


def difference_of_outputs(outputs: Outputs, expected: Outputs, task: Task) -> float:
    """Return the largest difference of scores and of embeddings, each as a share of their spread; NaN if one is NaN.

    Args:
        outputs: of a network.
        expected: of the same images, of the same shapes.
        task: of the model.
    """
    differences = [0.0]
    if task != "embedding":
        differences.append(difference(outputs.scores, expected.scores, task))
    if outputs.embedding is not None and expected.embedding is not None:
        differences.append(difference(outputs.embedding, expected.embedding, "embedding"))
    return float(np.max(differences))  # NaN if one is NaN


def changed_classes(scores: Scores, expected: Scores, tolerance: float) -> int:
    """Return for how many images the best class is another, although it is ahead by more than twice the tolerance.

    Args:
        scores: float32 [n, classes].
        expected: of the same images, float32 [n, classes].
        tolerance: a difference of outputs, as a share of their spread.
    """
    if expected.shape[1] < 2:
        return 0
    best = np.sort(log_scores(expected), axis=1)
    is_clear = best[:, -1] - best[:, -2] > 2 * tolerance * spread(expected)
    return int(np.count_nonzero(is_clear & (scores.argmax(axis=1) != expected.argmax(axis=1))))


def changed_labels(scores: Scores, expected: Scores, tolerance: float, thresholds: Sequence[float]) -> int:
    """Return how many images get or lose a label that is further from its threshold than twice the tolerance.

    Args:
        scores: float32 [n, classes].
        expected: of the same images, float32 [n, classes].
        tolerance: a difference of outputs, as a share of their spread.
        thresholds: probability from which an image has the label, one a class.
    """
    limits = np.asarray(thresholds, np.float32)
    reach = 2 * tolerance * spread(expected, "labels") + _rounding(expected, "labels") + _rounding(scores, "labels")
    is_clear = np.abs(logits(expected) - logits(limits)) > reach
    is_changed = is_clear & ((scores >= limits) != (expected >= limits))
    return int(np.count_nonzero(is_changed.any(axis=1)))
