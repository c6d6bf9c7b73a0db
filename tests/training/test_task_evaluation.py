"""What is measured of a network of labels, of a value or of an embedding, against what NumPy says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from task_datasets import RULE, dataset_of
from task_networks import LABELS

from model_training.data.datasets import RawImages
from model_training.learning.evaluation import Run
from model_training.learning.head import head_of
from model_training.learning.neighbors import nearest
from model_training.learning.task_evaluation import evaluate_task
from model_training.learning.thresholds import FEWEST, best_threshold, choose_thresholds
from pipeline.errors import UsageError
from pipeline.model.engines.network import Outputs
from pipeline.model.spec import ModelSpec
from pipeline.task import Embedding

IMAGES = 200


def network(outputs: int, activation: str) -> Run:
    """Return a function of images that nobody trained: linear, by weights from a seed."""
    weights = np.random.default_rng(3).normal(0, 2e-3, (144, outputs)).astype(np.float32)

    def run(pixels: npt.NDArray[np.uint8]) -> Outputs:
        given = pixels.reshape(len(pixels), -1).astype(np.float32) @ weights
        none = np.zeros((len(pixels), 0), np.float32)
        if activation == "embedding":
            return Outputs(none, given)
        return Outputs(1 / (1 + np.exp(-given)) if activation == "sigmoid" else given)

    return run


def test_figures_of_labels_are_those_of_numpy(digits: RawImages) -> None:
    dataset, run = dataset_of("labels", digits, IMAGES), network(len(LABELS), "sigmoid")
    limits = (0.5, 0.25, 0.7)
    spec = ModelSpec(RULE, LABELS, "", task="labels", thresholds=limits)
    measured = evaluate_task(run, dataset.test, spec)
    everything = range(len(dataset.test))
    guessed = run(dataset.test.pixels(everything)).scores >= np.float32(limits)
    own = dataset.test.labels > 0
    hits, both = (guessed & own).sum(axis=0), guessed.sum(axis=0) + own.sum(axis=0)
    assert measured.figures["exact_match"] == (guessed == own).all(axis=1).mean()
    assert measured.figures["micro_f1"] == pytest.approx(2 * hits.sum() / both.sum())
    assert measured.figures["macro_f1"] == pytest.approx((2 * hits / both).mean())
    assert [row["threshold"] for row in measured.summary["per_class"]] == list(limits)
    worst = measured.summary["most_mistaken"][0]
    assert worst["mistakes"] == (guessed != own).sum(axis=1).max()
    assert (guessed[worst["row"]] != own[worst["row"]]).sum() == worst["mistakes"]
    assert worst["key"] == dataset.test.key(worst["row"])
    assert measured.lines[0].startswith(f"test exact match {measured.figures['exact_match']:.4g} (95 % interval ")


def test_figures_of_values_are_those_of_numpy(digits: RawImages) -> None:
    dataset, run = dataset_of("value", digits, IMAGES), network(1, "linear")
    measured = evaluate_task(run, dataset.test, ModelSpec(RULE, (), "", task="value", value_unit=2.0**-10))
    errors = run(dataset.test.pixels(range(len(dataset.test)))).scores[:, 0] - dataset.test.labels
    assert measured.figures["mean_absolute_error"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert measured.figures["root_mean_squared_error"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-5)
    assert measured.figures["r2"] == pytest.approx(1 - (errors**2).mean() / dataset.test.labels.var(), rel=1e-3)


def test_neighbors_are_looked_for_among_different_pictures(digits: RawImages) -> None:
    dataset = dataset_of("embedding", digits, IMAGES)
    spec = ModelSpec(RULE, (), "", task="embedding", embedding=Embedding(6))
    measured = evaluate_task(network(6, "embedding"), dataset.test, spec)
    assert measured.figures["neighbor_images"] == len(np.unique(dataset.test.hashes))
    assert 0.3 < measured.figures["neighbor_accuracy"] < 1  # one of ten by chance
    assert measured.intervals["neighbor_accuracy"][0] < measured.figures["neighbor_accuracy"]


def test_an_embedding_that_is_zero_is_nobodys_neighbor() -> None:
    assert nearest(np.zeros((3, 2), np.float32), [0, 0, 0]).right == 0
    assert nearest(np.ones((1, 2), np.float32), [0]).accuracy == 0


@given(
    hnp.arrays(np.float32, st.integers(30, 60), elements=st.floats(0, 1, width=32)),
    st.integers(0, 2**32 - 1),
)
def test_no_threshold_has_a_better_f1_than_the_chosen_one(scores: npt.NDArray[np.float32], seed: int) -> None:
    has_label = np.random.default_rng(seed).random(len(scores)) < 0.2 + 0.6 * scores
    chosen = best_threshold(scores, has_label)
    assert 0 < chosen <= 1
    if min(has_label.sum(), (~has_label).sum()) < FEWEST:
        assert chosen == 0.5
        return

    def f1(limit: float) -> float:
        guessed = scores >= np.float32(limit)
        return float(2 * (guessed & has_label).sum() / (guessed.sum() + has_label.sum()))

    assert f1(chosen) == max(f1(limit) for limit in (*scores[scores > 0].tolist(), 0.5))


def test_thresholds_are_chosen_on_the_images_that_validate(digits: RawImages) -> None:
    dataset, run = dataset_of("labels", digits, IMAGES), network(len(LABELS), "sigmoid")
    scores = run(dataset.validation.pixels(range(len(dataset.validation)))).scores
    expected = [best_threshold(scores[:, c], dataset.validation.labels[:, c] > 0) for c in range(len(LABELS))]
    assert choose_thresholds(run, dataset.validation) == tuple(expected)
    assert set(expected) != {0.5}


@pytest.mark.parametrize(
    ("values", "text"),
    [([3.0, 3.0], "all 2 training values are about 3: there is nothing to learn"), ([1.0, np.nan], "1 of 2 training")],
)
def test_values_that_tell_nothing_are_refused(values: list[float], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        head_of("value", 0, np.array(values, np.float32))
