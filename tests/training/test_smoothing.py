"""Smoothed labels and decayed weights: what Keras gets of them, and what they do to a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_datasets import dataset_of, write_test_images

import nightscore
from model_training.data.datasets import Dataset, RawImages
from model_training.learning.feed import Feed
from model_training.learning.head import check_smoothing
from model_training.learning.recipe import Recipe, recipe_of
from model_training.learning.training import Trained, train
from pipeline.errors import UsageError

RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=3e-3)


def first_labels(feed: Feed) -> Any:
    return next(iter(feed.dataset))[1].numpy()


def test_training_labels_are_smoothed_and_validation_labels_are_not(digits: RawImages) -> None:
    dataset = dataset_of("classes", digits)
    smoothed = first_labels(Feed(dataset.train, 8, Recipe(label_smoothing=0.3), classes=10))
    plain = first_labels(Feed(dataset.train, 8, Recipe(label_smoothing=0.3)))
    np.testing.assert_allclose(smoothed.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(smoothed[np.arange(8), plain], 0.73, rtol=1e-6)
    np.testing.assert_allclose(np.sort(smoothed)[:, :9], 0.03, rtol=1e-5)
    exact = first_labels(Feed(dataset.validation, 8, classes=10))
    assert exact.tolist() == np.eye(10)[dataset.validation.labels[:8]].tolist()


def best_scores(trained: Trained, dataset: Dataset) -> Any:
    pixels = next(iter(dataset.test.batches(64, None)))[0]
    return trained.network.predict(pixels, verbose=0).max(axis=1)


@pytest.mark.heavy
def test_smoothing_makes_scores_less_extreme_and_decay_makes_weights_smaller(digits: RawImages) -> None:
    dataset = dataset_of("classes", digits)
    plain = train(dataset, RECIPE)
    smoothed = train(dataset, replace(RECIPE, label_smoothing=0.4))
    decayed = train(dataset, replace(RECIPE, weight_decay=0.9))
    assert best_scores(smoothed, dataset).mean() < best_scores(plain, dataset).mean() - 0.1
    assert smoothed.history.columns["val_accuracy"][-1] > 0.8, "the metric is the same as without"
    sizes = [sum(float(np.square(one).sum()) for one in each.network.get_weights()) for each in (plain, decayed)]
    assert sizes[1] < 0.95 * sizes[0]


@pytest.mark.heavy
def test_strong_recipe_trains_each_task_and_plain_keras_reads_its_network(digits: RawImages, tmp_path: Path) -> None:
    for task in ("labels", "value"):
        train(dataset_of(task, digits), recipe_of("strong", epochs=1))
    listed = write_test_images(dataset_of("classes", digits), tmp_path / "images")
    nightscore.train(listed, tmp_path / "model", recipe="strong", epochs=1, image_size=12, class_weight="balanced")
    import keras

    loaded: Any = keras.saving.load_model(tmp_path / "model" / "model.keras")
    assert loaded.loss == "categorical_crossentropy"


@pytest.mark.parametrize("task", ["labels", "value"])
def test_smoothing_that_is_asked_for_is_refused_where_an_image_has_not_one_class(task: Any) -> None:
    check_smoothing("embedding")
    with pytest.raises(UsageError, match=f"--label_smoothing is for images of one class each, and the task is {task}"):
        check_smoothing(task)
