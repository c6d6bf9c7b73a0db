"""A data set and a recipe to a published model directory: train, export, evaluate, convert, describe, publish."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from dataclasses import replace
from typing import Any

import numpy as np

from model_training.data.datasets import Dataset
from model_training.data.image_set import ImageSet, Pixels
from model_training.learning.base import Base
from model_training.learning.checkpoint import Checkpoint
from model_training.learning.evaluation import Evaluation, Run, evaluate, load_outputs
from model_training.learning.neighbors import neighbors_of
from model_training.learning.recipe import Recipe
from model_training.learning.task_evaluation import TaskEvaluation, evaluate_task
from model_training.learning.temperature import calibrated, score_of
from model_training.learning.thresholds import choose_thresholds
from model_training.learning.training import Trained, train
from model_training.publishing import export
from model_training.publishing.check_images import IMAGES, check_images
from model_training.publishing.convert import convert, with_scores
from model_training.publishing.publish import check_output, staged, write_files
from model_training.report.images_file import write_images
from model_training.report.page import report_files, training_facts
from model_training.report.run import Before, TaskRun, TrainingRun, now
from model_training.report.runs import read_runs
from model_training.report.task_page import facts_of, task_facts, task_report_files
from pipeline.errors import UsageError
from pipeline.model import directory, trained_on
from pipeline.model.pixel_hash import rule_id
from pipeline.model.spec import ModelSpec
from pipeline.model.trained_on import LearnedSet, TrainedOn

_log = logging.getLogger(__name__)


def build(
    dataset: Dataset,
    recipe: Recipe,
    output: str,
    progress: Any = None,
    resume: bool = False,
    base: Base | None = None,
) -> TrainingRun | TaskRun:
    """Train a network and publish it as a model directory; nothing is left behind if that fails.

    The test figures are measured with the exported function, loaded from disk as scoring loads it. A network of which
    no model.tflite can be made is published without it, with a warning.

    Args:
        dataset: what to learn.
        recipe: how.
        output: folder or gs:// location; a model directory that is there is replaced.
        progress: see `train`.
        resume: whether to go on with a training into `output` that was broken off, if there is one.
        base: that the network begins with, whose weights are changed; None: it is trained from scratch.

    Returns:
        What was trained: of the task "classes" a `TrainingRun`, else a `TaskRun`.

    Raises:
        UsageError: a model cannot be published at `output`, or a training into it was broken off and is not to be
            resumed, or was another one, or the task cannot be calibrated; found before training starts.
        NightscoreError: the upload failed.
    """
    location = check_output(output)
    if recipe.calibrate and dataset.task != "classes":
        raise UsageError(
            f"--calibrate is for a model of classes, and this one is of the task {dataset.task!r}: leave it out"
        )
    earlier = read_runs(location)
    checkpoint = Checkpoint.beside(location)
    with checkpoint.kept(_identity(dataset, recipe, base), resume):
        trained = train(dataset, recipe, checkpoint, progress, base)
        uncalibrated = None
        if recipe.calibrate:
            uncalibrated = evaluate(score_of(trained.network), dataset.test)
            trained = calibrated(trained, dataset.validation)
        with staged(location) as folder:
            run = _write(dataset, trained, folder, Before(location, now(), earlier, uncalibrated))
            if os.path.isdir(checkpoint.tensorboard):
                shutil.copytree(checkpoint.tensorboard, os.path.join(folder, directory.TRAINING, "tensorboard"))
            write_files(folder, {directory.SPEC: run.spec.to_json().encode()})
    return run


def _write(dataset: Dataset, trained: Trained, folder: str, before: Before) -> TrainingRun | TaskRun:
    """Write all files of a model directory but its spec, which says that it is whole."""
    draft = export.draft_spec(dataset, trained)
    export.save_network(trained.network, folder, export.outputs_of(trained, draft), trained.has_graph)
    network = load_outputs(os.path.join(folder, directory.SAVED_MODEL))
    draft, evaluation, facts = _measure(network, dataset, trained, draft)
    golden = export.make_golden(dataset.examples, dataset.input, network)
    images = check_images([_some(dataset.test), _some(dataset.train)])
    converted = convert(folder, golden.pixels, images, task=dataset.task)
    golden = with_scores(golden, converted)
    spec = export.finish_spec(draft, folder, facts, converted)
    if converted.conversion.missing:
        _log.warning("the model has no %s: %s", directory.TFLITE, converted.conversion.missing)
    if isinstance(evaluation, Evaluation):
        validation = evaluate(lambda pixels: network(pixels).scores, dataset.validation)
        run: TrainingRun | TaskRun = TrainingRun(dataset, trained, golden, spec, before, evaluation, validation)
    else:
        run = TaskRun(dataset, trained, golden, spec, before, evaluation)
    write_files(os.path.join(folder, directory.GOLDEN), golden.files())
    report = report_files(run) if isinstance(run, TrainingRun) else task_report_files(run)
    write_files(os.path.join(folder, directory.TRAINING), report)
    known = _learned(dataset, trained.base, spec.model_id)
    write_files(os.path.join(folder, directory.TRAINING, trained_on.FOLDER), known.files())
    write_images(dataset, os.path.join(folder, directory.TRAINING))
    return run


def _measure(
    run: Run, dataset: Dataset, trained: Trained, draft: ModelSpec
) -> tuple[ModelSpec, Evaluation | TaskEvaluation, dict[str, Any]]:
    """Return the spec with its thresholds, what the test images say of the network, and what model_spec.json says."""
    if dataset.task == "classes":
        evaluation = evaluate(lambda pixels: run(pixels).scores, dataset.test)
        facts = training_facts(dataset, trained, evaluation)
        beside = {} if draft.embedding is None else facts_of(neighbors_of(run, dataset.test))
        return draft, evaluation, facts | beside
    if dataset.task == "labels":
        draft = replace(draft, thresholds=choose_thresholds(run, dataset.validation))
    of_task = evaluate_task(run, dataset.test, draft)
    return draft, of_task, task_facts(dataset, trained, of_task)


def _learned(dataset: Dataset, base: Base | None, model_id: str) -> TrainedOn:
    """Return what a network has learned from: its images, and those of its base, where they are known by this rule."""
    learned: dict[LearnedSet, Any] = {"train": dataset.train.hashes, "validation": dataset.validation.hashes}
    sources, left_out, rule = [dataset.name], dataset.left_out_images, rule_id(dataset.input)
    earlier = None if base is None else base.learned
    if earlier is not None and earlier.rule == rule.hex():
        learned = {name: np.concatenate([one, earlier.hashes[name]]) for name, one in learned.items()}
        sources, left_out = [*sources, *earlier.sources], left_out + earlier.left_out
    return TrainedOn.of(learned, rule, model_id, sources, left_out)


def _identity(dataset: Dataset, recipe: Recipe, base: Base | None) -> dict[str, Any]:
    """Return what must be the same for a training to go on, as JSON values."""
    sets = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    images = {name: f"{len(one):,} ({_digest(one)})" for name, one in sets.items()}
    return {
        "data set": dataset.name,
        "task": dataset.task,
        "input rule": dataset.input.to_json(),
        **images,
        **recipe.facts(),
        "base": {} if base is None else dict(base.facts),
    }


def _digest(images: ImageSet) -> str:
    """Return a short name of the images and labels of a set: the same for the same ones."""
    return hashlib.sha256(images.hashes.tobytes() + np.ascontiguousarray(images.labels).tobytes()).hexdigest()[:12]


def _some(images: ImageSet) -> Pixels:
    """Return a few images of a set, spread over it, as pixels."""
    numbers = np.unique(np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(np.int64))
    return images.pixels(numbers.tolist())
