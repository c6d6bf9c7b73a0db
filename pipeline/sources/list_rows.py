"""The rows of a list in each of its forms: tables of text, JSON, Parquet, and plain lists.

A row says where it stands, what file it names, and what it says of it. Must not know where files lie.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources.list_columns import ListColumns, filled, require_once, value_at
from pipeline.sources.list_text import decoded, marked_text
from pipeline.sources.names import IMAGE_SUFFIXES, suffix

_ML_USES = frozenset({"training", "validation", "test", "train", "unassigned", "unspecified"})
"""First fields of a line of Vertex AI that say what an image is used for."""

_SEPARATORS = ",;\t|"
_IMAGE = "|".join(re.escape(ending) for ending in sorted(IMAGE_SUFFIXES, key=len, reverse=True))
_ARCHIVE = r"\.tar|\.tgz|\.tar\.\w+|\.zip|\.tfrecords?|\.tfrec"
_NAMED = re.compile(rf"(?P<name>.*(?:{_IMAGE}|{_ARCHIVE}))(?:[ \t]+|[ \t]*[,;][ \t]*)(?P<label>\S.*)", re.IGNORECASE)
_LABEL_FIRST = re.compile(rf"(?P<label>\d+)[ \t]+(?P<name>.*(?:{_IMAGE}))", re.IGNORECASE)
_COMMENT = re.compile(rf"[\ufeff\s]*#(?:[\s#]|$|(?!.*(?:{_IMAGE}|{_ARCHIVE})))", re.IGNORECASE)
_NUMBERS = re.compile(r"[+-]?[\d.]+(?:[ ,\t]+[+-]?[\d.]+)+")


class Row(NamedTuple):
    """A row of a list.

    Attributes:
        where: where it stands, for a message: "line 3: ".
        name: of its file, as written.
        label: as written; None: the list, or this row of it, has no place for one.
        other: another reading of the row, if there is no file of that name.
        more: what passes through to the row of its image, by name.
        there: names of all columns of the list, or of this row of it.
    """

    where: str
    name: object
    label: object
    other: tuple[str, str] | None = None
    more: Mapping[str, str | None] = MappingProxyType({})
    there: Sequence[str] = ()


def table_rows(data: bytes, columns: ListColumns, separators: str = _SEPARATORS) -> Iterator[Row]:
    """Yield the rows of a table of text: CSV, TSV, with semicolons, by Excel, with or without a header.

    Args:
        data: all bytes of the list.
        columns: which columns are meant.
        separators: characters one of which stands between two fields.

    Raises:
        ValueError: a row cannot be read, or no column is meant.
    """
    text = decoded(data, or_western=True)
    skipped = 0
    said = re.match(r'"?sep=(.)"?\r?\n', text)
    if said:
        text, separators, skipped = text[said.end() :], said[1], 1
    separator = _separator(text, columns, separators)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not columns.has_file(header) and columns.file is None and any(map(_is_file, header)):
            yield _without_header(header, f"line {reader.line_num + skipped}: ")
            for fields in reader:
                if fields:
                    yield _without_header(fields, f"line {reader.line_num + skipped}: ")
            return
        file, label = columns.of_file(header), columns.of_label(header)
        require_once(header, (file, label, *columns.more))
        places = [None if name is None else header.index(name) for name in (file, label)]
        for fields in reader:
            where = f"line {reader.line_num + skipped}: "
            if any(fields[len(header) :]):
                raise ValueError(f"{where}more fields than the header has; put names with commas in quotes")
            if fields:
                name, own = (fields[at] if at is not None and at < len(fields) else None for at in places)
                more = columns.more_in(dict(zip(header, fields, strict=False)))
                yield Row(where, name, own if label is None else filled(own), more=more, there=header)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num + skipped}: {error}") from error


def _separator(text: str, columns: ListColumns, separators: str) -> str:
    """Return the separator with which the first line has a column of files, or a file; the first one if none has."""
    first = text[:65_536].split("\n", 1)[0].strip("\r\ufeff")
    found = []
    for one in separators:
        fields = [field.strip() for field in next(csv.reader([first], delimiter=one), [])]
        found.append((columns.has_file(fields) or any(map(_is_file, fields)), len(fields), one))
    return max(found, key=lambda rank: rank[:2])[2] if found else ","


def _is_file(field: str) -> bool:
    return suffix(field.strip()) in IMAGE_SUFFIXES


def _without_header(fields: Sequence[str], where: str) -> Row:
    """Return a row of a table that has no header: one field is a file, the others are its labels."""
    files = [at for at, field in enumerate(fields) if _is_file(field)]
    if len(files) != 1:
        what = "no field is an image" if not files else "several fields are images"
        raise ValueError(f"{where}{what}, and there is no header; begin the list with a line like file_name,label")
    labels = [field.strip() for at, field in enumerate(fields) if at != files[0]]
    if files[0] == 1 and labels and labels[0].lower() in {"", *_ML_USES}:
        del labels[0]
    labels = [label for label in labels if label]
    return Row(where, fields[files[0]].strip(), labels[0] if len(labels) == 1 else labels or None)


def json_rows(data: bytes, columns: ListColumns) -> Iterator[Row]:
    """Yield the rows of JSON Lines, of an array of objects, or of one object of columns or of labels by file.

    Raises:
        ValueError: a row cannot be read, or no column is meant.
    """
    text = decoded(data)
    whole: Any = None
    if text.lstrip()[:1] in ("[", "{"):
        try:
            whole = json.loads(text, object_pairs_hook=_object)
        except json.JSONDecodeError:
            whole = None
        except (ValueError, RecursionError) as error:
            if text.lstrip().startswith("["):
                raise ValueError(f"line 1: {error}") from error
    if isinstance(whole, list):
        for number, row in enumerate(whole, 1):
            yield _json_row(row, columns, f"row {number}: ")
    elif (isinstance(whole, dict) and "\n" in text.strip()) or _is_table(whole, columns):
        yield from _object_rows(whole, columns)
    else:
        yield from _json_lines(text, columns)


def _json_lines(text: str, columns: ListColumns) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"line {number}: "
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}{error.msg} at column {error.colno}") from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}{error}") from error
        yield _json_row(row, columns, where)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, which may have a name once only."""
    if len(dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        require_once(names, names)
    return dict(pairs)


def _json_row(row: Any, columns: ListColumns, where: str) -> Row:
    if not isinstance(row, dict):
        raise ValueError(f"{where}no JSON object")
    data = row.get("data")
    if columns.file is None and isinstance(data, dict) and "annotations" in row:  # a task of Label Studio
        file, label = data[columns.of_file([*data], where)], columns.label_in(row, [*row], where)
        return Row(where, file, label, more=columns.more_in({**row, **data}), there=[*data])
    name = columns.of_file([*row], where)
    label = columns.label_in(row, [*row], where)
    return Row(where, value_at(row, name), label, more=columns.more_in(row), there=[*row])


def _is_table(whole: Any, columns: ListColumns) -> bool:
    """Return whether an object is a table, column by column, or has files for names."""
    if not isinstance(whole, dict):
        return False
    if columns.has_file([*whole]):
        return isinstance(whole[columns.of_file([*whole])], dict | list)
    return bool(whole) and all(map(_is_file, whole))


def _object_rows(whole: dict[str, Any], columns: ListColumns) -> Iterator[Row]:
    """Yield the rows of an object: pandas' columns, labels by file, or one row."""
    if not _is_table(whole, columns):
        yield _json_row(whole, columns, "row 1: ")
        return
    if not columns.has_file([*whole]):
        for number, (name, label) in enumerate(whole.items(), 1):
            yield Row(f"row {number}: ", name, filled(label))
        return
    files = whole[columns.of_file([*whole])]
    chosen = columns.of_label([*whole])
    labels = None if chosen is None else whole.get(chosen)
    for number, at in enumerate(files if isinstance(files, dict) else range(len(files)), 1):
        label = None if labels is None else filled(value_at(labels, str(at)))
        more = columns.more_in({name: value_at(column, str(at)) for name, column in whole.items()})
        yield Row(f"row {number}: ", files[at], label, more=more, there=[*whole])


def parquet_rows(data: bytes, columns: ListColumns) -> Iterator[Row]:
    """Yield the rows of a Parquet file.

    Raises:
        ValueError: no column is meant, or one is there twice.
    """
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        there = file.schema_arrow.names
        name, label = columns.of_file(there), columns.of_label(there)
        paths = [path for path in (name, label) if path is not None]
        paths += [path for path in columns.more if path in there or path.partition(".")[0] in there]
        tops = [path if path in there else path.partition(".")[0] for path in paths]
        require_once(there, tops)
        number = 0
        for batch in file.iter_batches(columns=list(dict.fromkeys(tops))):
            table = {top: batch[top].to_pylist() for top in dict.fromkeys(tops)}
            for number, values in enumerate(zip(*table.values(), strict=True), number + 1):  # noqa: B020
                row = dict(zip(table, values, strict=True))
                own = None if label is None else filled(value_at(row, label))
                yield Row(f"row {number}: ", value_at(row, name), own, more=columns.more_in(row), there=there)


def plain_rows(data: bytes, _: ListColumns) -> Iterator[Row]:
    """Yield the rows of a plain list: a path a line, "path label", or MXNet's number, labels and path.

    A line that begins with # is a comment, but #1.png is a file. Bytes of a name that are not UTF-8 stay as they are.
    """
    marked = marked_text(data)
    text = data.decode("utf-8", "surrogateescape") if marked is None else marked
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if line.strip() and not _COMMENT.match(line):
            yield Row(f"line {number}: ", *_plain_row(line))


def _plain_row(line: str) -> tuple[str, object, tuple[str, str] | None]:
    r"""Return the name, the label and another reading of a line.

    >>> _plain_row("a b.png"), _plain_row("a b.png 3"), _plain_row("7\t0.0\ta.png"), _plain_row("'a.png'")
    (('a b.png', None, None), ('a b.png', '3', None), ('a.png', '0.0', None), ('a.png', None, None))
    >>> _plain_row("3 a.png"), _plain_row("a.png 1,2")
    (('3 a.png', None, ('a.png', '3')), ('a.png', ['1', '2'], None))
    """
    quoted = re.fullmatch(r"""\s*(["'])(?P<name>.+?)\1\s*[,;]?\s*(?P<label>.*)""", line)
    fields = line.split("\t")
    if quoted:
        return quoted["name"], _labels(quoted["label"]), None
    if len(fields) >= 3 and re.fullmatch(r"\d+", fields[0].strip()):
        labels = [field.strip() for field in fields[1:-1]]
        return fields[-1].strip(), labels[0] if len(labels) == 1 else labels, None
    if len(fields) == 2 and all(map(str.strip, fields)) and not _is_file(fields[1]):
        return fields[0].strip(), _labels(fields[1]), None
    if len(fields) == 2 and all(map(str.strip, fields)) and not _is_file(fields[0]):
        return fields[1].strip(), _labels(fields[0]), None
    named = None if _is_file(line) else _NAMED.fullmatch(line)
    if named:
        return named["name"], _labels(named["label"]), None
    first = _LABEL_FIRST.fullmatch(line)
    return line, None, (first["name"], first["label"]) if first else None


def _labels(text: str) -> object:
    """Return what stands behind a path: one label, or several numbers."""
    text = text.strip().strip("\"'")
    if _NUMBERS.fullmatch(text):
        return re.split(r"[ ,\t]+", text)
    return text or None
