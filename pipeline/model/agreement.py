"""How far the outputs of one network, computed twice, are apart: by two engines, two machines, or two precisions.

Compared are the outputs before the softmax, of which the probabilities tell all but a constant for each image: their
logarithms. Probabilities themselves would hide what is wrong where the network is sure. Differences are shares of how
much the outputs vary from image to image, so that one tolerance suits networks of any scale.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.model.engines.network import Scores

LEAST = 1e-30
"""The least probability that is told from 0: float32 has no exact ones below 1e-38."""

LEAST_SPREAD = 1e-3
"""The least spread of outputs: below it, rounding would decide."""


def log_scores(scores: Scores) -> npt.NDArray[np.float64]:
    """Return the logarithms of probabilities, float64 [n, classes]; NaN where there is none.

    >>> log_scores(np.array([[1.0, 0.0]], np.float32)).round(2).tolist()
    [[0.0, -69.08]]
    """
    return np.asarray(np.log(np.maximum(scores.astype(np.float64), LEAST)))


def spread(scores: Scores) -> float:
    """Return how much outputs vary: the root mean square of their deviation from the mean over the images.

    Args:
        scores: float32 [n, classes], of different images.
    """
    outputs = log_scores(scores)
    return max(LEAST_SPREAD, float(np.sqrt(np.mean((outputs - outputs.mean(axis=0)) ** 2))))


def difference(scores: Scores, expected: Scores) -> float:
    """Return the largest difference of outputs, as a share of the spread of the expected ones; NaN if one is NaN.

    Args:
        scores: float32 [n, classes].
        expected: of the same images, float32 [n, classes].

    >>> one = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    >>> difference(one, one), round(difference(one[:, ::-1], one), 1)
    (0.0, 2.4)
    """
    return float(np.abs(log_scores(scores) - log_scores(expected)).max() / spread(expected))


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
