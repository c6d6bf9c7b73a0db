"""A data set and a recipe to a published model directory: train, export, evaluate, convert, describe, publish."""

from __future__ import annotations

import logging
import os
from typing import Any

from model_training.data.datasets import Dataset
from model_training.learning.evaluation import evaluate, load_score
from model_training.learning.training import Recipe, learned_hashes, train
from model_training.publishing import export
from model_training.publishing.check_images import check_images
from model_training.publishing.convert import convert, with_scores
from model_training.publishing.publish import check_output, staged, write_files
from model_training.report.page import TrainingRun, report_files, training_facts
from pipeline.model import directory, trained_on
from pipeline.model.pixel_hash import rule_id
from pipeline.model.trained_on import TrainedOn

_log = logging.getLogger(__name__)


def build(dataset: Dataset, recipe: Recipe, output: str, progress: Any = None) -> TrainingRun:
    """Train a network and publish it as a model directory; nothing is left behind if that fails.

    The test accuracy is measured with the exported function, loaded from disk as scoring loads it. A network of which
    no model.tflite can be made is published without it, with a warning.

    Args:
        dataset: what to learn.
        recipe: how.
        output: folder or gs:// location; a model directory that is there is replaced.
        progress: see `train`.

    Raises:
        UsageError: a model cannot be published at `output`; found before training starts.
        NightscoreError: the upload failed.
    """
    location = check_output(output)
    trained = train(dataset, recipe, progress)
    with staged(location) as folder:
        export.save_network(trained.network, folder)
        score = load_score(os.path.join(folder, directory.SAVED_MODEL))
        evaluation = evaluate(score, dataset.test_images, dataset.test_labels)
        golden = export.make_golden(dataset.examples, dataset.input, score)
        converted = convert(folder, golden.pixels, check_images([dataset.test_images, dataset.train_images]))
        golden = with_scores(golden, converted)
        facts = training_facts(dataset, trained, evaluation)
        spec = export.make_spec(folder, dataset.input, dataset.class_names, facts, converted)
        if converted.conversion.missing:
            _log.warning("the model has no %s: %s", directory.TFLITE, converted.conversion.missing)
        run = TrainingRun(dataset, trained, evaluation, golden, spec)
        write_files(os.path.join(folder, directory.GOLDEN), golden.files())
        write_files(os.path.join(folder, directory.TRAINING), report_files(run))
        learned = learned_hashes(dataset, recipe)
        known = TrainedOn.of(learned, rule_id(dataset.input), spec.model_id, [dataset.name], len(dataset.left_out))
        write_files(os.path.join(folder, directory.TRAINING, trained_on.FOLDER), known.files())
        write_files(folder, {directory.SPEC: spec.to_json().encode()})
    return run
