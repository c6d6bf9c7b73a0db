"""Batches of an image set as Keras takes them: a tf.data dataset. Must not know where images come from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from model_training.data.image_set import ImageSet, Labels, Numbers, Pixels
from model_training.learning.augment import augmentation, augmented
from model_training.learning.recipe import Recipe
from pipeline.errors import ChangedError

AHEAD = 4
"""Batches that are made ready while a step is computed."""

_SEEDS_A_RUN = 1 << 20
"""More epochs than anybody trains for: no two trainings shuffle by the same seed."""


class Feed:
    """Images in batches, epoch after epoch without an end.

    Attributes:
        dataset: a tf.data.Dataset of (pixels, labels) in batches.
        steps: batches of an epoch.
        error: what was raised while a batch was made, which TensorFlow turns into an error of its own; None: nothing.
    """

    def __init__(
        self, images: ImageSet, size: int, recipe: Recipe | None = None, epoch: int = 0, classes: int | None = None
    ) -> None:
        """Feed images.

        Args:
            images: that are fed.
            size: images in a batch.
            recipe: whose seed gives each epoch an order of its own, and which says how images are changed at random;
                None: the images are fed as they are, in order.
            epoch: number of the first epoch, from 0: a training that goes on sees the orders it would have seen.
            classes: how many there are; each label is then float32 [classes], its probabilities, of which the recipe
                smooths those that are trained on. None: labels are fed as they are.
        """
        self.steps = math.ceil(len(images) / size)
        self.error: BaseException | None = None
        self._images, self._size, self._recipe, self._epoch = images, size, recipe, epoch
        labels = images.labels
        signature = (
            tf.TensorSpec((None, *images.shape), tf.uint8),
            tf.TensorSpec((None, *labels.shape[1:]), labels.dtype),
        )
        dataset = tf.data.Dataset.from_generator(self._batches, output_signature=signature)
        augment = None if recipe is None else augmentation(recipe.augment, recipe.seed)
        if augment is not None:
            dataset = dataset.map(lambda pixels, labels: (augmented(pixels, augment), labels), tf.data.AUTOTUNE)
        if classes is not None:
            smoothing = 0.0 if recipe is None else recipe.label_smoothing
            dataset = dataset.map(lambda pixels, labels: (pixels, label_probabilities(labels, classes, smoothing)))
        self.dataset = dataset.prefetch(AHEAD)

    def _batches(self) -> Iterator[tuple[Pixels, Labels]]:
        labels = self._images.labels
        try:
            while True:
                for pixels, numbers in in_steps(self._images.batches(self._size, self._seed()), self.steps):
                    yield pixels, labels[numbers]
                self._epoch += 1
        except Exception as error:
            self.error = error
            raise

    def _seed(self) -> int | None:
        return None if self._recipe is None else self._recipe.seed * _SEEDS_A_RUN + self._epoch


def in_steps(batches: Iterable[tuple[Pixels, Numbers]], steps: int) -> Iterator[tuple[Pixels, Numbers]]:
    """Yield an epoch as exactly so many batches: if images are lost, its last one is divided.

    Keras takes that many batches for an epoch. From fewer it would go on into the next one, and figures of epochs would
    be those of other images.

    Args:
        batches: pixels and numbers of all images that are there.
        steps: at least as many as there are batches.

    Raises:
        ChangedError: there are not that many images.

    >>> three = np.zeros((3, 1, 1, 1), np.uint8), np.arange(3)
    >>> [numbers.tolist() for _, numbers in in_steps([three, three], 3)]
    [[0, 1, 2], [0, 1], [2]]
    """
    left, last = steps, None
    for batch in batches:
        if last is not None:
            yield last
            left -= 1
        last = batch
    if last is None or len(last[1]) < left:
        raise ChangedError(
            "too many images are gone or changed since the first look: end what changes them, and train again"
        )
    yield from zip(np.array_split(last[0], left), np.array_split(last[1], left), strict=True)


def label_probabilities(labels: Any, classes: int, smoothing: float) -> Any:
    """Return the probabilities that a network shall give for labels, as a float32 tensor [n, classes].

    Args:
        labels: class numbers [n].
        classes: how many there are.
        smoothing: share of a label that is spread evenly over all classes, its own among them; as in "Rethinking the
            Inception Architecture for Computer Vision" (Szegedy et al., 2015).

    >>> label_probabilities([1], 4, 0.5).numpy().tolist()
    [[0.125, 0.625, 0.125, 0.125]]
    """
    return tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes


def raise_own(error: Any, *feeds: Feed) -> None:
    """Raise what a feed has raised in place of TensorFlow's error about it, which says it at length; else that error.

    Args:
        error: a tf.errors.OpError, from a step.
        feeds: that the step may have read from.
    """
    for feed in feeds:
        if feed.error is not None:
            raise feed.error from None
    raise error
