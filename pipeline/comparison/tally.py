"""Sums over all shared images, one step of them after the other. Keeps no image, but for a few examples.

The labelled images that a model has seen in training are summed apart: whether they count is known at the end only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.comparison.join import Pairs
from pipeline.comparison.judge import Judged, Mask, judge, mask_of
from pipeline.comparison.shared_sums import SharedSums
from pipeline.comparison.side import BETWEEN, Side
from pipeline.metrics.comparison_figures import Counted, LabelPair, OneFailed
from pipeline.task import Task

EXAMPLES = 10
"""Images that are named at most, of those whose labels differ, and of those that failed in one of the two."""


class Basis(NamedTuple):
    """What the verdict is based on.

    Attributes:
        counted: which labelled images count.
        sums: over all shared images; of their labels, those that count.
        including_seen: the same with all labels; None: `sums` has them all.
    """

    counted: Counted
    sums: SharedSums
    including_seen: SharedSums | None


@dataclass
class Tally:
    """Sums over the shared images.

    Attributes:
        task: of both models.
        unit: of absolute errors, of models of a value.
        inputs: A's inputs, by which images are summed.
        unseen: over the images that are not in `seen`.
        seen: over the labelled images of which the training of A's model or of B's had an exact copy, as far as known.
        seen_by: number of these that A's model ("a"), B's ("b") and any of them ("any") has seen.
        other: images that do not count, by why: `labels_differ`, `labelled_in_one`, `known_to_one`, `failed_in_both`,
            `failed_in_a` and `failed_in_b`.
        labels_differ: some images whose labels differ.
        failed_in_a: some images that failed in A only.
        failed_in_b: the same of B.
    """

    task: Task
    unit: float = 1.0
    inputs: Sequence[str] = ()
    unseen: SharedSums = field(init=False)
    seen: SharedSums = field(init=False)
    seen_by: Counter[str] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    labels_differ: list[LabelPair] = field(default_factory=list)
    failed_in_a: list[OneFailed] = field(default_factory=list)
    failed_in_b: list[OneFailed] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with sums over no image."""
        self.unseen, self.seen = (SharedSums(self.task, self.inputs) for _ in range(2))

    def add(self, pairs: Pairs, a: Side, b: Side) -> None:
        """Add shared images to the sums."""
        judged = judge(pairs, self.task, self.unit)
        self._left_out(pairs, judged, a, b)
        by_a, by_b = (judged.labelled & _seen(rows) for rows in (pairs.a, pairs.b))
        seen: Mask = by_a | by_b
        self.seen_by.update(a=int(by_a.sum()), b=int(by_b.sum()), any=int(seen.sum()))
        if not seen.any():
            self.unseen.add(pairs, judged, a.words)
            return
        for sums, mask in ((self.unseen, ~seen), (self.seen, seen)):
            some = pairs.filter(mask)
            sums.add(some, judge(some, self.task, self.unit), a.words)

    def basis(self) -> Basis:
        """Return what the verdict is based on: the unseen labelled images, if there are any and others are seen."""
        if not self.seen.labelled:
            return Basis("all", self.unseen, None)
        every = self.unseen.merge(self.seen)
        if not self.unseen.labelled:
            return Basis("seen", every, None)
        return Basis("unseen", self.unseen.merge(self.seen.without_labels()), every)

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


def _seen(rows: pa.Table) -> Mask:
    """Return which images the training of the rows' model had; none where nobody knows."""
    return mask_of(rows, "seen") if "seen" in rows.column_names else np.zeros(len(rows), np.bool_)


def label_text(label: Any, side: Side, task: Task) -> str:
    """Return a label or a prediction of compact rows as a person reads it."""
    return f"{label:g}" if task == "value" else set_text(side.words.texts[label], task)


def set_text(text: str, task: Task) -> str:
    """Return a name, or the names of a set, as a person reads them."""
    return text if task != "labels" else text.replace(BETWEEN, ", ") or "no label"


def keys_of(rows: Sequence[pa.Table], most: int = EXAMPLES) -> list[str]:
    """Return the keys of some rows, the first ones."""
    keys: list[str] = []
    for table in rows:
        keys += table["key"].slice(0, most - len(keys)).to_pylist()
    return keys
