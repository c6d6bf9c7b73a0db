"""The evaluation of an exported network of labels, of a value or of an embedding, on labelled images.

It makes the rows that scoring would make, batch by batch, and measures them as scoring does, so both have the same
figures; no row is kept. `model_training.learning.evaluation` does so for classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model_training.data.image_set import ImageSet, Labels
from model_training.learning.evaluation import Run, scoring_batches
from model_training.learning.head import LEARNED_AS_CLASSES
from model_training.learning.neighbors import Neighbors, NeighborSample
from pipeline.batches import ImageColumns
from pipeline.metrics.sums import Sums
from pipeline.metrics.task_metrics import TaskMetrics
from pipeline.metrics.tasks import merge_examples, metrics_of
from pipeline.model.engines.network import Outputs
from pipeline.model.predict import as_predictions
from pipeline.model.spec import ModelSpec
from pipeline.output.row_columns import schema_of
from pipeline.output.rows import to_table
from pipeline.task import Task

LISTED = 5
"""Number of labels that a row lists, as scoring does by default."""


@dataclass(frozen=True)
class TaskEvaluation:
    """What was measured of labelled images.

    Attributes:
        metrics: that were measured.
        sums: over the images.
        examples: those that a person should look at; "row" is the number of the image, "key" its name.
        neighbors: of a task whose images have one class each: how well its embedding tells classes apart.
    """

    metrics: TaskMetrics[Any]
    sums: Sums
    examples: Sequence[Mapping[str, Any]]
    neighbors: Neighbors | None = None

    @property
    def task(self) -> Task:
        """What the network says of an image."""
        return self.metrics.task

    @property
    def summary(self) -> Mapping[str, Any]:
        """The figures as the summary.json of a run over these images has them, with its lists of images."""
        return {**self.metrics.compute(self.sums), **self.metrics.lists(self.examples)}

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, by name; without what cannot be told of these images."""
        if self.neighbors is not None:
            return self.neighbors.figures
        summary = self.metrics.compute(self.sums)
        values: dict[str, float | None] = {"exact_match": summary.get("exact_match")}
        if self.task == "labels":
            for kind in ("micro", "macro"):
                values |= {f"{kind}_{name}": value for name, value in summary[kind].items()}
        if self.task == "value":
            values = {name: summary[short] for name, short in _OF_VALUES.items()}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def intervals(self) -> dict[str, list[float]]:
        """The 95 % intervals of those figures that have one, by the figure's name."""
        if self.neighbors is not None:
            return {"neighbor_accuracy": list(self.neighbors.interval)}
        summary = self.metrics.compute(self.sums)
        name, short = ("mean_absolute_error", "mae") if self.task == "value" else ("exact_match", "exact_match")
        interval = summary.get(f"{short}_interval_95")
        return {} if interval is None else {name: interval}

    @property
    def lines(self) -> list[str]:
        """What a terminal shows of it."""
        if self.neighbors is not None:
            return self.neighbors.lines
        intervals = {name: f" (95 % interval {a:.4g} to {b:.4g})" for name, (a, b) in self.intervals.items()}
        figures = self.figures
        shown = [(name, words) for name, words in _SHOWN.items() if name in figures]
        return [f"test {words} {figures[name]:.4g}{intervals.get(name, '')}" for name, words in shown]


_OF_VALUES = {"mean_absolute_error": "mae", "root_mean_squared_error": "rmse", "r2": "r2", "mean_error": "mean_error"}
"""Name of a figure of values -> its name in summary.json."""

_SHOWN = {
    "exact_match": "exact match",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "mean_absolute_error": "mean absolute error",
    "root_mean_squared_error": "root mean squared error",
    "r2": "R2",
}
"""Name of a figure that a terminal shows -> the same in words."""


def evaluate_task(run: Run, images: ImageSet, spec: ModelSpec) -> TaskEvaluation:
    """Score labelled images in batches of the size that scoring uses, and measure what comes out.

    Args:
        run: from `load_outputs`.
        images: at least one.
        spec: of the model, of another task than "classes"; its id does not matter.
    """
    metrics = metrics_of(spec.task, spec.class_names, LISTED, spec.thresholds, spec.value_unit)
    sample = NeighborSample(images) if spec.task in LEARNED_AS_CLASSES else None
    sums: Sums = metrics.empty
    examples: list[Any] = []
    for pixels, numbers in scoring_batches(images):
        outputs = run(pixels)
        rows = rows_of(images, numbers, outputs, spec)
        chosen = [{**one, "row": int(numbers[one["row"]])} for one in metrics.examples(rows)]
        sums, examples = sums.merge(metrics.measure(rows)), merge_examples(spec.task, examples, chosen)
        if sample is not None and outputs.embedding is not None:
            sample.add(outputs.embedding, numbers)
    return TaskEvaluation(metrics, sums, examples, None if sample is None else sample.result())


def rows_of(images: ImageSet, numbers: npt.NDArray[np.int64], outputs: Outputs, spec: ModelSpec) -> pa.Table:
    """Return the rows that scoring would make of some images, without what they tell of the stored files."""
    columns = _labelled([images.key(number) for number in numbers.tolist()], images.labels[numbers], spec)
    batch = as_predictions(columns, outputs, spec, LISTED)
    return to_table(batch, spec.class_names, schema_of(spec.task, spec.embedding, rules=1))


def _labelled(keys: Sequence[str], labels: Labels, spec: ModelSpec) -> ImageColumns:
    """Return images with their labels, as a source has them for the task of a model."""
    columns = ImageColumns.of(keys)
    if spec.task == "labels":
        names = np.array(spec.class_names, np.object_)
        return replace(columns, label_lists=[names[row > 0].tolist() for row in labels])
    if spec.task == "value":
        return replace(columns, label_values=labels.astype(np.float64), labelled=np.ones(len(keys), np.bool_))
    return columns
