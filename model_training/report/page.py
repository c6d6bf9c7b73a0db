"""The report of a training run, for people: one page, its plots, and the numbers behind them.

Must not know where the files are written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_training.data.datasets import Dataset
from model_training.learning.base import base_facts, told_of
from model_training.learning.evaluation import Evaluation
from model_training.learning.recipe import OF_BASE
from model_training.learning.training import Trained
from model_training.publishing.convert import engines_of
from model_training.report.augmentation import augmentation_part
from model_training.report.classes import class_parts
from model_training.report.copies import copies_part
from model_training.report.course import course_part
from model_training.report.errors import confidence
from model_training.report.part import Part
from model_training.report.pictures import pictures_of
from model_training.report.plots import draw_curves
from model_training.report.run import BuiltModel, TrainingRun
from model_training.report.runs_part import runs_part
from model_training.report.trust import data_lines, trust_of
from pipeline import storage
from pipeline.model.directory import Golden
from pipeline.model.thumbnails import thumbnail
from pipeline.report.gallery import FEW_SHOWN, gallery
from pipeline.report.html import render
from pipeline.report.places import Places, places_of
from pipeline.text import shell_path

__all__ = ["TrainingRun", "report_files", "training_facts"]

ORDER = ("copies", "doubtful", "course", "calibration", "classes", "errors", "samples", "augmentation", "use", "runs")
"""Names of sections, in the order of what decides whether the model is used."""

OTHERS = {
    "data": "Data set",
    "architecture": "Architecture",
    "recipe": "Recipe",
    "golden": "Golden images",
    "versions": "Versions",
}
"""Name -> title of the sections that follow, which every page has."""


def report_files(run: TrainingRun) -> dict[str, bytes]:
    """Return the contents of training/, by name."""
    parts = _parts(run)
    history = json.dumps(run.trained.history.to_json(), indent=2) + "\n"
    files = {
        "curves.png": draw_curves(run.trained.history, run.trained.head.loss_unit),
        "history.json": history.encode(),
        "report.html": _page(run, parts).encode(),
    }
    for part in parts:
        files |= part.files
    return files


def training_facts(dataset: Dataset, trained: Trained, evaluation: Evaluation) -> dict[str, Any]:
    """Return what model_spec.json says about training, as JSON values."""
    return course_facts(dataset, trained) | {
        "test_accuracy": evaluation.accuracy,
        "test_accuracy_interval_95": list(evaluation.interval),
        "test_loss": evaluation.loss,
        "images_per_class": dict(zip(dataset.class_names, _images_of_classes(dataset).tolist(), strict=True)),
        "confidence_histogram": confidence(evaluation),
    }


def course_facts(dataset: Dataset, trained: Trained) -> dict[str, Any]:
    """Return what model_spec.json says about a training of any task: of its images and its course."""
    recipe: dict[str, Any] = {**asdict(trained.recipe), "precision": trained.precision}
    base = base_facts(trained.base, trained.recipe, trained.history.chosen, dataset.test.hashes)
    for name in OF_BASE if base is None else ("network",):
        del recipe[name]
    if base is not None:
        recipe = {"base": told_of(base), **recipe}
    if trained.rate_search is not None:
        recipe["learning_rate"] = f"{trained.rate_search.chosen:g}, found by a search"
    return {
        "dataset": dataset.name,
        "images": {
            "training": len(dataset.train),
            "validation": len(dataset.validation),
            "test": len(dataset.test),
            "left_out": dataset.left_out_images,
            "copies": dataset.copies,
            "test_copies": dataset.test_copies,
        },
        "skipped": dict(dataset.skipped.counts),
        "skipped_examples": dict(dataset.skipped.examples),
        "classes": len(dataset.class_names),
        **({} if base is None else {"base": base}),
        "recipe": {**recipe, "optimizer": "adam", "loss": trained.head.loss},
        "chosen_epoch": trained.history.chosen + 1,
        "temperature": trained.temperature,
        "parameters": sum(parameters for *_, parameters in trained.layers),
        "seconds": round(float(trained.history.seconds.sum()), 1),
    }


def _images_of_classes(dataset: Dataset) -> npt.NDArray[np.int64]:
    """Return how many images of each class are learned or validate, int64 [classes]."""
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    return np.bincount(labels, minlength=len(dataset.class_names))


def _parts(run: TrainingRun) -> list[Part]:
    """Return what the page shows, in the order of its sections."""
    of_task = class_parts(run) if run.dataset.task == "classes" else [copies_part(run)]
    data = Part("data", lines=list(data_lines(run.dataset, run.trained.recipe.monitor)))
    every = [*of_task, course_part(run), augmentation_part(run), use_part(run), runs_part(run), data]
    return sorted((part for part in every if part is not None), key=_rank)


def use_part(run: BuiltModel) -> Part:
    """Return the section that says how to go on with a model of any task."""
    location = run.before.location
    return Part("use", "Score with it", NextCommand(location, shell_path(location)))


def _rank(part: Part) -> int:
    """Return the place of a part among the sections; those that have none come last, in their order."""
    return ORDER.index(part.name) if part.name in ORDER else len(ORDER)


@dataclass(frozen=True)
class NextCommand:
    """What the section shows that says how to go on.

    Attributes:
        location: of the model directory.
        path: the same as a word of a command.
    """

    location: str
    path: str


def _page(run: TrainingRun, parts: Sequence[Part]) -> str:
    names, sections = run.dataset.class_names, [part for part in parts if part.title]
    golden = {f"golden image {i}": thumbnail(pixels) for i, pixels in enumerate(run.golden.pixels)}
    shown = [one for part in parts for one in part.shown]
    pictures = golden | pictures_of(run, shown)
    for part in parts:
        pictures |= part.pictures
    keys = [*golden, *(run.images(split).key(number) for split, number in shown)]
    keys += [name for part in parts for name in part.pictures]
    return render(
        "training.html.j2",
        package="model_training",
        facts=run.spec.training,
        spec=run.spec,
        engines=engines_of(run.spec.litert) if run.spec.litert else None,
        trust=trust_of(parts),
        parts=sections,
        titles={part.name: part.title for part in sections} | OTHERS,
        layers=run.trained.layers,
        epochs=len(run.trained.history),
        golden=_golden(run.golden, names),
        gallery=gallery(keys, pictures, _places(run.dataset), why_none=FEW_SHOWN),
        left_out=list(run.dataset.left_out.items())[:20],
        is_listed=run.dataset.listed is not None,
    )


def _places(dataset: Dataset) -> Places:
    """Return how the page names images: below the folder of the data set, if it is one."""
    location = storage.location_of(dataset.name)
    is_place = storage.is_remote(location) or location.startswith("/")
    return places_of([dataset.name]) if is_place else Places()


def _golden(golden: Golden, class_names: Sequence[str]) -> list[tuple[str, str, float]]:
    """Return picture, predicted class and its probability of each golden image."""
    return [
        (f"golden image {i}", class_names[int(scores.argmax())], float(scores.max()))
        for i, scores in enumerate(golden.scores["tensorflow"])
    ]
