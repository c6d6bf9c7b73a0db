"""The one place that chooses by task: which sums, slices, examples and figures a model's rows have.

`metrics_of` returns the `TaskMetrics` of a model. What follows from the task alone, without a model, are functions.
Must not know where rows are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.metrics.accuracy import Metrics
from pipeline.metrics.cells import PICTURED, first_of_cells, is_mistake
from pipeline.metrics.embedding import EmbeddingSums
from pipeline.metrics.examples import COLUMNS, ENLARGED, OF_UNIT, in_any_list, merge
from pipeline.metrics.headline import task_in
from pipeline.metrics.labels import LabelSums
from pipeline.metrics.slices import AnyCounts, Counts, LabelCounts, PlainCounts, ValueCounts
from pipeline.metrics.sums import Sums
from pipeline.metrics.task_examples import (
    enlarged,
    listed,
)
from pipeline.metrics.task_metrics import ClassMetrics, EmbeddingMetrics, LabelMetrics, TaskMetrics, ValueMetrics
from pipeline.metrics.value import ValueSums
from pipeline.task import Task

SUMS: Mapping[Task, type[Sums]] = {
    "classes": Metrics,
    "labels": LabelSums,
    "value": ValueSums,
    "embedding": EmbeddingSums,
}
"""Task -> the type of the sums over its rows."""

COUNTS: Mapping[Task, type[AnyCounts]] = {
    "classes": Counts,
    "labels": LabelCounts,
    "value": ValueCounts,
    "embedding": PlainCounts,
}
"""Task -> the type of the sums over the rows of a part of an archive."""

EXAMPLE_FIELDS: Mapping[Task, Sequence[str]] = {
    "classes": COLUMNS,
    "labels": ("key", "label_names", "predicted_names", "score", "mistakes", "margin"),
    "value": ("key", "label_value", "predicted_value"),
    "embedding": ("key", "norm"),
}
"""Task -> names of the fields of an example in summary.json."""


def metrics_of(
    task: Task, class_names: Sequence[str], top_k: int, thresholds: Sequence[float], value_unit: float
) -> TaskMetrics[Any]:
    """Return what can be measured of the rows of a model.

    Args:
        task: what the model says of an image.
        class_names: names of its classes, in the order of its output; (): it has none.
        top_k: number of classes that a row lists.
        thresholds: of labels: for each class the probability from which on it is predicted; (): 0.5 for each.
        value_unit: of a value: the unit of its sums, a power of two.
    """
    if task == "classes":
        return ClassMetrics(class_names, top_k)
    if task == "labels":
        return LabelMetrics(class_names, top_k, thresholds)
    return ValueMetrics(value_unit) if task == "value" else EmbeddingMetrics()


def read_sums(content: Mapping[str, Any]) -> Sums:
    """Return the sums that the `to_json` of any task wrote.

    Raises:
        KeyError: a sum is missing, or the task is unknown.
    """
    return SUMS[task_in(content)].from_json(content)


def count(sums: Sums) -> AnyCounts:
    """Return those of the sums by which parts of an archive are compared."""
    kind: Any = COUNTS[sums.task or "classes"]
    counts: AnyCounts = kind.of(sums)
    return counts


def merge_examples(task: Task | None, one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """Return the images of two sets that a list of both sets together holds; associative and commutative.

    Args:
        task: the task of the model; None: there are no rows yet, so no images.
        one: images of one set.
        other: images of the other set.
    """
    if task in (None, "classes"):
        return merge(one, other)
    return listed(task, [*one, *other])


def pick_examples(task: Task, examples: Sequence[Any]) -> list[Any]:
    """Return those of the images that may get a picture, as a list of one unit holds them."""
    if task != "classes":
        return listed(task, examples, is_unit=True)
    of_cells = first_of_cells(filter(is_mistake, examples), PICTURED)
    return list({id(example): example for example in (*in_any_list(examples, OF_UNIT), *of_cells)}.values())


def pick_enlarged(task: Task, examples: Sequence[Any]) -> list[Any]:
    """Return those of the images of one unit that have a larger picture; an image that is not among them never will."""
    if task == "classes":
        return in_any_list(examples, ENLARGED)
    return enlarged(task, examples)
