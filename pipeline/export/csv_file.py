"""All rows as one CSV file that a spreadsheet opens: RFC 4180, UTF-8, a line for each image.

How a cell is written is decided here alone; docs/export.md tells it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa

from pipeline.export.decided_rows import DecidedRows, in_slices
from pipeline.export.new_file import new_file
from pipeline.sources.label_values import joined

MOST_TOP = 10
"""Classes of `top_k` that get columns, at most: a spreadsheet has 16,384 columns, and nobody reads more."""

_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""First characters of a text that a spreadsheet may run as a formula, also in their wide forms."""

_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?%?")


@dataclass
class CsvFile:
    """What was written.

    Attributes:
        rows: number of images.
        columns: number of columns.
        bytes: of the file.
        guarded: number of cells that begin with an apostrophe of ours, so that no spreadsheet runs them.
        left_out: classes of top_k that have no column.
        training_unknown: why nobody knows which images were seen in training, as one line; "": that is known.
    """

    rows: int = 0
    columns: int = 0
    bytes: int = 0
    guarded: int = 0
    left_out: int = 0
    training_unknown: str = ""


def write_csv(rows: DecidedRows, location: str) -> CsvFile:
    """Write all rows to a new file.

    Raises:
        UsageError: a file of this name is there.
    """
    written = CsvFile(training_unknown=rows.training_unknown)
    top = min(rows.run.top_k, MOST_TOP)
    if "top_k" in rows.schema.names:
        written.left_out = rows.run.top_k - top
    with new_file(location) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        lines = csv.writer(text)
        names = [cell for field in rows.schema for cell in _names(field, top)]
        written.columns = len(names)
        lines.writerow(_guarded(names, written))
        for _, table in rows.by_unit():
            for some in in_slices(table):
                lines.writerows(zip(*_cells(some, top, written), strict=True))
            written.rows += len(table)
        text.flush()
        written.bytes = file.tell()
        text.detach()
    return written


def _names(field: pa.Field, top: int) -> Iterator[str]:
    """Yield the names of the columns that a column of the rows becomes."""
    if field.name != "top_k":
        yield field.name
        return
    for n in range(1, top + 1):
        yield from (f"top_{n}_name", f"top_{n}_score")


def _cells(table: pa.Table, top: int, written: CsvFile) -> Iterator[Sequence[Any]]:
    """Yield the columns of the file, of some rows."""
    for field in table.schema:
        column = table[field.name].combine_chunks()
        if field.name == "top_k":
            yield from _top(column, top, written)
        elif field.name == "embedding":
            yield _vectors(column)
        elif pa.types.is_list(field.type):
            yield _guarded((None if names is None else joined(names) for names in column.to_pylist()), written)
        elif pa.types.is_string(field.type):
            yield _guarded(column.to_pylist(), written)
        elif pa.types.is_floating(field.type):
            yield _texts(column)
        elif pa.types.is_boolean(field.type):
            yield [None if value is None else "true" if value else "false" for value in column.to_pylist()]
        else:
            yield column.to_pylist()


def _texts(numbers: pa.Array) -> list[str | None]:
    """Return numbers as the shortest text that reads back as the same number: 0.93, not 0.9300000071525574."""
    numbers = numbers.cast(pa.float32()) if pa.types.is_float16(numbers.type) else numbers
    texts: list[str | None] = numbers.cast(pa.string()).to_pylist()
    return texts


def _top(column: pa.Array, top: int, written: CsvFile) -> Iterator[Sequence[Any]]:
    """Yield a column of names and one of scores for each of the first classes."""
    flat = column.flatten()
    names, scores = flat.field("name").to_pylist(), _texts(flat.field("score"))
    lengths = column.value_lengths().fill_null(0).to_pylist()
    spans = list(pairwise(accumulate(lengths, initial=0)))
    for n in range(top):
        places = [start + n if start + n < stop else None for start, stop in spans]
        yield _guarded((None if place is None else names[place] for place in places), written)
        yield [None if place is None else scores[place] for place in places]


def _vectors(column: pa.Array) -> list[str | None]:
    """Return vectors as JSON arrays."""
    numbers = _texts(column.flatten())
    cells: list[str | None] = []
    at = 0
    size = column.type.list_size
    for is_known in column.is_valid().to_pylist():
        cells.append(f"[{','.join(map(str, numbers[at : at + size]))}]" if is_known else None)
        at += size if is_known else 0
    return cells


def _guarded(texts: Iterable[str | None], written: CsvFile) -> list[str | None]:
    """Return cells of text; one that a spreadsheet could run gets an apostrophe before it, and is counted."""
    cells: list[str | None] = []
    for text in texts:
        if text and text[0] in _FORMULA and not _NUMBER.fullmatch(text):
            written.guarded += 1
            text = f"'{text}"
        cells.append(text)
    return cells
