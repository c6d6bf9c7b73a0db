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
"""Bytes of a row group's columns, at most, that are fetched at once; of more, as many as a page has.

Arrow's buffer grows to the size that a page's header claims, 2 GB if that is damaged, before it looks for the bytes.
"""


class Table:
    """An open Parquet file.

    Attributes:
        file: as Arrow opens it.
        starts: number of the first row of each row group, and that behind the last.
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
            rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            self.schema: Any = self.file.schema_arrow
        self.starts = [0]
        for n in rows:
            self.starts.append(self.starts[-1] + n)
        if min(rows, default=0) < 0 or self.starts[-1] != metadata.num_rows:
            raise DamagedError(f"its row groups have {self.starts[-1]:,} rows, its footer says {metadata.num_rows:,}")
        if self.starts[-1] > max(CREDIBLE, unit.sizes[0]):
            raise DamagedError(f"its footer says {self.starts[-1]:,} rows in {unit.sizes[0]:,} bytes")

    def rows(self, group: int, paths: Sequence[str], most: int) -> Iterator[Any]:
        """Yield some columns of a row group as record batches of at most so many rows.

        Raises:
            DamagedError: from here on it cannot be read.
        """
        file = self.file if self._size(group, paths) <= WHOLE else self._buffered()
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

    def _size(self, group: int, paths: Sequence[str]) -> int:
        """Return the stored bytes of some columns, or of the fields in them, of a row group."""
        with self.reading():
            metadata = self.file.metadata.row_group(group)
            columns = [metadata.column(i) for i in range(metadata.num_columns)]
            wanted = [c for c in columns if any(f"{c.path_in_schema}.".startswith(f"{path}.") for path in paths)]
            return sum(c.total_compressed_size for c in wanted)

    def chunk(self, group: int, path: str) -> tuple[int, int, int]:
        """Return where a column of a row group begins, its bytes as stored and its bytes as they were."""
        with self.reading():
            metadata = self.file.metadata.row_group(group)
            for i in range(metadata.num_columns):
                column = metadata.column(i)
                if column.path_in_schema == path:
                    start = column.data_page_offset
                    if column.has_dictionary_page and column.dictionary_page_offset:
                        start = min(start, column.dictionary_page_offset)
                    return start, column.total_compressed_size, column.total_uncompressed_size
        raise DamagedError(f"row group {group} has no column {path}")
