"""The evaluation of an exported network on labelled images, with the function that scoring calls.

Knows TensorFlow's SavedModel; must not know how the network was trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.metrics.accuracy import EPSILON
from pipeline.metrics.proportions import wilson
from pipeline.model.engines.tensorflow import call_images

Score = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Evaluation:
    """Labelled images and the scores that a network gives them.

    Attributes:
        labels: int64 [n], the true classes.
        probabilities: float32 [n, classes].

    >>> Evaluation(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)).accuracy
    0.5
    """

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check that both columns are of one length."""
        if len(self.labels) != len(self.probabilities):
            raise ValueError(f"{len(self.labels)} labels but {len(self.probabilities)} rows of probabilities")

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The most probable class, int64 [n]."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Mask, bool [n]."""
        return np.equal(self.predicted, self.labels)

    @property
    def accuracy(self) -> float:
        """Share of the images whose most probable class is the true one."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % score interval of the accuracy (Wilson)."""
        return wilson(int(self.correct.sum()), len(self.labels)) or (0.0, 1.0)

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats; no probability counts as less than 1e-7, as in Keras."""
        of_label = self.probabilities[np.arange(len(self.labels)), self.labels].astype(np.float64)
        return float(-np.log(np.clip(of_label, EPSILON, 1.0)).mean())

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Images by [true class, predicted class], int64 [classes, classes]."""
        classes = self.probabilities.shape[1]
        matrix = np.zeros((classes, classes), np.int64)
        np.add.at(matrix, (self.labels, self.predicted), 1)
        return matrix


def load_score(saved_model: str) -> Score:
    """Return the exported function of a SavedModel folder: uint8 [n, h, w, c] to float32 [n, classes]."""
    import tensorflow as tf

    loaded = tf.saved_model.load(saved_model)
    (name,) = loaded.signatures["serving_default"].structured_input_signature[1]

    def score(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        signature = loaded.signatures["serving_default"]  # taken from `loaded`, which alone keeps the variables alive
        (probabilities,) = signature(**{name: tf.constant(pixels)}).values()
        return np.asarray(probabilities.numpy(), np.float32)

    return score


def evaluate(score: Score, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Evaluation:
    """Score labelled images in batches of the size that scoring uses, so that both get the same accuracy.

    Args:
        score: from `load_score`.
        images: uint8 [n, height, width, channels], n at least 1.
        labels: int64 [n].
    """
    height, width, channels = images.shape[1:]
    size = call_images((height, width, channels))
    batches = [score(images[start : start + size]) for start in range(0, len(images), size)]
    return Evaluation(labels, np.concatenate(batches))
