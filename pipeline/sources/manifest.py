"""Manifests: lists of image files, with or without labels, in CSV, JSON Lines, Parquet, or plain text.

A row names its file in `file_name` (as in Hugging Face's ImageFolder) or `uri`, relative to the manifest; `label` is
a number or a name. A plain list has one path a line. A file that is not there is planned all the same and becomes a
failed row. A manifest has units of image files: `pipeline.sources.images` reads them.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
import re
from collections.abc import Collection, Generator, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import UsageError
from pipeline.sources.images import MISSING, Listed
from pipeline.sources.labels import Label, as_label
from pipeline.sources.names import suffix
from pipeline.sources.nearest import Spellings
from pipeline.storage import StoredObject

NAME = "manifest"
SUFFIXES = frozenset({".csv", ".jsonl", ".ndjson", ".parquet", ".txt", ".lst"})
FILE_COLUMNS = ("file_name", "uri")
LABEL_COLUMN = "label"
LOOKUPS_AHEAD = 64
"""Number of files that are looked up at the same time."""

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+://"

_Row = tuple[str, object, object]
"""A row of a manifest: where it stands, the name of its file, its label."""


def is_manifest_name(name: str) -> bool:
    """Return whether a name promises a manifest."""
    return suffix(name) in SUFFIXES


def listed(found: StoredObject) -> Generator[Listed, None, None]:
    """Yield the files that a manifest names, in its order.

    Raises:
        UsageError: it cannot be parsed, or names no file.
    """
    empty = True
    spellings = Spellings()
    for file in ahead(lambda row: _looked_up(row, spellings), _rows(found), LOOKUPS_AHEAD, pools().read):
        empty = False
        yield file
    if empty:
        raise UsageError(f"manifest {found.location!r} names no file")


def _rows(found: StoredObject) -> Iterator[tuple[str, Label]]:
    """Yield the location and the label that each row names."""
    data = storage.read(found.location, version=found.version)
    folder = found.location.rpartition("/")[0]
    parse = {".csv": _csv, ".parquet": _parquet, ".txt": _list, ".lst": _list}.get(suffix(found.location), _json_lines)
    where = ""
    try:
        for where, name, label in parse(data):
            yield _resolved(name, folder), as_label(label)
            where = ""
    except (ValueError, OSError, csv.Error, pa.ArrowException, UsageError) as error:
        text = " ".join(f"{where}{error}".split())
        raise UsageError(f"manifest {found.location!r} cannot be read: {text}") from error


def _csv(data: bytes) -> Iterator[_Row]:
    reader = csv.DictReader(io.StringIO(_decoded(data), newline=""), strict=True)
    try:
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        names = _file_column(reader.fieldnames)
        for row in reader:
            where = f"line {reader.line_num}: "
            if any(row.get(None) or ()):  # where DictReader puts what has no name
                raise ValueError(f"{where}more fields than the header has; put names with commas in quotes")
            yield where, row[names], row.get(LABEL_COLUMN)
    except csv.Error as error:
        raise ValueError(f"line {reader.reader.line_num}: {error}") from error


def _json_lines(data: bytes) -> Iterator[_Row]:
    for number, line in enumerate(_decoded(data).split("\n"), 1):
        if not line.strip():
            continue
        where = f"line {number}: "
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}{error.msg} at column {error.colno}") from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}{error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"{where}no JSON object")
        yield where, row[_file_column(row, where)], row.get(LABEL_COLUMN)


def _parquet(data: bytes) -> Iterator[_Row]:
    file = pq.ParquetFile(pa.BufferReader(data))
    names = _file_column(file.schema_arrow.names)
    columns = [names, *({LABEL_COLUMN} & set(file.schema_arrow.names))]
    number = 0
    for batch in file.iter_batches(columns=columns):
        labels = batch[LABEL_COLUMN].to_pylist() if LABEL_COLUMN in columns else [None] * len(batch)
        for number, row in enumerate(zip(batch[names].to_pylist(), labels, strict=True), number + 1):  # noqa: B020
            yield f"row {number}: ", *row


def _list(data: bytes) -> Iterator[_Row]:
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}: ", line.removesuffix("\r"), None


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8") from error


def _file_column(columns: Collection[object], where: str = "") -> str:
    for name in FILE_COLUMNS:
        if name in columns:
            return name
    there = ", ".join(map(str, columns)) or "none"
    raise ValueError(f"{where}no column {' or '.join(FILE_COLUMNS)}; there is {there}")


def _resolved(name: object, folder: str) -> str:
    """Return a file's location as its manifest in `folder` names it."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"{name!r} is no file name")
    name.encode("utf-8", "surrogateescape")  # raises ValueError where it cannot name a file
    if name.startswith("/") or re.match(_SCHEME, name):
        return storage.absolute(name)
    location = f"{folder}/{name}"
    if location.startswith(storage.GCS) and {".", ".."} & set(name.split("/")):
        path = posixpath.normpath(location[len(storage.GCS) :])
        if path.startswith(".."):
            raise ValueError(f"{name!r} leads out of the bucket")
        location = storage.GCS + path
    return storage.absolute(location)


def _looked_up(row: tuple[str, Label], spellings: Spellings) -> Listed:
    location, label = row
    missing = StoredObject(location, 0, MISSING)
    try:
        return storage.stat(location) or spellings.find(location) or missing, label
    except PermissionError:
        return missing, label  # reading says the same, in a row
