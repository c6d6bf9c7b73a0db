"""The errors of a network on the test images: which class is taken for which, and samples. For the task "classes"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from model_training.learning.evaluation import Evaluation
from model_training.report.part import Part
from model_training.report.plots import draw_confusion, draw_samples, errors, samples
from model_training.report.run import TrainingRun
from pipeline.metrics.accuracy import HISTOGRAM_BINS
from pipeline.metrics.figures import CellExample
from pipeline.report import charts
from pipeline.report.confusion import Confusion, confusion

EXAMPLES = 4
"""Number of images shown of each pair of confused classes, at most."""


class NamedImage(CellExample):
    """A test image as the page names it, in the form that a scoring run's summary has; `number` is its place."""

    number: int
    label_name: str
    predicted_name: str
    score: float


@dataclass(frozen=True)
class ErrorsContent:
    """What the section shows of errors.

    Attributes:
        names: of the classes.
        wrong: number of test images that are predicted wrongly.
        confusion: which class is taken for which.
        histogram: of the scores.
    """

    names: Sequence[str]
    wrong: int
    confusion: Confusion[NamedImage]
    histogram: Markup


def errors_parts(run: TrainingRun) -> list[Part]:
    """Return what the page shows of errors, and of samples."""
    names, evaluation = run.dataset.class_names, run.evaluation
    numbers = errors(evaluation).tolist()
    found = confusion(evaluation.confusion.tolist(), _few_of_each(_example(run, i) for i in numbers), names)
    shown = [_example(run, i) for group in samples(evaluation) for i in group.tolist()]
    paired = [example["number"] for pair in found.pairs for example in pair.examples]
    content = ErrorsContent(names, len(numbers), found, charts.histogram(confidence(evaluation)))
    matrix = {"confusion_matrix.png": draw_confusion(evaluation.confusion, names)}
    sheet = {"sample_predictions.png": draw_samples(run.dataset.test, evaluation, names)}
    return [
        Part("errors", "Errors", content, shown=[("test", i) for i in paired], files=matrix),
        Part("samples", "Sample predictions", shown, shown=[("test", e["number"]) for e in shown], files=sheet),
    ]


def confidence(evaluation: Evaluation) -> list[int]:
    """Return the test images by bin of the winner's probability, as runs of the model record it."""
    bins = np.clip((evaluation.scores * HISTOGRAM_BINS).astype(np.int64), 0, HISTOGRAM_BINS - 1)
    counts: list[int] = np.bincount(bins, minlength=HISTOGRAM_BINS).tolist()
    return counts


def _example(run: TrainingRun, i: int) -> NamedImage:
    """Return what the page says of a test image."""
    label, predicted = int(run.evaluation.labels[i]), int(run.evaluation.predicted[i])
    return {
        "number": i,
        "key": run.dataset.test.key(i),
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
