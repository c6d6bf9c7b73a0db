"""Find the images that two streams of compact rows share, with as little in memory as their order allows.

Both streams are read in step. What has no partner yet is kept until it has one. Two runs over the same archive plan it
in the same order, so little is kept; over archives that have nothing in common, all of both is kept at the end: about
100 bytes and the length of its key for each image. Must not know what is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

STEP = 1 << 18
"""Rows of both streams that are gathered before partners are looked for."""

Rows = npt.NDArray[np.int64]


@dataclass
class Stream:
    """Rows of one OUTPUT: read, and waiting for their partners.

    Attributes:
        source: tables of compact rows.
        read: number of rows that were read.
        failed: number of those without a prediction.
        waiting: tables of rows that have no partner yet.
        is_over: whether all was read.
        doubled: number of rows left out because another one is found by the same text.
    """

    source: Iterator[pa.Table]
    read: int = 0
    failed: int = 0
    waiting: list[pa.Table] = field(default_factory=list)
    is_over: bool = False
    doubled: int = 0

    @property
    def rows(self) -> int:
        """Number of rows that wait."""
        return sum(map(len, self.waiting))

    def advance(self) -> None:
        """Read one table more, if there is one."""
        table = next(self.source, None)
        if table is None:
            self.is_over = True
            return
        self.read += len(table)
        self.failed += len(table) - int(pc.sum(table["ok"]).as_py() or 0)
        self.waiting.append(table)

    def take_all(self) -> pa.Table | None:
        """Return all rows that wait, as one table; None: nothing was ever read."""
        if not self.waiting:
            return None
        table = pa.concat_tables(self.waiting).combine_chunks()
        self.waiting = [table]
        return table


@dataclass(frozen=True)
class Pairs:
    """Images that both OUTPUTs have: row i of `a` and row i of `b` are the same image."""

    a: pa.Table
    b: pa.Table

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.a)

    def filter(self, mask: npt.NDArray[np.bool_]) -> Pairs:
        """Return some of the images."""
        return Pairs(self.a.filter(pa.array(mask)), self.b.filter(pa.array(mask)))


def pairs(a: Stream, b: Stream, are_unique: bool, step: int = STEP) -> Iterator[Pairs]:
    """Yield the shared images, each once; afterwards the streams hold those that are not shared.

    Args:
        a: rows of one OUTPUT; the column `on` says by what they are found.
        b: rows of the other one.
        are_unique: whether no text of `on` comes twice in a stream, as with keys. If not, all rows are read before the
            first are yielded; of those with the same text the first counts.
        step: rows that are gathered before partners are looked for; more where many wait, so that the time stays in
            proportion to the number of rows.
    """
    kept = 0
    while not (a.is_over and b.is_over):
        most = max(step, 2 * kept)
        while not (a.is_over and b.is_over) and (not are_unique or a.rows + b.rows < kept + most):
            behind = a if b.is_over or (not a.is_over and a.read <= b.read) else b
            behind.advance()
        if not are_unique:
            _keep_first(a)
            _keep_first(b)
        found = _match(a, b)
        if found is not None:
            yield found
        kept = a.rows + b.rows


def _match(a: Stream, b: Stream) -> Pairs | None:
    """Return the rows that have found their partners, and leave the others waiting."""
    one, other = a.take_all(), b.take_all()
    if one is None or other is None:
        return None
    found = pc.index_in(other["on"], value_set=_whole(one["on"]), skip_nulls=True)
    partners = np.asarray(pc.fill_null(found, -1), np.int64)
    rows_b: Rows = np.flatnonzero(partners >= 0)
    rows_a, first = np.unique(partners[rows_b], return_index=True)
    rows_b = rows_b[first]
    if not len(rows_a):
        return None
    a.waiting, b.waiting = [_without(one, rows_a)], [_without(other, rows_b)]
    return Pairs(one.take(pa.array(rows_a)), other.take(pa.array(rows_b)))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _without(table: pa.Table, rows: Rows) -> pa.Table:
    kept = np.ones(len(table), np.bool_)
    kept[rows] = False
    return table.filter(pa.array(kept))


def _keep_first(stream: Stream) -> None:
    """Leave of rows that are found by the same text the first one waiting."""
    table = stream.take_all()
    if table is None:
        return
    texts = _whole(table["on"])
    coded = np.asarray(pc.fill_null(texts.dictionary_encode().indices, -1), np.int64)
    _, first = np.unique(coded, return_index=True)
    kept = coded < 0
    kept[first] = True
    stream.doubled += int((~kept).sum())
    stream.waiting = [table.filter(pa.array(kept))]
