"""The report of a training of labels, of a value or of an embedding: one page, its curves, and what the spec says.

The sections about the test images are those of a run's report (`pipeline.report`), as if the test images were an
archive. Must not know where the files are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from markupsafe import Markup

from model_training.data.datasets import Dataset
from model_training.learning.head import LEARNED_AS_CLASSES
from model_training.learning.neighbors import Neighbors
from model_training.learning.task_evaluation import TaskEvaluation
from model_training.learning.training import Trained
from model_training.publishing.convert import engines_of
from model_training.report.augmentation import augmentation_part
from model_training.report.class_lacks import SHOWN_CLASSES
from model_training.report.page import course_facts, use_part
from model_training.report.part import Part
from model_training.report.pictures import pictures_of
from model_training.report.plots import draw_curves
from model_training.report.run import TaskRun
from model_training.report.runs_part import runs_part
from pipeline.formatting import between, counted, number, percent
from pipeline.metrics.accuracy import HISTOGRAM_BINS
from pipeline.metrics.record import EndedRecord
from pipeline.model.thumbnails import thumbnail
from pipeline.report import charts, number_charts
from pipeline.report.gallery import FEW_SHOWN, gallery
from pipeline.report.headline import Headline
from pipeline.report.html import render
from pipeline.report.label_page import label_part
from pipeline.report.task_part import TaskPart, Tile
from pipeline.report.value_page import embedding_part, value_part

LEFT_OUT = 20
"""Number of images that are named which could not be used."""

_RECORD = cast(EndedRecord, {"training": None})
"""What the sections of a run's report may want to know of it."""


def task_report_files(run: TaskRun) -> dict[str, bytes]:
    """Return the contents of training/, by name."""
    history, head = run.trained.history, run.trained.head
    more = _more(run)
    return {
        "curves.png": draw_curves(history, head.loss_unit),
        "history.json": (json.dumps(history.to_json(), indent=2) + "\n").encode(),
        "report.html": _page(run, more).encode(),
    } | {name: data for part in more for name, data in part.files.items()}


def _more(run: TaskRun) -> list[Part]:
    """Return the sections that are the same for any task."""
    every = [augmentation_part(run), use_part(run), runs_part(run)]
    return [part for part in every if part is not None]


def task_facts(dataset: Dataset, trained: Trained, evaluation: TaskEvaluation) -> dict[str, Any]:
    """Return what model_spec.json says about training, as JSON values; test figures have the names of what they are."""
    facts = course_facts(dataset, trained) | {"task": dataset.task}
    facts |= {f"test_{name}": value for name, value in evaluation.figures.items()}
    facts |= {f"test_{name}_interval_95": bounds for name, bounds in evaluation.intervals.items()}
    if dataset.task == "value":
        facts["training_values"] = {"mean": trained.head.offset, "deviation": trained.head.scale}
    if dataset.class_names:
        facts["images_per_class"] = dict(zip(dataset.class_names, _learned_images(dataset), strict=True))
    if dataset.task == "labels":
        confidence: Mapping[int, int] = evaluation.sums.confidence  # type: ignore[attr-defined]
        facts["confidence_histogram"] = [confidence.get(i, 0) for i in range(HISTOGRAM_BINS)]
    return facts


def facts_of(neighbors: Neighbors) -> dict[str, Any]:
    """Return what model_spec.json says of an embedding beside classes."""
    facts: dict[str, Any] = {f"test_{name}": value for name, value in neighbors.figures.items()}
    return facts | {"test_neighbor_accuracy_interval_95": list(neighbors.interval)}


def _learned_images(dataset: Dataset) -> list[int]:
    """Return how many images of each class, or with each label, are learned or validate."""
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    if dataset.task in LEARNED_AS_CLASSES:
        counts: list[int] = np.bincount(labels, minlength=len(dataset.class_names)).tolist()
        return counts
    return [int(n) for n in (labels > 0).sum(axis=0)]


def _page(run: TaskRun, more: Sequence[Part]) -> str:
    part, figures = _part(run), run.evaluation.summary
    pictures = _pictures(run, part) | pictures_of(run, [one for part in more for one in part.shown])
    for one in more:
        pictures |= one.pictures
    recipe, history = run.spec.training["recipe"], run.trained.history.to_json()
    return render(
        "training_task.html.j2",
        package="model_training",
        facts=run.spec.training,
        spec=run.spec,
        figures=figures,
        headline=Headline(run.dataset.task),
        record=_RECORD,
        **part.content,
        parts=[(name, title) for name, title, is_there in part.sections if is_there],
        more=more,
        tile=part.tile,
        sentence=part.sentence,
        engines=engines_of(run.spec.litert) if run.spec.litert else None,
        columns=[name for name in history if name not in ("learning_rate", "seconds")],
        history=history,
        curves=_curves(run),
        learned=_learned(run),
        layers=run.trained.layers,
        recipe=recipe,
        golden=_golden(run),
        gallery=gallery(pictures, pictures, why_none=FEW_SHOWN),
        left_out=list(run.dataset.left_out.items())[:LEFT_OUT],
        is_listed=run.dataset.listed is not None,
        most_classes=SHOWN_CLASSES,
    )


def _part(run: TaskRun) -> TaskPart:
    """Return what the page shows of the test images, by the task."""
    figures: Any = run.evaluation.summary
    if run.dataset.task == "labels":
        return label_part(figures, _RECORD)
    if run.dataset.task == "value":
        return value_part(figures, _RECORD)
    part, neighbors = embedding_part(figures, _RECORD), run.evaluation.neighbors
    assert neighbors is not None
    tile = Tile(
        "Nearest neighbor right", percent(neighbors.accuracy), f"95 % interval {between(list(neighbors.interval))}"
    )
    sentence = (
        f"Of {counted(neighbors.images, 'test image')} without copies, {percent(neighbors.accuracy)} are nearest to "
        "another one of their class, by the cosine of the angle between their embeddings. There are "
        f"{counted(len(run.dataset.class_names), 'class', 'classes')}, those that the network learned: of others this "
        "tells nothing."
    )
    return TaskPart(part.sections, part.rules, part.keys, tile, sentence, part.content)


def _pictures(run: TaskRun, part: TaskPart) -> dict[str, bytes]:
    """Return the pictures of the page by key, the golden ones first."""
    pictures = {f"golden image {i}": thumbnail(pixels) for i, pixels in enumerate(run.golden.pixels)}
    numbers = {example["key"]: example["row"] for example in run.evaluation.examples}
    shown = [key for key in dict.fromkeys(part.keys) if key in numbers]
    return pictures | {key: thumbnail(run.dataset.test.pixels([numbers[key]])[0]) for key in shown}


def _curves(run: TaskRun) -> list[Markup]:
    """Return the charts of the metric and of the loss by epoch."""
    head, course = run.trained.head, run.trained.history.to_json()
    charted = [(head.metric.replace("_", " "), head.metric, head.is_share), (f"loss ({head.loss_unit})", "loss", False)]
    return [
        charts.curves(title, {"training": course[name], "validation": course[f"val_{name}"]}, are_shares=is_share)
        for title, name, is_share in charted
    ]


def _learned(run: TaskRun) -> Markup | Sequence[tuple[str, int]] | None:
    """Return what the images to learn from are: the chart of their values, or number of images by class or label."""
    if run.dataset.class_names:
        return list(zip(run.dataset.class_names, _learned_images(run.dataset), strict=True))
    values = np.concatenate([run.dataset.train.labels, run.dataset.validation.labels]).astype(np.float64)
    counts, edges = np.histogram(values, bins=min(number_charts.MOST_ACROSS, len(values)))
    bins = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    return number_charts.bins([{"from": low, "to": high, "images": n} for low, high, n in bins if n], "value")


def _golden(run: TaskRun) -> list[tuple[str, str]]:
    """Return picture of each golden image, and in words what the network gives for it."""
    outputs = run.golden.outputs("tensorflow")
    assert outputs is not None
    return [(f"golden image {i}", _said(run, outputs, i)) for i in range(len(run.golden.pixels))]


def _said(run: TaskRun, outputs: Any, i: int) -> str:
    """Return in words what the network gives for one of some images."""
    if run.dataset.task == "value":
        return f"predicted {number(float(outputs.scores[i, 0]))}"
    if run.dataset.task == "embedding":
        return f"norm {number(float(np.linalg.norm(outputs.embedding[i])))}"
    limits = np.asarray(run.spec.label_thresholds, np.float32)
    names = [run.spec.class_names[c] for c in np.flatnonzero(outputs.scores[i] >= limits).tolist()]
    more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
    return f"predicted {', '.join(names[:8]) or 'no label'}{more}"
