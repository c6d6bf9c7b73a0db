"""Manifests: lists of image files, with or without labels, in CSV, JSON Lines, Parquet, or plain text.

A row names its file in `file_name` (as in Hugging Face's ImageFolder) or `uri`, relative to the manifest; `label` is
a number or a name. A plain list has one path a line. A file that is not there is planned all the same and becomes a
failed row. A manifest has units of image files: `pipeline.sources.images` reads them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import UsageError
from pipeline.labels import as_label
from pipeline.sources.images import MISSING, Listed
from pipeline.sources.names import suffix
from pipeline.storage import StoredObject

NAME = "manifest"
SUFFIXES = frozenset({".csv", ".jsonl", ".ndjson", ".parquet", ".txt", ".lst"})
FILE_COLUMNS = ("file_name", "uri")
LABEL_COLUMN = "label"
LOOKUPS_AHEAD = 64


def is_manifest_name(name: str) -> bool:
    """Return whether a name promises a manifest."""
    return suffix(name) in SUFFIXES


def listed(found: StoredObject) -> Iterator[Listed]:
    """Yield the files that a manifest names, in its order.

    Raises:
        UsageError: it cannot be parsed, or names no file.
    """
    folder = found.location.rpartition("/")[0]
    rows = ((_resolved(name, folder), label) for name, label in _rows(found))
    empty = True
    for file in ahead(_looked_up, rows, LOOKUPS_AHEAD, pools().read):
        empty = False
        yield file
    if empty:
        raise UsageError(f"manifest {found.location!r} names no file")


def _rows(found: StoredObject) -> Iterator[tuple[str, int | str | None]]:
    data = storage.read(found.location, version=found.version)
    parse = {".csv": _csv, ".parquet": _parquet, ".txt": _list, ".lst": _list}.get(suffix(found.location), _json_lines)
    try:
        yield from parse(data)
    except (ValueError, KeyError, TypeError, csv.Error, pa.ArrowException) as error:
        text = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"manifest {found.location!r} cannot be read: {text}") from error


def _csv(data: bytes) -> Iterator[tuple[str, int | str | None]]:
    reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    names = _file_column(reader.fieldnames or ())
    for row in reader:
        yield _text(row[names]), as_label(row.get(LABEL_COLUMN))


def _json_lines(data: bytes) -> Iterator[tuple[str, int | str | None]]:
    for line in data.decode("utf-8-sig").splitlines():
        if line.strip():
            row = json.loads(line)
            yield _text(row[_file_column(row)]), as_label(row.get(LABEL_COLUMN))


def _parquet(data: bytes) -> Iterator[tuple[str, int | str | None]]:
    file = pq.ParquetFile(pa.BufferReader(data))
    names = _file_column(file.schema_arrow.names)
    columns = [names, *({LABEL_COLUMN} & set(file.schema_arrow.names))]
    for batch in file.iter_batches(columns=columns):
        labels = batch[LABEL_COLUMN].to_pylist() if LABEL_COLUMN in columns else [None] * len(batch)
        for name, label in zip(batch[names].to_pylist(), labels, strict=True):
            yield _text(name), as_label(label)


def _list(data: bytes) -> Iterator[tuple[str, int | str | None]]:
    for line in data.decode("utf-8", "surrogateescape").removeprefix("\ufeff").split("\n"):
        if line.strip():
            yield line.removesuffix("\r"), None


def _file_column(columns: Any) -> str:
    for name in FILE_COLUMNS:
        if name in columns:
            return name
    raise ValueError(f"it has no column {' or '.join(FILE_COLUMNS)}; it has {', '.join(map(str, columns)) or 'none'}")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no file name")
    return value


def _resolved(name: str, folder: str) -> str:
    if name.startswith(("/", storage.GCS)):
        return storage.absolute(name)
    name = name.removeprefix("./")
    return storage.absolute(f"{folder}/{name}")


def _looked_up(row: tuple[str, int | str | None]) -> Listed:
    location, label = row
    found = storage.stat(location)
    return found or StoredObject(location, 0, MISSING), label
