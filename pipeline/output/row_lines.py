"""Prediction rows as lines of JSON, as Vertex AI batch prediction writes them.

A line has a key, and either a prediction or an error; behind them, by rules 2, what is told of the stored image. Must
not know what else a part is made of.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.output.row_columns import (
    EXIF_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    PIXEL_COLUMNS,
    SCORE_COLUMNS,
    is_passed,
)
from pipeline.storage.formats import check_names

_FAILURE = {"status": "error_code", "message": "error_message", "stage": "error_stage"}
"""Name in an error -> column."""

_LINE = frozenset(("key", "prediction", "error", "image", "columns"))
_TOP = ("label", "name", "score")
"""Names in a line, and of a class that it lists."""

_LABELS = [column.name for columns in LABEL_COLUMNS.values() for column in columns]
_PREDICTIONS = {"embedding", *_LABELS, *(column.name for columns in SCORE_COLUMNS.values() for column in columns)}
_ERRORS = {*_FAILURE, *_LABELS}
"""Names in a prediction, and in an error, of any task."""

_IMAGE = frozenset(column.name for column in (*IMAGE_COLUMNS, *EXIF_COLUMNS, *PIXEL_COLUMNS))
"""Names in an image."""


class _Names(NamedTuple):
    """The names of a schema's columns that are in a line.

    Attributes:
        prediction: names in a prediction, in their order.
        label: names in an error, of the columns of the image's label.
        image: names in an image; none by rules 1, whose lines have no image.
        passed: names of the columns that pass through; if there are none, a line has no columns.
    """

    prediction: Sequence[str]
    label: Sequence[str]
    image: Sequence[str]
    passed: Sequence[str]

    @property
    def parts(self) -> int:
        """Number of the parts of a line."""
        return 2 + bool(self.image) + bool(self.passed)


@functools.lru_cache(maxsize=8)
def _names(columns: tuple[str, ...], passed: tuple[str, ...]) -> _Names:
    columns = tuple(name for name in columns if name not in passed)
    prediction = [name for name in columns if name in _PREDICTIONS]
    image = [name for name in columns if name in _IMAGE]
    return _Names(prediction, [name for name in prediction if name in _LABELS], image, passed)


def _names_of(schema: pa.Schema) -> _Names:
    return _names(tuple(schema.names), tuple(column.name for column in schema if is_passed(column)))


def to_lines(rows: pa.Table) -> bytes:
    """Return rows as lines of JSON, in ASCII."""
    names = _names_of(rows.schema)
    return "".join(json.dumps(_line(row, names)) + "\n" for row in rows.to_pylist()).encode("ascii")


def from_lines(data: bytes, schema: pa.Schema, location: str) -> pa.Table:
    """Return the rows that `to_lines` wrote.

    Args:
        data: all lines.
        schema: of the rows.
        location: of the part, for the error's text.

    Raises:
        NewerFormatError: a line has all fields of one, and an unknown one.
        Exception: of many kinds, where these are not such lines.
    """
    lines = [json.loads(line) for line in data.decode("ascii").splitlines()]
    names = _names_of(schema)
    return pa.Table.from_pylist([_row(line, names, location) for line in lines], schema)


def _line(row: dict[str, Any], names: _Names) -> dict[str, Any]:
    """Return a row as Vertex AI batch prediction writes it: key, and one of prediction | error."""
    value = row.get("label_value")
    if value is not None and math.isnan(value):
        row["label_value"] = "NaN"  # JSON has none; this is how protocol buffers, and so BigQuery, write it
    image = {"image": {name: row[name] for name in names.image}} if names.image else {}
    if names.passed:
        image["columns"] = {name: row[name] for name in names.passed}
    if row["status"] == "ok":
        return {"key": row["key"], "prediction": {name: row[name] for name in names.prediction}, **image}
    error = {name: row[column] for name, column in _FAILURE.items()}
    return {"key": row["key"], "error": {**error, **{name: row[name] for name in names.label}}, **image}


def _row(line: dict[str, Any], names: _Names, location: str) -> dict[str, Any]:
    """Return the row that `_line` wrote.

    Raises:
        NewerFormatError: it has all fields of one, and an unknown one.
        ValueError: it has fields of another task.
    """
    row: dict[str, Any] = {"key": line["key"]}
    if "prediction" in line:
        prediction = line["prediction"]
        row |= {"status": "ok", **{name: prediction[name] for name in names.prediction}}
        _check(prediction, names.prediction, _PREDICTIONS, location)
        if max(map(len, row.get("top_k", ())), default=0) > len(_TOP):
            for entry in row["top_k"]:
                check_names(entry, _TOP, "part", location)
    else:
        error = line["error"]
        row |= {"status": "failed", **{name: error[name] for name in names.label}}
        row |= {column: error[name] for name, column in _FAILURE.items()}
        _check(error, (*_FAILURE, *names.label), _ERRORS, location)
    if len(line) != names.parts:
        check_names(line, _LINE, "part", location)
        raise ValueError(f"it has the fields {', '.join(line)}")
    if names.image:
        row |= {name: line["image"][name] for name in names.image}
        _check(line["image"], names.image, _IMAGE, location)
    if names.passed:
        row |= {name: line["columns"][name] for name in names.passed}
        _check(line["columns"], names.passed, line["columns"], location)
    if row.get("label_value") == "NaN":
        row["label_value"] = math.nan
    return row


def _check(content: Mapping[str, Any], expected: Sequence[str], known: Collection[str], location: str) -> None:
    """Check that JSON which has all fields that are expected has no others."""
    if len(content) != len(expected):
        check_names(content, known, "part", location)
        raise ValueError(f"it has the fields {', '.join(content)}, expected {', '.join(expected)}")
