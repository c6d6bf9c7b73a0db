"""Manifests: lists of image files, with or without labels, in every form that people have them.

CSV, TSV and other tables of text, JSON Lines and arrays, Parquet, plain lists with or without labels; gzip or not. A
row names its file in `file_name` (as in Hugging Face's ImageFolder), `uri` or a column of another known name, relative
to the manifest; `label` is a number or a name. A file that is not there is planned all the same and becomes a failed
row. A manifest has units of image files: `pipeline.sources.images` reads them. It may name archives, too.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import UsageError
from pipeline.options import ScoreOptions
from pipeline.sources import own_names
from pipeline.sources.images import MISSING, Listed
from pipeline.sources.label_values import Label, as_entry, as_label
from pipeline.sources.list_columns import LABEL_COLUMN, ListColumns
from pipeline.sources.list_rows import Row, json_rows, parquet_rows, plain_rows, table_rows
from pipeline.sources.list_text import COMPRESSED, decompressed
from pipeline.sources.names import suffix
from pipeline.sources.nearest import Spellings
from pipeline.storage import StoredObject

NAME = "manifest"
LOOKUPS_AT_ONCE = 16
"""Rows whose files a thread looks up behind each other on a disk; where each lookup costs a round trip, it is one."""

LOOKUPS_AHEAD = 64
"""Number of files that are looked up at the same time."""

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+://"

Reader = Callable[[bytes, ListColumns], Iterator[Row]]

_READERS: Mapping[str, Reader] = {
    ".csv": table_rows,
    ".tsv": lambda data, columns: table_rows(data, columns, "\t,;|"),
    ".tab": lambda data, columns: table_rows(data, columns, "\t,;|"),
    ".json": json_rows,
    ".jsonl": json_rows,
    ".ndjson": json_rows,
    ".manifest": json_rows,
    ".parquet": parquet_rows,
    ".txt": plain_rows,
    ".lst": plain_rows,
}
"""Suffix -> what reads a list of that name."""

SUFFIXES = frozenset(_READERS)


class _Named(NamedTuple):
    """A row whose file is still to be found.

    Attributes:
        candidates: the locations that it may mean, each with its label, the first one first.
        more: what passes through to the row of its image.
    """

    candidates: tuple[tuple[str, Label], ...]
    more: Mapping[str, str | None]


def _form(name: str) -> str:
    """Return the suffix that tells the form of a list, without that of a compression."""
    return suffix(name[: -len(suffix(name))] if suffix(name) in COMPRESSED else name)


def is_manifest_name(name: str) -> bool:
    """Return whether a name promises a manifest.

    >>> is_manifest_name("a/val.csv.gz"), is_manifest_name("a/notes.md"), is_manifest_name("a/x.tar.gz")
    (True, False, False)
    """
    return _form(name) in SUFFIXES


def listed(found: StoredObject, options: ScoreOptions | None = None) -> Generator[Listed, None, None]:
    """Yield the files that a manifest names, in its order.

    Args:
        found: the manifest.
        options: which columns are meant, and what numbers are; None: the defaults.

    Raises:
        UsageError: it cannot be parsed, or names no file.
    """
    empty = True
    spellings = Spellings()
    rows = _gathered(_rows(found, options), 1 if storage.is_remote(found.location) else LOOKUPS_AT_ONCE)

    def look_up(gathered: Sequence[_Named]) -> list[Listed]:
        return [_looked_up(row, spellings) for row in gathered]

    for files in ahead(look_up, rows, LOOKUPS_AHEAD, pools().read):
        empty = False
        yield from files
    if empty:
        raise UsageError(f"manifest {found.location!r} names no file")


def column_names(found: StoredObject, options: ScoreOptions) -> Sequence[str]:
    """Return the names of a manifest's columns other than those of the file and the label; of JSON, of all its rows.

    Raises:
        UsageError: it cannot be parsed.
    """
    columns = _columns(options)
    names: dict[str, None] = {}
    chosen: set[str | None] = set()
    try:
        data = decompressed(storage.read(found.location, version=found.version))
        read = _READERS[_form(found.location)]
        for row in read(data, columns):
            if not names.keys() >= set(row.there):
                names |= dict.fromkeys(row.there)
                chosen.add(columns.of_file(row.there))
                with contextlib.suppress(ValueError):  # of a task of Label Studio the label stands elsewhere
                    chosen.add(columns.of_label(row.there))
            if read is not json_rows:
                break
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(found, error) from error
    return [name for name in names if name and name not in chosen]


def _columns(options: ScoreOptions | None) -> ListColumns:
    if options is None:
        return ListColumns()
    return ListColumns(options.file_column, options.label_column, options.passed)


def _rows(found: StoredObject, options: ScoreOptions | None) -> Generator[_Named, None, None]:
    """Yield what each row names. Whatever a library raises on foreign bytes becomes a UsageError with its words."""
    data = storage.read(found.location, version=found.version)
    folder = found.location.rpartition("/")[0]
    columns = _columns(options)
    offset = options.label_offset if options else 0
    where = ""
    try:
        data = decompressed(data)
        names = () if options and options.labels_are == "indices" else _names(found, data, columns)
        for row in _READERS[_form(found.location)](data, columns):
            where = row.where
            label = own_names.name_of(None if row.label is None else as_entry(row.label), names, offset)
            yield _Named(tuple(_candidates(row, label, folder)), row.more)
            where = ""
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(found, error, where) from error


def _unreadable(found: StoredObject, error: Exception, where: str = "") -> UsageError:
    """Return what is raised where a list cannot be read, with a library's own words.

    Args:
        found: the list.
        error: whatever was raised.
        where: in which row, as a message begins.
    """
    kind = "" if isinstance(error, (ValueError, OSError, pa.ArrowException, UsageError)) else type(error).__name__
    words = f"{kind}: {error}" if kind else str(error)
    text = words if where and words.startswith(where) else f"{where}{words}"
    return UsageError(f"manifest {found.location!r} cannot be read: {' '.join(text.split())}")


def _names(found: StoredObject, data: bytes, columns: ListColumns) -> own_names.Names:
    """Return the names that a manifest has for numbers: in its schema, or in a file beside it."""
    column = columns.label or LABEL_COLUMN
    if _form(found.location) == ".parquet":
        schema = pq.read_schema(pa.BufferReader(data))
        column = columns.of_label(schema.names) or column
        names = own_names.of_schema(schema.metadata, column)
        if names:
            return names
    beside = own_names.beside(found.location, column)
    return own_names.read_names(beside, column) if beside is not None else ()


def _candidates(row: Row, label: Label, folder: str) -> Iterator[tuple[str, Label]]:
    """Yield the locations that a row may mean: as it is written, and as other systems spell the same name."""
    name = row.name
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    yield _resolved(name, folder), label
    if not isinstance(name, str):
        return
    others = [name.strip()]
    if name.lower().startswith("file://"):
        others.append(unquote(re.sub(r"(?i)^file://(localhost)?", "", name)))
    if "\\" in name:
        others.append(name.strip().replace("\\", "/"))
    if not name.isascii() and any("\udc80" <= letter <= "\udcff" for letter in name):
        others.append(name.encode("utf-8", "surrogateescape").decode("cp1252", "replace"))
    for other in dict.fromkeys(others):
        if other and other != name:
            yield _resolved(other, folder), label
    if row.other is not None:
        yield _resolved(row.other[0], folder), as_label(row.other[1])


def _resolved(name: object, folder: str) -> str:
    """Return a file's location as its manifest in `folder` names it."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"{name!r} is no file name")
    name.encode("utf-8", "surrogateescape")  # raises ValueError where it cannot name a file
    if name.startswith("/") or (re.match(_SCHEME, name) and not name.lower().startswith("file://")):
        return storage.absolute(name)
    location = f"{folder}/{name}"
    if storage.is_remote(location) and {".", ".."} & set(name.split("/")):
        scheme, _, path = location.partition("://")
        path = posixpath.normpath(path)
        if path.startswith(".."):
            raise ValueError(f"{name!r} leads out of the bucket")
        location = f"{scheme}://{path}"
    return storage.absolute(location)


def _gathered(rows: Generator[_Named, None, None], n: int) -> Generator[Sequence[_Named], None, None]:
    """Yield rows in lists of n, the last one shorter; close them at the end."""
    with contextlib.closing(rows):
        while gathered := list(islice(rows, n)):
            yield gathered


def _looked_up(row: _Named, spellings: Spellings) -> Listed:
    """Return the file that a row means, with what passes through to its row."""
    found, label = _find(row, spellings)
    return (found, label, row.more) if row.more else (found, label)


def _find(row: _Named, spellings: Spellings) -> tuple[StoredObject, Label]:
    """Return the first file that is there of those that a row may mean; the first one if none is."""
    try:
        for location, label in row.candidates:
            found = storage.stat(location)
            if found is not None:
                return found, label
        for location, label in row.candidates:
            found = spellings.find(location)
            if found is not None:
                return found, label
    except PermissionError:
        pass  # reading says the same, in a row
    location, label = row.candidates[0]
    return StoredObject(location, 0, MISSING), label
