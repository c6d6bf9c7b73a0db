"""Figures are PNG files of a reasonable size, whatever the classes are called and however many there are."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
from image_sets import held
from PIL import Image

from model_training.learning.evaluation import Evaluation
from model_training.learning.history import History
from model_training.report.plots import draw_confusion, draw_curves, draw_samples, errors, samples

STRANGE = ("$\\frac{1}$ a$b", "日本語", "<b>&amp;", "x" * 200, "", "white space\tand\nlines")


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.format == "PNG"
    return image


def history(epochs: int) -> History:
    column = np.linspace(0.1, 0.9, epochs)
    falls = {"loss": 1 - column, "val_loss": 1 - column}
    return History({**falls, "accuracy": column, "val_accuracy": column}, column, 0)


def evaluation(n: int, classes: int, right: float) -> Evaluation:
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, n)
    says = np.where(random.random(n) < right, labels, (labels + 1) % classes)
    return Evaluation.of(labels, np.eye(classes, dtype=np.float32)[says] * 0.5 + np.float32(0.5 / classes))


@pytest.mark.parametrize("epochs", [1, 5, 200])
def test_curves_are_drawn_for_any_number_of_epochs(epochs: int) -> None:
    assert opened(draw_curves(history(epochs))).size == (900, 360)


@pytest.mark.parametrize("classes", [2, 10, pytest.param(101, marks=pytest.mark.heavy)])
def test_confusion_matrix_grows_with_the_classes_up_to_a_limit(classes: int) -> None:
    names = [f"class {i}" for i in range(classes)]
    image = opened(draw_confusion(evaluation(1000, classes, 0.9).confusion, names))
    assert 400 <= image.height <= 1600
    assert image.width <= 1800


def test_confusion_matrix_is_dark_where_the_images_are() -> None:
    identity = opened(draw_confusion(np.eye(4, dtype=np.int64) * 50, "abcd")).convert("L")
    nothing = opened(draw_confusion(np.zeros((4, 4), np.int64), "abcd")).convert("L")
    assert np.asarray(identity).mean() < np.asarray(nothing).mean() - 5


@pytest.mark.parametrize(("right", "shape"), [(0.0, (12, 12, 1)), (0.5, (30, 20, 3)), (1.0, (12, 12, 1))])
def test_samples_are_drawn_with_any_share_of_errors(right: float, shape: tuple[int, int, int]) -> None:
    images: npt.NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (60, *shape), np.uint8)
    image = opened(draw_samples(held(images, np.zeros(60)), evaluation(60, 3, right), ["cat", "dog", "emu"]))
    assert image.size == (900, 960 if right == 0.5 else 480)


def test_errors_begin_with_the_one_the_network_is_most_certain_of() -> None:
    scores = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], np.float32)
    result = Evaluation.of(np.array([1, 1, 1, 0]), scores)
    assert errors(result).tolist() == [1, 3, 0]
    wrong, right = samples(result)
    assert wrong.tolist() == [1, 3, 0]
    assert right.tolist() == [2]


def test_one_test_image_is_enough() -> None:
    image = held(np.zeros((1, 12, 12, 1), np.uint8), np.zeros(1))
    assert opened(draw_samples(image, evaluation(1, 2, 1.0), "ab")).size == (900, 240)


def test_class_names_may_be_anything() -> None:
    result = evaluation(60, len(STRANGE), 0.5)
    opened(draw_confusion(result.confusion, STRANGE))
    opened(draw_samples(held(np.zeros((60, 12, 12, 1), np.uint8), np.zeros(60)), result, STRANGE))


def test_same_numbers_same_bytes() -> None:
    result = evaluation(60, 3, 0.5)
    assert draw_curves(history(5)) == draw_curves(history(5))
    assert draw_confusion(result.confusion, "abc") == draw_confusion(result.confusion, "abc")


@pytest.mark.heavy
def test_neither_pyplot_nor_tensorflow_is_needed() -> None:
    program = (
        "import sys, model_training.report.plots, model_training.report.page; "
        "sys.exit(str({'matplotlib.pyplot', 'tensorflow', 'keras'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
