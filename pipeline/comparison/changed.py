"""The changed images that a person should look at, and their pictures from the receipts of both OUTPUTs."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import storage
from pipeline.comparison.join import Pairs
from pipeline.comparison.judge import Judged, column_of
from pipeline.comparison.side import Side
from pipeline.concurrency import ahead, pools
from pipeline.errors import DamagedPartError
from pipeline.output.receipts import Receipt
from pipeline.task import Task

KEPT = 96
"""Images of each list that are kept until it is known which of them have pictures."""

SHOWN = 24
"""Images of each list that are shown."""

RECEIPTS_AHEAD = 8

LISTS = ("right_to_wrong", "wrong_to_right", "other_changes")
"""Names of the lists, the most important first."""


class Place(NamedTuple):
    """Where a row lies: number of its unit in the plan, and of the row in the unit."""

    unit: int
    row: int


class Candidate(NamedTuple):
    """A changed image.

    Attributes:
        rank: the smaller, the sooner it is shown.
        key: in A.
        key_in_b: in B.
        label: number of the label, or the label of a value; None: it has none that both know.
        predicted_a: number of what A says, or its value.
        predicted_b: the same of B.
        score_a: probability of what A says; None: its model has none.
        score_b: the same of B.
        place_a: of the row in A.
        place_b: of the row in B.
    """

    rank: float
    key: str
    key_in_b: str
    label: float | None
    predicted_a: float
    predicted_b: float
    score_a: float | None
    score_b: float | None
    place_a: Place
    place_b: Place


@dataclass
class Candidates:
    """The changed images that come first, in the lists of LISTS.

    Right to wrong: those of which B is most sure come first. Wrong to right: those of which A was most sure. Others: by
    the lower of both scores. Of models of a value the first list has the images whose absolute error has grown most,
    the second those whose error has shrunk most.
    """

    lists: dict[str, list[Candidate]] = field(default_factory=lambda: {name: [] for name in LISTS})

    def add(self, pairs: Pairs, judged: Judged, task: Task) -> None:
        """Add shared images."""
        scores = [_scores(rows, task) for rows in (pairs.a, pairs.b)]
        if task == "value":
            by = judged.worse_by
            masks = (by > 0, by < 0, judged.changed & ~judged.labelled)
            ranks = (-by, by, np.zeros(len(pairs)))
        else:
            masks = (judged.lost, judged.gained, judged.changed & ~judged.lost & ~judged.gained)
            ranks = (-scores[1], -scores[0], -np.minimum(scores[0], scores[1]))
        for name, mask, rank in zip(LISTS, masks, ranks, strict=True):
            rows = np.flatnonzero(mask)
            first = rows[np.argsort(rank[rows], kind="stable")[:KEPT]]
            new = [_candidate(pairs, judged, row, float(rank[row]), task) for row in first.tolist()]
            self.lists[name] = _first([*self.lists[name], *new])

    def merge(self, other: Candidates) -> Candidates:
        """Return the changed images of both that come first."""
        return Candidates({name: _first([*self.lists[name], *other.lists[name]]) for name in LISTS})

    def shown(self, pictures: Mapping[str, bytes]) -> dict[str, list[Candidate]]:
        """Return the first images of each list; those with a picture come before others.

        Args:
            pictures: key in A -> picture.
        """
        return {
            name: sorted(images, key=lambda one: one.key not in pictures)[:SHOWN] for name, images in self.lists.items()
        }


def _first(images: Iterable[Candidate]) -> list[Candidate]:
    return heapq.nsmallest(KEPT, images, key=lambda one: one[:3])


def _scores(rows: pa.Table, task: Task) -> npt.NDArray[np.float64]:
    return column_of(rows, "score").astype(np.float64) if task == "classes" else np.zeros(len(rows))


def _candidate(pairs: Pairs, judged: Judged, row: int, rank: float, task: Task) -> Candidate:
    a, b = ({name: column[0].as_py() for name, column in _row(rows, row)} for rows in (pairs.a, pairs.b))
    return Candidate(
        rank,
        a["key"],
        b["key"],
        a["label"] if judged.labelled[row] else None,
        a["predicted"],
        b["predicted"],
        a["score"] if task == "classes" else None,
        b["score"] if task == "classes" else None,
        Place(a["unit"], a["row"]),
        Place(b["unit"], b["row"]),
    )


def _row(rows: pa.Table, row: int) -> Iterator[tuple[str, pa.ChunkedArray]]:
    one = rows.slice(row, 1)
    return zip(one.column_names, one.columns, strict=True)


def pictures_of(candidates: Candidates, a: Side, b: Side) -> dict[str, bytes]:
    """Return key in A -> PNG or JPEG file of the images that a receipt of A or B has a picture of."""
    images = [one for name in LISTS for one in candidates.lists[name]]
    found: dict[str, bytes] = {}
    for side, places in (
        (b, [(one.key, one.place_b) for one in images]),
        (a, [(one.key, one.place_a) for one in images]),
    ):
        thumbnails = dict(_thumbnails(side, {place for key, place in places if key not in found}))
        found |= {key: thumbnails[place] for key, place in places if place in thumbnails}
    return found


def _thumbnails(side: Side, places: Iterable[Place]) -> Iterator[tuple[Place, bytes]]:
    """Yield the pictures of some rows; a receipt that is gone or damaged has none."""
    wanted = sorted(set(places))
    numbers = sorted({place.unit for place in wanted})

    def read(number: int) -> tuple[int, Mapping[int, bytes]]:
        location = side.stored.run.receipt(side.units[number])
        try:
            return number, Receipt.from_json(storage.read(location), location).extras.thumbnails
        except (FileNotFoundError, DamagedPartError):
            return number, {}

    with closing(ahead(read, numbers, RECEIPTS_AHEAD, pools().read)) as receipts:
        for number, thumbnails in receipts:
            yield from (
                (place, thumbnails[place.row]) for place in wanted if place.unit == number and place.row in thumbnails
            )
