"""What an archive says of an image as one plain value, whatever carries it. Must not know the classes of a model."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from pipeline.text import brief

Scalar = int | float | str
"""A number or a text."""

Label = Scalar | list[Scalar] | dict[str, Scalar] | None
"""A label as an archive writes it: none, a class's name or number, several of them, or the fields of a struct.

What it means, the model's task decides (`pipeline.sources.labels.LabelRule`).
"""

NO_NAME = "{}, of which the archive has no name"
"""Stands for the name of a number that has none among the archive's own names."""

LONGEST = 100
"""Characters of a label that is not understood, at most: it is shown, not read."""

BLANK = ""
"""A label that has its place and is empty there: the image has none, and its folder is not asked."""

MISSING = frozenset(
    (
        BLANK,
        *("NaN", "nan", "-NaN", "-nan", "NaT", "None", "NULL", "null", "NA", "<NA>", "N/A", "n/a", "(null)", r"\N"),
        *("#N/A", "#N/A N/A", "#NA", "#NV", "#N/D", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    )
)
"""Spellings of a missing value: pandas' (`na_values` of `read_csv`), Excel's #N/A and its translations, and MySQL's."""

NAME_FIELDS = (
    "name", "label_name", "class_name", "display_name", "displayName", "text", "synset", "label", "class", "category",
    "id", "index", "label_id", "class_id",
)  # fmt: skip
"""Fields of a struct that hold a label, those that are likely a name first."""

BLANKS = " \t\r\n\v\f\0\u00a0"
"""Characters around a text that are not part of a label: blanks, and what fills a field of a fixed width."""

_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_BYTES = re.compile(r"""b(['"]).*\1""", re.DOTALL)
_LONGEST_NUMBER = 40
"""Characters of a number in a text, at most: more is a text."""


def as_label(value: object) -> Label:
    """Return a label as archives write it; None where there is none.

    Bytes are text, a decimal or a float that is whole is an integer, true and false are the texts True and False. In a
    list they are 1 and 0. Of a struct the fields stay that may hold a label. What is none of all this becomes text,
    which no class is called: so it is counted.

    >>> as_label(" 7 "), as_label(b"cat"), as_label(""), as_label(2.0), as_label(float("nan")), as_label(True)
    ('7', 'cat', None, 2, None, 'True')
    >>> as_label([1, "b", None]), as_label({"id": 3, "name": "cat"}), as_label({"name": "cat"}), as_label({"a": 1})
    ([1, 'b'], {'id': 3, 'name': 'cat'}, 'cat', '{"a": 1}')
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return _entries(value)
    if isinstance(value, Mapping):
        return _fields(value)
    return _scalar(value)


def as_entry(value: object) -> Label:
    """Return what stands in the place of a label as archives write it; BLANK where that is empty.

    >>> as_entry(" 7 "), as_entry(float("nan")), as_entry(None), as_entry([])
    ('7', '', '', [])
    """
    label = as_label(value)
    return BLANK if label is None else label


def _scalar(value: object) -> Scalar | None:
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode("utf-8", "replace")
    if isinstance(value, str):
        return _valid(value).strip(BLANKS) or None
    if value is None or isinstance(value, bool):
        return None if value is None else str(value)
    if isinstance(value, Decimal) and value.is_finite():
        return int(value) if value == value.to_integral_value() and abs(value) < 1 << 63 else float(value)
    if isinstance(value, int):
        return value
    if isinstance(value, float | Decimal):
        number = float(value)
        return int(number) if number.is_integer() else number if math.isfinite(number) else _if_infinite(number)
    return as_text(value)


def _if_infinite(number: float) -> str | None:
    return None if math.isnan(number) else str(number)


def _entries(values: Sequence[object]) -> list[Scalar]:
    """Return what a list holds; a list in it is a text."""
    if len(values) and all(isinstance(value, bool) for value in values):
        return [int(bool(value)) for value in values]
    found = (
        as_text(value) if isinstance(value, list | tuple) else _of_struct(value) if isinstance(value, Mapping)
        else _scalar(value)
        for value in values
    )  # fmt: skip
    return [one for one in found if one is not None]


def _of_struct(value: Mapping[object, object]) -> Scalar | None:
    """Return the first field of a struct in a list, since a list holds plain values."""
    label = _fields(value)
    return next((label[name] for name in NAME_FIELDS if name in label), None) if isinstance(label, dict) else label


def _fields(value: Mapping[object, object]) -> dict[str, Scalar] | Scalar | None:
    found = {name: one for name in NAME_FIELDS if name in value and (one := _plain(value[name])) is not None}
    if not found:
        return None if value and all(value.get(name, 0) is None for name in value) else as_text(value)
    if len(found) == 1:
        return next(iter(found.values()))
    return {str(name): found[str(name)] for name in value if name in found}


def _plain(value: object) -> Scalar | None:
    return None if isinstance(value, list | tuple | Mapping) else _scalar(value)


def number_in(text: str) -> int | float | None:
    """Return the number that a text is, an integer if it is whole; None if it is none.

    >>> number_in("7"), number_in("+07"), number_in("3.0"), number_in("1e3"), number_in("0.5"), number_in("7 years")
    (7, 7, 3, 1000, 0.5, None)
    """
    if len(text) > _LONGEST_NUMBER or not _DECIMAL.fullmatch(text):
        return None
    with contextlib.suppress(ValueError):
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def value_in(label: Label) -> float:
    """Return the number that a label is, also of a list of one and of a struct; NaN: it is none.

    >>> value_in("1e3"), value_in(7), value_in([7]), value_in("[0.5]"), value_in("7 years"), value_in([1, 2])
    (1000.0, 7.0, 7.0, 0.5, nan, nan)
    """
    if isinstance(label, str):
        inner = inside(label)
        label = number_in(label) if inner is None else inner
    if isinstance(label, dict):
        numbers = (value_in(label[name]) for name in NAME_FIELDS if name in label)
        return next((number for number in numbers if not math.isnan(number)), math.nan)
    if isinstance(label, list):
        return value_in(label[0]) if len(label) == 1 else math.nan
    try:
        return math.nan if label is None else float(label)
    except OverflowError:
        return math.nan


def inside(text: str) -> Label:
    """Return the label that a text spells as a JSON array, a Python list, an array of NumPy or Python's bytes.

    >>> inside('["cat", 3]'), inside("['cat']"), inside("[0. 1.]"), inside("b'cat'"), inside("[cat"), inside("cat")
    (['cat', 3], ['cat'], [0, 1], 'cat', None, None)
    """
    if not (text.startswith("[") and text.endswith("]")) and not _BYTES.fullmatch(text):
        return None
    for parse in (json.loads, ast.literal_eval, _numpy_array):
        with contextlib.suppress(ValueError, RecursionError, SyntaxError, MemoryError, TypeError):
            value = parse(text)
            if isinstance(value, list | bytes):
                return as_label(value)
    return None


def joined(names: Sequence[str]) -> str:
    """Return several names as one text, as lists of files have them: with `|` between them, or as a JSON array.

    >>> joined(["cat", "dog"]), joined([]), joined(["a|b"])
    ('cat|dog', '[]', '["a|b"]')
    """
    if names and all(name and "|" not in name and name == name.strip() and name[0] not in "[{" for name in names):
        return "|".join(names)
    return json.dumps(list(names), ensure_ascii=False)


def _numpy_array(text: str) -> list[int | float]:
    """Return the numbers that NumPy prints with blanks between them."""
    numbers = [number_in(word) for word in text[1:-1].split()]
    if None in numbers:
        raise ValueError("not numbers")
    return [number for number in numbers if number is not None]


def as_text(value: object) -> str:
    """Return a label that is not understood as a person may read it."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    try:
        is_plain = not isinstance(value, list | tuple | dict | bool | None)
        text = str(value) if is_plain else json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        text = type(value).__name__
    return brief(_valid(text), LONGEST)


def _valid(text: str) -> str:
    """Return text that is valid UTF-8; JSON may hold halves of characters."""
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
