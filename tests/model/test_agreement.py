"""How far apart outputs are does not depend on their scale, and small differences change no clear class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.agreement import (
    LEAST_SPREAD,
    changed_classes,
    changed_labels,
    difference,
    difference_of_outputs,
    log_scores,
    logits,
    spread,
)
from pipeline.model.directory import TFLITE, read_golden, read_spec
from pipeline.model.engines.litert import LiteRTNetwork
from pipeline.model.engines.network import Outputs
from pipeline.task import TASKS, Task

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


def sigmoid(outputs: npt.NDArray[np.float64]) -> Scores:
    return (1 / (1 + np.exp(-outputs))).astype(np.float32)


@given(shapes, st.sampled_from(TASKS))
def test_outputs_of_any_task_are_as_far_from_themselves_as_nothing(
    shape: tuple[int, int, int, float], task: Task
) -> None:
    made = outputs_of(*shape)
    scores = {"classes": softmax, "labels": sigmoid}.get(task, np.float32)(made)
    assert difference(scores, scores, task) == 0
    assert spread(scores, task) > 0


@given(st.integers(0, 1 << 32), st.floats(0.5, 5), st.floats(1e-2, 0.3), st.sampled_from(["labels", "value"]))
def test_difference_of_labels_and_values_is_that_of_one_output_as_a_share_of_their_deviation(
    seed: int, scale: float, off: float, task: Task
) -> None:
    give = sigmoid if task == "labels" else np.float32
    outputs = np.clip(outputs_of(seed, 8, 4, scale), -4, 4)
    wrong = outputs.copy()
    wrong[3, 1] += off * np.sqrt(np.mean((outputs - outputs.mean(axis=0)) ** 2))
    assert difference(give(wrong), give(outputs), task) == pytest.approx(off, rel=5e-2)


@given(shapes, st.integers(0, 1 << 32), st.floats(1e-6, 0.1), st.floats(0, 0.2), st.floats(0.05, 0.95))
def test_difference_within_the_tolerance_changes_no_clear_label(
    shape: tuple[int, int, int, float], seed: int, tolerance: float, noise: float, threshold: float
) -> None:
    outputs = outputs_of(*shape)
    expected = sigmoid(outputs)
    scores = sigmoid(outputs + np.random.default_rng(seed).uniform(-1, 1, outputs.shape) * noise * shape[3])
    if difference(scores, expected, "labels") <= tolerance:
        assert changed_labels(scores, expected, tolerance, [threshold] * expected.shape[1]) == 0


def test_changed_label_counts_where_it_is_far_from_its_own_threshold() -> None:
    expected = np.array([[0.9, 0.6], [0.2, 0.4]], np.float32)
    other = np.array([[0.9, 0.4], [0.2, 0.6]], np.float32)
    assert changed_labels(other, expected, 1e-3, [0.5, 0.5]) == 2
    assert changed_labels(other, expected, 1e-3, [0.5, 0.3]) == 0
    assert changed_labels(other, expected, 0.5, [0.5, 0.5]) == 0, "that is not clear"


def test_probabilities_that_float32_rounds_to_one_are_no_difference() -> None:
    outputs = np.array([[18.0, -3.0], [2.0, 17.0], [-9.0, 0.0]])
    scores, expected = sigmoid(outputs + 1e-4), sigmoid(outputs)
    assert np.abs(logits(scores) - logits(expected)).max() >= 0
    assert difference(scores, expected, "labels") < 1e-3
    assert difference(sigmoid(outputs + 1), expected, "labels") > 0.05


def test_values_far_from_zero_are_not_held_to_more_than_float32_has() -> None:
    expected = np.array([[2000.0], [2000.01]], np.float32)
    assert difference(np.nextafter(expected, np.float32(1e9)), expected, "value") < 1e-3
    assert difference(expected + 1, expected, "value") > 0.1


def test_scores_and_embeddings_both_count_and_what_is_no_number_is_no_small_difference() -> None:
    scores = softmax(outputs_of(1, 4, 3, 1.0))
    vectors = outputs_of(2, 4, 5, 1.0).astype(np.float32)
    whole, wrong = Outputs(scores, vectors), vectors.copy()
    wrong[2, 1] += 1
    assert difference_of_outputs(whole, whole, "classes") == 0
    assert difference_of_outputs(Outputs(scores, wrong), whole, "classes") > 0.5
    assert difference_of_outputs(Outputs(scores[:, :0], wrong), Outputs(scores[:, :0], vectors), "embedding") > 0.5
    for place in (scores.copy(), vectors.copy()):
        place[0, 0] = np.nan
        given = Outputs(place, vectors) if place.shape == scores.shape else Outputs(scores, place)
        assert not difference_of_outputs(given, whole, "classes") <= 1e9


def test_first_of_two_classes_may_be_what_is_missing_to_one() -> None:
    p = sigmoid(np.array([[16.0], [-3.0], [2.0], [0.0]]))
    other = np.nextafter(p, np.float32(0))
    expected, scores = (np.concatenate([1 - one, one], axis=1).astype(np.float32) for one in (p, other))
    assert difference(scores, expected) < 1e-4
    sure = np.array([[1 - 1e-7, 1e-7], [0.5, 0.5]], np.float32)
    assert difference(np.array([[1 - 1e-9, 1e-9], [0.5, 0.5]], np.float32), sure) > 0.5
