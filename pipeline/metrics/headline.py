"""The headline of a task: the one figure that says best how good a result is. Knows neither sums nor rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pipeline.task import Task

HEADLINES: Mapping[Task, str] = {"classes": "accuracy", "labels": "exact_match", "value": "mae", "embedding": ""}
"""Task -> name of its headline, which lies in the figures of a run, of a night and of a part of an archive.

Its 95 % interval has the same name with _interval_95. "": the task has none.
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
