"""Sums over shared images: all together, by class, and by the parts of the archive. Sums that merge; keeps no image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.comparison.changed import Candidates
from pipeline.comparison.class_sums import ClassSums
from pipeline.comparison.join import Pairs
from pipeline.comparison.judge import KINDS, AnyCounts, Judged, column_of, mask_of, plus, without_labels
from pipeline.comparison.side import Side, Vocabulary
from pipeline.metrics.accuracy import CALIBRATION_BINS, EPSILON, FIXED_POINT, Metrics
from pipeline.metrics.slices import Column, Folders, sum_by
from pipeline.task import Task

MOST_INPUTS = 50
"""Number of inputs up to which images are summed by input."""

_INSIDE = ("/", "!", "#")
"""What follows the name of a folder, of an archive and of a file of records in the keys of its images."""

K = TypeVar("K")


@dataclass
class SharedSums:
    """Sums over shared images.

    Attributes:
        task: of both models.
        inputs: A's inputs, by which images are summed; see `inputs_of`.
        counts: over all images; None: there are none.
        by_input: over the images in each of `inputs`.
        by_folder: over the images in each folder of A.
        by_value: column of --slice -> number of a value, -1 for none -> sums over its images.
        scores_a: calibration and log loss of A, on the labelled images.
        scores_b: the same of B.
        classes: sums by class.
        candidates: images that a person should look at.
    """

    task: Task
    inputs: Sequence[str] = ()
    counts: AnyCounts | None = None
    by_input: dict[str, AnyCounts] = field(default_factory=dict)
    by_folder: Folders = field(default_factory=Folders)
    by_value: dict[str, dict[int, AnyCounts]] = field(default_factory=dict)
    scores_a: Metrics = field(default_factory=Metrics)
    scores_b: Metrics = field(default_factory=Metrics)
    classes: ClassSums = field(default_factory=ClassSums)
    candidates: Candidates = field(default_factory=Candidates)

    @property
    def labelled(self) -> int:
        """Number of images whose label counts."""
        return getattr(self.counts, "labelled", 0)

    def add(self, pairs: Pairs, judged: Judged, words: Vocabulary) -> None:
        """Add shared images, with what they say."""
        self._parts(pairs, judged)
        if self.task == "classes":
            self.scores_a = self.scores_a.merge(_scores(pairs.a, judged.labelled))
            self.scores_b = self.scores_b.merge(_scores(pairs.b, judged.labelled))
        if self.task in ("classes", "labels"):
            self.classes.add(pairs, judged, self.task, words)
        if self.task != "embedding":
            self.candidates.add(pairs, judged, self.task)

    def merge(self, other: SharedSums) -> SharedSums:
        """Return the sums over the images of both."""
        columns = {**self.by_value, **other.by_value}
        return SharedSums(
            self.task,
            self.inputs,
            self.counts if other.counts is None else plus(self.counts, other.counts),
            _merged(self.by_input, other.by_input),
            self.by_folder.merge(other.by_folder),
            {name: _merged(self.by_value.get(name, {}), other.by_value.get(name, {})) for name in columns},
            self.scores_a.merge(other.scores_a),
            self.scores_b.merge(other.scores_b),
            self.classes.merge(other.classes),
            self.candidates.merge(other.candidates),
        )

    def without_labels(self) -> SharedSums:
        """Return the sums over the same images as if none had a label, and none of them for a person to look at."""
        folders = {name: without_labels(counts) for name, counts in by_folder(self).items()}
        return SharedSums(
            self.task,
            self.inputs,
            None if self.counts is None else without_labels(self.counts),
            {name: without_labels(counts) for name, counts in self.by_input.items()},
            replace(self.by_folder, slices=cast(Any, folders)),
            {
                name: {value: without_labels(counts) for value, counts in values.items()}
                for name, values in self.by_value.items()
            },
        )

    def _parts(self, pairs: Pairs, judged: Judged) -> None:
        """Add images to the sums over all, by input, by folder and by the values of columns."""
        kind = KINDS[self.task]
        nothing = np.zeros(len(pairs), np.int64)
        self.counts = plus(self.counts, _by_group(nothing, 1, kind, judged.sums)[0])
        if self.inputs:
            numbers = first_input(pairs.a["key"], self.inputs)
            for name, counts in zip(self.inputs, _by_group(numbers, len(self.inputs) + 1, kind, judged.sums)):  # noqa: B905 - what lies in no input is last
                self.by_input[name] = plus(self.by_input.get(name), counts)
        folders = Folders.count(pairs.a["key"], cast(Any, kind), judged.sums)
        self.by_folder = self.by_folder.merge(folders)
        for name in [name for name in pairs.a.column_names if name.startswith("slice.")]:
            own, others = column_of(pairs.a, name), column_of(pairs.b, name)
            values = np.where(own >= 0, own, others).astype(np.int64)
            present, numbers = np.unique(values, return_inverse=True)
            sums = self.by_value.setdefault(name.partition(".")[2], {})
            for value, counts in zip(
                present.tolist(), _by_group(numbers, len(present), kind, judged.sums), strict=True
            ):
                sums[value] = plus(sums.get(value), counts)


def inputs_of(side: Side) -> Sequence[str]:
    """Return the inputs by which images are summed, as keys begin; none if there is one only, too many, or a glob."""
    inputs = side.stored.run.inputs
    if not 1 < len(inputs) <= MOST_INPUTS or any(storage.fixed_prefix(one) != one for one in inputs):
        return ()
    return [storage.key_of(one) for one in inputs]


def _scores(rows: pa.Table, labelled: npt.NDArray[np.bool_]) -> Metrics:
    """Return the sums that tell of the calibration and the log loss of labelled images, as `Metrics` has them."""
    right = mask_of(rows, "right")[labelled]
    confidence, of_label = (
        np.asarray(column_of(rows, name)[labelled], np.float64) for name in ("score", "label_score")
    )
    bins = np.clip((confidence * CALIBRATION_BINS).astype(np.int64), 0, CALIBRATION_BINS - 1)
    numbers = range(CALIBRATION_BINS)
    fixed = np.rint(confidence * FIXED_POINT).astype(np.int64)
    losses = np.rint(-np.log(np.clip(of_label, EPSILON, 1.0)) * FIXED_POINT).astype(np.int64)
    images = np.bincount(bins, minlength=CALIBRATION_BINS)
    return Metrics(
        labelled=len(right),
        correct=int(right.sum()),
        log_loss=int(losses.sum()),
        calibration_images={i: int(images[i]) for i in numbers if images[i]},
        calibration_correct={i: int(right[bins == i].sum()) for i in numbers if images[i]},
        calibration_confidence={i: int(fixed[bins == i].sum()) for i in numbers if images[i]},
    )


def first_input(keys: pa.ChunkedArray, inputs: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the number of the first input that holds an image; the number of inputs if none does.

    >>> keys = pa.chunked_array([["/a/x.png", "/ab/x.png", "/t.tar!x.png", "/a/b/x.png"]])
    >>> first_input(keys, ["/a/b", "/a", "/t.tar"]).tolist()
    [1, 3, 2, 0]
    """
    found = np.full(len(keys), len(inputs), np.int64)
    for number in reversed(range(len(inputs))):
        for inside in _INSIDE:
            found[np.asarray(pc.starts_with(keys, inputs[number].rstrip("/") + inside), np.bool_)] = number
        found[np.asarray(pc.equal(keys, inputs[number]), np.bool_)] = number
    return found


def by_folder(sums: SharedSums) -> Mapping[str, AnyCounts]:
    """Return the sums by folder."""
    return cast(Mapping[str, AnyCounts], sums.by_folder.slices)


def _merged(one: Mapping[K, AnyCounts], other: Mapping[K, AnyCounts]) -> dict[K, AnyCounts]:
    return {**one, **{name: plus(one.get(name), counts) for name, counts in other.items()}}


def _by_group(
    numbers: npt.NDArray[np.int64], groups: int, kind: type[AnyCounts], columns: Sequence[Column]
) -> list[AnyCounts]:
    sums = [sum_by(numbers, column, groups) for column in columns]
    return [kind(*each) for each in zip(*sums, strict=True)]
