"""The prediction rows: their columns, and the files that they are stored in.

One row per image, always. Owns the Arrow schema and the bytes of a part; must not know where parts are stored.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.batches import PredictionBatch
from pipeline.errors import DamagedPartError
from pipeline.image_facts import ImageFacts
from pipeline.options import PartFormat, ScoreOptions
from pipeline.output.row_columns import (
    RESERVED,
    error_columns,
    image_columns,
    is_passed,
    passed_columns,
    predicted_columns,
    schema_of,
    stored_schema,
)
from pipeline.output.row_lines import from_lines, to_lines
from pipeline.storage.formats import FIELD, check_names, check_number, numbered
from pipeline.task import TASKS, Embedding, Task
from pipeline.units import RULES

ROW_GROUP = 2048
"""Number of rows that are encoded at once, so that a part of any length is written in bounded memory."""

_SCHEMAS: Mapping[tuple[Task, int], pa.Schema] = {
    (task, rules): schema_of(task, None, rules) for rules in range(RULES, 0, -1) for task in TASKS
}
"""Task, and number of the rules -> the columns of its rows, without embeddings."""

_NUMBER = b"nightscore.format"
"""Key in the metadata of a Parquet file's schema; its value is the format number in decimal digits."""


def row_schema(task: Task, options: ScoreOptions, embedding: Embedding | None = None, rules: int = RULES) -> pa.Schema:
    """Return the columns of the rows that a run writes; its part is checked against them.

    Args:
        task: what the model says of an image.
        options: of the run: --exif and --columns add columns.
        embedding: the vector that the model gives for an image; None: it gives none.
        rules: by which the rows are made.

    >>> row_schema("embedding", ScoreOptions(("a",), "m", "o"), Embedding(3)).names[:3]
    ['key', 'embedding', 'status']
    """
    if embedding is None and not options.exif and not options.pixel_facts and not options.passed:
        return _SCHEMAS[task, rules]
    return schema_of(task, embedding, rules, options.exif, options.passed, options.pixel_facts)


def to_table(
    batch: PredictionBatch, class_names: Sequence[str], schema: pa.Schema, passed: Sequence[str] = ()
) -> pa.Table:
    """Return a batch as rows of a schema.

    Args:
        batch: the predictions.
        class_names: of the model.
        schema: of the rows.
        passed: names of the columns that pass through.
    """
    images = batch.images
    columns = {
        "key": pa.array(images.keys, pa.string()),
        **predicted_columns(batch, class_names),
        "status": pa.array(np.where(images.ok, "ok", "failed"), pa.string()),
        **error_columns(images.failures, len(images)),
        **image_columns(ImageFacts.unknown(len(images)) if images.facts is None else images.facts),
        **passed_columns(images, passed),
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


class PartWriter:
    """Encodes the rows of one part, batch by batch.

    >>> PartWriter("jsonl", pa.schema([])).close()
    b''
    """

    def __init__(self, form: PartFormat, schema: pa.Schema) -> None:
        """Start an empty part of a format, for rows of a schema."""
        self.rows = 0
        self._form = form
        self._buffer = io.BytesIO()
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._stored = stored_schema(schema)
        self._is_as_stored = self._stored is schema
        self._parquet = (
            pq.ParquetWriter(self._buffer, _numbered(self._stored), write_page_checksum=True)
            if form == "parquet"
            else None
        )

    def add(self, rows: pa.Table) -> None:
        """Append rows of the part's schema."""
        self.rows += len(rows)
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        if self._waiting_rows >= ROW_GROUP:
            self._flush(self._waiting_rows // ROW_GROUP * ROW_GROUP)

    def close(self) -> bytes:
        """Return the whole part; its bytes do not depend on how many rows came at once."""
        self._flush(self._waiting_rows)
        if self._parquet is not None:
            self._parquet.close()
        return self._buffer.getvalue()

    def _flush(self, n: int) -> None:
        """Encode the first n rows that wait."""
        if not n:
            return
        waiting = pa.concat_tables(self._waiting)
        rows = waiting.slice(0, n).combine_chunks()
        self._waiting, self._waiting_rows = [waiting.slice(n)], self._waiting_rows - n
        if self._parquet is not None:
            rows = rows if self._is_as_stored else rows.cast(self._stored)
            self._parquet.write_table(rows, row_group_size=ROW_GROUP)
        else:
            self._buffer.write(to_lines(rows))


class PatchWriter:
    """Like a `PartWriter`, for some rows of a part that is there; its other rows stay as they are."""

    def __init__(self, part: pa.Table, replaced: Sequence[int], form: PartFormat, schema: pa.Schema) -> None:
        """Take a part, the sorted numbers of the rows that will come, in this order, and the schema of both."""
        self._schema = schema
        self._part = part
        self._replaced = replaced
        self._form: PartFormat = form
        self._new: list[pa.Table] = []
        self.rows = 0

    def add(self, rows: pa.Table) -> None:
        """Take the next rows of the part's schema."""
        self.rows += len(rows)
        self._new.append(rows)

    def close(self) -> bytes:
        """Return the whole part.

        Raises:
            DamagedPartError: other rows came than were to come.
        """
        new = pa.concat_tables([self._schema.empty_table(), *self._new])
        taken = np.arange(len(self._part))
        if (
            self.rows != len(self._replaced)
            or new["key"].to_pylist() != self._part["key"].take(self._replaced).to_pylist()
        ):
            raise DamagedPartError(f"{self.rows} rows came to replace {len(self._replaced)}, or others than those")
        taken[list(self._replaced)] = len(self._part) + np.arange(self.rows)
        writer = PartWriter(self._form, self._schema)
        writer.add(pa.concat_tables([self._part, new]).take(taken))
        return writer.close()


def failed_rows(part: pa.Table) -> list[int]:
    """Return the numbers of a part's rows that have no prediction."""
    return [i for i, status in enumerate(part["status"].to_pylist()) if status == "failed"]


def read_part(data: bytes, form: PartFormat, schema: pa.Schema, location: str = "") -> pa.Table:
    """Return all rows of a part.

    Args:
        data: all bytes of the part.
        form: its file format.
        schema: that its run gives it, see `row_schema`.
        location: of the part, for the error's text.

    Raises:
        NewerFormatError: the part's format is newer, or it has an unknown column.
        DamagedPartError: the bytes are not a whole part of that format and schema.
    """
    try:
        table = _read_parquet(data, schema, location) if form == "parquet" else from_lines(data, schema, location)
        names = table.schema.names
        fits = names == schema.names and table.schema.types == schema.types
        if not fits:
            _check_columns(table.schema, 2 if "pixel_hash" in schema.names else 1, location)
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError, OverflowError, RecursionError) as error:
        raise DamagedPartError(f"not a {form} file of predictions: {error}") from error
    if not fits:
        raise DamagedPartError(f"columns {names}, expected {schema.names}")
    return table


def read_columns(
    data: bytes, form: PartFormat, schema: pa.Schema, columns: Sequence[str], location: str = ""
) -> pa.Table:
    """Return some columns of all rows of a part, in the order asked for; of Parquet the others are not decoded.

    Args:
        data: all bytes of the part.
        form: its file format.
        schema: that its run gives it, see `row_schema`.
        columns: names of the columns; the schema has each of them.
        location: of the part, for the error's text.

    Raises:
        NewerFormatError: the part's format is newer, or it has an unknown column.
        DamagedPartError: the bytes are not a whole part of that format and schema.
    """
    if form != "parquet":
        return read_part(data, form, schema, location).select(columns)
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            if file.schema_arrow.names == schema.names:
                _check_metadata(file.schema_arrow, location)
                wanted = pa.schema([schema.field(name) for name in columns])
                return file.read(list(columns), use_threads=False).select(columns).cast(wanted)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DamagedPartError(f"not a {form} file of predictions: {error}") from error
    return read_part(data, form, schema, location).select(columns)


def check_part(data: bytes, form: PartFormat, location: str, rules: int = RULES) -> None:
    """Check that a part which is about to be called damaged or to be removed is not a newer one.

    Args:
        data: all bytes of the part.
        form: its file format.
        location: of the part, for the error's text.
        rules: by which its run makes rows.

    Raises:
        NewerFormatError: it is.
    """
    for task in TASKS:
        if task == "embedding" and form == "jsonl" and b'"embedding"' not in data:
            continue  # its lines have no other field that must be there: a field with a flipped bit would look new
        with contextlib.suppress(DamagedPartError):
            read_part(data, form, _SCHEMAS[task, rules], location)


def _numbered(schema: pa.Schema) -> pa.Schema:
    """Return a schema with the format number in its metadata; number 1 is not written."""
    number = numbered("part").get(FIELD)
    return schema if number is None else schema.with_metadata({_NUMBER: str(number)})


def _read_parquet(data: bytes, schema: pa.Schema, location: str) -> pa.Table:
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            table = file.read(use_threads=False)
    except (pa.ArrowException, OSError):
        _check_metadata(pq.read_schema(pa.BufferReader(data)), location)  # a newer one may be encoded as none before
        raise
    _check_metadata(table.schema, location)
    stored = stored_schema(schema)
    return table if stored is schema or table.schema.types != stored.types else table.cast(schema)


def _check_metadata(schema: pa.Schema, location: str) -> None:
    """Raise NewerFormatError if the schema of a Parquet file has a newer format number."""
    if schema.metadata is not None:
        check_number(int(schema.metadata.get(_NUMBER, b"1")), "part", location)


def _check_columns(found: pa.Schema, rules: int, location: str) -> None:
    """Raise NewerFormatError if a part has all columns of a schema that is known here, and unknown ones."""
    columns = _columns(found)
    known = {kind: _columns(schema) for kind, schema in _SCHEMAS.items()}
    tasks = [task for task in TASKS if task != "embedding" or "embedding" in columns]  # its other columns all rows have
    if any(known[task, rules].items() <= columns.items() for task in tasks):
        check_names(columns, RESERVED.union(*known.values()), "part", location)


def _columns(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Return the types of a schema's columns by name; of a column of lists of structs, those of its fields.

    Columns that pass through are left out.
    """
    types: dict[str, pa.DataType] = {}
    for column in schema:
        if is_passed(column):
            continue
        if pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type):
            types |= {f"{column.name}.{part.name}": part.type for part in column.type.value_type}
        else:
            types[column.name] = column.type
    return types
