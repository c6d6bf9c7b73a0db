"""The training loop, what it shows, and what its result is worth."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from image_sets import load
from mnist_files import mnist_folder
from rich.console import Console

from model_training.build import build
from model_training.data.datasets import Dataset, RawImages, from_raw
from model_training.learning.evaluation import Evaluation, evaluate, load_score
from model_training.learning.history import History
from model_training.learning.progress import TrainingProgress
from model_training.learning.recipe import Recipe, recipe_of
from model_training.learning.training import train
from pipeline.errors import UsageError

LEARNED, VALIDATE = 413, 46


@pytest.fixture(scope="module")
def dataset(digits: RawImages) -> Dataset:
    """The digits 0, 1 and 4, ordered by class: the last tenth of them is all 4."""
    few = np.flatnonzero(np.isin(digits.labels, (0, 1, 4)))
    few = few[np.argsort(digits.labels[few], kind="stable")]
    return from_raw(RawImages("digits", digits.images[few], digits.labels[few], digits.is_test[few]))


@pytest.mark.heavy
def test_validation_sees_all_classes_of_an_ordered_data_set(dataset: Dataset) -> None:
    assert (len(dataset.train), len(dataset.validation)) == (LEARNED, VALIDATE)
    assert set(dataset.validation.labels.tolist()) == {0, 1, 4}
    assert train(dataset, Recipe(epochs=3)).history.columns["val_accuracy"][-1] > 0.9


@pytest.mark.heavy
def test_same_seed_same_history_another_seed_another(dataset: Dataset) -> None:
    first, second, other = (train(dataset, Recipe(epochs=1, seed=seed)).history for seed in (7, 7, 8))
    for name in ("loss", "val_loss"):
        assert first.columns[name] == pytest.approx(second.columns[name], rel=1e-5)
    assert first.columns["loss"] != pytest.approx(other.columns["loss"], rel=1e-3)


@pytest.mark.heavy
@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_compact_network_scores_as_well_as_it_learns_after_a_few_steps(digits: RawImages, averaging: float) -> None:
    few = np.flatnonzero(np.isin(digits.labels, (0, 1)))[:150]
    raw = RawImages("digits", digits.images[few], digits.labels[few], np.arange(150) % 10 == 0)
    columns = train(from_raw(raw), Recipe(2, 61, network="compact", averaging=averaging)).history.columns
    assert columns["accuracy"][-1] > 0.9
    assert columns["val_accuracy"][-1] > 0.9


def test_history_has_an_entry_an_epoch(dataset: Dataset) -> None:
    history = train(dataset, Recipe(epochs=2, batch_size=64)).history
    assert len(history) == 2
    measured = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"}
    assert set(history.to_json()) == measured
    assert all(len(column) == 2 for column in history.to_json().values())
    assert (history.seconds > 0).all()
    assert history.chosen == int(np.argmin(history.columns["val_loss"]))
    with pytest.raises(ValueError, match="different lengths"):
        History({"loss": np.ones(1)}, np.ones(2), 0)
    with pytest.raises(ValueError, match="epoch 2 of 2 is chosen"):
        History({"loss": np.ones(2)}, np.ones(2), 2)


# --- progress


def shown(dataset: Dataset, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=80, legacy_windows=False)
    progress = TrainingProgress(console, Recipe().steps(LEARNED), epochs=2)
    train(dataset, Recipe(epochs=2), progress=progress.callback)
    return stream.getvalue()


@pytest.mark.heavy
def test_without_a_terminal_progress_is_a_line_an_epoch(dataset: Dataset) -> None:
    lines = shown(dataset, terminal=False).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all("loss 0." in line and "validation loss " in line and len(line) <= 80 for line in lines)


@pytest.mark.heavy
def test_on_a_terminal_progress_is_a_bar_as_well(dataset: Dataset) -> None:
    text = shown(dataset, terminal=True)
    assert "━" in text
    assert f"{math.ceil(LEARNED / 32)}/{math.ceil(LEARNED / 32)}" in text
    assert "epoch 2/2  loss " in text
    assert text.endswith("\x1b[?25h") or text.count("\x1b[?25l") == text.count("\x1b[?25h")


# --- evaluation


def test_evaluation_counts_what_the_exported_function_says(tiny_model: str, digits: RawImages) -> None:
    whole = from_raw(digits)
    score = load_score(str(Path(tiny_model, "saved_model")))
    evaluation = evaluate(score, whole.test)
    one_by_one = [int(score(whole.test.pixels([i])).argmax()) for i in range(len(whole.test))]
    hits = sum(a == b for a, b in zip(one_by_one, whole.test.labels.tolist(), strict=True))
    assert (len(evaluation.labels), evaluation.accuracy) == (359, hits / 359)
    assert evaluation.interval[0] < evaluation.accuracy < evaluation.interval[1]


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    n, classes = draw(st.integers(1, 30)), draw(st.integers(2, 6))
    labels: npt.NDArray[np.int64] = draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    return Evaluation.of(labels, draw(hnp.arrays(np.float32, (n, classes), elements=st.floats(0, 1, width=32))))


@given(evaluations())
def test_confusion_matrix_counts_every_image_once(evaluation: Evaluation) -> None:
    confusion = evaluation.confusion
    assert confusion.sum() == len(evaluation.labels)
    assert confusion.sum(axis=1).tolist() == np.bincount(evaluation.labels, minlength=len(confusion)).tolist()
    assert np.trace(confusion) == evaluation.correct.sum() == round(evaluation.accuracy * len(evaluation.labels))


@given(evaluations())
def test_loss_is_finite_and_not_negative(evaluation: Evaluation) -> None:
    assert 0 <= evaluation.loss <= -np.log(1e-7) + 1e-6


def test_loss_is_the_mean_of_minus_log() -> None:
    evaluation = Evaluation.of(np.array([0, 1]), np.array([[0.5, 0.5], [0.75, 0.25]], np.float32))
    assert evaluation.loss == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2)


def test_evaluation_of_other_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="2 labels but 3 rows"):
        Evaluation.of(np.zeros(2, np.int64), np.zeros((3, 2), np.float32))


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize(
    ("recipe", "network", "least"),
    [
        ("classic", "classic", 0.988),
        ("strong", "classic", 0.9945),
        ("strong", "compact", 0.9960),
    ],
)
def test_mean_accuracy_on_mnist(recipe: str, network: str, least: float, tmp_path: Path) -> None:
    try:
        mnist = load("mnist", data_dir=mnist_folder())
    except UsageError as error:
        pytest.skip(f"MNIST is not here: {error}")
    recipes = [recipe_of(recipe, network=network, seed=seed) for seed in (0, 1, 2)]
    runs = [build(mnist, one, str(tmp_path / f"model-{one.seed}")) for one in recipes]
    accuracies = [run.evaluation.accuracy for run in runs]
    assert np.mean(accuracies) >= least, accuracies
