"""What the page shows of a network of classes alone."""

from __future__ import annotations

from model_training.data.split import are_in, each_once
from model_training.report.calibration import calibration_part
from model_training.report.class_lacks import class_lacks_part
from model_training.report.copies import copies_part
from model_training.report.errors import errors_parts
from model_training.report.label_errors import find_suspects, label_errors_part
from model_training.report.part import Part
from model_training.report.run import TrainingRun
from model_training.report.trust import accuracy_lines, accuracy_without


def class_parts(run: TrainingRun) -> list[Part]:
    """Return what the page shows of a network of classes, in the order of its sections."""
    data = run.dataset
    train = each_once(data.train.hashes)
    learned = [are_in(train, images.hashes) for images in (data.validation, data.test)]
    suspects = find_suspects([run.validation, run.evaluation], learned)
    accuracy = Part("accuracy", lines=list(accuracy_lines(run.evaluation, run.validation)))
    return [
        copies_part(run, accuracy_without(run.evaluation, data.test_known)),
        label_errors_part(run, suspects),
        accuracy,
        calibration_part(run),
        class_lacks_part(run, suspects.by_label),
        *errors_parts(run),
    ]
