"""Temperature scaling: a trained network's logits are divided by one number, so that its scores mean what they say.

After Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017,
https://arxiv.org/abs/1706.04599, section 4.2): of all temperatures the one with the smallest cross-entropy on the
validation images. No predicted class changes. For the task "classes" only.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from model_training.data.image_set import ImageSet
from model_training.learning.evaluation import Score, scoring_batches
from model_training.learning.training import Trained

_log = logging.getLogger(__name__)

TEMPERATURES: npt.NDArray[np.float64] = np.geomspace(0.05, 20.0, 121)
"""Temperatures that are tried, each 5 % above the one before; a parabola through the best three has the minimum."""


def calibrated(trained: Trained, validation: ImageSet) -> Trained:
    """Return a trained network whose last layers divide its logits by the temperature that suits the validation images.

    The layers are Keras' own: Dense without its softmax, Rescaling and Softmax. If no temperature suits best, since
    every image is predicted rightly, the network stays as it is, its temperature is 1, and a warning says so.
    """
    temperature = fit_temperature(score_of(trained.network), validation)
    if temperature is None:
        _log.warning(
            "--calibrate changes nothing: no temperature suits the %d validation images best, as too few of them are "
            "predicted wrongly",
            len(validation),
        )
        return replace(trained, temperature=1.0)
    return replace(trained, network=with_temperature(trained.network, temperature), temperature=temperature)


def score_of(network: Any) -> Score:
    """Return the function of a Keras network of classes: uint8 [n, height, width, channels] to float32 [n, classes]."""

    def score(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.asarray(network.predict_on_batch(pixels), np.float32)

    return score


def fit_temperature(score: Score, images: ImageSet) -> float | None:
    """Return the temperature with the smallest cross-entropy; None if that is the first or the last one tried.

    The images are scored once, and of each batch a sum for every temperature is kept.

    Args:
        score: gives probabilities; their logarithms are logits.
        images: labelled with classes; at least one.
    """
    sums = np.zeros(len(TEMPERATURES))
    for pixels, numbers in scoring_batches(images):
        sums += cross_entropies(score(pixels), images.labels[numbers])
    best = int(sums.argmin())
    if not 0 < best < len(sums) - 1:
        return None
    before, at, after = sums[best - 1 : best + 2]
    bend = before - 2 * at + after
    step = np.log(TEMPERATURES[1] / TEMPERATURES[0])
    return float(TEMPERATURES[best] * np.exp(step * 0.5 * (before - after) / bend if bend > 0 else 0.0))


def cross_entropies(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the sum of the cross-entropy over images at each of TEMPERATURES, in nats, float64.

    Args:
        probabilities: float32 [n, classes], at temperature 1.
        labels: int64 [n].
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
    logits -= logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(labels)), labels]
    return np.array([(np.log(np.exp(logits / t).sum(axis=1)) - own / t).sum() for t in TEMPERATURES])


def with_temperature(network: Any, temperature: float) -> Any:
    """Return a Keras network whose logits are divided by a temperature; its other layers are shared.

    Args:
        network: its last layer is Dense with softmax.
        temperature: above 0.
    """
    import keras

    layers, last = keras.layers, network.layers[-1]
    if not isinstance(last, layers.Dense) or last.activation is not keras.activations.softmax:
        raise ValueError(f"the last layer {last.name!r} is not Dense with softmax")
    logits = layers.Dense(last.units, use_bias=last.use_bias, dtype="float32", name="logits")
    end = [
        logits,
        layers.Rescaling(1 / temperature, dtype="float32", name="temperature"),
        layers.Softmax(dtype="float32", name=last.name),
    ]
    if isinstance(network, keras.Sequential):
        images = keras.Input(network.input_shape[1:], dtype=network.inputs[0].dtype, name=network.inputs[0].name)
        made = keras.Sequential([images, *network.layers[:-1], *end], name=network.name)
    else:
        values = last.input
        for layer in end:
            values = layer(values)
        made = keras.Model(network.inputs, values, name=network.name)
    logits.set_weights(last.get_weights())
    return made
