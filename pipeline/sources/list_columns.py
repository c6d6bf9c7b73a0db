"""Which columns of a list hold the file and the label. Must not know how a list is stored."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pipeline.sources.label_values import BLANK

FILE_COLUMNS = ("file_name", "uri")
"""Names that are taken first, in this order."""

OTHER_FILE_COLUMNS = frozenset(
    [
        "file",
        "filename",
        "filepath",
        "path",
        "image",
        "imagepath",
        "imagefile",
        "imagefilename",
        "imagename",
        "imageurl",
        "imageuri",
        "imagegcsuri",
        "gcsuri",
        "gcsfilepath",
        "img",
        "imgpath",
        "imgname",
        "sourceref",
        "src",
        "source",
        "url",
        "picture",
        "photo",
        "location",
    ]
)
"""Names, in small letters and without signs, that other programs use: Vertex, SageMaker, Label Studio, Kaggle."""

LABEL_COLUMN = "label"
"""Name that is taken first."""

OTHER_LABEL_COLUMNS = frozenset(
    [
        "labels",
        "class",
        "classname",
        "classid",
        "classlabel",
        "category",
        "categoryname",
        "target",
        "labelname",
        "labelid",
        "choice",
        "choices",
        "classificationannotation",
        "classificationannotations",
        "groundtruth",
        "y",
    ]
)
"""Names, written as above, that other programs use."""

_NONE: Mapping[str, str | None] = MappingProxyType({})
_SIGNS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class ListColumns:
    """The columns of a list that a person chose; None: found by their names.

    Attributes:
        file: name of the column with the file; dots lead into fields of a JSON object.
        label: name of the column with the label.
        more: names of the columns that pass through to the rows.

    >>> ListColumns().of_file(["id", "Filename"]), ListColumns(label="a.b").label_in({"a": {"b": 3}}, ["a"])
    ('Filename', 3)
    """

    file: str | None = None
    label: str | None = None
    more: Sequence[str] = ()

    def of_file(self, columns: Sequence[str], where: str = "") -> str:
        """Return the name of the column with the file.

        Raises:
            ValueError: there is none, or it is not clear which; the text says what to do.
        """
        if self.file is not None:
            if self.file in columns or self.file.partition(".")[0] in columns:
                return self.file
            raise ValueError(f"{where}no column {self.file!r}; there is {_there(columns)}")
        name = next((name for name in FILE_COLUMNS if name in columns), None) or _only(
            columns, OTHER_FILE_COLUMNS, "the file", "--file_column", where
        )
        if name is None:
            said = " or ".join(FILE_COLUMNS)
            raise ValueError(f"{where}no column {said}; there is {_there(columns)}; choose one with --file_column")
        return name

    def of_label(self, columns: Sequence[str], where: str = "") -> str | None:
        """Return the name of the column with the label, None if there is none.

        Raises:
            ValueError: it is not clear which, or the chosen one is not there.
        """
        if self.label is not None:
            if self.label in columns or self.label.partition(".")[0] in columns:
                return self.label
            raise ValueError(f"{where}no column {self.label!r}; there is {_there(columns)}")
        if LABEL_COLUMN in columns:
            return LABEL_COLUMN
        return _only(columns, OTHER_LABEL_COLUMNS, "the label", "--label_column", where)

    def has_file(self, columns: Sequence[str]) -> bool:
        """Return whether one of the columns may hold the file."""
        return self.file in columns or any(
            name in FILE_COLUMNS or _plain(name) in OTHER_FILE_COLUMNS for name in columns
        )

    def more_in(self, row: Mapping[str, Any]) -> Mapping[str, str | None]:
        """Return what of a row passes through, as text by name.

        >>> ListColumns(more=("site", "day")).more_in({"site": 7.0, "x": 1})
        {'site': '7', 'day': None}
        """
        return {name: as_passed(value_at(row, name)) for name in self.more} if self.more else _NONE

    def label_in(self, row: Mapping[str, Any], columns: Sequence[str], where: str = "") -> object:
        """Return the label that a row of JSON has: in its column, or as labelling programs write it."""
        name = self.label if self.label is not None else self.of_label(columns, where)
        if name is not None:
            return filled(value_at(row, name))
        return _of_ground_truth(row) or _of_label_studio(row)


def as_passed(value: object) -> str | None:
    """Return a value of a list as the text that passes through to a row: None where it is missing or empty.

    >>> as_passed(True), as_passed(2.50), as_passed(["a"]), as_passed(""), as_passed(float("nan"))
    ('true', '2.5', '["a"]', None, None)
    """
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list):
        return json.dumps(value, default=str)
    if value is None or value == "" or isinstance(value, bytes):
        return None
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def require_once(columns: Sequence[str], chosen: Sequence[str | None]) -> None:
    """Check that no chosen column is there twice.

    Raises:
        ValueError: one is.
    """
    for name, n in Counter(columns).items():
        if n > 1 and name in chosen:
            times = "twice" if n == 2 else f"{n} times"
            raise ValueError(f"column {name} is there {times}; leave one of them")


def filled(value: object) -> object:
    """Return what stands in a place for a label: an empty text where that is nothing."""
    return BLANK if value is None else value


def value_at(row: Any, path: str) -> object:
    """Return a row's field of that name; else what the names between the dots lead to, None if nothing.

    >>> value_at({"data": {"image": "a.png"}}, "data.image"), value_at({"a": [{"b": 1}]}, "a.0.b"), value_at({}, "a")
    ('a.png', 1, None)
    """
    if isinstance(row, Mapping) and path in row:
        return row[path]
    for name in path.split("."):
        if isinstance(row, Mapping):
            row = row.get(name)
        elif isinstance(row, list) and name.isdecimal() and int(name) < len(row):
            row = row[int(name)]
        else:
            return None
    found: object = row
    return found


def _of_ground_truth(row: Mapping[str, Any]) -> object:
    """Return the class that SageMaker Ground Truth writes into a field's metadata."""
    for name, value in row.items():
        about = row.get(f"{name}-metadata")
        if isinstance(about, Mapping):
            names = about.get("class-map")
            if isinstance(names, Mapping) and isinstance(value, list):
                return [names.get(str(one), one) for one in value]
            return about.get("class-name", value)
    return None


def _of_label_studio(row: Mapping[str, Any]) -> object:
    """Return the choices of a task that Label Studio exports, of its last annotation."""
    annotations = row.get("annotations")
    choices: list[object] = []
    for annotation in annotations[-1:] if isinstance(annotations, list) else ():
        results = annotation.get("result") if isinstance(annotation, Mapping) else None
        for result in results if isinstance(results, list) else ():
            value = value_at(result, "value.choices")
            choices += value if isinstance(value, list) else []
    return choices or None


def _only(columns: Sequence[str], known: frozenset[str], what: str, option: str, where: str) -> str | None:
    """Return the one column whose name is known, None if there is none."""
    found = sorted({name for name in columns if _plain(name) in known})
    if len(found) > 1:
        raise ValueError(f"{where}columns {_there(found)} may hold {what}; choose one with {option}")
    return found[0] if found else None


def _plain(name: object) -> str:
    return _SIGNS.sub("", str(name).lower())


def _there(columns: Sequence[str]) -> str:
    return ", ".join(map(str, columns)) or "none"
