"""This module chooses the images that a person should review, in bounded memory, and says which they are.

Where predictions were decided on, these are the ones that are not accepted. Else they are the mistakes, the most
confident first, and then the images of which the model is least certain.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from pipeline.export.decided_rows import ACCEPTED, DecidedRows
from pipeline.output.plan_file import read_index

DEFAULT = 1_000
"""Images to review, at most, where nothing was decided on."""

Row = Mapping[str, Any]
_Ordered = tuple[float, str, Row]
"""What comes first has the smaller number; the key, which no other row has, decides between equal ones."""


@dataclass
class Review:
    """The images to review.

    Attributes:
        rows: they are read from these.
        most: how many are taken, at most; None: all that are not accepted.
        images: number of images taken.
        not_accepted: number of images that are not accepted; None: nothing was decided on.
        mistakes: number of images whose label is another class; those taken come first. None: as above reversed.
        uncertain: number of images taken of which the model is least certain, besides.
    """

    rows: DecidedRows
    most: int | None
    images: int = 0
    not_accepted: int | None = None
    mistakes: int | None = None
    uncertain: int = 0
    _certainty: Callable[[Row], float] = field(init=False)

    def __post_init__(self) -> None:
        """Find out how certain the model is of an image of its task."""
        self._certainty = _certainty_of(self.rows)

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows of the images, those to be looked at first before the others, with `source` of their unit."""
        self.images = self.uncertain = 0
        for row in self._decided() if self.rows.is_decided else self._mistakes_first():
            self.images += 1
            yield row

    def _decided(self) -> Iterator[Row]:
        self.not_accepted = 0
        waiting: list[_Ordered] = []
        for rows in self._by_unit():
            found = [row for row in rows if row[ACCEPTED] is False]
            self.not_accepted += len(found)
            if self.most is None:
                yield from found
            else:
                waiting = _first(self.most, waiting, map(self._by_doubt, found))
        yield from (row for *_, row in waiting)

    def _mistakes_first(self) -> Iterator[Row]:
        most = DEFAULT if self.most is None else self.most
        self.mistakes = 0
        mistakes: list[_Ordered] = []
        others: list[_Ordered] = []
        for rows in self._by_unit():
            wrong = [row for row in rows if is_mistake(row)]
            self.mistakes += len(wrong)
            mistakes = _first(most, mistakes, ((-c, key, row) for c, key, row in map(self._by_doubt, wrong)))
            others = _first(most, others, (self._by_doubt(row) for row in rows if not is_mistake(row)))
        yield from (row for *_, row in mistakes)
        rest = others[: most - len(mistakes)]
        self.uncertain = len(rest)
        yield from (row for *_, row in rest)

    def _by_doubt(self, row: Row) -> _Ordered:
        return self._certainty(row), row["key"], row

    def _by_unit(self) -> Iterator[list[Row]]:
        """Yield the rows of each unit that have a prediction."""
        is_labels = self.rows.run.spec.task == "labels"
        wanted = ["key", "status", "label", "label_name", "label_score", "predicted", "predicted_name", "score"]
        wanted += ["label_names", "predicted_names", *(["top_k"] if is_labels else []), ACCEPTED]
        columns = [name for name in wanted if name in self.rows.schema.names]
        units = read_index(self.rows.run).units
        with closing(self.rows.by_unit(columns)) as parts:  # type: ignore[type-var]  # a generator
            for unit, (_, table) in zip(units, parts, strict=True):
                rows = table.to_pylist()
                yield [{**row, "source": unit.source} for row in rows if row["status"] == "ok"]


def _first(most: int, waiting: list[_Ordered], more: Iterable[_Ordered]) -> list[_Ordered]:
    """Return the first of what waits, in order, and of more; what comes behind a full list is not even kept."""
    if len(waiting) == most:
        last = waiting[-1][0]
        more = [one for one in more if one[0] <= last]
    return heapq.nsmallest(most, [*waiting, *more])


def is_mistake(row: Row) -> bool:
    """Return whether an image is labelled, and the prediction is another."""
    if "predicted_names" in row:
        return row["label_names"] is not None and set(row["label_names"]) != set(row["predicted_names"])
    return row["label_score"] is not None and row["label"] != row["predicted"]


def _certainty_of(rows: DecidedRows) -> Callable[[Row], float]:
    """Return what tells how certain the model is: the score, or of labels the least distance from a threshold."""
    spec = rows.run.spec
    if spec.task == "classes":
        return lambda row: float(row["score"])
    limits = spec.label_thresholds
    return lambda row: min((abs(one["score"] - limits[one["label"]]) for one in row["top_k"]), default=1.0)
