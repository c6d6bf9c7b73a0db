"""`TaskMetrics` is what can be measured of the rows of one model; each task has a class here that binds its modules.

`pipeline.metrics.tasks` chooses among them. Must not know where rows are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.accuracy import Metrics, compute, measure
from pipeline.metrics.drift import (
    compare,
    compare_embeddings,
    compare_values,
    night_of,
    night_of_embeddings,
    night_of_labels,
    night_of_values,
)
from pipeline.metrics.embedding import EmbeddingSums, compute_embeddings, measure_embeddings
from pipeline.metrics.examples import OF_ARCHIVE, examples_of, lists_of
from pipeline.metrics.figures import Slice
from pipeline.metrics.labels import LabelSums, compare_names, compute_labels, measure_labels
from pipeline.metrics.record import AnyNight, Training
from pipeline.metrics.slices import (
    AnyCounts,
    Column,
    Counts,
    Folders,
    LabelCounts,
    PlainCounts,
    ValueCounts,
    columns_of,
)
from pipeline.metrics.sums import Sums
from pipeline.metrics.task_examples import (
    examples_of_embeddings,
    examples_of_labels,
    examples_of_values,
    lists_by_task,
)
from pipeline.metrics.task_figures import LabelPart, PartCounts, ValuePart
from pipeline.metrics.value import ValueSums, compute_values, measure_values
from pipeline.metrics.value import compare_values as side_by_side
from pipeline.task import Task

S = TypeVar("S", bound=Sums)

_NOTHING = np.zeros(0, np.int64)


class TaskMetrics(Protocol[S]):
    """What can be measured of the rows of one model."""

    @property
    def task(self) -> Task:
        """What the model says of an image."""

    @property
    def empty(self) -> S:
        """The sums over no rows."""

    def measure(self, rows: pa.Table) -> S:
        """Return the sums over prediction rows (`pipeline.output.rows.row_schema`)."""

    def folders(self, rows: pa.Table) -> Folders:
        """Return the sums by folder."""

    def columns(self, rows: pa.Table) -> tuple[type[AnyCounts], Sequence[Column]]:
        """Return the type of the sums over a part of an archive, and for each field what each row adds to it."""

    def predicted(self, rows: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the numbers of rows and of the classes that are predicted for them; none without classes."""

    def examples(self, rows: pa.Table) -> list[Any]:
        """Return the images of a part that a person should look at, in the order of their rows."""

    def lists(self, examples: Sequence[Any]) -> dict[str, list[Any]]:
        """Return name of a list in summary.json -> its images, of those that a person should look at."""

    def compute(self, sums: S) -> Mapping[str, Any]:
        """Return the figures that a person reads, of all rows."""

    def part(self, counts: Any) -> Mapping[str, Any]:
        """Return the figures that a person reads, of a part of an archive."""

    def night(self, sums: S) -> AnyNight:
        """Return the figures of a night with which later nights are compared."""

    def drift(self, night: Any, training: Training | None, before: Any) -> list[Any]:
        """Return how far a night is from the model's training and from the night before; None: there is none."""


@dataclass(frozen=True)
class ClassMetrics:
    """What can be measured of the rows of a model of classes.

    Attributes:
        class_names: names of the model's classes, in the order of its output.
        top_k: number of classes that a row lists.
    """

    class_names: Sequence[str]
    top_k: int
    task: ClassVar[Task] = "classes"
    empty: ClassVar[Metrics] = Metrics()

    def measure(self, rows: pa.Table) -> Metrics:  # noqa: D102 - as `TaskMetrics`, like all that follow
        return measure(rows)

    def folders(self, rows: pa.Table) -> Folders:  # noqa: D102
        return Folders.of(rows)

    def columns(self, rows: pa.Table) -> tuple[type[AnyCounts], Sequence[Column]]:  # noqa: D102
        return Counts, columns_of(rows)

    def predicted(self, rows: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:  # noqa: D102
        there = np.flatnonzero(np.asarray(pc.is_valid(rows["predicted"])))
        return there, np.asarray(rows["predicted"].drop_null(), np.int64)

    def examples(self, rows: pa.Table) -> list[Any]:  # noqa: D102
        return examples_of(rows)

    def lists(self, examples: Sequence[Any]) -> dict[str, list[Any]]:  # noqa: D102
        return lists_of(examples, OF_ARCHIVE)

    def compute(self, sums: Metrics) -> Mapping[str, Any]:  # noqa: D102
        return compute(sums, self.class_names, self.top_k)

    def part(self, counts: Counts) -> Slice:  # noqa: D102
        return counts.figures()

    def night(self, sums: Metrics) -> AnyNight:  # noqa: D102
        return night_of(sums, self.class_names)

    def drift(self, night: Any, training: Training | None, before: Any) -> list[Any]:  # noqa: D102
        return compare(night, training, before)


@dataclass(frozen=True)
class LabelMetrics:
    """What can be measured of the rows of a model of labels.

    Attributes:
        class_names: names of the model's classes, in the order of its output.
        top_k: number of classes that a row lists.
        thresholds: for each class the probability from which on it is predicted; (): 0.5 for each.
    """

    class_names: Sequence[str]
    top_k: int
    thresholds: Sequence[float] = ()
    task: ClassVar[Task] = "labels"
    empty: ClassVar[LabelSums] = LabelSums()

    def measure(self, rows: pa.Table) -> LabelSums:  # noqa: D102
        return measure_labels(rows, self.class_names)

    def folders(self, rows: pa.Table) -> Folders:  # noqa: D102
        return Folders.count(rows["key"], *self.columns(rows))

    def predicted(self, rows: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:  # noqa: D102
        names = rows["predicted_names"].combine_chunks()
        numbers = pc.index_in(names.flatten(), pa.array(self.class_names, pa.string()))
        return np.asarray(pc.list_parent_indices(names), np.int64), np.asarray(numbers, np.int64)

    def columns(self, rows: pa.Table) -> tuple[type[AnyCounts], Sequence[Column]]:  # noqa: D102
        named = compare_names(rows, self.class_names)
        columns = (
            np.ones(len(rows), np.int64),
            named.scored.astype(np.int64),
            named.labelled.astype(np.int64),
            (named.unknown > 0).astype(np.int64),
            named.correct.astype(np.int64),
            named.hits,
            named.predicted + named.support,
        )
        return LabelCounts, columns

    def examples(self, rows: pa.Table) -> list[Any]:  # noqa: D102
        return examples_of_labels(rows, self.class_names, self.thresholds)

    def lists(self, examples: Sequence[Any]) -> dict[str, list[Any]]:  # noqa: D102
        return lists_by_task("labels", examples)

    def compute(self, sums: LabelSums) -> Mapping[str, Any]:  # noqa: D102
        return compute_labels(sums, self.class_names, self.thresholds, self.top_k)

    def part(self, counts: LabelCounts) -> LabelPart:  # noqa: D102
        return counts.figures()

    def night(self, sums: LabelSums) -> AnyNight:  # noqa: D102
        return night_of_labels(sums, self.class_names)

    def drift(self, night: Any, training: Training | None, before: Any) -> list[Any]:  # noqa: D102
        return compare(night, training, before)


@dataclass(frozen=True)
class ValueMetrics:
    """What can be measured of the rows of a model of a value.

    Attributes:
        unit: the unit of the sums, a power of two.
    """

    unit: float
    task: ClassVar[Task] = "value"
    empty: ClassVar[ValueSums] = ValueSums()

    def measure(self, rows: pa.Table) -> ValueSums:  # noqa: D102
        return measure_values(rows, self.unit)

    def folders(self, rows: pa.Table) -> Folders:  # noqa: D102
        return Folders.count(rows["key"], *self.columns(rows))

    def predicted(self, rows: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:  # noqa: D102
        return _NOTHING, _NOTHING

    def columns(self, rows: pa.Table) -> tuple[type[AnyCounts], Sequence[Column]]:  # noqa: D102
        both = side_by_side(rows, self.unit)
        errors = [0] * len(rows)
        for i, error in zip(np.flatnonzero(both.labelled).tolist(), both.error, strict=True):
            errors[i] = error
        masks = (np.ones(len(rows)), both.scored, both.labelled, both.unknown)
        counts = [np.asarray(mask, np.int64) for mask in masks]
        sums = (errors, [abs(error) for error in errors], [error * error for error in errors])
        return ValueCounts, [*counts, *sums]

    def examples(self, rows: pa.Table) -> list[Any]:  # noqa: D102
        return examples_of_values(rows)

    def lists(self, examples: Sequence[Any]) -> dict[str, list[Any]]:  # noqa: D102
        return lists_by_task("value", examples)

    def compute(self, sums: ValueSums) -> Mapping[str, Any]:  # noqa: D102
        return compute_values(sums, self.unit)

    def part(self, counts: ValueCounts) -> ValuePart:  # noqa: D102
        return counts.figures(self.unit)

    def night(self, sums: ValueSums) -> AnyNight:  # noqa: D102
        return night_of_values(sums, self.unit)

    def drift(self, night: Any, training: Training | None, before: Any) -> list[Any]:  # noqa: D102
        return compare_values(night, before)


@dataclass(frozen=True)
class EmbeddingMetrics:
    """What can be measured of the rows of a model of an embedding alone."""

    task: ClassVar[Task] = "embedding"
    empty: ClassVar[EmbeddingSums] = EmbeddingSums()

    def measure(self, rows: pa.Table) -> EmbeddingSums:  # noqa: D102
        return measure_embeddings(rows)

    def folders(self, rows: pa.Table) -> Folders:  # noqa: D102
        return Folders.count(rows["key"], *self.columns(rows))

    def columns(self, rows: pa.Table) -> tuple[type[AnyCounts], Sequence[Column]]:  # noqa: D102
        scored = np.asarray(np.asarray(rows["status"]) == "ok", np.int64)
        return PlainCounts, [np.ones(len(rows), np.int64), scored]

    def predicted(self, rows: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:  # noqa: D102
        return _NOTHING, _NOTHING

    def examples(self, rows: pa.Table) -> list[Any]:  # noqa: D102
        return examples_of_embeddings(rows)

    def lists(self, examples: Sequence[Any]) -> dict[str, list[Any]]:  # noqa: D102
        return lists_by_task("embedding", examples)

    def compute(self, sums: EmbeddingSums) -> Mapping[str, Any]:  # noqa: D102
        return compute_embeddings(sums)

    def part(self, counts: PlainCounts) -> PartCounts:  # noqa: D102
        return counts.figures()

    def night(self, sums: EmbeddingSums) -> AnyNight:  # noqa: D102
        return night_of_embeddings(sums)

    def drift(self, night: Any, training: Training | None, before: Any) -> list[Any]:  # noqa: D102
        return compare_embeddings(night, before)
