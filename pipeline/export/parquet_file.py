"""All rows as one Parquet file, for programs: the columns of the parts, exactly, `accepted` and `in_training`."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.export.decided_rows import DecidedRows
from pipeline.export.new_file import new_file
from pipeline.output.row_columns import stored_schema

GROUP_ROWS = 65_536
GROUP_BYTES = 64 << 20
"""A row group has at most so many rows, or so many bytes in memory and one unit's more."""


@dataclass
class ParquetFile:
    """What was written.

    Attributes:
        rows: number of images.
        columns: number of columns.
        bytes: of the file.
        training_unknown: why nobody knows which images were seen in training, as one line; "": that is known.
    """

    rows: int = 0
    columns: int = 0
    bytes: int = 0
    training_unknown: str = ""


def write_parquet(rows: DecidedRows, location: str) -> ParquetFile:
    """Write all rows to a new file, in row groups of bounded size.

    Raises:
        UsageError: a file of this name is there.
    """
    schema = stored_schema(rows.schema)
    written = ParquetFile(columns=len(schema.names), training_unknown=rows.training_unknown)
    with new_file(location) as file:
        with pq.ParquetWriter(file, schema, write_page_checksum=True) as writer:
            waiting: list[pa.Table] = []
            for _, table in rows.by_unit():
                written.rows += len(table)
                waiting.append(table.cast(schema))
                if sum(map(len, waiting)) >= GROUP_ROWS or sum(one.nbytes for one in waiting) >= GROUP_BYTES:
                    waiting = [_write(writer, waiting)]
            if sum(map(len, waiting)):
                _write(writer, waiting)
        file.seek(0, os.SEEK_END)
        written.bytes = file.tell()
    return written


def _write(writer: pq.ParquetWriter, waiting: list[pa.Table]) -> pa.Table:
    """Write whole row groups, or one that is not; return the rows that still wait for more."""
    rows = pa.concat_tables(waiting)
    whole = len(rows) // GROUP_ROWS * GROUP_ROWS or len(rows)
    writer.write_table(rows.slice(0, whole).combine_chunks(), row_group_size=GROUP_ROWS)
    return rows.slice(whole)
