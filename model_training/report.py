"""What a training run leaves for people: one page, its figures, and the numbers behind them.

Must not know where the files are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_training.datasets import Dataset
from model_training.evaluation import Evaluation
from model_training.figures import draw_confusion, draw_curves, draw_samples
from model_training.training import Trained
from pipeline.html import render
from pipeline.metrics import HISTOGRAM_BINS
from pipeline.model_dir import Golden, ModelSpec
from pipeline.thumbnails import data_uri, thumbnail

CONFUSIONS = 5
"""The page names so many of the most frequent confusions."""


@dataclass(frozen=True)
class TrainingRun:
    """Everything the page tells of.

    Attributes:
        dataset: what was learned.
        trained: by what recipe, with what course.
        evaluation: of the test images, by the exported network.
        golden: the images that every scoring machine must reproduce.
        spec: of the model directory.
    """

    dataset: Dataset
    trained: Trained
    evaluation: Evaluation
    golden: Golden
    spec: ModelSpec


def report_files(run: TrainingRun) -> dict[str, bytes]:
    """Return the contents of training/, by name."""
    figures = {
        "curves.png": draw_curves(run.trained.history),
        "confusion_matrix.png": draw_confusion(run.evaluation.confusion, run.dataset.class_names),
        "sample_predictions.png": draw_samples(run.dataset.test_images, run.evaluation, run.dataset.class_names),
    }
    history = json.dumps(run.trained.history.to_json(), indent=2) + "\n"
    return {**figures, "history.json": history.encode(), "report.html": _page(run, figures).encode()}


def training_facts(dataset: Dataset, trained: Trained, evaluation: Evaluation) -> dict[str, Any]:
    """Return what model_spec.json says about training, as JSON values."""
    recipe, n = trained.recipe, len(dataset.class_names)
    return {
        "dataset": dataset.name,
        "images": {
            "training": trained.train_images,
            "validation": trained.validation_images,
            "test": len(dataset.test_labels),
            "left_out": len(dataset.left_out),
        },
        "classes": len(dataset.class_names),
        "recipe": {
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "seed": recipe.seed,
            "validation_split": recipe.validation_split,
            "optimizer": "adam",
            "loss": "sparse_categorical_crossentropy",
        },
        "parameters": sum(parameters for *_, parameters in trained.layers),
        "seconds": round(float(trained.history.seconds.sum()), 1),
        "test_accuracy": evaluation.accuracy,
        "test_accuracy_interval_95": list(evaluation.interval),
        "test_loss": evaluation.loss,
        "images_per_class": dict(
            zip(dataset.class_names, np.bincount(dataset.train_labels, minlength=n).tolist(), strict=True)
        ),
        "confidence_histogram": _confidence(evaluation),
    }


def _confidence(evaluation: Evaluation) -> list[int]:
    """Return the test images by bin of the winner's probability, as runs of the model record it."""
    bins = np.clip((evaluation.probabilities.max(axis=1) * HISTOGRAM_BINS).astype(np.int64), 0, HISTOGRAM_BINS - 1)
    counts: list[int] = np.bincount(bins, minlength=HISTOGRAM_BINS).tolist()
    return counts


def _page(run: TrainingRun, figures: Mapping[str, bytes]) -> str:
    wrong = int((~run.evaluation.correct).sum())
    return render(
        "training.html.j2",
        package="model_training",
        facts=run.spec.training,
        spec=run.spec,
        wrong=wrong,
        history=run.trained.history.to_json(),
        layers=run.trained.layers,
        figures={name.removesuffix(".png"): data_uri(data) for name, data in figures.items()},
        confusions=_confusions(run.evaluation, run.dataset.class_names),
        per_class=_images_per_class(run.dataset),
        golden=_golden(run.golden, run.dataset.class_names),
        left_out=list(run.dataset.left_out.items())[:20],
    )


def _confusions(evaluation: Evaluation, class_names: Sequence[str]) -> list[tuple[int, str, str]]:
    """Return (images, true class, predicted class) of the most frequent errors."""
    errors = evaluation.confusion.copy()
    np.fill_diagonal(errors, 0)
    found = sorted(((int(errors[a, b]), a, b) for a, b in np.argwhere(errors).tolist()), key=lambda e: (-e[0], e[1:]))
    return [(images, class_names[label], class_names[predicted]) for images, label, predicted in found[:CONFUSIONS]]


def _images_per_class(dataset: Dataset) -> list[tuple[str, int, int]]:
    classes = len(dataset.class_names)
    training = np.bincount(dataset.train_labels, minlength=classes).tolist()
    test = np.bincount(dataset.test_labels, minlength=classes).tolist()
    return list(zip(dataset.class_names, training, test, strict=True))


def _golden(golden: Golden, class_names: Sequence[str]) -> list[tuple[str, str, float]]:
    """Return picture, predicted class and its probability of each golden image."""
    return [
        (data_uri(thumbnail(pixels)), class_names[int(scores.argmax())], float(scores.max()))
        for pixels, scores in zip(golden.pixels, golden.scores, strict=True)
    ]
