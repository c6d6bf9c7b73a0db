"""This module sums rows by the values of a column, such as the camera or the site, so that these can be compared.

Every sum is an integer. Must not know where rows are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.metrics.drift import psi
from pipeline.metrics.figures import ColumnValue
from pipeline.metrics.headline import headline_in
from pipeline.metrics.slices import AnyCounts, Counts, add, sum_by
from pipeline.metrics.task_metrics import TaskMetrics

MOST_VALUES = 1_000
"""Number of values of a column that have sums of their own, at most."""

LONGEST_VALUE = 200
"""Characters of a value, at most; what is longer counts with those that begin like it."""

OWN_SLICES = ("format", "exif_camera")
"""Columns of ours by whose values rows may be summed."""


class ValueSums(NamedTuple):
    """Sums over the rows that have one value.

    Attributes:
        counts: those by which parts of an archive are compared.
        predicted: number of a class -> how many of the images are predicted to be of it; empty where there are none.
    """

    counts: AnyCounts
    predicted: Mapping[int, int]


@dataclass(frozen=True)
class ByValue:
    """Sums by the values of a column.

    The first MOST_VALUES values in the order of their text have sums of their own, all others together are in `beyond`.
    Which those are does not depend on the order in which rows are summed: so `merge` is associative and commutative,
    with `ByValue()` as identity.

    Attributes:
        values: value -> sums over its rows; "" stands for the rows that have none.
        beyond: sums over the rows with other values; None: there are none.
    """

    values: Mapping[str, ValueSums] = field(default_factory=dict)
    beyond: ValueSums | None = None

    @classmethod
    def count(cls, column: pa.ChunkedArray, rows: pa.Table, metrics: TaskMetrics[Any]) -> ByValue:
        """Return the sums of rows by the values of a column of theirs.

        Args:
            column: text of each row; null where it has none.
            rows: the rows.
            metrics: what is measured of them.
        """
        texts = [(text or "")[:LONGEST_VALUE] for text in column.to_pylist()]
        coded = pa.array(texts, pa.string()).dictionary_encode()
        names, numbers = coded.dictionary.to_pylist(), np.asarray(coded.indices, np.int64)
        kind, columns = metrics.columns(rows)
        sums = [sum_by(numbers, one, len(names)) for one in columns]
        predicted = _predicted(numbers, *metrics.predicted(rows))
        values = {
            name: ValueSums(kind(*counts), predicted.get(number, {}))
            for number, (name, counts) in enumerate(zip(names, zip(*sums, strict=True), strict=True))
        }
        return cls(values)._cut_to_fit()

    def merge(self, other: ByValue) -> ByValue:
        """Return the sums over both."""
        values = dict(self.values)
        for value, sums in other.values.items():
            values[value] = _add(values[value], sums) if value in values else sums
        return ByValue(values, _sum(one for one in (self.beyond, other.beyond) if one is not None))._cut_to_fit()

    def _cut_to_fit(self) -> ByValue:
        if len(self.values) <= MOST_VALUES:
            return self
        kept = dict(sorted(self.values.items())[:MOST_VALUES])
        others = [sums for value, sums in self.values.items() if value not in kept]
        return ByValue(kept, _sum([*others, *([self.beyond] if self.beyond is not None else [])]))

    def to_json(self) -> dict[str, Any]:
        """Return sorted lists of [value, sums, numbers of classes, how many], and the same of all beyond."""
        beyond = None if self.beyond is None else _to_json(self.beyond)
        return {"values": [[value, *_to_json(sums)] for value, sums in sorted(self.values.items())], "beyond": beyond}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], kind: type[AnyCounts] = Counts) -> ByValue:
        """Return the sums that `to_json` wrote; they are of a type."""
        beyond = content["beyond"]
        values = {value: _from_json(sums, kind) for value, *sums in content["values"]}
        return cls(values, None if beyond is None else _from_json(beyond, kind))

    def figures(self, metrics: TaskMetrics[Any]) -> tuple[list[ColumnValue], ColumnValue | None]:
        """Return the figures of each value, and of all beyond: as a person reads them."""
        every = _sum([*self.values.values(), *([self.beyond] if self.beyond is not None else [])])
        whole = every.predicted if every is not None else {}
        values = [_figures(value or None, sums, whole, metrics) for value, sums in sorted(self.values.items())]
        return values, None if self.beyond is None else _figures(None, self.beyond, whole, metrics)


def merge_columns(one: Mapping[str, ByValue], other: Mapping[str, ByValue]) -> dict[str, ByValue]:
    """Return the sums of several columns over both."""
    names = dict.fromkeys((*one, *other))
    return {name: one.get(name, ByValue()).merge(other.get(name, ByValue())) for name in names}


def _figures(value: str | None, sums: ValueSums, whole: Mapping[int, int], metrics: TaskMetrics[Any]) -> ColumnValue:
    part = metrics.part(sums.counts)
    quality, interval = headline_in(part, metrics.task)
    own, others = ({str(number): n for number, n in counts.items()} for counts in (sums.predicted, whole))
    return {
        "value": value,
        "images": part["images"],
        "scored": part["scored"],
        "failed": part["failed"],
        "labelled": part.get("labelled"),
        "quality": quality,
        "quality_interval_95": None if interval is None else list(interval),
        "drift": psi(own, others),
    }


def _predicted(
    numbers: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]
) -> dict[int, dict[int, int]]:
    """Return number of a value -> number of a class -> how often it is predicted.

    Args:
        numbers: number of the value of each row.
        rows: the rows with a prediction; one may be there several times.
        classes: numbers of the predicted classes.
    """
    found: dict[int, dict[int, int]] = {}
    pairs, counts = np.unique(np.stack([numbers[rows], classes]), axis=1, return_counts=True)
    for value, number, n in zip(*pairs.tolist(), counts.tolist(), strict=True):
        found.setdefault(value, {})[number] = n
    return found


def _sum(every: Iterable[ValueSums]) -> ValueSums | None:
    total = None
    for sums in every:
        total = sums if total is None else _add(total, sums)
    return total


def _add(one: ValueSums, other: ValueSums) -> ValueSums:
    predicted = dict(one.predicted)
    for number, n in other.predicted.items():
        predicted[number] = predicted.get(number, 0) + n
    return ValueSums(add(one.counts, other.counts), predicted)


def _to_json(sums: ValueSums) -> list[list[int]]:
    numbers = sorted(sums.predicted)
    return [list(sums.counts), numbers, [sums.predicted[number] for number in numbers]]


def _from_json(content: Sequence[Sequence[int]], kind: type[AnyCounts]) -> ValueSums:
    counts, numbers, counted = content
    return ValueSums(kind(*counts), dict(zip(numbers, counted, strict=True)))
