"""A data set and a recipe to a published model directory: train, export, evaluate, convert, describe, publish."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from dataclasses import asdict
from typing import Any

import numpy as np

from model_training.data.datasets import Dataset
from model_training.data.image_set import ImageSet, Pixels
from model_training.learning.checkpoint import Checkpoint
from model_training.learning.evaluation import evaluate, load_score
from model_training.learning.recipe import Recipe
from model_training.learning.training import Trained, train
from model_training.publishing import export
from model_training.publishing.check_images import IMAGES, check_images
from model_training.publishing.convert import convert, with_scores
from model_training.publishing.publish import check_output, staged, write_files
from model_training.report.page import TrainingRun, report_files, training_facts
from pipeline.model import directory, trained_on
from pipeline.model.pixel_hash import rule_id
from pipeline.model.trained_on import LearnedSet, TrainedOn

_log = logging.getLogger(__name__)


def build(dataset: Dataset, recipe: Recipe, output: str, progress: Any = None, resume: bool = False) -> TrainingRun:
    """Train a network and publish it as a model directory; nothing is left behind if that fails.

    The test accuracy is measured with the exported function, loaded from disk as scoring loads it. A network of which
    no model.tflite can be made is published without it, with a warning.

    Args:
        dataset: what to learn.
        recipe: how.
        output: folder or gs:// location; a model directory that is there is replaced.
        progress: see `train`.
        resume: whether to go on with a training into `output` that was broken off, if there is one.

    Raises:
        UsageError: a model cannot be published at `output`, or a training into it was broken off and is not to be
            resumed, or was another one; found before training starts.
        NightscoreError: the upload failed.
    """
    location = check_output(output)
    checkpoint = Checkpoint.beside(location)
    with checkpoint.kept(_identity(dataset, recipe), resume):
        trained = train(dataset, recipe, checkpoint, progress)
        with staged(location) as folder:
            run = _write(dataset, trained, folder)
            if os.path.isdir(checkpoint.tensorboard):
                shutil.copytree(checkpoint.tensorboard, os.path.join(folder, directory.TRAINING, "tensorboard"))
            write_files(folder, {directory.SPEC: run.spec.to_json().encode()})
    return run


def _write(dataset: Dataset, trained: Trained, folder: str) -> TrainingRun:
    """Write all files of a model directory but its spec, which says that it is whole."""
    export.save_network(trained.network, folder)
    score = load_score(os.path.join(folder, directory.SAVED_MODEL))
    evaluation = evaluate(score, dataset.test)
    golden = export.make_golden(dataset.examples, dataset.input, score)
    converted = convert(folder, golden.pixels, check_images([_some(dataset.test), _some(dataset.train)]))
    golden = with_scores(golden, converted)
    facts = training_facts(dataset, trained, evaluation)
    spec = export.make_spec(folder, dataset.input, dataset.class_names, facts, converted)
    if converted.conversion.missing:
        _log.warning("the model has no %s: %s", directory.TFLITE, converted.conversion.missing)
    run = TrainingRun(dataset, trained, evaluation, golden, spec)
    write_files(os.path.join(folder, directory.GOLDEN), golden.files())
    write_files(os.path.join(folder, directory.TRAINING), report_files(run))
    learned: dict[LearnedSet, Any] = {"train": dataset.train.hashes, "validation": dataset.validation.hashes}
    known = TrainedOn.of(learned, rule_id(dataset.input), spec.model_id, [dataset.name], len(dataset.left_out))
    write_files(os.path.join(folder, directory.TRAINING, trained_on.FOLDER), known.files())
    return run


def _identity(dataset: Dataset, recipe: Recipe) -> dict[str, Any]:
    """Return what must be the same for a training to go on, as JSON values."""
    sets = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    images = {name: f"{len(one):,} ({_digest(one)})" for name, one in sets.items()}
    return {"data set": dataset.name, "input rule": dataset.input.to_json(), **images, **asdict(recipe)}


def _digest(images: ImageSet) -> str:
    """Return a short name of the images and labels of a set: the same for the same ones."""
    return hashlib.sha256(images.hashes.tobytes() + np.ascontiguousarray(images.labels).tobytes()).hexdigest()[:12]


def _some(images: ImageSet) -> Pixels:
    """Return a few images of a set, spread over it, as pixels."""
    numbers = np.unique(np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(np.int64))
    return images.pixels(numbers.tolist())
