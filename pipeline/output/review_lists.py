"""The lists of a review: images that are there more than once, and labels that look wrong, as CSV files.

They name at most LISTED images each, the most important ones first. Changes nothing in OUTPUT.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.metrics.code_counts import CodeCounts
from pipeline.metrics.duplicates import LABEL_COLUMNS, Copies, label_texts
from pipeline.metrics.label_errors import COLUMNS, LabelScores, confident_in, errors_of
from pipeline.metrics.review import Copy, CopyGroup, Duplicates, LabelErrors, Suspect
from pipeline.output.review_look import Known, known_rows, merge_in_groups
from pipeline.output.run import Run
from pipeline.output.stored_rows import look_ahead, rows_of
from pipeline.report.csv_file import csv_file
from pipeline.task import Task

LISTED = 500_000
"""Number of images in a list, at most."""

AT_ONCE = 8192
"""Number of rows that become Python objects at once."""

SHOWN = 24
"""Number of labels that look wrong, and of groups of copies, that review.json has."""

SHOWN_COPIES = 6
"""Number of copies of one image that review.json has."""


@dataclass(frozen=True, eq=False)
class Marked:
    """Some rows of a result.

    Attributes:
        units: int64 [n], index of the unit.
        rows: int64 [n], number of the row in the unit's part.
    """

    units: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]

    def first(self, n: int) -> Marked:
        """Return the first n of these rows."""
        return Marked(self.units[:n], self.rows[:n])


@dataclass(frozen=True)
class Lists:
    """Makes the lists of one result.

    Attributes:
        run: whose result it is.
        units: ids of its units, in the plan's order.
        files: name in OUTPUT -> content of the list.
    """

    run: Run
    units: Sequence[str]
    files: dict[str, bytes] = field(default_factory=dict)

    def write(self, name: str, header: Sequence[str], lines: Iterator[Sequence[object]]) -> None:
        """Add a CSV file, see `pipeline.report.csv_file`."""
        self.files[name] = csv_file(header, lines)

    def fetch(self, marked: Marked, columns: Sequence[str]) -> pa.Table:
        """Return some columns of marked rows, in their order; each part is read once."""
        order = np.argsort(marked.units, kind="stable")
        wanted, starts = np.unique(marked.units[order], return_index=True)
        ends = np.append(starts, len(order))[1:]
        spans = [(int(unit), order[a:b]) for unit, a, b in zip(wanted, starts, ends, strict=True)]

        def read(span: tuple[int, npt.NDArray[np.int64]]) -> pa.Table:
            unit, chosen = span
            return rows_of(self.run, self.units[unit], columns).rows.take(pa.array(marked.rows[chosen]))

        schema = pa.schema([self.run.schema.field(name) for name in columns])
        with closing(look_ahead(read, spans, self.run)) as parts:
            table = pa.concat_tables([schema.empty_table(), *parts])
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        return table.take(pa.array(places))


def list_copies(lists: Lists, file: str, found: Copies, marked: Marked, hashed: int) -> Duplicates:
    """Write a list of images that are there more than once, and return the figures of it.

    Args:
        lists: gets the file.
        file: name of the file.
        found: images that are there more than once.
        marked: the rows of `found.places`.
        hashed: number of images that were compared.
    """
    sizes, task = np.diff(found.starts), lists.run.spec.task
    listed = min(LISTED, int(found.starts[-1]))
    rows = lists.fetch(marked.first(listed), ["key", *LABEL_COLUMNS[task]])
    groups = np.repeat(np.arange(len(sizes)), sizes)[:listed]

    def lines() -> Iterator[Sequence[object]]:
        for start in range(0, listed, AT_ONCE):
            some = rows.slice(start, AT_ONCE)
            of_row = groups[start : start + AT_ONCE]
            differ = np.where(found.conflicts[of_row], "true", "false").tolist()
            numbers = (of_row + 1).tolist()
            yield from zip(numbers, differ, some["key"].to_pylist(), label_texts(some, task), strict=True)

    if listed:
        lists.write(file, ("group", "labels_differ", "key", "label"), lines())
    first: list[CopyGroup] = []
    for g in range(min(len(sizes), SHOWN)):
        start, stop = int(found.starts[g]), min(int(found.starts[g + 1]), listed, int(found.starts[g]) + AT_ONCE)
        first.append(_shown(rows.slice(start, max(0, stop - start)), task, int(sizes[g]), bool(found.conflicts[g])))
    return {
        "hashed": hashed,
        "groups": len(sizes),
        "images": int(sizes.sum()),
        "conflicts": int(found.conflicts.sum()),
        "conflict_images": int(sizes[found.conflicts].sum()),
        "listed": listed,
        "first": first,
    }


def _shown(rows: pa.Table, task: Task, images: int, is_conflict: bool) -> CopyGroup:
    """Return a group of copies with some of its images: one of each label first, so that a contradiction is seen."""
    keys, labels = rows["key"].to_pylist(), label_texts(rows, task)
    first_of = {label: i for i, label in reversed(list(enumerate(labels)))}
    one_each = set(first_of.values())
    chosen = sorted([*sorted(one_each), *(i for i in range(len(keys)) if i not in one_each)][:SHOWN_COPIES])
    copies: list[Copy] = [{"key": keys[i], "label_name": labels[i]} for i in chosen]
    return {"images": images, "is_conflict": is_conflict, "first": copies}


def list_suspects(
    lists: Lists,
    scores: LabelScores,
    known: Known | None,
    seen: int | None,
) -> LabelErrors:
    """Write label_errors.csv, and return the figures of it.

    Args:
        lists: gets the file.
        scores: of the labelled images, without those of the model's training.
        known: tells which pixels the model's training had; None: nobody knows.
        seen: number of labelled images from the model's training; None: nobody knows.
    """
    run = lists.run
    classes = len(run.spec.class_names)
    thresholds, images = scores.thresholds(classes), scores.images.dense(classes)
    columns = [*COLUMNS, *(["pixel_hash"] if known is not None else [])]

    def look(unit: int) -> _Suspects:
        rows = rows_of(run, lists.units[unit], columns).rows
        numbers = np.arange(len(rows))
        if known is not None:
            numbers = np.flatnonzero(~known_rows(rows, known))
            rows = rows.take(pa.array(numbers))
        one = confident_in(rows, thresholds)
        at = np.full(len(one.rows), unit, np.int64)
        return _Suspects(Marked(at, numbers[one.rows]), one.suggested, one.margins, len(one.rows), one.joint)

    with closing(look_ahead(look, range(len(lists.units)), run)) as parts:
        found = merge_in_groups(parts, _Suspects.merge_all)
    first = _write_suspects(lists, found)
    return errors_of(images, seen, found.joint, found.count, len(found.margins), first)


@dataclass(frozen=True, eq=False)
class _Suspects:
    """Images of which another class than their label is confident, and what classes are confident of in all images.

    Attributes:
        marked: their rows, those with the lowest margins first, LISTED at most.
        suggested: int64 [n], the class that is confident of each of them.
        margins: float64 [n], see `Confident`.
        count: number of such images, also of those that were let go.
        joint: see `Confident`.
    """

    marked: Marked
    suggested: npt.NDArray[np.int64]
    margins: npt.NDArray[np.float64]
    count: int
    joint: CodeCounts

    @classmethod
    def merge_all(cls, parts: Sequence[_Suspects]) -> _Suspects:
        """Return those of all parts, of which there is one at least; of equal ones the first in the archive first."""
        units = np.concatenate([part.marked.units for part in parts])
        rows = np.concatenate([part.marked.rows for part in parts])
        suggested = np.concatenate([part.suggested for part in parts])
        margins = np.concatenate([part.margins for part in parts])
        worst = np.lexsort((rows, units, margins))[:LISTED]
        joint = CodeCounts.merge_all(part.joint for part in parts)
        count = sum(part.count for part in parts)
        return cls(Marked(units[worst], rows[worst]), suggested[worst], margins[worst], count, joint)


def _write_suspects(lists: Lists, found: _Suspects) -> list[Suspect]:
    """Write label_errors.csv, if there is a suspect, and return the first ones."""
    names = lists.run.spec.class_names
    rows = lists.fetch(found.marked, ["key", "label_name", "label_score", "predicted_name", "score"])

    def lines() -> Iterator[Sequence[object]]:
        for start in range(0, len(rows), AT_ONCE):
            columns = (column.to_pylist() for column in rows.slice(start, AT_ONCE).columns)
            numbers = found.suggested[start : start + AT_ONCE].tolist()
            for number, key, label, own, predicted, score in zip(numbers, *columns, strict=True):
                yield key, label, names[number], f"{own:.6f}", predicted, f"{score:.6f}"

    if len(rows):
        header = ("key", "label_name", "suggested_name", "label_score", "predicted_name", "score")
        lists.write("label_errors.csv", header, lines())
    return [
        {
            "key": row["key"],
            "label_name": row["label_name"],
            "suggested_name": names[number],
            "label_score": row["label_score"],
            "score": row["score"],
        }
        for row, number in zip(rows.slice(0, SHOWN).to_pylist(), found.suggested[:SHOWN].tolist(), strict=True)
    ]
