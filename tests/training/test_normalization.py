"""After epochs of few steps, the averages of batch normalization are those of training images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model_training.data.datasets import from_raw
from model_training.data.raw_images import RawImages
from model_training.learning.head import head_of
from model_training.learning.network import build_network
from model_training.learning.normalization import (
    ENOUGH_STEPS,
    MOST_IMAGES,
    MeasuredAverages,
    measured_averages,
)
from model_training.learning.recipe import NetworkName, Recipe

RANDOM = np.random.default_rng(0)


def network(name: NetworkName = "compact") -> Any:
    return build_network(name, (28, 28, 1), head_of("classes", 10))


def measured(made: Any, *batches: Any) -> None:
    callback = MeasuredAverages(batches)
    callback.set_model(made)
    callback.on_test_begin()


def test_network_then_scores_a_batch_as_it_learns_it() -> None:
    made, pixels = network(), RANDOM.integers(0, 256, (8, 28, 28, 1), np.uint8)
    learned = np.asarray(made(pixels, training=True))
    assert np.abs(np.asarray(made(pixels)) - learned).max() > 0.01
    measured(made, pixels)
    assert np.asarray(made(pixels)) == pytest.approx(learned, abs=1e-4)


def test_each_image_counts_the_same_and_the_momentum_stays() -> None:
    made = network()
    dark, light = (np.full((n, 28, 28, 1), value, np.uint8) for n, value in ((3, 0), (1, 255)))
    measured(made, dark, light)
    first = made.get_layer("normalization_1")
    kernel = np.asarray(made.get_layer("convolution_1").kernel)
    assert np.asarray(first.moving_mean) == pytest.approx(kernel.sum(axis=(0, 1, 2)) / 4, abs=1e-5)
    assert first.momentum == 0.99


def test_it_is_done_where_an_epoch_has_few_steps_and_batches_are_normalized(digits: RawImages) -> None:
    learned = from_raw(digits).train
    assert not measured_averages(network(), Recipe(batch_size=len(learned) // ENOUGH_STEPS), learned)
    assert not measured_averages(network("classic"), Recipe(), learned)
    made = network()
    (callback,) = measured_averages(made, Recipe(batch_size=100), learned)
    assert sum(map(len, callback._batches)) == -(-MOST_IMAGES // 100) * 100
    made.trainable = False
    assert not measured_averages(made, Recipe(batch_size=100), learned)
