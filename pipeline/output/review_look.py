"""The first look of a review at the rows of a part: sums that merge, and a few bytes an image.

Must not know where parts are stored, or what a person makes of the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics import acceptance, odd_images
from pipeline.metrics.acceptance import AcceptedCounts, ScoreCounts
from pipeline.metrics.curves import CurveCounts
from pipeline.metrics.duplicates import LABEL_COLUMNS, Hashed, hashed
from pipeline.metrics.hash_texts import from_texts
from pipeline.metrics.label_errors import LabelScores
from pipeline.metrics.odd_images import OddImages
from pipeline.metrics.sums import Sums
from pipeline.output.run import Run

Known = Callable[[npt.NDArray[np.uint64]], npt.NDArray[np.bool_]]
"""Tells of hashes of pixels, uint64 [n], which ones the model's training had, bool [n]."""

T = TypeVar("T")

MERGED = 32
"""Number of parts of which the counts are merged at once."""

NO_HASHES = Hashed(np.zeros(0, np.int32), np.zeros(0, np.uint64), np.zeros(0, np.uint64))


@dataclass(frozen=True, eq=False)
class Look:
    """What one part, or several, have shown; what is not counted of a task is empty."""

    scores: ScoreCounts = field(default_factory=ScoreCounts)
    curves: CurveCounts = field(default_factory=CurveCounts)
    labels: LabelScores = field(default_factory=LabelScores)
    accepted: AcceptedCounts = field(default_factory=AcceptedCounts)
    seen: Sums = field(default_factory=Sums)
    unseen: Sums = field(default_factory=Sums)
    odd: OddImages = field(default_factory=OddImages)

    @classmethod
    def merge_all(cls, parts: Sequence[Look]) -> Look:
        """Return what all parts have shown."""
        seen, unseen, accepted, odd = Sums(), Sums(), AcceptedCounts(), OddImages()
        for part in parts:
            seen, unseen = seen.merge(part.seen), unseen.merge(part.unseen)
            accepted, odd = accepted.merge(part.accepted), odd.merge(part.odd)
        return cls(
            ScoreCounts.merge_all(part.scores for part in parts),
            CurveCounts.merge_all(part.curves for part in parts),
            LabelScores.merge_all(part.labels for part in parts),
            accepted,
            seen,
            unseen,
            odd,
        )


def merge_in_groups(parts: Iterable[T], merge_all: Callable[[Sequence[T]], T]) -> T:
    """Return the counts of all parts: merged one by one, those that have grown large would be copied for each part."""
    waiting: list[T] = []
    for part in parts:
        waiting.append(part)
        if len(waiting) == MERGED:
            waiting = [merge_all(waiting)]
    return merge_all(waiting)


def columns_of(run: Run) -> list[str]:
    """Return the columns of the first look: what is measured of rows, without names of images and large columns."""
    task = run.spec.task
    of_task = {
        "classes": (*acceptance.COLUMNS, "top_k"),
        "labels": ("status", "predicted_names", "top_k"),
        "value": ("status", "predicted_value"),
        "embedding": ("status",),
    }[task]
    wanted = {*of_task, *LABEL_COLUMNS[task], "pixel_hash", "error_stage", "error_code"}
    wanted |= {"perceptual_hash", *odd_images.COLUMNS}
    return [name for name in run.schema.names if name in wanted]


def first_look(rows: pa.Table, run: Run, known: Known | None) -> tuple[Look, Hashed]:
    """Return what the rows of a part show, and their images that have a hash.

    Args:
        rows: with the columns that `columns_of` names.
        run: whose rows they are.
        known: tells which pixels the model's training had; None: nobody knows.
    """
    spec, names = run.spec, rows.column_names
    found = hashed(rows, spec.task) if "pixel_hash" in names else NO_HASHES
    is_known = np.zeros(len(rows), np.bool_)
    look = Look(odd=odd_images.measure(rows.select([name for name in odd_images.COLUMNS if name in names])))
    if known is not None:
        is_known[found.rows] = known(found.hashes)
    unknown = rows.filter(pa.array(~is_known)) if is_known.any() else rows
    if known is not None and spec.task != "embedding":
        seen = run.metrics.measure(rows.filter(pa.array(is_known)))
        look = replace(look, seen=seen, unseen=run.metrics.measure(unknown))
    if spec.task == "labels":
        return replace(look, curves=CurveCounts.of_labels(unknown, spec.class_names)), found
    if spec.task == "classes":
        return _of_classes(look, rows, unknown, is_known, run), found
    return look, found


def _of_classes(look: Look, rows: pa.Table, unknown: pa.Table, is_known: npt.NDArray[np.bool_], run: Run) -> Look:
    """Return a look with what is counted of classes; `unknown` are the rows that the model has not learned from."""
    score = run.options.accept_score
    accepted = AcceptedCounts()
    if score is not None:
        accepted = AcceptedCounts.of(rows, acceptance.is_accepted(rows, score), is_known)
    return replace(
        look,
        scores=ScoreCounts.of(rows, is_known),
        curves=CurveCounts.of_classes(unknown),
        labels=LabelScores.of(unknown),
        accepted=accepted,
    )


def known_rows(rows: pa.Table, known: Known) -> npt.NDArray[np.bool_]:
    """Return of which rows the model's training had the pixels, bool [n]; of a row without a hash it had not."""
    return np.asarray(pc.fill_null(in_training(rows, known), False), bool)


def in_training(rows: pa.Table, known: Known | None) -> pa.Array:
    """Return of which rows the model's training had the pixels; null where that is not known.

    Args:
        rows: with the column pixel_hash, unless `known` is None.
        known: tells which pixels the model's training had; None: nobody knows.
    """
    if known is None:
        return pa.nulls(len(rows), pa.bool_())
    hashes, has_hash = from_texts(rows["pixel_hash"])
    return pa.array(known(hashes), pa.bool_(), mask=~has_hash)
