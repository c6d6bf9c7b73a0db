"""The label of an image: its own, its folder's, or none; read as the model's task wants it.

Must not know how the image was read.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.batches import Failure, ImageColumns
from pipeline.options import LabelSource
from pipeline.task import Task
from pipeline.text import brief

Label = int | float | str | list[int | float | str] | None
"""A label as an archive writes it: none, a class's name or number, several of them, or a number.

What it means, the model's task decides (`LabelRule`).
"""

INT32 = np.iinfo(np.int32)

LONGEST = 100
"""Characters of a label that is not understood, at most: it is shown, not read."""

_DIGITS = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class LabelRule:
    """How labels are found and numbered.

    Attributes:
        class_names: of the model, in the order of its output.
        source: "auto", "from_directory" or "none".
        offset: what the archive's own numbers of classes count from.
        task: of the model: it decides what a label means.

    With the task "classes" a label is one name or number; a list is no label. With "labels" it is any number of names
    and numbers of classes. With "value" it is a number. With "embedding" there are none. What is not understood stays
    to be counted: as a name that is no class, or as NaN.

    >>> rule = LabelRule(("cat", "dog"))
    >>> rule.columns(["a", "b", "c"], own=[None, 1, "cow"], folders=["cat", "x", "x"]).label_names
    ['cat', 'dog', 'cow']
    >>> rule = LabelRule(("cat", "dog"), task="labels")
    >>> rule.columns(["a", "b", "c"], own=["cat|cow", [1, 2], None], folders=["x", "x", "x"]).label_lists
    [['cat', 'cow'], ['dog', '#2'], None]
    >>> LabelRule((), task="value").columns(["a", "b"], own=["-1.5", "old"], folders=["", ""]).label_values
    array([-1.5,  nan])
    """

    class_names: Sequence[str]
    source: LabelSource = "auto"
    offset: int = 0
    task: Task = "classes"

    def columns(
        self,
        keys: Sequence[str],
        own: Sequence[Label],
        folders: Sequence[str],
        failures: Mapping[int, Failure] | None = None,
    ) -> ImageColumns:
        """Return the images with their labels.

        A name that is not a class of the model stays as `label_names` without a number; a number outside the
        classes stays as `labels` without a name.

        Args:
            keys: of the n images.
            own: what the archive says of each; a number of a class counts from `offset`.
            folders: name of the folder each lies in.
            failures: of those that could not be read.
        """
        numbers = {name: i for i, name in enumerate(self.class_names)}
        if self.task != "classes":
            return self._columns_of_task(keys, own, folders, failures or {})
        labels = np.zeros(len(keys), np.int32)
        labelled = np.zeros(len(keys), np.bool_)
        names: list[str | None] = [None] * len(keys)
        for i, found in enumerate(self._found(own, folders, numbers)):
            if isinstance(found, str):
                names[i] = found
                if found in numbers:
                    labels[i], labelled[i] = numbers[found], True
            elif isinstance(found, int):
                number = min(max(found - self.offset, INT32.min), INT32.max)
                labels[i], labelled[i] = number, True
                names[i] = self.class_names[number] if 0 <= number < len(self.class_names) else None
            elif found is not None:
                names[i] = _as_text(found)
        return ImageColumns(keys, labels, labelled, names, failures or {})

    def of_feature(self, values: Sequence[int | float | str] | None) -> Label:
        """Return the label that a feature of a TFRecord holds.

        Of a model of labels, a vector of zeros and ones, one a class, has a one for each label; no other is taken for
        such a vector.

        Args:
            values: of the feature; []: it is there without any; None: it is not there.
        """
        if values is None:
            return None
        if self.task != "labels":
            return as_label(values[0] if len(values) == 1 else list(values) or None)
        label = as_label(list(values))
        if isinstance(label, list) and len(label) == len(self.class_names) and all(one in (0, 1) for one in label):
            return [i + self.offset for i, one in enumerate(label) if one]
        return label

    def _found(self, own: Sequence[Label], folders: Sequence[str], numbers: Mapping[str, int]) -> Sequence[Label]:
        """Return the label of each image: as the archive has it, or a folder's name, or None."""
        if self.source == "none":
            return [None] * len(own)
        if self.source == "from_directory":
            return [folder or None for folder in folders]
        return [
            (folder if folder in numbers else None) if mine is None else self._read(mine, numbers)
            for mine, folder in zip(own, folders, strict=True)
        ]

    def _read(self, mine: Label, numbers: Mapping[str, int]) -> Label:
        """Return an archive's own label; digits are a class's name if one is called so and numbers count from 0."""
        if isinstance(mine, str) and _DIGITS.fullmatch(mine) and (self.offset or mine not in numbers):
            return int(mine)
        return mine

    def _columns_of_task(
        self,
        keys: Sequence[str],
        own: Sequence[Label],
        folders: Sequence[str],
        failures: Mapping[int, Failure],
    ) -> ImageColumns:
        columns = replace(ImageColumns.of(keys), failures=failures)
        if self.task == "embedding":
            return columns
        if self.task == "value":
            found = self._found(own, folders, {})
            values = np.array([math.nan if label is None else _number_in(label) for label in found], np.float64)
            return replace(columns, labelled=np.array([label is not None for label in found]), label_values=values)
        numbers = {name: i for i, name in enumerate(self.class_names)}
        lists = [self._names_of(mine, folder, numbers) for mine, folder in zip(own, folders, strict=True)]
        return replace(columns, labelled=np.array([names is not None for names in lists]), label_lists=lists)

    def _names_of(self, mine: Label, folder: str, numbers: Mapping[str, int]) -> list[str] | None:
        """Return the names of an image's labels; a folder is one name, as it is."""
        if self.source == "none":
            return None
        if self.source == "from_directory":
            return [folder] if folder else None
        if mine is None:
            return [folder] if folder in numbers else None
        return self._names_in(mine, numbers)

    def _names_in(self, label: Label, numbers: Mapping[str, int]) -> list[str]:
        """Return the names of labels, each once; a number that is no class's gets a name that is none's, either."""
        if isinstance(label, str) and label not in numbers:
            label = _split(label)
        entries = label if isinstance(label, list) else [label]
        return list(dict.fromkeys(self._name(self._read(entry, numbers), numbers) for entry in entries))

    def _name(self, entry: Label, numbers: Mapping[str, int]) -> str:
        if not isinstance(entry, int):
            return _as_text(entry)
        if 0 <= entry - self.offset < len(self.class_names):
            return self.class_names[entry - self.offset]
        name = f"#{_as_text(entry)}"
        while name in numbers:
            name = f"#{name}"
        return name


def _split(text: str) -> list[int | float | str]:
    """Return the labels that a text lists: as a JSON array, or with "|" between them.

    >>> _split("cat|dog"), _split('["cat", 3]'), _split("[]"), _split("[cat")
    (['cat', 'dog'], ['cat', 3], [], ['[cat'])
    """
    if text.startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            label = as_label(json.loads(text))
            if isinstance(label, list):
                return label
    return [part for part in map(str.strip, text.split("|")) if part]


def _number_in(label: Label) -> float:
    """Return the number that a label is; NaN: it is none.

    >>> _number_in("1e3"), _number_in(7), _number_in("7 years"), _number_in("nan"), _number_in([1])
    (1000.0, 7.0, nan, nan, nan)
    """
    if isinstance(label, str) and not _DECIMAL.fullmatch(label):
        return math.nan
    try:
        number = math.nan if label is None or isinstance(label, list) else float(label)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def folder_of(location: str) -> str:
    """Return the name of the folder that holds a file, as valid UTF-8.

    >>> folder_of("/data/cat/1.png")
    'cat'
    """
    return _valid(location.rsplit("/", 2)[-2], "surrogateescape")


def as_label(value: object) -> Label:
    """Return a label as archives write it; None where there is none.

    What is neither number, text nor a list of them becomes text, which no class is called: so it is counted.

    >>> as_label(" 7 "), as_label(3), as_label(""), as_label(2.0), as_label([1, "b"]), as_label({"a": 1})
    ('7', 3, None, 2, [1, 'b'], '{"a": 1}')
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | list | tuple):
        return None if value is None else _as_text(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else value if math.isfinite(value) else _as_text(value)
    if isinstance(value, str):
        return _valid(value, "surrogatepass").strip() or None
    if isinstance(value, list | tuple):
        entries = [_as_text(entry) if isinstance(entry, list | tuple) else as_label(entry) for entry in value]
        return [entry for entry in entries if entry is not None and not isinstance(entry, list)]
    return value


def _as_text(value: object) -> str:
    """Return a label that is not understood as a person may read it."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        text = type(value).__name__
    return brief(_valid(text, "surrogatepass"), LONGEST)


def _valid(text: str, surrogates: str) -> str:
    """Return text that is valid UTF-8; JSON may hold halves of characters, and a file's name bytes that are none."""
    return text.encode("utf-8", surrogates).decode("utf-8", "replace")
