"""Temperature scaling: the right temperature is found, and it lies in the network as layers that Keras knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_training.data.image_set import HeldImages, Pixels
from model_training.learning.evaluation import Evaluation
from model_training.learning.temperature import fit_temperature, score_of, with_temperature
from model_training.report.calibration import calibration_of
from pipeline.model.input_rule import InputSpec

CLASSES = 4


def images(logits: np.ndarray[Any, np.dtype[np.float64]], temperature: float) -> HeldImages:
    """Return images whose labels are drawn from their logits at a temperature; two pixels tell their number."""
    n, random = len(logits), np.random.default_rng(3)
    scaled = np.exp(logits / temperature)
    chances = (scaled / scaled.sum(axis=1, keepdims=True)).cumsum(axis=1)
    labels = (random.random((n, 1)) > chances[:, :-1]).sum(axis=1)
    pixels = np.zeros((n, 2, 2, 1), np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 1, 0] = np.arange(n) // 256, np.arange(n) % 256
    rule = InputSpec(2, 2, "grayscale")
    return HeldImages(rule, pixels, labels.astype(np.int64), np.arange(n), str, lambda i: b"")


@pytest.mark.parametrize("temperature", [0.4, 2.7])
def test_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    logits = np.random.default_rng(1).normal(0, 3, (6_000, CLASSES))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def score(pixels: Pixels) -> Any:
        return probabilities[pixels[:, 0, 0, 0].astype(int) * 256 + pixels[:, 0, 1, 0]].astype(np.float32)

    validation = images(logits, temperature)
    found = fit_temperature(score, validation)
    assert found == pytest.approx(temperature, rel=0.07)
    assert found is not None
    before = calibration_of(Evaluation.of(validation.labels, probabilities.astype(np.float32)))
    powers = probabilities ** (1 / found)
    after = Evaluation.of(validation.labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))
    assert calibration_of(after).error <= before.error + 1e-3
    assert calibration_of(after).error < 0.02
    assert calibration_of(after).loss <= before.loss + 1e-6


def test_without_a_mistake_no_temperature_is_best() -> None:
    certain = images(np.eye(CLASSES)[np.arange(50) % CLASSES] * 100, 1.0)

    def score(pixels: Pixels) -> Any:
        return np.where(np.eye(CLASSES, dtype=bool)[pixels[:, 0, 1, 0] % CLASSES], 0.7, 0.1).astype(np.float32)

    assert fit_temperature(score, certain) is None


@pytest.mark.parametrize("is_sequential", [True, False])
def test_temperature_lies_in_the_network_in_layers_that_keras_knows(tmp_path: Path, is_sequential: bool) -> None:
    import keras

    start = keras.Input((2, 2, 1), dtype="uint8", name="images")
    layers = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES, "softmax", name="probabilities"),
    ]
    network = keras.Sequential([start, *layers])
    if not is_sequential:
        network = keras.Model(network.inputs, network.outputs)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2, 2, 1), np.uint8)
    cooler = with_temperature(network, 2.0)
    assert isinstance(cooler, keras.Sequential) == is_sequential
    roots = score_of(network)(pixels) ** 0.5
    assert score_of(cooler)(pixels) == pytest.approx(roots / roots.sum(axis=1, keepdims=True), abs=1e-6)
    cooler.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert score_of(loaded)(pixels) == pytest.approx(score_of(cooler)(pixels), abs=1e-6)
    with pytest.raises(ValueError, match="not Dense with softmax"):
        with_temperature(cooler, 2.0)
