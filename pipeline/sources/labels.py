"""The label of an image: its own, its folder's, or none; read as the model's task wants it.

Must not know how the image was read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.batches import Failure, ImageColumns
from pipeline.options import LabelsAre, LabelSource
from pipeline.sources.label_meaning import NOTHING, Meaning, Meanings, meanings
from pipeline.sources.label_values import (
    BLANKS,
    Label,
    Scalar,
    as_entry,
    as_label,
    as_text,
    inside,
    number_in,
    value_in,
)
from pipeline.task import Task

__all__ = ["Label", "LabelRule", "as_entry", "as_label", "folder_of"]


@dataclass(frozen=True)
class LabelRule:
    """How labels are found and numbered.

    Attributes:
        class_names: of the model, in the order of its output.
        source: "auto", "from_directory" or "none".
        offset: what the archive's own numbers of classes count from.
        task: of the model: it decides what a label means.
        labels_are: "auto", "names" or "indices": what a number is, see `pipeline.options.ScoreOptions`.
        archive_names: names that the archive itself has for its numbers, in their order; (): it has none.
        finds_names: whether the classes are not known yet, as before a training: there are no class names, and labels
            stay names. Of the task "classes" the image's number then tells what its name was, see
            `pipeline.sources.label_meaning.NUMBER`.

    With the task "classes" a label is one name or number; a list of several is no label. With "labels" it is any number
    of names and numbers of classes. With "value" it is a number. With "embedding" there are none. What is not
    understood stays to be counted: as a name that is no class, or as NaN.

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
    labels_are: LabelsAre = "auto"
    archive_names: Sequence[str] = ()
    finds_names: bool = False

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
        images = replace(ImageColumns.of(keys), failures=failures or {})
        if self.task == "embedding":
            return images
        names, own_names = tuple(self.class_names), tuple(self.archive_names)
        read = meanings(names, self.offset, self.labels_are, own_names, self.finds_names)
        pairs = zip(own, folders, strict=True)
        if self.task == "value":
            return self._values(images, [self._value(mine, folder, read) for mine, folder in pairs])
        if self.task == "labels":
            lists = [self._names(mine, folder, read) for mine, folder in pairs]
            labelled = np.array([names is not None for names in lists], np.bool_)
            return replace(images, labelled=labelled, label_lists=lists)
        if own.count(None) == len(own):  # as of image files: few folders, many images
            of_folder = {folder: self._meaning(None, folder, read) for folder in set(folders)}
            found = [of_folder[folder] for folder in folders]
        else:
            found = [self._meaning(mine, folder, read) for mine, folder in pairs]
        return replace(
            images,
            labels=np.array([meaning.number or 0 for meaning in found], np.int32),
            labelled=np.array([meaning.number is not None for meaning in found], np.bool_),
            label_names=[meaning.name for meaning in found],
        )

    def _meaning(self, mine: Label, folder: str, read: Meanings) -> Meaning:
        """Return what the label of an image means: as the archive has it, else as its folder is called."""
        if self.source == "none":
            return NOTHING
        if self.source == "from_directory":
            if not folder:
                return NOTHING
            return read.of_folder(folder) if read.finds_names else read.named(folder)
        return read.of_folder(folder) if mine is None else read.one(_single(mine))

    def _names(self, mine: Label, folder: str, read: Meanings) -> list[str] | None:
        """Return the names of an image's labels; a folder is one name, as it is."""
        if self.source == "auto" and (read.is_missing(_single(mine)) or (mine is None and read.finds_names)):
            return None
        if self.source != "auto" or mine is None:
            meaning = self._meaning(None, folder, read)
            return None if meaning.name is None else [meaning.name]
        entries = [entry for entry in _entries(mine, read) if not read.is_missing(entry)]
        return list(dict.fromkeys(_name(entry, read) for entry in entries))

    def _value(self, mine: Label, folder: str, read: Meanings) -> float | None:
        """Return the number of an image, NaN: its label is none; None: it has no label."""
        is_missing = mine is None or mine == [] or read.is_missing(_single(mine))
        if self.source == "none" or (self.source == "auto" and is_missing):
            return None
        return value_in((folder or None) if self.source == "from_directory" else mine)

    def _values(self, images: ImageColumns, found: Sequence[float | None]) -> ImageColumns:
        values = np.array([math.nan if value is None else value for value in found], np.float64)
        return replace(images, labelled=np.array([value is not None for value in found], np.bool_), label_values=values)


def _single(label: Label) -> Label:
    """Return the one entry of a list of one; another label as it is."""
    return label[0] if isinstance(label, list) and len(label) == 1 else label


def _entries(label: Label, read: Meanings) -> Sequence[Label]:
    """Return the labels that a label lists: as a vector of zeros and ones, as a list, or in a text."""
    text = _single(label)
    if isinstance(text, str):
        label = [text] if read.named(text).is_class else _split(text)
    if not isinstance(label, list):
        return [label]
    ones = read.of_vector(label)
    if ones is None and read.finds_names and _is_vector(label):
        return [as_text(label)]  # nothing tells what it is about: a name that says so itself
    return label if ones is None else ones


def _is_vector(label: list[Scalar]) -> bool:
    """Return whether a list may have a zero or a one for each class, however many there are."""
    numbers = [number_in(one) if isinstance(one, str) else one for one in label]
    return len(label) > 1 and all(number in (0, 1) for number in numbers)


def _split(text: str) -> list[Scalar]:
    """Return the labels that a text lists: as an array, or with "|" between them; else the text.

    >>> _split("cat|dog"), _split('["cat", 3]'), _split("[]"), _split("[cat"), _split("|")
    (['cat', 'dog'], ['cat', 3], [], ['[cat'], ['|'])
    """
    label = inside(text)
    if isinstance(label, list):
        return label
    return [part for part in (one.strip(BLANKS) for one in text.split("|")) if part] or [text]


def _name(entry: Label, read: Meanings) -> str:
    """Return the name of one of several labels; a number that is no class's gets a name that is none's, either."""
    meaning = read.one(entry)
    if meaning.name is not None:
        return meaning.name
    name = f"#{as_text(entry)}"
    while name in read.by_name:
        name = f"#{name}"
    return name


def folder_of(location: str) -> str:
    """Return the name of the folder that holds a file, as valid UTF-8.

    >>> folder_of("/data/cat/1.png")
    'cat'
    """
    return location.rsplit("/", 2)[-2].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
