"""What a network's scores say is told by its rows, its layers and the user, never by chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model_import.fact import Fact
from model_import.foreign import Output
from model_import.layout import read_layout
from model_import.pick import Rows, pick_output, read_scores, rows_of
from pipeline.errors import UsageError
from pipeline.task import Task

RANDOM = np.random.default_rng(0)
LOGITS: Rows = RANDOM.normal(0, 3, (16, 4)).astype(np.float32)
SHARES: Rows = (1 / (1 + np.exp(-LOGITS))).astype(np.float32)
PROBABILITIES: Rows = (np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)).astype(np.float32)


def read(rows: Rows, activation: str = "", task: Task | None = None, step: float = 0.0) -> tuple[str, str, int]:
    asked = None if task is None else Fact[Task](task, "given", "by --task")
    found = read_scores(Output("y", (rows.shape[1],), activation), rows, asked, step, "model")
    return found.task, found.head, found.classes


def test_rows_that_add_up_to_one_are_classes_and_others_are_logits() -> None:
    assert read(PROBABILITIES) == ("classes", "none", 4)
    assert read(LOGITS) == ("classes", "softmax", 4)
    assert read(LOGITS, "linear") == ("classes", "softmax", 4)


def test_one_row_that_does_not_add_up_makes_all_of_them_logits() -> None:
    rows = PROBABILITIES.copy()
    rows[7] *= np.float32(1.01)
    with pytest.raises(UsageError, match="pass --task labels"):
        read(rows)
    rows[7, 0] = -0.2
    assert read(rows) == ("classes", "softmax", 4)


def test_labels_are_declared_by_a_sigmoid_or_asked_for_never_by_chance() -> None:
    assert read(SHARES, "sigmoid") == ("labels", "none", 4)
    assert read(PROBABILITIES, "sigmoid") == ("labels", "none", 4)
    assert read(SHARES, task="labels") == ("labels", "none", 4)
    assert read(LOGITS, task="labels") == ("labels", "sigmoid", 4)
    with pytest.raises(UsageError, match="do not add up to 1"):
        read(SHARES)


@pytest.mark.parametrize(("activation", "why"), [("softmax", "is a softmax"), ("", "add up to 1")])
def test_labels_are_refused_where_the_rows_are_of_a_softmax(activation: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"--task labels contradicts 'model': .*{why}.*leave --task out"):
        read(PROBABILITIES, activation, task="labels")
    assert read(PROBABILITIES, "sigmoid", task="labels") == ("labels", "none", 4)


def test_one_number_is_two_classes_only_if_it_is_a_probability() -> None:
    assert read(SHARES[:, :1], "sigmoid") == ("classes", "pair", 2)
    assert read(SHARES[:, :1]) == ("classes", "pair", 2)
    assert read(LOGITS[:, :1], task="classes") == ("classes", "sigmoid_pair", 2)
    assert read(SHARES[:, :1], "linear", task="value") == ("value", "none", 0)
    for rows, activation in ((LOGITS[:, :1], ""), (SHARES[:, :1], "linear")):
        with pytest.raises(UsageError, match="--task value if it is a measure"):
            read(rows, activation)


def test_quantized_probabilities_need_not_add_up_to_the_last_step() -> None:
    step = 1 / 256
    rows = (np.rint(PROBABILITIES / step) * step).astype(np.float32)
    assert np.abs(rows.sum(axis=1) - 1).max() > 1e-3
    assert read(rows, step=step) == ("classes", "none", 4)


def test_value_of_several_numbers_is_refused() -> None:
    with pytest.raises(UsageError, match="4 numbers"):
        read(LOGITS, task="value")


def test_output_is_asked_for_where_there_are_several() -> None:
    outputs = [Output("a", (3,)), Output("b", (1, 1, 4))]
    with pytest.raises(UsageError, match=r"--output_name, one of a \(3\), b \(1x1x4\)"):
        pick_output(outputs, "", "model")
    with pytest.raises(UsageError, match="no output 'c'"):
        pick_output(outputs, "c", "model")
    assert pick_output(outputs, "b", "model").name == "b"


def test_map_of_numbers_and_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(UsageError, match="map of 7x7x4 numbers"):
        pick_output([Output("y", (7, 7, 4))], "", "model")
    assert rows_of(np.zeros((2, 1, 1, 4), np.float32), "model").shape == (2, 4)
    with pytest.raises(UsageError, match="1 of 2 images numbers that are not finite"):
        rows_of(np.array([[np.nan, 1], [1, 2]], np.float32), "model")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((None, 224, 160, 3), (224, 160, 3, "nhwc", None)),
        ((None, 28, 28, 1), (28, 28, 1, "nhwc", None)),
        ((None, 28, 28), (28, 28, 1, "nhw", None)),
        ((1, 3, 96, 80), (96, 80, 3, "nchw", 1)),
        ((None, None, None, 3), (None, None, 3, "nhwc", None)),
        ((None, 3, None, None), (None, None, 3, "nchw", None)),
        ((None, 1, 1, 3), (1, 1, 3, "nhwc", None)),
    ],
)
def test_shape_of_an_input_is_read_as_an_image(shape: tuple[int | None, ...], expected: Any) -> None:
    layout = read_layout(shape, None, "model", "x")
    assert (layout.height, layout.width, layout.channels, layout.order, layout.batch) == expected


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((None, 784), r"no images: its input 'x' has the shape \[any, 784\]"),
        ((None, 32, 32, 4), "images of 4 channels"),
        ((8, 32, 32, 3), "exactly 8 images at a time"),
        ((None, 16, 32, 32, 3), "no images"),
        ((None, None, None, None), "say which with --color_mode"),
        (None, "say which with --color_mode"),
    ],
)
def test_input_that_is_no_image_is_refused_by_what_it_is(shape: tuple[int | None, ...] | None, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        read_layout(shape, None, "model", "x")


def test_color_mode_decides_where_any_number_of_channels_is_taken() -> None:
    assert read_layout((None, None, None, None), "grayscale", "model", "x").channels == 1
    assert read_layout(None, "bgr", "model", "x").channels == 3
