"""The report of a training run, for people: one page, its plots, and the numbers behind them.

Must not know where the files are written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from model_training.data.datasets import Dataset
from model_training.learning.evaluation import Evaluation
from model_training.learning.history import History
from model_training.learning.training import Trained
from model_training.publishing.convert import engines_of
from model_training.report.plots import draw_confusion, draw_curves, draw_samples, errors, samples
from pipeline.metrics.accuracy import HISTOGRAM_BINS
from pipeline.metrics.figures import CellExample
from pipeline.model.directory import Golden
from pipeline.model.spec import ModelSpec
from pipeline.model.thumbnails import thumbnail
from pipeline.report import charts
from pipeline.report.confusion import confusion
from pipeline.report.gallery import gallery
from pipeline.report.html import render

EXAMPLES = 4
"""Number of images shown of each pair of confused classes, at most."""

SHOWN_CLASSES = 1_000
"""Rows of the table of classes."""


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
    plots = {
        "curves.png": draw_curves(run.trained.history),
        "confusion_matrix.png": draw_confusion(run.evaluation.confusion, run.dataset.class_names),
        "sample_predictions.png": draw_samples(run.dataset.test, run.evaluation, run.dataset.class_names),
    }
    history = json.dumps(run.trained.history.to_json(), indent=2) + "\n"
    return {**plots, "history.json": history.encode(), "report.html": _page(run).encode()}


def training_facts(dataset: Dataset, trained: Trained, evaluation: Evaluation) -> dict[str, Any]:
    """Return what model_spec.json says about training, as JSON values."""
    return course_facts(dataset, trained) | {
        "test_accuracy": evaluation.accuracy,
        "test_accuracy_interval_95": list(evaluation.interval),
        "test_loss": evaluation.loss,
        "images_per_class": dict(zip(dataset.class_names, _images_of_classes(dataset).tolist(), strict=True)),
        "confidence_histogram": _confidence(evaluation),
    }


def course_facts(dataset: Dataset, trained: Trained) -> dict[str, Any]:
    """Return what model_spec.json says about a training of any task: of its images and its course."""
    recipe = trained.recipe
    return {
        "dataset": dataset.name,
        "images": {
            "training": len(dataset.train),
            "validation": len(dataset.validation),
            "test": len(dataset.test),
            "left_out": len(dataset.left_out),
            "copies": dataset.copies,
            "test_copies": dataset.test_copies,
        },
        "classes": len(dataset.class_names),
        "recipe": {**asdict(recipe), "optimizer": "adam", "loss": trained.head.loss}
        | {"precision": trained.precision}
        | ({"learning_rate": f"{trained.rate_search.chosen:g}, found by a search"} if trained.rate_search else {}),
        "chosen_epoch": trained.history.chosen + 1,
        "parameters": sum(parameters for *_, parameters in trained.layers),
        "seconds": round(float(trained.history.seconds.sum()), 1),
    }


def _images_of_classes(dataset: Dataset) -> npt.NDArray[np.int64]:
    """Return how many images of each class are learned or validate, int64 [classes]."""
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    return np.bincount(labels, minlength=len(dataset.class_names))


def _confidence(evaluation: Evaluation) -> list[int]:
    """Return the test images by bin of the winner's probability, as runs of the model record it."""
    bins = np.clip((evaluation.scores * HISTOGRAM_BINS).astype(np.int64), 0, HISTOGRAM_BINS - 1)
    counts: list[int] = np.bincount(bins, minlength=HISTOGRAM_BINS).tolist()
    return counts


def _page(run: TrainingRun) -> str:
    names, evaluation = run.dataset.class_names, run.evaluation
    wrong, right = samples(evaluation)
    confused = [_example(run, i) for i in errors(evaluation).tolist()]
    found = confusion(evaluation.confusion.tolist(), _few_of_each(confused), names)
    shown = [_example(run, i) for i in (*wrong.tolist(), *right.tolist())]
    golden = {f"golden image {i}": pixels for i, pixels in enumerate(run.golden.pixels)}
    paired = [example for pair in found.pairs for example in pair.examples]
    pictures = {key: thumbnail(pixels) for key, pixels in golden.items()}
    pictures |= {e["key"]: thumbnail(run.dataset.test.pixels([e["number"]])[0]) for e in (*shown, *paired)}
    return render(
        "training.html.j2",
        package="model_training",
        facts=run.spec.training,
        spec=run.spec,
        engines=engines_of(run.spec.litert) if run.spec.litert else None,
        names=names,
        wrong=len(confused),
        history=run.trained.history.to_json(),
        curves=_curves(run.trained.history),
        histogram=charts.histogram(_confidence(evaluation)),
        layers=run.trained.layers,
        confusion=found,
        samples=shown,
        per_class=_images_per_class(run),
        shown_classes=SHOWN_CLASSES,
        golden=_golden(run.golden, names),
        gallery=gallery(pictures, pictures),
        left_out=list(run.dataset.left_out.items())[:20],
    )


class NamedImage(CellExample):
    """A test image as the page names it, in the form that a scoring run's summary has; `number` is its place."""

    number: int
    label_name: str
    predicted_name: str
    score: float


def _example(run: TrainingRun, i: int) -> NamedImage:
    """Return what the page says of a test image."""
    label, predicted = int(run.evaluation.labels[i]), int(run.evaluation.predicted[i])
    return {
        "number": i,
        "key": f"test image {i}",
        "label": label,
        "label_name": run.dataset.class_names[label],
        "predicted": predicted,
        "predicted_name": run.dataset.class_names[predicted],
        "score": float(run.evaluation.scores[i]),
    }


def _few_of_each(confused: Iterable[NamedImage]) -> list[NamedImage]:
    """Return the first of each pair of classes, in their order."""
    shown: Counter[tuple[int | None, int]] = Counter()
    few = []
    for example in confused:
        cell = (example["label"], example["predicted"])
        shown[cell] += 1
        if shown[cell] <= EXAMPLES:
            few.append(example)
    return few


def _curves(history: History) -> list[Markup]:
    course = history.to_json()
    accuracy = {"training": course["accuracy"], "validation": course["val_accuracy"]}
    loss = {"training": course["loss"], "validation": course["val_loss"]}
    return [charts.curves("accuracy", accuracy, are_shares=True), charts.curves("loss (nats)", loss)]


def _images_per_class(run: TrainingRun) -> list[tuple[str, int, int, float | None]]:
    """Return name, images of training and of test, and recall of each class."""
    names = run.dataset.class_names
    training = _images_of_classes(run.dataset).tolist()
    test = np.bincount(run.dataset.test.labels, minlength=len(names)).tolist()
    right = run.evaluation.confusion.diagonal().tolist()
    recall = [hits / n if n else None for hits, n in zip(right, test, strict=True)]
    return list(zip(names, training, test, recall, strict=True))


def _golden(golden: Golden, class_names: Sequence[str]) -> list[tuple[str, str, float]]:
    """Return picture, predicted class and its probability of each golden image."""
    return [
        (f"golden image {i}", class_names[int(scores.argmax())], float(scores.max()))
        for i, scores in enumerate(golden.scores["tensorflow"])
    ]
