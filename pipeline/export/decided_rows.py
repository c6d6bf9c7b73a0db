"""The rows of a run that is complete, with the columns `accepted`, if the run decided on its images, and `in_training`.

Must not know what becomes of the rows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import DamagedPartError, UnfinishedError, UsageError
from pipeline.output import records
from pipeline.output.commit import decided
from pipeline.output.review_files import known_pixels
from pipeline.output.review_look import Known, in_training
from pipeline.output.run import Run
from pipeline.output.stored_rows import StoredRows, UnitRows
from pipeline.text import shell_path

ACCEPTED = "accepted"
"""Name of the column that says whether a prediction is accepted without a look; null: there is no prediction."""

IN_TRAINING = "in_training"
"""Name of the column that says whether the training had an image with the same pixels; null: nobody knows."""

HASH = "pixel_hash"
"""Name of the column of rows that tells the pixels."""

SLICE_ROWS = 2048
"""Rows that become Python objects at once."""


@dataclass(frozen=True)
class DecidedRows:
    """The rows of a complete run.

    Attributes:
        stored: the rows, as the run left them.
        is_decided: whether there is a decision on each of them, so that they have the column ACCEPTED.
            A run without --accept_score may leave the decisions of an earlier one where they are: these do not count.
    """

    stored: StoredRows
    is_decided: bool

    @classmethod
    def of(cls, output: str) -> DecidedRows:
        """Return the rows of the run whose result is in OUTPUT.

        Raises:
            UsageError: it is no OUTPUT.
            UnfinishedError: not every planned image has its row; or a later run may be writing other decisions.
        """
        stored = StoredRows.of_last_run(output)
        if not stored.is_complete:
            text = f"the run in {output!r} is not complete: 'nightscore status {shell_path(output)}' says how far it is"
            raise UnfinishedError(f"{text}; export it when it is")
        if not stored.record.get("accepted"):
            return cls(stored, False)
        if records.under_way(stored.run.output) is not None:
            text = f"a later run into {output!r} has not ended, and may have other decisions on what is accepted"
            raise UnfinishedError(f"{text}: export when it has ended, or score again if it has died")
        return cls(stored, decided(stored.run).issuperset(stored.units()))

    @property
    def run(self) -> Run:
        """The run whose rows they are."""
        return self.stored.run

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows."""
        schema = self.run.schema
        for name in self._ours:
            schema = schema.append(pa.field(self._free(name), pa.bool_()))
        return schema

    @property
    def training_unknown(self) -> str:
        """Why nobody knows which images were seen in training, as one line; "": that is known."""
        return self._training[1]

    @cached_property
    def _training(self) -> tuple[Known | None, str]:
        return known_pixels(self.run)

    @property
    def _ours(self) -> tuple[str, ...]:
        """The columns that the rows of a part lack."""
        return (ACCEPTED, IN_TRAINING) if self.is_decided else (IN_TRAINING,)

    def _free(self, name: str) -> str:
        """Return the name of one of our columns beside all others: a column of the archive may have it already."""
        taken = {other.lower() for other in self.run.schema.names}
        while name in taken:
            name = f"nightscore_{name}"
        return name

    def require_decided(self, wish: str) -> None:
        """Check that there are decisions.

        Args:
            wish: what was asked for and needs them.

        Raises:
            UsageError: there are none.
        """
        if not self.is_decided:
            raise UsageError(
                f"{wish} needs to know which predictions are accepted: score into the same OUTPUT again with "
                "--accept_score or --accept_accuracy; no image is scored twice"
            )

    def by_unit(self, columns: Sequence[str] | None = None) -> Iterator[UnitRows]:
        """Yield the rows of each unit, in the plan's order; see `StoredRows.by_unit`.

        Args:
            columns: names of the columns, in this order; with "key" if ACCEPTED is among them. None: all.

        Raises:
            DamagedPartError: decisions are not as they were written, or are about other images.
        """
        if columns is None:
            own, ours = self.run.schema.names, {name: self._free(name) for name in self._ours}
        else:
            own = [name for name in columns if name not in (ACCEPTED, IN_TRAINING)]
            ours = {name: name for name in self._ours if name in columns}
        hashes = [HASH] if IN_TRAINING in ours and HASH in self.run.schema.names and HASH not in own else []
        stored = self.stored.by_unit(None if columns is None else [*own, *hashes])
        with closing(stored) as units:  # type: ignore[type-var]  # a generator
            for unit, rows in units:
                table = rows.select(own)
                for name, title in ours.items():
                    table = table.append_column(pa.field(title, pa.bool_()), self._column(name, unit, rows))
                names = table.column_names if columns is None else [n for n in columns if n in table.column_names]
                yield UnitRows(unit, table.select(names))

    def _column(self, name: str, unit: str, rows: pa.Table) -> pa.ChunkedArray | pa.Array:
        """Return one of our columns of the rows of a unit."""
        return self._decisions(unit, rows["key"]) if name == ACCEPTED else in_training(rows, self._training[0])

    def _decisions(self, unit: str, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        location = self.run.decision(unit)
        try:
            table = pq.read_table(io.BytesIO(storage.read(location)), columns=["key", ACCEPTED])
            found = table[ACCEPTED].cast(pa.bool_())
        except (FileNotFoundError, pa.ArrowException, OSError, KeyError) as error:
            raise DamagedPartError(f"{location!r} holds no decisions: {error}") from error
        if table["key"].equals(keys):
            return found
        places = pc.index_in(keys, value_set=table["key"].combine_chunks())
        if places.null_count:
            raise DamagedPartError(f"{location!r} decides on other images than those of its unit")
        return found.take(places)


def in_slices(rows: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows of a unit, a few at once: a compressed archive is one unit of any length."""
    for first in range(0, len(rows), SLICE_ROWS):
        yield rows.slice(first, SLICE_ROWS)
