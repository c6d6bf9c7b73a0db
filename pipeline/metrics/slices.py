"""This module sums rows by input and by folder, so that the parts of an archive can be compared.

Every sum is an integer. Must not know where rows are stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.accuracy import Metrics, wilson
from pipeline.metrics.figures import FolderSlice, FolderSlices, Slice

MOST_FOLDERS = 200
"""Number of folders that have sums of their own, at most."""

_IN_FOLDER = r"(?s)^(.*)(?:#[0-9]+|[/!][^/!]*)$"
_NAMES = re.compile(r"[^/!]*[/!]?")


class Counts(NamedTuple):
    """Sums over rows: those fields of `Metrics` by which parts of an archive are compared."""

    images: int = 0
    scored: int = 0
    labelled: int = 0
    unknown_labels: int = 0
    correct: int = 0

    @classmethod
    def of(cls, metrics: Metrics) -> Counts:
        """Return the sums that metrics hold."""
        return cls(*(getattr(metrics, name) for name in cls._fields))

    def merge(self, other: Counts) -> Counts:
        """Return the sums over both."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))

    def figures(self) -> Slice:
        """Return the figures that a person reads."""
        interval = wilson(self.correct, self.labelled)
        return {
            "images": self.images,
            "scored": self.scored,
            "failed": self.images - self.scored,
            "labelled": self.labelled,
            "unknown_labels": self.unknown_labels,
            "accuracy": self.correct / self.labelled if self.labelled else None,
            "accuracy_interval_95": list(interval) if interval else None,
        }


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

    slices: Mapping[str, Counts] = field(default_factory=dict)
    depth: int | None = None

    @classmethod
    def of(cls, rows: pa.Table) -> Folders:
        """Return the sums by folder of prediction rows (`pipeline.output.rows.row_schema`)."""
        coded = folders_of(rows["key"]).dictionary_encode()
        numbers = np.asarray(coded.indices, np.int64)
        sums = [
            np.bincount(numbers, column, len(coded.dictionary)).astype(np.int64).tolist() for column in _columns(rows)
        ]
        counts = (Counts(*column) for column in zip(*sums, strict=True))
        return cls(dict(zip(coded.dictionary.to_pylist(), counts, strict=True)))._cut_to_fit()

    def merge(self, other: Folders) -> Folders:
        """Return the sums over both."""
        depths = [depth for depth in (self.depth, other.depth) if depth is not None]
        slices = dict(self.slices)
        for folder, counts in other.slices.items():
            slices[folder] = slices[folder].merge(counts) if folder in slices else counts
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
        slices: dict[str, Counts] = {}
        for folder, counts in self.slices.items():
            above = _above(folder, depth)
            slices[above] = slices[above].merge(counts) if above in slices else counts
        return Folders(slices, depth)

    def to_json(self) -> dict[str, Any]:
        """Return the depth and sorted lists of [folder, *sums]."""
        return {"depth": self.depth, "slices": [[folder, *counts] for folder, counts in sorted(self.slices.items())]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Folders:
        """Return the sums that `to_json` wrote."""
        return cls({folder: Counts(*sums) for folder, *sums in content["slices"]}, content["depth"])

    def figures(self) -> FolderSlices:
        """Return the figures that a person reads."""
        slices: list[FolderSlice] = [
            {"folder": folder, **counts.figures()} for folder, counts in sorted(self.slices.items())
        ]
        return {"depth": self.depth, "slices": slices}


def folders_of(keys: pa.ChunkedArray) -> pa.Array:
    """Return the folder of each image: on disk, in an archive, or else the TFRecord file that holds it.

    >>> keys = ["gs://b/x/y.png", "/a/b.tar!c/d.png", "/a/b.tar!d.png", "/a/b.tfrecord#7"]
    >>> folders_of(pa.chunked_array([keys])).to_pylist()
    ['gs://b/x', '/a/b.tar!c', '/a/b.tar', '/a/b.tfrecord']
    """
    return pc.replace_substring_regex(keys, pattern=_IN_FOLDER, replacement=r"\1").combine_chunks()


def _columns(rows: pa.Table) -> list[npt.NDArray[np.int8]]:
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
