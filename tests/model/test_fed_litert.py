"""A .tflite file from elsewhere: quantized scores that other CPUs round otherwise, and outputs that are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import GoldenMismatchError
from pipeline.model import agreement
from pipeline.model.engines.fed_litert import FedLiteRTNetwork, RawLiteRT
from pipeline.model.engines.network import Outputs
from pipeline.model.feed import Feed
from pipeline.model.input_rule import InputSpec
from pipeline.model.loaded import _check_golden
from pipeline.model.spec import ModelSpec

FEED = Feed((1.0,) * 3, (0.0,) * 3)
SHAPE = (32, 32, 3)


@pytest.mark.heavy
def test_score_that_is_one_step_off_counts_as_the_expected_one_and_two_steps_do_not(foreign: Path) -> None:
    network = FedLiteRTNetwork(str(foreign / "quantized.tflite"), SHAPE, FEED)
    step = network.steps[0]
    assert step == pytest.approx(1 / 256)
    pixels = np.random.default_rng(0).integers(0, 256, (8, *SHAPE), np.uint8)
    expected = network(pixels)
    assert expected.scores.min() < 5 * step  # where a step is a large difference of logarithms
    spec = ModelSpec(InputSpec(32, 32, "rgb"), [str(i) for i in range(5)], "", feed=FEED)
    for steps, is_same in ((1, True), (-1, True), (3, False)):
        off = Outputs((expected.scores + np.float32(steps * step)).clip(0, None))
        settled = network.settled(off, expected)
        if is_same:
            np.testing.assert_array_equal(settled.scores, expected.scores)
        else:
            with pytest.raises(GoldenMismatchError):
                _check_golden(settled, expected, spec, 1e-2, "here")


def test_floats_are_compared_as_they_are(foreign: Path) -> None:
    network = FedLiteRTNetwork(str(foreign / "float.tflite"), SHAPE, FEED)
    expected = network(np.zeros((2, *SHAPE), np.uint8))
    off = Outputs(expected.scores + np.float32(1e-3))
    np.testing.assert_array_equal(network.settled(off, expected).scores, off.scores)


def test_same_bits_for_any_number_of_images(foreign: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, *SHAPE), np.uint8)
    for name in ("float.tflite", "quantized.tflite"):
        network = FedLiteRTNetwork(str(foreign / name), SHAPE, FEED)
        whole = network(pixels).scores
        parts = [network(pixels[i : i + size]).scores for i, size in ((0, 1), (1, 3), (4, 16))]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_output_that_is_not_there_is_refused(foreign: Path) -> None:
    with pytest.raises(ValueError, match="it has 1 outputs, and number 1 is asked for"):
        FedLiteRTNetwork(str(foreign / "float.tflite"), SHAPE, Feed((1.0,) * 3, (0.0,) * 3, output=1))
    assert RawLiteRT(str(foreign / "quantized.tflite")).is_quantized()
    assert not RawLiteRT(str(foreign / "float.tflite")).is_quantized()


def test_two_classes_near_certainty_agree_though_one_has_no_digits() -> None:
    """Of 1 - p and p, the small one is made of the last bits of p."""
    p = np.float32([[0.99999988], [0.3]])
    pairs = np.concatenate([1 - p, p], axis=1)
    other = p.copy()
    other[0] = np.float32(1.0)
    assert agreement.difference(np.concatenate([1 - other, other], axis=1), pairs) < 1e-6
    other[0] = np.float32(0.9999)
    assert agreement.difference(np.concatenate([1 - other, other], axis=1), pairs) > 0.1
