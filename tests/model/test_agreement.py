"""How far apart outputs are does not depend on their scale, and small differences change no clear class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.agreement import LEAST_SPREAD, changed_classes, difference, log_scores, spread
from pipeline.model.directory import TFLITE, read_golden, read_spec
from pipeline.model.engines.litert import LiteRTNetwork

Scores = npt.NDArray[np.float32]


def softmax(outputs: npt.NDArray[np.float64]) -> Scores:
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def outputs_of(seed: int, images: int, classes: int, scale: float) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, scale, (images, classes))


shapes = st.tuples(st.integers(0, 1 << 32), st.integers(1, 12), st.integers(1, 9), st.floats(1e-3, 30))


@given(shapes)
def test_outputs_are_as_far_from_themselves_as_nothing(shape: tuple[int, int, int, float]) -> None:
    scores = softmax(outputs_of(*shape))
    assert difference(scores, scores) == 0
    assert changed_classes(scores, scores, 1e-9) == 0
    assert spread(scores) >= LEAST_SPREAD


@given(shapes, st.integers(0, 1 << 32), st.floats(1e-6, 0.1), st.floats(0, 0.2))
def test_difference_within_the_tolerance_changes_no_clear_class(
    shape: tuple[int, int, int, float], seed: int, tolerance: float, noise: float
) -> None:
    outputs = outputs_of(*shape)
    expected = softmax(outputs)
    scores = softmax(outputs + np.random.default_rng(seed).uniform(-1, 1, outputs.shape) * noise * shape[3])
    if difference(scores, expected) <= tolerance:
        assert changed_classes(scores, expected, tolerance) == 0


@given(st.integers(0, 1 << 32), st.floats(0.5, 5), st.floats(1e-3, 0.3), st.integers(0, 7), st.integers(0, 3))
def test_difference_is_that_of_one_output_as_a_share_of_their_deviation(
    seed: int, scale: float, off: float, image: int, category: int
) -> None:
    expected = softmax(outputs_of(seed, 8, 4, scale))
    logs = log_scores(expected)
    deviation = np.sqrt(np.mean((logs - logs.mean(axis=0)) ** 2))
    wrong = logs.copy()
    wrong[image, category] += off * deviation
    assert difference(np.exp(wrong).astype(np.float32), expected) == pytest.approx(off, rel=1e-3)


def test_number_that_is_none_is_no_small_difference() -> None:
    expected = softmax(outputs_of(1, 4, 3, 1.0))
    scores = expected.copy()
    scores[2, 1] = np.nan
    assert not difference(scores, expected) <= 1e9


def test_sure_network_is_compared_where_its_probabilities_do_not_show_it() -> None:
    expected = np.array([[1 - 1e-7, 1e-7], [1e-7, 1 - 1e-7]], np.float32)
    other = np.array([[1 - 1e-9, 1e-9], [1e-7, 1 - 1e-7]], np.float32)
    assert np.abs(other - expected).max() < 2e-7
    assert difference(other, expected) > 0.5


def test_changed_class_counts_where_the_margin_is_clear() -> None:
    expected = np.array([[0.9, 0.1], [0.51, 0.49], [0.2, 0.8]], np.float32)
    other = expected[:, ::-1]
    assert changed_classes(other, expected, 1e-3) == 3
    assert changed_classes(other, expected, 0.1) == 2, "51 to 49 is not clear"
    assert changed_classes(np.ones((3, 1), np.float32), np.ones((3, 1), np.float32), 1e-3) == 0


FAULTS: dict[str, Callable[[Any], Any]] = {
    "another normalization": lambda pixels: np.rint(pixels * (255 / 256)).astype(np.uint8),
    "black and white swapped": lambda pixels: 255 - pixels,
    "moved by a pixel": lambda pixels: np.roll(pixels, 1, axis=2),
    "mirrored": lambda pixels: pixels[:, :, ::-1].copy(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_pixels_is_more_than_the_tolerance(tiny_model: str, fault: str) -> None:
    spec, golden = read_spec(tiny_model), read_golden(tiny_model)
    network = LiteRTNetwork(f"{tiny_model}/{TFLITE}", spec.input.shape)
    assert difference(network(golden.pixels).scores, golden.scores["litert"]) <= spec.golden_tolerance
    wrong = network(FAULTS[fault](golden.pixels)).scores
    assert difference(wrong, golden.scores["litert"]) > spec.golden_tolerance


def test_engines_agree_far_within_the_tolerance(tiny_model: str) -> None:
    golden = read_golden(tiny_model)
    assert difference(golden.scores["litert"], golden.scores["tensorflow"]) < read_spec(tiny_model).golden_tolerance / 5
