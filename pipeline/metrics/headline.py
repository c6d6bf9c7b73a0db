"""The headline of a task: the one figure that says best how good a result is. Knows neither sums nor rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pipeline.task import Task

HEADLINES: Mapping[Task, str] = {"classes": "accuracy", "labels": "exact_match", "value": "mae", "embedding": ""}
"""Task -> name of its headline, which lies in the figures of a run, of a night and of a part of an archive.

Its 95 % interval has the same name with _interval_95. "": the task has none.
"""

OF_TRAINING: Mapping[Task, str] = {
    "classes": "test_accuracy",
    "labels": "test_exact_match",
    "value": "test_mean_absolute_error",
    "embedding": "",
}
"""Task -> name of its headline on the test images of a training, as a model directory tells it; "": the task has none.

Its 95 % interval has the same name with _interval_95.
"""

WORDS = {"accuracy": "accuracy", "exact_match": "exact match", "mae": "mean error"}
"""Name of a headline -> the same in words."""


def task_in(content: Any) -> Task:
    """Return the task that a JSON object is of: sums, figures, or what a record repeats of a model.

    >>> task_in({"task": "labels"}), task_in({})
    ('labels', 'classes')
    """
    return cast(Task, content.get("task", "classes"))


def headline_in(figures: Mapping[str, Any], task: Task) -> tuple[float | None, list[float] | None]:
    """Return the value of a task's headline and its 95 % interval; None where it was not measured.

    Args:
        figures: figures of a run, of a night, or of a part of an archive.
        task: the task of the model.
    """
    name = HEADLINES[task]
    return figures.get(name), figures.get(f"{name}_interval_95")


def headline_of_training(training: Mapping[str, Any], task: Task) -> tuple[float | None, list[float] | None]:
    """Return the same of a training, on its test images.

    Args:
        training: what a model directory or a record tells of the training.
        task: the task of the model.

    >>> headline_of_training({"test_exact_match": 0.5}, "labels")
    (0.5, None)
    """
    name = OF_TRAINING[task]
    return training.get(name), training.get(f"{name}_interval_95")
