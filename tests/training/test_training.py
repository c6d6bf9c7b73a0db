"""The training loop, what it shows, and what its result is worth."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mnist_files import mnist_folder
from rich.console import Console

from model_training.build import build
from model_training.data.datasets import Dataset, RawImages, from_raw, load
from model_training.learning.evaluation import Evaluation, evaluate, load_score
from model_training.learning.progress import TrainingProgress, steps_per_epoch
from model_training.learning.training import History, Recipe, learned_hashes, learning_images, train
from pipeline.errors import UsageError


@pytest.fixture(scope="module")
def dataset(digits: RawImages) -> Dataset:
    """The digits 0, 1 and 4, ordered by class: the last tenth of them is all 4."""
    whole = from_raw(digits)
    few = np.flatnonzero(np.isin(whole.train_labels, (0, 1, 4)))
    few = few[np.argsort(whole.train_labels[few], kind="stable")]
    return replace(whole, train_images=whole.train_images[few], train_labels=whole.train_labels[few])


def test_validation_sees_all_classes_of_an_ordered_data_set(dataset: Dataset) -> None:
    trained = train(dataset, Recipe(epochs=3))
    assert (trained.train_images, trained.validation_images) == (413, 46)
    assert trained.history.val_accuracy[-1] > 0.9


@pytest.mark.heavy
def test_same_seed_same_history_another_seed_another(dataset: Dataset) -> None:
    first, second, other = (train(dataset, Recipe(epochs=1, seed=seed)).history for seed in (7, 7, 8))
    assert first.loss == pytest.approx(second.loss, rel=1e-5)
    assert first.val_loss == pytest.approx(second.val_loss, rel=1e-5)
    assert first.loss != pytest.approx(other.loss, rel=1e-3)


def test_history_has_an_entry_an_epoch(dataset: Dataset) -> None:
    history = train(dataset, Recipe(epochs=2, batch_size=64)).history
    assert len(history) == 2
    assert set(history.to_json()) == {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    assert all(len(column) == 2 for column in history.to_json().values())
    assert (history.seconds > 0).all()
    one, two = np.ones(1), np.ones(2)
    with pytest.raises(ValueError, match="different lengths"):
        History(one, one, one, one, two)


@given(st.integers(2, 10**7))
def test_both_parts_of_the_training_images_have_some(images: int) -> None:
    assert 0 < learning_images(images, Recipe()) < images


@pytest.mark.parametrize("by_content", [False, True])
def test_what_is_learned_from_and_what_validates_is_told_apart_and_nothing_is_of_the_test(
    dataset: Dataset, by_content: bool
) -> None:
    found = learned_hashes(replace(dataset, by_content=by_content), Recipe())
    counts = {name: len(hashes) for name, hashes in found.items()}
    assert counts == {"train": 413, "validation": 46}
    together = np.concatenate(list(found.values()))
    assert sorted(together.tolist()) == sorted(dataset.train_hashes.tolist())
    assert not np.isin(dataset.test_hashes, together).any()


# --- progress


def shown(dataset: Dataset, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=80, legacy_windows=False)
    progress = TrainingProgress(console, steps_per_epoch(413, 32), epochs=2)
    train(dataset, Recipe(epochs=2), progress.callback)
    return stream.getvalue()


def test_without_a_terminal_progress_is_a_line_an_epoch(dataset: Dataset) -> None:
    lines = shown(dataset, terminal=False).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all("loss 0." in line and "validation loss " in line and len(line) <= 80 for line in lines)


@pytest.mark.heavy
def test_on_a_terminal_progress_is_a_bar_as_well(dataset: Dataset) -> None:
    text = shown(dataset, terminal=True)
    assert "━" in text
    assert "13/13" in text
    assert "epoch 2/2  loss " in text
    assert text.endswith("\x1b[?25h") or text.count("\x1b[?25l") == text.count("\x1b[?25h")


# --- evaluation


def test_evaluation_counts_what_the_exported_function_says(tiny_model: str, digits: RawImages) -> None:
    whole = from_raw(digits)
    score = load_score(str(Path(tiny_model, "saved_model")))
    evaluation = evaluate(score, whole.test_images, whole.test_labels)
    one_by_one = [int(score(whole.test_images[i : i + 1]).argmax()) for i in range(len(whole.test_labels))]
    hits = sum(a == b for a, b in zip(one_by_one, whole.test_labels.tolist(), strict=True))
    assert (len(evaluation.labels), evaluation.accuracy) == (359, hits / 359)
    assert evaluation.interval[0] < evaluation.accuracy < evaluation.interval[1]


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    n, classes = draw(st.integers(1, 30)), draw(st.integers(2, 6))
    labels: npt.NDArray[np.int64] = draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    return Evaluation(labels, draw(hnp.arrays(np.float32, (n, classes), elements=st.floats(0, 1, width=32))))


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
    evaluation = Evaluation(np.array([0, 1]), np.array([[0.5, 0.5], [0.75, 0.25]], np.float32))
    assert evaluation.loss == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2)


def test_evaluation_of_other_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="2 labels but 3 rows"):
        Evaluation(np.zeros(2, np.int64), np.zeros((3, 2), np.float32))


@pytest.mark.heavy
def test_mean_accuracy_on_mnist_is_at_least_98_8_percent(tmp_path: Path) -> None:
    try:
        mnist = load("mnist", mnist_folder())
    except UsageError as error:
        pytest.skip(f"MNIST is not here: {error}")
    runs = [build(mnist, Recipe(seed=seed), str(tmp_path / f"model-{seed}")) for seed in (0, 1, 2)]
    accuracies = [run.evaluation.accuracy for run in runs]
    assert np.mean(accuracies) >= 0.988, accuracies
