"""The JSON files of OUTPUT that a person may read: run.json, summary.json and others."""

from __future__ import annotations

import json
from typing import Any

from pipeline.metrics.record import Record
from pipeline.metrics.task_figures import AnyFigures


def readable_json(content: Record | AnyFigures) -> bytes:
    """Return the bytes of a JSON file that a person may read: a line for each value, and one for a list of numbers."""
    text = _indented(content, "\n")
    return text.encode("utf-8", "backslashreplace") + b"\n"  # a name's bytes that are not UTF-8, as JSON's \udcff


def _indented(value: Any, line: str) -> str:
    r"""Return a value as JSON text; a confusion matrix of 1,000 classes is a third of what `json.dumps` makes of it.

    >>> print(_indented({"a": [1, 2], "b": [{"c": None}], "d": {}}, "\n"))
    {
      "a": [1, 2],
      "b": [
        {
          "c": null
        }
      ],
      "d": {}
    }
    """
    inner = line + "  "
    if isinstance(value, dict) and value:
        items = (f"{json.dumps(name, ensure_ascii=False)}: {_indented(one, inner)}" for name, one in value.items())
        return "{" + inner + f",{inner}".join(items) + line + "}"
    if isinstance(value, list | tuple) and value and isinstance(value[0], dict | list | tuple | str):
        return "[" + inner + f",{inner}".join(_indented(one, inner) for one in value) + line + "]"
    return json.dumps(value, ensure_ascii=False)
