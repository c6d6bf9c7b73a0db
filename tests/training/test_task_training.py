"""Networks of labels, of a value and of an embedding: trained, published, scored with the figures of the training."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parsed_page import ParsedPage
from task_datasets import STEP, dataset_of, write_test_images
from task_networks import LABELS

import nightscore
from model_training.build import build
from model_training.data.datasets import RawImages
from model_training.learning.recipe import Recipe
from model_training.learning.training import train
from model_training.report.page import TrainingRun
from model_training.report.task_page import TaskRun
from nightscore.night import Night
from pipeline.errors import UsageError
from pipeline.formatting import number
from pipeline.model.directory import read_golden, read_spec
from pipeline.task import Embedding, Task

RECIPE = Recipe(epochs=6, batch_size=16, learning_rate=3e-3)


@dataclass(frozen=True)
class Scored:
    """A model that was trained, and its test images scored."""

    run: TaskRun
    model: Path
    night: Night

    @property
    def page(self) -> ParsedPage:
        return ParsedPage((self.model / "training" / "report.html").read_text(encoding="utf-8"))


def trained_and_scored(task: Task, digits: RawImages, folder: Path, with_embedding: bool = False) -> Scored:
    dataset = dataset_of(task, digits)
    run: Any = build(dataset, replace(RECIPE, with_embedding=with_embedding), str(folder / "model"))
    archive = write_test_images(dataset, folder / "archive")
    return Scored(run, folder / "model", nightscore.score(archive, folder / "model", folder / "night"))


@pytest.mark.heavy
def test_scoring_the_test_images_gives_the_figures_of_the_training_of_labels(digits: RawImages, tmp_path: Path) -> None:
    scored = trained_and_scored("labels", digits, tmp_path)
    summary: Any = scored.night.summary
    facts, spec = scored.run.spec.training, read_spec(str(scored.model))
    assert (spec.task, tuple(spec.class_names), len(spec.thresholds)) == ("labels", LABELS, 3)
    assert facts["test_exact_match"] == summary["exact_match"] > 0.6
    assert facts["test_exact_match_interval_95"] == summary["exact_match_interval_95"]
    assert facts["test_micro_f1"] == summary["micro"]["f1"] > 0.8
    assert facts["test_macro_f1"] == summary["macro"]["f1"]
    assert summary["per_class"] == scored.run.evaluation.summary["per_class"]
    assert facts["confidence_histogram"] == pytest.approx(summary["confidence_histogram"], abs=2)
    assert facts["images_per_class"]["even"] == int(
        scored.run.dataset.train.labels[:, 0].sum() + scored.run.dataset.validation.labels[:, 0].sum()
    )
    assert scored.night.record["drift"][0]["against"] == "training"
    assert scored.night.record["training"]["test_exact_match"] == summary["exact_match"]
    text = scored.page.text
    assert "got exactly their labels" in text
    assert scored.page.unclosed == []
    rows = scored.page.table("A label is predicted from its threshold on.")
    assert [row[0] for row in rows[1:]] == list(LABELS)
    assert [row[1] for row in rows[1:]] == [f"{limit:.4g}" for limit in spec.thresholds]


@pytest.mark.heavy
def test_scoring_the_test_images_gives_the_figures_of_the_training_of_a_value(
    digits: RawImages, tmp_path: Path
) -> None:
    scored = trained_and_scored("value", digits, tmp_path, with_embedding=True)
    summary: Any = scored.night.summary
    facts, spec = scored.run.spec.training, read_spec(str(scored.model))
    assert (spec.task, spec.class_names, spec.value_unit) == ("value", [], 2.0**-10)
    assert spec.embedding == Embedding(64)
    assert facts["test_mean_absolute_error"] == pytest.approx(summary["mae"], abs=1e-3)
    assert facts["test_root_mean_squared_error"] == pytest.approx(summary["rmse"], abs=1e-3)
    assert facts["test_r2"] == pytest.approx(summary["r2"], abs=1e-3)
    assert summary["r2"] > 0.5
    assert summary["mae"] < 2 * STEP
    labels = scored.run.dataset.train.labels
    assert facts["training_values"] == {"mean": pytest.approx(labels.mean()), "deviation": pytest.approx(labels.std())}
    history = json.loads((scored.model / "training" / "history.json").read_text())
    assert history["val_mean_absolute_error"][facts["chosen_epoch"] - 1] < 2 * STEP
    assert f"the predictions are off by {number(facts['test_mean_absolute_error'])} (95 % interval" in scored.page.text
    assert scored.night.record["training"]["test_mean_absolute_error"] == facts["test_mean_absolute_error"]
    assert {"residuals", "predictions", "farthest", "extremes"} <= set(scored.page.ids)
    assert scored.night.rows(["embedding"])["embedding"].type.list_size == 64


@pytest.mark.heavy
def test_an_embedding_is_published_without_the_scores_that_it_was_learned_by(digits: RawImages, tmp_path: Path) -> None:
    import keras

    scored = trained_and_scored("embedding", digits, tmp_path)
    facts, spec = scored.run.spec.training, read_spec(str(scored.model))
    assert (spec.task, spec.class_names, spec.embedding) == ("embedding", [], Embedding(64))
    vectors = np.stack(scored.night.rows(["embedding"])["embedding"].to_numpy())
    labels = scored.run.dataset.test.labels
    squares = (vectors**2).sum(axis=1)
    cosines = vectors @ vectors.T / np.sqrt(np.outer(squares, squares)) - 2 * np.eye(len(vectors))
    assert facts["test_neighbor_images"] == len(labels)
    assert facts["test_neighbor_accuracy"] == pytest.approx((labels[cosines.argmax(axis=1)] == labels).mean(), abs=0.02)
    assert facts["test_neighbor_accuracy"] > 0.7
    assert read_golden(str(scored.model)).scores["litert"].shape == (10, 0)
    assert keras.models.load_model(scored.model / "model.keras").output_shape == (None, 10)
    assert "are nearest to another one of their class" in scored.page.text


@pytest.mark.heavy
def test_an_embedding_comes_beside_classes(digits: RawImages, tmp_path: Path) -> None:
    run = build(dataset_of("classes", digits), replace(RECIPE, with_embedding=True), str(tmp_path / "model"))
    assert isinstance(run, TrainingRun)
    assert run.spec.embedding == Embedding(64)
    assert run.spec.training["test_neighbor_accuracy"] > 0.7
    assert run.golden.embeddings["litert"].shape == (10, 64)


@pytest.mark.parametrize(("task", "monitor"), [("labels", "val_accuracy"), ("value", "val_f1")])
def test_a_monitor_of_another_task_is_refused(digits: RawImages, task: Task, monitor: str) -> None:
    with pytest.raises(UsageError, match=f"--monitor '{monitor}' is unknown: give val_loss, val_"):
        train(dataset_of(task, digits, 20), Recipe(monitor=monitor))


def test_class_weights_are_refused_without_classes(digits: RawImages) -> None:
    with pytest.raises(UsageError, match="--class_weight balanced is for images of one class each, and the task is l"):
        train(dataset_of("labels", digits, 20), Recipe(class_weight="balanced"))
