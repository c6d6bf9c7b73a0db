"""A Parquet file and its row groups, as Arrow reads them; whatever Arrow raises on foreign bytes is a DamagedError."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq

from pipeline.sources.container import open_unit
from pipeline.sources.foreign_file import DamagedError, ForeignFile
from pipeline.units import WorkUnit

CREDIBLE = 1 << 16
"""Number of rows that a file may claim, however small it is. More than this, and more than it has bytes, is damage."""

WHOLE = 32 << 20
"""Bytes of a row group, at most, whose columns are fetched at once; of a larger one, as many as a page has.

Arrow's buffer grows to the size that a page's header claims, 2 GB if that is damaged, before it looks for the bytes.
"""


class Table:
    """An open Parquet file.

    Attributes:
        file: as Arrow opens it.
        schema: of its columns, as Arrow has it.
        starts: number of the first row of each row group, and that behind the last.
        stored: bytes of the file.
        sizes: bytes of each row group before compression; at least its share of the file.

    The footer's columns are not looked at: where one is damaged, pyarrow 25 ends the process (its `column` lets an
    exception of C++ through).
    """

    def __init__(self, unit: WorkUnit) -> None:
        """Read a file's footer.

        Raises:
            DamagedError: it cannot be read, or contradicts itself.
        """
        self._stored = ForeignFile(open_unit(unit))
        self.reading = self._stored.reading
        with self.reading():
            self.file = pq.ParquetFile(self._stored, pre_buffer=False, page_checksum_verification=True)
            metadata = self.file.metadata
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            rows = [group.num_rows for group in groups]
            claimed = [group.total_byte_size for group in groups]
            self.schema: Any = self.file.schema_arrow
        self.starts = [0]
        for n in rows:
            self.starts.append(self.starts[-1] + n)
        if min(rows, default=0) < 0 or self.starts[-1] != metadata.num_rows:
            raise DamagedError(f"its row groups have {self.starts[-1]:,} rows, its footer says {metadata.num_rows:,}")
        if self.starts[-1] > max(CREDIBLE, unit.sizes[0]):
            raise DamagedError(f"its footer says {self.starts[-1]:,} rows in {unit.sizes[0]:,} bytes")
        self.stored = unit.sizes[0]
        total = max(self.starts[-1], 1)
        self.sizes = [max(size, unit.sizes[0] * n // total) for size, n in zip(claimed, rows, strict=True)]

    def rows(self, group: int, paths: Sequence[str], most: int) -> Iterator[Any]:
        """Yield some columns of a row group as record batches of at most so many rows.

        Raises:
            DamagedError: from here on it cannot be read.
        """
        file = self.file if self.sizes[group] <= WHOLE else self._buffered()
        with self.reading():
            batches = file.iter_batches(most, row_groups=[group], columns=list(paths), use_threads=False)
        while True:
            with self.reading():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _buffered(self) -> Any:
        """Return the file as Arrow reads it page by page."""
        with self.reading():
            return pq.ParquetFile(
                self._stored,
                metadata=self.file.metadata,
                pre_buffer=False,
                buffer_size=1 << 18,
                page_checksum_verification=True,
            )
