"""The prediction rows: their columns, and their two file formats.

One row per image, always. Owns the Arrow schema and the bytes of a part; must not know where parts are stored.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.batches import Failure, PredictionBatch
from pipeline.errors import DamagedPartError
from pipeline.options import PartFormat

ROW_GROUP = 2048
"""Rows are encoded in groups of so many, so that a part of any length is written in bounded memory."""

TOP_K = pa.list_(
    pa.struct([pa.field("label", pa.int32()), pa.field("name", pa.string()), pa.field("score", pa.float32())])
)

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32()),
        pa.field("label_name", pa.string()),
        pa.field("label_score", pa.float32()),
        pa.field("predicted", pa.int32()),
        pa.field("predicted_name", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("top_k", TOP_K),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error_stage", pa.string()),
        pa.field("error_code", pa.string()),
        pa.field("error_message", pa.string()),
    ]
)
"""A label that is a class of the model has both `label` and `label_name`; any other has one of them."""

_PREDICTION = ("label", "label_name", "label_score", "predicted", "predicted_name", "score", "top_k")


def to_table(batch: PredictionBatch, class_names: Sequence[str]) -> pa.Table:
    """Return a batch as rows of `SCHEMA`."""
    images, ok = batch.images, batch.images.ok
    failed = ~ok
    names = pa.array(class_names, pa.string())
    predicted = pa.array(batch.top_labels[:, 0], pa.int32(), mask=failed)
    columns = {
        "key": pa.array(images.keys, pa.string()),
        "label": pa.array(images.labels, pa.int32(), mask=~images.labelled),
        "label_name": pa.array(images.label_names, pa.string()),
        "label_score": pa.array(batch.label_scores, pa.float32(), mask=failed | np.isnan(batch.label_scores)),
        "predicted": predicted,
        "predicted_name": names.take(predicted),
        "score": pa.array(batch.top_scores[:, 0], pa.float32(), mask=failed),
        "top_k": _lists(batch, names, failed),
        "status": pa.array(np.where(ok, "ok", "failed"), pa.string()),
        **_errors(images.failures, len(images)),
    }
    return pa.table(columns, SCHEMA)


def _lists(batch: PredictionBatch, names: Any, failed: Any) -> pa.Array:
    n, k = batch.top_labels.shape
    flat = pa.array(batch.top_labels.reshape(-1), pa.int32())
    structs = pa.StructArray.from_arrays(
        [flat, names.take(flat), pa.array(batch.top_scores.reshape(-1))],
        fields=list(TOP_K.value_type),
    )
    offsets = pa.array(np.arange(0, n * k + 1, k, dtype=np.int32), pa.int32())
    return pa.ListArray.from_arrays(offsets, structs, TOP_K, mask=pa.array(failed))


def _errors(failures: Mapping[int, Failure], n: int) -> dict[str, pa.Array]:
    columns: dict[str, list[str | None]] = {name: [None] * n for name in ("stage", "code", "message")}
    for i, failure in failures.items():
        columns["stage"][i], columns["code"][i], columns["message"][i] = failure.stage, failure.code, failure.message
    return {f"error_{name}": pa.array(column, pa.string()) for name, column in columns.items()}


class PartWriter:
    """Encodes the rows of one part, batch by batch.

    >>> PartWriter("jsonl").close()
    b''
    """

    def __init__(self, form: PartFormat) -> None:
        """Start an empty part of a format."""
        self.rows = 0
        self._form = form
        self._buffer = io.BytesIO()
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._parquet = pq.ParquetWriter(self._buffer, SCHEMA, write_page_checksum=True) if form == "parquet" else None

    def add(self, rows: pa.Table) -> None:
        """Append rows of `SCHEMA`."""
        self.rows += len(rows)
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        if self._waiting_rows >= ROW_GROUP:
            self._flush()

    def next_row(self, i: int = 0) -> int:
        """Return the number that the row after the next i has in the part."""
        return self.rows + i

    def close(self) -> bytes:
        """Return the whole part."""
        self._flush()
        if self._parquet is not None:
            self._parquet.close()
        return self._buffer.getvalue()

    def _flush(self) -> None:
        if not self._waiting_rows:
            return
        rows = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._waiting_rows = [], 0
        if self._parquet is not None:
            self._parquet.write_table(rows, row_group_size=ROW_GROUP)
        else:
            self._buffer.write("".join(json.dumps(_line(row)) + "\n" for row in rows.to_pylist()).encode("ascii"))


class PatchWriter:
    """Like a `PartWriter`, for some rows of a part that is there; its other rows stay as they are."""

    def __init__(self, part: pa.Table, replaced: Sequence[int], form: PartFormat) -> None:
        """Take a part and the sorted numbers of the rows that will come, in this order."""
        self._part = part
        self._replaced = replaced
        self._form: PartFormat = form
        self._new: list[pa.Table] = []
        self.rows = 0

    def add(self, rows: pa.Table) -> None:
        """Take the next rows of `SCHEMA`."""
        self.rows += len(rows)
        self._new.append(rows)

    def next_row(self, i: int = 0) -> int:
        """Return the number that the row after the next i has in the part."""
        return self._replaced[self.rows + i]

    def close(self) -> bytes:
        """Return the whole part.

        Raises:
            DamagedPartError: other rows came than were to come.
        """
        new = pa.concat_tables([SCHEMA.empty_table(), *self._new])
        taken = np.arange(len(self._part))
        if (
            self.rows != len(self._replaced)
            or new["key"].to_pylist() != self._part["key"].take(self._replaced).to_pylist()
        ):
            raise DamagedPartError(f"{self.rows} rows came to replace {len(self._replaced)}, or others than those")
        taken[list(self._replaced)] = len(self._part) + np.arange(self.rows)
        writer = PartWriter(self._form)
        writer.add(pa.concat_tables([self._part, new]).take(taken))
        return writer.close()


def failed_rows(part: pa.Table) -> list[int]:
    """Return the numbers of a part's rows that have no prediction."""
    return [i for i, status in enumerate(part["status"].to_pylist()) if status == "failed"]


def read_part(data: bytes, form: PartFormat) -> pa.Table:
    """Return all rows of a part.

    Raises:
        DamagedPartError: the bytes are not a whole part of that format.
    """
    try:
        if form == "parquet":
            table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        else:
            table = pa.Table.from_pylist([_row(json.loads(line)) for line in data.decode("ascii").splitlines()], SCHEMA)
        names = table.schema.names
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError, OverflowError, RecursionError) as error:
        raise DamagedPartError(f"not a {form} file of predictions: {error}") from error
    if names != SCHEMA.names or table.schema.types != SCHEMA.types:
        raise DamagedPartError(f"columns {names}, expected {SCHEMA.names}")
    return table


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as Vertex AI batch prediction writes it: key, and one of prediction | error."""
    if row["status"] == "ok":
        return {"key": row["key"], "prediction": {name: row[name] for name in _PREDICTION}}
    error = {"status": row["error_code"], "message": row["error_message"], "stage": row["error_stage"]}
    return {"key": row["key"], "error": {**error, "label": row["label"], "label_name": row["label_name"]}}


def _row(line: dict[str, Any]) -> dict[str, Any]:
    if "prediction" in line:
        return {"key": line["key"], "status": "ok", **{name: line["prediction"][name] for name in _PREDICTION}}
    error = line["error"]
    return {
        "key": line["key"],
        "status": "failed",
        "label": error["label"],
        "label_name": error["label_name"],
        "error_stage": error["stage"],
        "error_code": error["status"],
        "error_message": error["message"],
    }
