"""Sums over all shared images, one step of them after the other. Keeps no image, but for a few examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.comparison.changed import Candidates
from pipeline.comparison.class_sums import ClassSums
from pipeline.comparison.join import Pairs
from pipeline.comparison.judge import KINDS, AnyCounts, Judged, column_of, judge, mask_of
from pipeline.comparison.side import BETWEEN, Side
from pipeline.metrics.accuracy import CALIBRATION_BINS, EPSILON, FIXED_POINT, Metrics
from pipeline.metrics.comparison_figures import LabelPair, OneFailed
from pipeline.metrics.slices import Column, Folders, sum_by
from pipeline.task import Task

EXAMPLES = 10
"""Images that are named at most, of those whose labels differ, and of those that failed in one of the two."""

MOST_INPUTS = 50
"""Number of inputs up to which images are summed by input."""

_INSIDE = ("/", "!", "#")
"""What follows the name of a folder, of an archive and of a file of records in the keys of its images."""


@dataclass
class Tally:
    """Sums over the shared images.

    Attributes:
        task: of both models.
        unit: of absolute errors, of models of a value.
        inputs: A's inputs, by which images are summed; see `inputs_of`.
        counts: over all images.
        by_input: over the images in each of `inputs`.
        by_folder: over the images in each folder of A.
        by_value: column of --slice -> number of a value, -1 for none -> sums over its images.
        scores_a: calibration and log loss of A, on the labelled images.
        scores_b: the same of B.
        classes: sums by class.
        other: images that do not count, by why: `labels_differ`, `labelled_in_one`, `known_to_one`, `failed_in_both`,
            `failed_in_a` and `failed_in_b`.
        candidates: images that a person should look at.
    """

    task: Task
    unit: float = 1.0
    inputs: Sequence[str] = ()
    counts: AnyCounts | None = None
    by_input: dict[str, AnyCounts] = field(default_factory=dict)
    by_folder: Folders = field(default_factory=Folders)
    by_value: dict[str, dict[int, AnyCounts]] = field(default_factory=dict)
    scores_a: Metrics = field(default_factory=Metrics)
    scores_b: Metrics = field(default_factory=Metrics)
    classes: ClassSums = field(default_factory=ClassSums)
    other: Counter[str] = field(default_factory=Counter)
    labels_differ: list[LabelPair] = field(default_factory=list)
    failed_in_a: list[OneFailed] = field(default_factory=list)
    failed_in_b: list[OneFailed] = field(default_factory=list)
    candidates: Candidates = field(default_factory=Candidates)

    def add(self, pairs: Pairs, a: Side, b: Side) -> None:
        """Add shared images to the sums."""
        judged = judge(pairs, self.task, self.unit)
        self._parts(pairs, judged)
        self._left_out(pairs, judged, a, b)
        if self.task == "classes":
            self.scores_a = self.scores_a.merge(_scores(pairs.a, judged.labelled))
            self.scores_b = self.scores_b.merge(_scores(pairs.b, judged.labelled))
        if self.task in ("classes", "labels"):
            self.classes.add(pairs, judged, self.task, a.words)
        if self.task != "embedding":
            self.candidates.add(pairs, judged, self.task)

    def _parts(self, pairs: Pairs, judged: Judged) -> None:
        """Add images to the sums over all, by input, by folder and by the values of columns."""
        kind = KINDS[self.task]
        nothing = np.zeros(len(pairs), np.int64)
        self.counts = _plus(self.counts, _by_group(nothing, 1, kind, judged.sums)[0])
        if self.inputs:
            numbers = first_input(pairs.a["key"], self.inputs)
            for name, counts in zip(self.inputs, _by_group(numbers, len(self.inputs) + 1, kind, judged.sums)):  # noqa: B905 - what lies in no input is last
                self.by_input[name] = _plus(self.by_input.get(name), counts)
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
                sums[value] = _plus(sums.get(value), counts)

    def _left_out(self, pairs: Pairs, judged: Judged, a: Side, b: Side) -> None:
        """Count the images that do not count, and name some of them."""
        ok_a, ok_b = mask_of(pairs.a, "ok"), mask_of(pairs.b, "ok")
        masks = {
            "labels_differ": judged.labels_differ,
            "labelled_in_one": judged.labelled_in_one & judged.scored,
            "known_to_one": judged.known_to_one,
            "failed_in_both": ~ok_a & ~ok_b,
            "failed_in_a": ~ok_a & ok_b,
            "failed_in_b": ok_a & ~ok_b,
        }
        for name, mask in masks.items():
            self.other[name] += int(mask.sum())
        for failed, mask, rows, side in (
            (self.failed_in_a, masks["failed_in_a"], pairs.a, a),
            (self.failed_in_b, masks["failed_in_b"], pairs.b, b),
        ):
            for row in np.flatnonzero(mask)[: EXAMPLES - len(failed)].tolist():
                reason = side.reasons.texts[rows["reason"][row].as_py()]
                failed.append({"key": pairs.a["key"][row].as_py(), "reason": reason})
        for row in np.flatnonzero(judged.labels_differ)[: EXAMPLES - len(self.labels_differ)].tolist():
            own, other = (label_text(rows["label"][row].as_py(), a, self.task) for rows in (pairs.a, pairs.b))
            self.labels_differ.append({"key": pairs.a["key"][row].as_py(), "label_a": own, "label_b": other})


def label_text(label: Any, side: Side, task: Task) -> str:
    """Return a label or a prediction of compact rows as a person reads it."""
    return f"{label:g}" if task == "value" else set_text(side.words.texts[label], task)


def set_text(text: str, task: Task) -> str:
    """Return a name, or the names of a set, as a person reads them."""
    return text if task != "labels" else text.replace(BETWEEN, ", ") or "no label"


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


def _by_group(
    numbers: npt.NDArray[np.int64], groups: int, kind: type[AnyCounts], columns: Sequence[Column]
) -> list[AnyCounts]:
    sums = [sum_by(numbers, column, groups) for column in columns]
    return [kind(*each) for each in zip(*sums, strict=True)]


def _plus(one: AnyCounts | None, other: AnyCounts) -> AnyCounts:
    return other if one is None else type(other)(*(x + y for x, y in zip(one, other, strict=True)))


def keys_of(rows: Sequence[pa.Table], most: int = EXAMPLES) -> list[str]:
    """Return the keys of some rows, the first ones."""
    keys: list[str] = []
    for table in rows:
        keys += table["key"].slice(0, most - len(keys)).to_pylist()
    return keys


def by_folder(tally: Tally) -> Mapping[str, AnyCounts]:
    """Return the sums by folder."""
    return cast(Mapping[str, AnyCounts], tally.by_folder.slices)
