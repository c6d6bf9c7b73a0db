"""The label of an image: its own, its folder's, or none. Must not know how the image was read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.batches import Failure, ImageColumns
from pipeline.options import LabelSource

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class LabelRule:
    """How labels are found and numbered.

    Attributes:
        class_names: of the model, in the order of its output.
        source: "auto", "from_directory" or "none".
        offset: what the archive's own numbers count from.

    >>> rule = LabelRule(("cat", "dog"))
    >>> rule.columns(["a", "b", "c"], own=[None, 1, "cow"], folders=["cat", "x", "x"]).label_names
    ['cat', 'dog', 'cow']
    """

    class_names: Sequence[str]
    source: LabelSource = "auto"
    offset: int = 0

    def columns(
        self,
        keys: Sequence[str],
        own: Sequence[int | str | None],
        folders: Sequence[str],
        failures: Mapping[int, Failure] | None = None,
    ) -> ImageColumns:
        """Return the images with their labels.

        A name that is not a class of the model stays as `label_names` without a number; a number outside the
        classes stays as `labels` without a name.

        Args:
            keys: of the n images.
            own: what the archive says of each: a number (counted from `offset`), text, or None.
            folders: name of the folder each lies in.
            failures: of those that could not be read.
        """
        numbers = {name: i for i, name in enumerate(self.class_names)}
        labels = np.zeros(len(keys), np.int32)
        labelled = np.zeros(len(keys), np.bool_)
        names: list[str | None] = [None] * len(keys)
        for i, found in enumerate(self._found(own, folders, numbers)):
            if isinstance(found, str):
                names[i] = found
                if found in numbers:
                    labels[i], labelled[i] = numbers[found], True
            elif found is not None:
                number = min(max(found - self.offset, INT32.min), INT32.max)
                labels[i], labelled[i] = number, True
                names[i] = self.class_names[number] if 0 <= number < len(self.class_names) else None
        return ImageColumns(keys, labels, labelled, names, failures or {})

    def _found(
        self, own: Sequence[int | str | None], folders: Sequence[str], numbers: Mapping[str, int]
    ) -> Sequence[int | str | None]:
        """Return the label of each image: a number that counts from `offset`, a name, or None."""
        if self.source == "none":
            return [None] * len(own)
        if self.source == "from_directory":
            return [folder or None for folder in folders]
        return [
            (folder if folder in numbers else None) if mine is None else self._read(mine, numbers)
            for mine, folder in zip(own, folders, strict=True)
        ]

    def _read(self, mine: int | str, numbers: Mapping[str, int]) -> int | str:
        """Return an archive's own label; digits are a class's name if one is called so and numbers count from 0."""
        if isinstance(mine, str) and _NUMBER.fullmatch(mine) and (self.offset or mine not in numbers):
            return int(mine)
        return mine


def folder_of(location: str) -> str:
    """Return the name of the folder that holds a file, as valid UTF-8.

    >>> folder_of("/data/cat/1.png")
    'cat'
    """
    return _valid(location.rsplit("/", 2)[-2], "surrogateescape")


def as_label(value: object) -> int | str | None:
    """Return a label as archives write it: a number, or text; None where there is none.

    >>> as_label(" 7 "), as_label(3), as_label(""), as_label(2.0), as_label([1])
    ('7', 3, None, 2, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return _valid(value, "surrogatepass").strip() or None
    return value if isinstance(value, int) else None


def _valid(text: str, surrogates: str) -> str:
    """Return text that is valid UTF-8; JSON may hold halves of characters, and a file's name bytes that are none."""
    return text.encode("utf-8", surrogates).decode("utf-8", "replace")
