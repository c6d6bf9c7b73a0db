"""This module sums rows by input and by folder, so that the parts of an archive can be compared.

Every sum is an integer. Must not know where rows are stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.accuracy import Metrics
from pipeline.metrics.figures import Slice
from pipeline.metrics.labels import LabelSums
from pipeline.metrics.proportions import interval_of_share, ratio
from pipeline.metrics.sums import Sums
from pipeline.metrics.task_figures import LabelPart, PartCounts, ValuePart
from pipeline.metrics.value import ValueSums, mean_interval, mean_of

MOST_FOLDERS = 200
"""Number of folders that have sums of their own, at most."""

_IN_FOLDER = r"(?s)^(.*)(?:#[0-9]+|[/!][^/!]*)$"
_NAMES = re.compile(r"[^/!]*[/!]?")


class Counts(NamedTuple):
    """Sums over rows of a model of classes: those fields of `Metrics` by which parts of an archive are compared."""

    images: int = 0
    scored: int = 0
    labelled: int = 0
    unknown_labels: int = 0
    correct: int = 0

    @classmethod
    def of(cls, metrics: Metrics) -> Counts:
        """Return the sums that metrics hold."""
        return cls(*(getattr(metrics, name) for name in cls._fields))

    def figures(self) -> Slice:
        """Return the figures that a person reads."""
        return {
            "images": self.images,
            "scored": self.scored,
            "failed": self.images - self.scored,
            "labelled": self.labelled,
            "unknown_labels": self.unknown_labels,
            "accuracy": ratio(self.correct, self.labelled),
            "accuracy_interval_95": interval_of_share(self.correct, self.labelled),
        }


class LabelCounts(NamedTuple):
    """The same of a model of labels; F1 over all classes is 2 * hits / names."""

    images: int = 0
    scored: int = 0
    labelled: int = 0
    unknown_labels: int = 0
    correct: int = 0
    hits: int = 0
    names: int = 0

    @classmethod
    def of(cls, sums: LabelSums) -> LabelCounts:
        """Return the sums that those over all rows hold."""
        hits = sum(sums.true_positives.values())
        names = 2 * hits + sum(sums.false_positives.values()) + sum(sums.false_negatives.values())
        return cls(sums.images, sums.scored, sums.labelled, sums.unknown_labels, sums.correct, hits, names)

    def figures(self) -> LabelPart:
        """Return the figures that a person reads."""
        return {
            "images": self.images,
            "scored": self.scored,
            "failed": self.images - self.scored,
            "labelled": self.labelled,
            "unknown_labels": self.unknown_labels,
            "exact_match": ratio(self.correct, self.labelled),
            "exact_match_interval_95": interval_of_share(self.correct, self.labelled),
            "f1": ratio(2 * self.hits, self.names),
        }


class ValueCounts(NamedTuple):
    """The same of a model of a value; errors are in the unit of its sums."""

    images: int = 0
    scored: int = 0
    labelled: int = 0
    unknown_labels: int = 0
    error: int = 0
    absolute_error: int = 0
    squared_error: int = 0

    @classmethod
    def of(cls, sums: ValueSums) -> ValueCounts:
        """Return the sums that those over all rows hold."""
        return cls(*(getattr(sums, name) for name in cls._fields))

    def figures(self, unit: float) -> ValuePart:
        """Return the figures that a person reads."""
        n = self.labelled
        return {
            "images": self.images,
            "scored": self.scored,
            "failed": self.images - self.scored,
            "labelled": n,
            "unknown_labels": self.unknown_labels,
            "mae": mean_of(self.absolute_error, n, unit),
            "mae_interval_95": mean_interval(self.absolute_error, self.squared_error, n, unit, least=0.0),
            "mean_error": mean_of(self.error, n, unit),
        }


class PlainCounts(NamedTuple):
    """The same of a model of an embedding."""

    images: int = 0
    scored: int = 0

    @classmethod
    def of(cls, sums: Sums) -> PlainCounts:
        """Return the sums that those over all rows hold."""
        return cls(sums.images, sums.scored)

    def figures(self) -> PartCounts:
        """Return the figures that a person reads."""
        return {"images": self.images, "scored": self.scored, "failed": self.images - self.scored}


AnyCounts = Counts | LabelCounts | ValueCounts | PlainCounts
"""Sums over the rows of a part of an archive, of one of the tasks."""

Column = npt.NDArray[np.integer[Any]] | Sequence[int]
"""What each row adds to a sum: an array of small numbers, or any integers."""

C = TypeVar("C", bound=AnyCounts)


def add(one: C, other: C) -> C:
    """Return the sums over the rows of two parts of an archive; both are of one task.

    >>> add(PlainCounts(3, 2), PlainCounts(1, 1))
    PlainCounts(images=4, scored=3)
    """
    kind: Callable[..., C] = type(one)
    return kind(*(a + b for a, b in zip(one, other, strict=True)))


@dataclass(frozen=True)
class Folders:
    """Sums by folder.

    If there are more than MOST_FOLDERS, the folders below a depth count with the folder above them. The depth follows
    from all folders together: it is the deepest at which there are not too many. So `merge` is associative and
    commutative, with `Folders()` as identity.

    Attributes:
        slices: folder -> sums over its images; a folder at `depth` includes all folders below it.
        depth: number of names from the root of a file system or a bucket; None: all folders have sums of their own.
    """

    slices: Mapping[str, AnyCounts] = field(default_factory=dict)
    depth: int | None = None

    @classmethod
    def of(cls, rows: pa.Table) -> Folders:
        """Return the sums by folder of prediction rows of a model of classes (`pipeline.output.rows.row_schema`)."""
        return cls.count(rows["key"], Counts, columns_of(rows))

    @classmethod
    def count(
        cls,
        keys: pa.ChunkedArray,
        kind: type[AnyCounts],
        columns: Sequence[Column],
    ) -> Folders:
        """Return the sums by folder of any rows.

        Args:
            keys: keys of the rows.
            kind: the type of the sums.
            columns: for each of its fields, what each row adds to it: an array of small numbers, or any integers.
        """
        coded = folders_of(keys).dictionary_encode()
        numbers = np.asarray(coded.indices, np.int64)
        sums = [sum_by(numbers, column, len(coded.dictionary)) for column in columns]
        counts = (kind(*column) for column in zip(*sums, strict=True))
        return cls(dict(zip(coded.dictionary.to_pylist(), counts, strict=True)))._cut_to_fit()

    def merge(self, other: Folders) -> Folders:
        """Return the sums over both."""
        depths = [depth for depth in (self.depth, other.depth) if depth is not None]
        slices = dict(self.slices)
        for folder, counts in other.slices.items():
            slices[folder] = add(slices[folder], counts) if folder in slices else counts
        both = Folders(slices)
        return (both._cut_at(min(depths)) if depths else both)._cut_to_fit()

    def _cut_to_fit(self) -> Folders:
        """Return the same sums, cut at the deepest depth at which there are not too many folders."""
        folders, depth = self, self.depth
        while len(folders.slices) > MOST_FOLDERS:
            depth = max(map(_depth, folders.slices)) - 1 if depth is None else depth - 1
            folders = self._cut_at(depth)
        return folders

    def _cut_at(self, depth: int) -> Folders:
        """Return the same sums; deeper folders count with the one above them at that depth."""
        slices: dict[str, AnyCounts] = {}
        for folder, counts in self.slices.items():
            above = _above(folder, depth)
            slices[above] = add(slices[above], counts) if above in slices else counts
        return Folders(slices, depth)

    def to_json(self) -> dict[str, Any]:
        """Return the depth and sorted lists of [folder, *sums]."""
        return {"depth": self.depth, "slices": [[folder, *counts] for folder, counts in sorted(self.slices.items())]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], kind: type[AnyCounts] = Counts) -> Folders:
        """Return the sums that `to_json` wrote; they are of a type."""
        return cls({folder: kind(*sums) for folder, *sums in content["slices"]}, content["depth"])


def folders_of(keys: pa.ChunkedArray) -> pa.Array:
    """Return the folder of each image: on disk, in an archive, or else the TFRecord file that holds it.

    >>> keys = ["gs://b/x/y.png", "/a/b.tar!c/d.png", "/a/b.tar!d.png", "/a/b.tfrecord#7"]
    >>> folders_of(pa.chunked_array([keys])).to_pylist()
    ['gs://b/x', '/a/b.tar!c', '/a/b.tar', '/a/b.tfrecord']
    """
    return pc.replace_substring_regex(keys, pattern=_IN_FOLDER, replacement=r"\1").combine_chunks()


def columns_of(rows: pa.Table) -> list[npt.NDArray[np.int8]]:
    """Return for each field of `Counts` a column with what each row adds to it, 0 or 1."""
    labelled = pc.is_valid(rows["label_score"])
    has_both = pc.and_(pc.is_valid(rows["label"]), pc.is_valid(rows["label_name"]))
    has_any = pc.or_(pc.is_valid(rows["label"]), pc.is_valid(rows["label_name"]))
    masks = (
        pc.is_valid(rows["key"]),
        pc.equal(rows["status"], "ok"),
        labelled,
        pc.and_not(has_any, has_both),
        pc.and_(labelled, pc.fill_null(pc.equal(rows["label"], rows["predicted"]), False)),
    )
    return [np.asarray(pc.cast(mask, pa.int8()), np.int8) for mask in masks]


def sum_by(numbers: npt.NDArray[np.int64], column: Column, groups: int) -> list[int]:
    """Return the sum of a column for each number of a group."""
    if isinstance(column, np.ndarray):
        counts: list[int] = np.bincount(numbers, column, groups).astype(np.int64).tolist()
        return counts
    sums = [0] * groups
    for number, value in zip(numbers.tolist(), column, strict=True):
        sums[number] += value
    return sums


def _depth(folder: str) -> int:
    return len(_names(folder))


def _above(folder: str, depth: int) -> str:
    names = _names(folder)
    return folder if len(names) <= depth else "".join(names[:depth]).rstrip("/!")


def _names(folder: str) -> list[str]:
    """Return the names in a folder's path, each with the separator that follows it.

    >>> _names("gs://b/x"), _names("/a/b.tar!c")
    (['gs:/', '/', 'b/', 'x'], ['/', 'a/', 'b.tar!', 'c'])
    """
    return [name for name in _NAMES.findall(folder) if name]
