"""Networks learn in mixed precision and are float32 again; a learning rate can be searched for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_training.data.datasets import Dataset, from_raw
from model_training.data.raw_images import RawImages
from model_training.learning.checkpoint import Checkpoint
from model_training.learning.head import head_of
from model_training.learning.network import build_network
from model_training.learning.precision import set_precision
from model_training.learning.rate_search import RateSearch, search_rate
from model_training.learning.recipe import Recipe
from model_training.learning.training import train

HEAD = head_of("classes", 10)


def network() -> Any:
    return build_network("compact", (28, 28, 1), HEAD)


def test_layers_compute_in_the_precision_and_weights_stay_float32() -> None:
    made = network()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), np.uint8)
    before = np.asarray(made(pixels))
    set_precision(made, "mixed_bfloat16")
    assert {layer.compute_dtype for layer in made.layers[1:-1]} == {"bfloat16"}
    assert {layer.compute_dtype for layer in (made.layers[0], made.layers[-1])} == {"float32"}
    mixed = np.asarray(made(pixels))
    assert mixed.dtype == np.float32
    assert 0 < np.abs(mixed - before).max() < 0.02
    set_precision(made, "float32")
    assert np.abs(np.asarray(made(pixels)) - before).max() < 1e-6
    assert {str(weight.dtype) for weight in made.weights} == {"float32"}


@pytest.mark.heavy
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_network_that_learned_in_mixed_precision_is_float32(digits: RawImages, tmp_path: Path, precision: Any) -> None:
    recipe = Recipe(epochs=2, precision=precision, averaging=0.9)
    trained = train(from_raw(digits), recipe)
    assert trained.precision == precision
    assert {layer.compute_dtype for layer in trained.network.layers} == {"float32"}
    assert trained.history.columns["val_accuracy"][-1] > 0.6
    trained.network.save(tmp_path / "model.keras")


@pytest.mark.heavy
def test_search_leaves_the_network_as_it_was_and_takes_a_tenth_of_the_best_rate() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (32, 28, 28, 1), np.uint8)
    labels = (pixels.mean(axis=(1, 2, 3)) > 127.5).astype(np.int64)
    made = build_network("classic", (28, 28, 1), HEAD)
    before = made.get_weights()
    found = search_rate(made, HEAD, iter([(pixels, labels)] * 60))
    assert all((one == other).all() for one, other in zip(before, made.get_weights(), strict=True))
    assert list(found.rates) == sorted(found.rates)
    assert found.chosen == pytest.approx(found.rates[int(np.argmin(found.losses))] / 10, rel=0.05)
    assert 1e-6 < found.chosen < 0.1


@pytest.mark.heavy
def test_training_that_goes_on_keeps_the_rate_that_was_found(digits: RawImages, tmp_path: Path) -> None:
    dataset: Dataset = from_raw(digits)
    checkpoint = Checkpoint(str(tmp_path / "new.unfinished"))
    checkpoint.begin({}, resume=False)
    checkpoint.keep_rate_search(RateSearch([1e-3, 0.02], [2.0, 1.0]))
    trained = train(dataset, Recipe(epochs=1, learning_rate="auto"), checkpoint)
    assert trained.history.columns["learning_rate"].tolist() == pytest.approx([0.002])
