"""Batches of an image set as Keras takes them: tf.data datasets. Must not know where images come from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from model_training.data.image_set import ImageSet, Labels, Pixels
from model_training.learning.augment import augmentation, augmented
from model_training.learning.recipe import Recipe

AHEAD = 4
"""Batches that are made ready while a step is computed."""

_SEEDS_A_RUN = 1 << 20
"""More epochs than anybody trains for: no two runs shuffle by the same seed."""


class TrainingFeed:
    """The training images in a new order each epoch, epoch after epoch without an end.

    Attributes:
        dataset: a tf.data.Dataset of (pixels, labels) in batches.
        steps: batches of an epoch.
    """

    def __init__(self, images: ImageSet, recipe: Recipe, epoch: int = 0) -> None:
        """Feed images as a recipe says.

        Args:
            images: that are learned.
            recipe: of the training.
            epoch: number of the first epoch, from 0: it decides the order, so a training that goes on sees the same.
        """
        self.steps = steps_of(images, recipe.batch_size)
        self._epoch = epoch
        self._images, self._recipe = images, recipe
        signature = _signature(images)
        dataset = tf.data.Dataset.from_generator(self._batches, output_signature=signature)
        augment = augmentation(recipe.augment, recipe.seed)
        if augment is not None:
            dataset = dataset.map(lambda pixels, labels: (augmented(pixels, augment), labels), tf.data.AUTOTUNE)
        self.dataset = dataset.prefetch(AHEAD)

    def _batches(self) -> Iterator[tuple[Pixels, Labels]]:
        labels = self._images.labels
        while True:
            seed = self._recipe.seed * _SEEDS_A_RUN + self._epoch
            self._epoch += 1
            for pixels, numbers in self._images.batches(self._recipe.batch_size, seed):
                yield pixels, labels[numbers]


def in_order(images: ImageSet, size: int) -> Any:
    """Return a tf.data.Dataset of (pixels, labels) in batches, every image in order, again and again without an end."""
    labels = images.labels

    def batches() -> Iterator[tuple[Pixels, Labels]]:
        while True:
            for pixels, numbers in images.batches(size):
                yield pixels, labels[numbers]

    return tf.data.Dataset.from_generator(batches, output_signature=_signature(images)).prefetch(AHEAD)


def steps_of(images: ImageSet, size: int) -> int:
    """Return how many batches of a size the images make."""
    return math.ceil(len(images) / size)


def _signature(images: ImageSet) -> tuple[Any, Any]:
    shape, labels = images.pixels([0]).shape[1:], images.labels
    return tf.TensorSpec((None, *shape), tf.uint8), tf.TensorSpec((None, *labels.shape[1:]), labels.dtype)
