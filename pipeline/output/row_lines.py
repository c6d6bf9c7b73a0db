"""Prediction rows as lines of JSON, as Vertex AI batch prediction writes them.

A line has a key, and either a prediction or an error. Must not know what else a part is made of.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from pipeline.storage.formats import check_names

_PREDICTION = ("label", "label_name", "label_score", "predicted", "predicted_name", "score", "top_k")
_ERROR = ("status", "message", "stage", "label", "label_name")
_LINE = frozenset(("key", "prediction", "error"))
_TOP = ("label", "name", "score")
"""Names in a line: of a prediction, of an error, of the line itself, and of a class that it lists."""


def to_lines(rows: pa.Table) -> bytes:
    """Return rows as lines of JSON, in ASCII."""
    return "".join(json.dumps(_line(row)) + "\n" for row in rows.to_pylist()).encode("ascii")


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
    return pa.Table.from_pylist([_row(line, location) for line in lines], schema)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as Vertex AI batch prediction writes it: key, and one of prediction | error."""
    if row["status"] == "ok":
        return {"key": row["key"], "prediction": {name: row[name] for name in _PREDICTION}}
    error = {"status": row["error_code"], "message": row["error_message"], "stage": row["error_stage"]}
    return {"key": row["key"], "error": {**error, "label": row["label"], "label_name": row["label_name"]}}


def _row(line: dict[str, Any], location: str) -> dict[str, Any]:
    """Return the row that `_line` wrote.

    Raises:
        NewerFormatError: it has all fields of one, and an unknown one.
    """
    key = line["key"]
    if "prediction" in line:
        row = {"key": key, "status": "ok", **{name: line["prediction"][name] for name in _PREDICTION}}
        if len(line["prediction"]) != len(_PREDICTION):
            check_names(line["prediction"], _PREDICTION, "part", location)
        if max(map(len, row["top_k"]), default=0) > len(_TOP):
            for entry in row["top_k"]:
                check_names(entry, _TOP, "part", location)
        if len(line) != 2:
            check_names(line, _LINE, "part", location)
        return row
    error = line["error"]
    row = {
        "key": key,
        "status": "failed",
        "label": error["label"],
        "label_name": error["label_name"],
        "error_stage": error["stage"],
        "error_code": error["status"],
        "error_message": error["message"],
    }
    if len(error) != len(_ERROR):
        check_names(error, _ERROR, "part", location)
    if len(line) != 2:
        check_names(line, _LINE, "part", location)
    return row
