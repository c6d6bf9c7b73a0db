"""The review: what a person decides in the morning, from a look at all rows after the last one is committed.

It reads the parts of a result, a few at once, and keeps sums and a few bytes an image: hashes, and which rows stand
out. A second look finds labels that look wrong, by what the first one has summed. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.concurrency import ahead, cores, pools
from pipeline.metrics import acceptance, curves
from pipeline.metrics.acceptance import RIGHT, UNLABELLED, WRONG, AcceptedCounts, ScoreCounts
from pipeline.metrics.curves import CurveCounts
from pipeline.metrics.duplicates import LABEL_COLUMNS, Copies, Hashed, copies, hashed
from pipeline.metrics.hash_texts import from_texts
from pipeline.metrics.headline import headline_in
from pipeline.metrics.label_errors import LabelScores
from pipeline.metrics.review import Accepted, Review, Unseen
from pipeline.metrics.sums import Sums
from pipeline.output.review_lists import Lists, Marked, list_copies, list_suspects
from pipeline.output.run import Run
from pipeline.output.stored_rows import UnitRows, rows_of

MERGED = 32
"""Number of parts whose counts are merged at once."""

T = TypeVar("T")

Known = Callable[[npt.NDArray[np.uint64]], npt.NDArray[np.bool_]]
"""Tells of hashes of pixels, uint64 [n], which ones the model's training had, bool [n]."""


@dataclass(frozen=True)
class Reviewed:
    """A review, and the files that lie beside it.

    Attributes:
        review: the content of review.json.
        files: name in OUTPUT -> content of a file.
    """

    review: Review
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Look:
    """What one part, or several, have shown; what is not counted of a task is empty."""

    scores: ScoreCounts = field(default_factory=ScoreCounts)
    curves: CurveCounts = field(default_factory=CurveCounts)
    labels: LabelScores = field(default_factory=LabelScores)
    accepted: AcceptedCounts = field(default_factory=AcceptedCounts)
    seen: Sums = field(default_factory=Sums)
    unseen: Sums = field(default_factory=Sums)

    @classmethod
    def merge_all(cls, parts: Sequence[_Look]) -> _Look:
        seen, unseen, accepted = Sums(), Sums(), AcceptedCounts()
        for part in parts:
            seen, unseen = seen.merge(part.seen), unseen.merge(part.unseen)
            accepted = accepted.merge(part.accepted)
        return cls(
            ScoreCounts.merge_all(part.scores for part in parts),
            CurveCounts.merge_all(part.curves for part in parts),
            LabelScores.merge_all(part.labels for part in parts),
            accepted,
            seen,
            unseen,
        )


def review_of(run: Run, units: Sequence[str], known: Known | None) -> Reviewed:
    """Return the review of a result.

    Args:
        run: whose result it is.
        units: ids of its units, in the plan's order; each is committed.
        known: tells which pixels the model's training had; None: nobody knows.

    Raises:
        ChangedError: a part is gone.
        DamagedPartError: a part is not as it was written.
    """
    looks: list[_Look] = []
    hashes: list[Hashed] = []
    for look, found in _over(run, units, _columns(run), lambda part: _first_look(part.rows, run, known)):
        looks.append(look)
        hashes.append(found)
        if len(looks) == MERGED:
            looks = [_Look.merge_all(looks)]
    look = _Look.merge_all(looks)
    review: Review = {"model": run.spec.model_id}
    if run.spec.task == "classes":
        review.update(_of_classes(look, run))
    elif run.spec.task == "labels" and look.curves.labelled:
        review["curves"] = curves.compute(look.curves, run.spec.class_names, run.top_k)
    if known is not None:
        review["unseen"] = _unseen(look, run)
        if "acceptance" in review:
            review["acceptance"]["seen"] = review["unseen"]["seen_labelled"]
    lists = Lists(run, units)
    if "pixel_hash" in run.schema.names:
        review["duplicates"] = list_copies(lists, *_copies(hashes))
    if run.spec.task == "classes" and len(look.labels.images.codes):
        seen = None if known is None else int(getattr(look.seen, "labelled", 0))
        review["label_errors"] = list_suspects(lists, look.labels, known, seen)
    return Reviewed(review, lists.files)


def _over(run: Run, units: Sequence[str], columns: Sequence[str], look: Callable[[UnitRows], T]) -> Iterator[T]:
    """Yield what a look at each part has found, in order; several threads look at once."""

    def read(unit: str) -> T:
        return look(rows_of(run, unit, columns))

    with closing(ahead(read, units, 2 * cores(), pools().read)) as found:
        yield from found


def _columns(run: Run) -> list[str]:
    """Return the columns of the first look: what is measured of rows, without names of images and large columns."""
    task = run.spec.task
    of_task = {
        "classes": (*acceptance.COLUMNS, "top_k"),
        "labels": ("status", "predicted_names", "top_k"),
        "value": ("status", "predicted_value"),
        "embedding": ("status",),
    }[task]
    wanted = {*of_task, *LABEL_COLUMNS[task], "pixel_hash", "error_stage", "error_code"}
    return [name for name in run.schema.names if name in wanted]


def _first_look(rows: pa.Table, run: Run, known: Known | None) -> tuple[_Look, Hashed]:
    spec = run.spec
    has_hashes = "pixel_hash" in rows.schema.names
    is_known = known_rows(rows, known) if known is not None and has_hashes else np.zeros(len(rows), np.bool_)
    found = hashed(rows, spec.task) if has_hashes else _NO_HASHES
    seen = unseen = Sums()
    if known is not None and spec.task != "embedding":
        seen = run.metrics.measure(rows.filter(pa.array(is_known)))
        unseen = run.metrics.measure(rows.filter(pa.array(~is_known)))
    if spec.task == "labels":
        unknown = rows.filter(pa.array(~is_known)) if is_known.any() else rows
        return _Look(curves=CurveCounts.of_labels(unknown, spec.class_names), seen=seen, unseen=unseen), found
    if spec.task != "classes":
        return _Look(seen=seen, unseen=unseen), found
    score = run.options.accept_score
    unknown = rows.filter(pa.array(~is_known)) if is_known.any() else rows
    accepted = acceptance.is_accepted(rows, score)
    look = _Look(
        ScoreCounts.of(rows, is_known),
        CurveCounts.of_classes(unknown),
        LabelScores.of(unknown),
        AcceptedCounts.of(rows, accepted, is_known) if score is not None else AcceptedCounts(),
        seen,
        unseen,
    )
    return look, found


_NO_HASHES = Hashed(np.zeros(0, np.int32), np.zeros(0, np.uint64), np.zeros(0, np.uint64))


def known_rows(rows: pa.Table, known: Known) -> npt.NDArray[np.bool_]:
    """Return of which rows the model's training had the pixels, bool [n]; of a row without a hash it had not."""
    hashes, has_hash = from_texts(rows["pixel_hash"])
    return has_hash & known(hashes)


def _of_classes(look: _Look, run: Run) -> Review:
    """Return thresholds, what is accepted, and curves."""
    options, names = run.options, run.spec.class_names
    wanted = options.accept_accuracy or acceptance.WANTED_ACCURACY
    review: Review = {"acceptance": acceptance.compute(look.scores, names, wanted)}
    if options.accept_score is not None:
        review["accepted"] = look.accepted.figures(options.accept_score, None)
    elif options.accept_accuracy is not None:
        review["accepted"] = _accepted(look.scores, review["acceptance"]["score"], wanted)
    if look.curves.labelled:
        review["curves"] = curves.compute(look.curves, names, run.top_k)
    return review


def _accepted(scores: ScoreCounts, score: float | None, wanted: float) -> Accepted:
    table = scores.total()
    first = acceptance.BINS if score is None else int(acceptance.bins_of(np.array([score], np.float32))[0])
    right, wrong, unlabelled = (int(table[kind, first:].sum()) for kind in (RIGHT, WRONG, UNLABELLED))
    left = int(table[:, :first].sum())
    counts = AcceptedCounts(right + wrong + unlabelled, right + wrong, right, left, int(table[WRONG, :first].sum()))
    return counts.figures(score, wanted)


def _unseen(look: _Look, run: Run) -> Unseen:
    """Return the figures of images of which the model's training had no exact copy, and of the others."""
    task, empty = run.spec.task, run.metrics.empty
    unseen, seen = empty.merge(look.unseen), empty.merge(look.seen)
    figures: dict[str, Any] = dict(run.metrics.compute(unseen))
    headline, interval = headline_in(figures, task)
    return {
        "seen": seen.scored,
        "images": unseen.scored,
        "labelled": int(figures.get("labelled", 0)),
        "headline": headline,
        "headline_interval_95": interval,
        "seen_labelled": int(getattr(seen, "labelled", 0)),
        "seen_headline": headline_in(dict(run.metrics.compute(seen)), task)[0],
    }


def _copies(hashes: list[Hashed]) -> tuple[Copies, Marked, int]:
    """Return the images that are there more than once, where the rows of all hashed images lie, and their number.

    The list is emptied: of ten million images it is as large as all that is made of it.
    """
    ends = np.cumsum([len(one.rows) for one in hashes])
    rows = np.concatenate([_NO_HASHES.rows, *(one.rows for one in hashes)])
    numbers = np.concatenate([_NO_HASHES.hashes, *(one.hashes for one in hashes)])
    labels = np.concatenate([_NO_HASHES.labels, *(one.labels for one in hashes)])
    hashes.clear()
    found = copies(numbers, labels)
    units = np.searchsorted(ends, found.places, side="right").astype(np.int64)
    return found, Marked(units, rows[found.places].astype(np.int64)), len(rows)
