"""The rows of a run as they are stored: read part by part, a few at once, all columns or some.

Changes nothing. Must not know what is made of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import pyarrow as pa

from pipeline import storage
from pipeline.concurrency import ahead, cores, pools
from pipeline.errors import ChangedError, UsageError
from pipeline.metrics.record import Record
from pipeline.output.commit import committed
from pipeline.output.last_run import last_run
from pipeline.output.plan_file import read_ids
from pipeline.output.rows import read_columns, read_part
from pipeline.output.run import Run

T = TypeVar("T")
U = TypeVar("U")

PARTS_AHEAD = 4
"""Parts that are in memory at once while rows are read."""


class UnitRows(NamedTuple):
    """The rows of one unit.

    Attributes:
        unit: its id.
        rows: all of its rows, in their order.
    """

    unit: str
    rows: pa.Table


@dataclass(frozen=True)
class StoredRows:
    """The rows of one run.

    Attributes:
        run: whose rows they are.
        record: the content of its run.json; of a run that has not ended, what is known of it so far.
    """

    run: Run
    record: Record

    @classmethod
    def of_last_run(cls, output: str) -> StoredRows:
        """Return the rows of the run whose result is in OUTPUT.

        Raises:
            UsageError: it is no OUTPUT.
            NewerFormatError: its record is of a newer format.
        """
        location = storage.absolute(output)
        record = last_run(location).record
        return cls(Run.from_record(record).at(location), record)

    @property
    def is_complete(self) -> bool:
        """Whether every planned image has its row."""
        return bool(self.record.get("complete"))

    def units(self) -> list[str]:
        """Return the ids of the planned units that are done, in the plan's order.

        Raises:
            UsageError: the plan is gone, or damaged.
        """
        try:
            planned = read_ids(self.run)
        except FileNotFoundError as error:
            if self.record.get("verdict") is None:
                return []  # it is being planned
            raise UsageError(f"{self.run.plan!r} is gone, so nobody knows which rows count: score again") from error
        except ValueError as error:
            raise UsageError(f"{self.run.plan!r} is damaged ({error}): score again") from error
        if self.is_complete:
            return planned
        done = committed(self.run)
        return [unit for unit in planned if unit in done]

    def by_unit(self, columns: Sequence[str] | None = None, parts_ahead: int = PARTS_AHEAD) -> Iterator[UnitRows]:
        """Yield the rows of each unit, in the plan's order; a few parts are in memory at once.

        Args:
            columns: names of the columns to yield, in this order; None: all. Some are read faster than all, but then
                nobody notices damage to the others.
            parts_ahead: number of parts that are read at once.

        Raises:
            ChangedError: another run has replaced the rows meanwhile.
            DamagedPartError: a part is not as it was written.
            UsageError: there is no such column, or the plan cannot be read.
        """
        known = self.run.schema.names
        for name in columns or ():
            if name not in known:
                raise UsageError(f"there is no column {name!r}: choose from {', '.join(known)}")

        def read(unit: str) -> UnitRows:
            return rows_of(self.run, unit, columns)

        with closing(ahead(read, self.units(), parts_ahead, pools().read)) as parts:
            yield from parts


def look_ahead(look: Callable[[T], U], items: Iterable[T], run: Run) -> Generator[U, None, None]:
    """Yield what a look at each of several parts of a run finds, in order, with as many under way as there is room for.

    On a disk, threads for each core look; a bucket is asked by as many as it answers. Few threads are used where few
    will do, since each keeps memory for itself.

    Args:
        look: at one part.
        items: what `look` takes.
        run: whose parts they are.
    """
    at_once = storage.store_of(run.output).parallel_reads
    if at_once > 1:
        return ahead(look, items, at_once - 1, pools().read)
    return ahead(look, items, cores(), pools().score)


def rows_of(run: Run, unit: str, columns: Sequence[str] | None = None) -> UnitRows:
    """Return the rows of one unit that is committed.

    Args:
        run: whose rows they are.
        unit: its id.
        columns: names of the columns, in this order; None: all.

    Raises:
        ChangedError: another run has replaced the rows meanwhile.
        DamagedPartError: the part is not as it was written.
    """
    location, form, schema = run.part(unit), run.options.format, run.schema
    try:
        data = storage.read(location)
    except FileNotFoundError as error:
        text = f"rows of run {run.id} in {run.output!r} are gone: another run has replaced them"
        raise ChangedError(f"{text}; read it again") from error
    if columns is None:
        return UnitRows(unit, read_part(data, form, schema, location))
    return UnitRows(unit, read_columns(data, form, schema, columns, location))
