"""The evaluation of an exported network on labelled images, with the function that scoring calls.

Knows TensorFlow's SavedModel; must not know how the network was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_training.data.image_set import ImageSet, Numbers, Pixels
from pipeline.metrics.accuracy import EPSILON
from pipeline.metrics.proportions import wilson
from pipeline.model.engines.network import Outputs, arranged
from pipeline.model.engines.tensorflow import call_images

Run = Callable[[npt.NDArray[np.uint8]], Outputs]
"""The exported function of a network: uint8 [n, height, width, channels] to what it gives for these images."""

Score = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Evaluation:
    """Labelled images and what a network says of them: a few numbers an image, however many classes there are.

    Attributes:
        classes: how many classes there are.
        labels: int64 [n], the true classes.
        predicted: int64 [n], the most probable classes.
        scores: float32 [n], the probabilities of these.
        label_scores: float32 [n], the probabilities of the true classes.

    >>> Evaluation.of(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)).accuracy
    0.5
    """

    classes: int
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    label_scores: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check that all columns are of one length."""
        lengths = {len(self.labels), len(self.predicted), len(self.scores), len(self.label_scores)}
        if len(lengths) != 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")

    @classmethod
    def of(cls, labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> Evaluation:
        """Return the evaluation of images whose probabilities are known.

        Args:
            labels: int64 [n], the true classes.
            probabilities: float32 [n, classes].
        """
        if len(labels) != len(probabilities):
            raise ValueError(f"{len(labels)} labels but {len(probabilities)} rows of probabilities")
        rows, predicted = np.arange(len(labels)), np.asarray(probabilities.argmax(axis=1), np.int64)
        own = probabilities[rows, labels]
        return cls(probabilities.shape[1], labels, predicted, probabilities[rows, predicted], own)

    @classmethod
    def joined(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """Return the evaluation of the images of several, at least one, in their order."""
        columns = ("labels", "predicted", "scores", "label_scores")
        return cls(parts[0].classes, *(np.concatenate([getattr(part, name) for part in parts]) for name in columns))

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
    def largest_share(self) -> float:
        """Share of the images in the largest class: the accuracy of always naming that class."""
        return float(np.bincount(self.labels).max() / len(self.labels))

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats; no probability counts as less than 1e-7, as in Keras."""
        of_label = self.label_scores.astype(np.float64)
        return float(-np.log(np.clip(of_label, EPSILON, 1.0)).mean())

    @property
    def figures(self) -> dict[str, float]:
        """What was measured on these images, by name."""
        return {"accuracy": self.accuracy, "loss": self.loss}

    @property
    def lines(self) -> list[str]:
        """What a terminal shows of it."""
        low, high = self.interval
        shown = [f"test accuracy {self.accuracy:.4f} (95 % interval {low:.4f} to {high:.4f})"]
        if self.accuracy <= self.largest_share:
            shown.append(f"no better than always naming the largest class, which is right for {self.largest_share:.4f}")
        return shown

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Images by [true class, predicted class], int64 [classes, classes]."""
        matrix = np.zeros((self.classes, self.classes), np.int64)
        np.add.at(matrix, (self.labels, self.predicted), 1)
        return matrix


def load_outputs(saved_model: str) -> Run:
    """Return the exported function of a SavedModel folder: uint8 [n, h, w, c] to its scores and its embedding."""
    import tensorflow as tf

    loaded = tf.saved_model.load(saved_model)
    (name,) = loaded.signatures["serving_default"].structured_input_signature[1]

    def run(pixels: npt.NDArray[np.uint8]) -> Outputs:
        signature = loaded.signatures["serving_default"]  # taken from `loaded`, which alone keeps the variables alive
        given = {
            key: np.array(value.numpy(), np.float32) for key, value in signature(**{name: tf.constant(pixels)}).items()
        }
        scores, embedding = arranged(list(given))
        arrays = list(given.values())
        none = np.zeros((len(pixels), 0), np.float32)
        return Outputs(none if scores is None else arrays[scores], None if embedding is None else arrays[embedding])

    return run


def load_score(saved_model: str) -> Score:
    """Return the same without the embedding: uint8 [n, h, w, c] to float32 [n, classes]."""
    run = load_outputs(saved_model)
    return lambda pixels: run(pixels).scores


def scoring_batches(images: ImageSet) -> Iterator[tuple[Pixels, Numbers]]:
    """Yield images in batches of the size that scoring uses, so that both get the same figures."""
    return images.batches(call_images(images.shape))


def evaluate(score: Score, images: ImageSet) -> Evaluation:
    """Score labelled images as scoring does.

    Args:
        score: from `load_score`.
        images: at least one.

    Returns:
        Of the images that can be read, in the order of their numbers.
    """
    return Evaluation.joined(
        [Evaluation.of(images.labels[numbers], score(pixels)) for pixels, numbers in scoring_batches(images)]
    )
