"""The averages by which batch normalization scores an image, where an epoch has too few steps to learn them.

Keras keeps moving averages of the means and variances of batches. They begin with 0 and 1, and after few steps they
still hold much of that, and of what earlier weights gave. So after each epoch of few steps the averages are measured:
over training images, with the weights that are there. Imports Keras: import this module when training begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from model_training.data.image_set import ImageSet, Pixels
from model_training.learning.recipe import Recipe

ENOUGH_STEPS = 500
"""Steps of an epoch after which the moving averages hold less than 1 % of their first values: 0.99 to that power."""

MOST_IMAGES, MOST_BYTES = 512, 64 << 20
"""Training images that are measured, and bytes of their pixels: when either is reached, that is enough."""


class MeasuredAverages(keras.callbacks.Callback):  # type: ignore[misc]
    """Measures the averages of batch normalization before each validation; it comes after what averages weights."""

    def __init__(self, batches: Sequence[Pixels]) -> None:
        """Measure over these batches of training images."""
        super().__init__()
        self._batches = batches

    def on_test_begin(self, logs: Any = None) -> None:
        """Measure them."""
        layers = _normalizations(self.model)
        before = [layer.momentum for layer in layers]
        measured = 0
        for pixels in self._batches:
            for layer in layers:
                layer.momentum = measured / (measured + len(pixels))  # so each image counts the same
            self.model(pixels, training=True)
            measured += len(pixels)
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum


def measured_averages(network: Any, recipe: Recipe, images: ImageSet) -> list[MeasuredAverages]:
    """Return the callback for a network whose epochs have few steps; [] if it needs none.

    Args:
        network: a Keras model.
        recipe: of the training.
        images: that are learned.
    """
    if recipe.steps(len(images)) >= ENOUGH_STEPS or not _normalizations(network):
        return []
    return [MeasuredAverages(_some(images, recipe))]


def _normalizations(network: Any) -> list[Any]:
    """Return the layers whose averages may change: not those of a base, which are kept."""
    return [one for one in network.layers if isinstance(one, keras.layers.BatchNormalization) and one.trainable]


def _some(images: ImageSet, recipe: Recipe) -> list[Pixels]:
    """Return batches of images drawn at random."""
    batches: list[Pixels] = []
    for pixels, _ in images.batches(recipe.batch_size, recipe.seed):
        batches.append(pixels)
        if sum(map(len, batches)) >= MOST_IMAGES or sum(one.nbytes for one in batches) >= MOST_BYTES:
            break
    return batches
