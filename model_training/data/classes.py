"""Which classes an archive has, of the names that were found in it, so that scoring the archive finds the same ones.

Must not know images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from model_training.data.found_labels import FoundLabels, FoundName
from pipeline.errors import UsageError
from pipeline.sources.label_meaning import Meanings
from pipeline.sources.label_values import number_in
from pipeline.text import brief

NO_CLASS = -1
"""Number of a name that is none of the classes."""


def class_names_of(labels: FoundLabels, there: npt.NDArray[np.bool_]) -> list[str]:
    """Return the names of the classes: numbers in their order, else names in the order of the alphabet.

    A number that is written in two ways is one class.

    Args:
        labels: the names that were found.
        there: bool [names], which of them are among the images that are learned from.

    Raises:
        UsageError: some classes are numbers, and others are names.
    """
    found = [name for name, is_there in zip(labels.names, there.tolist(), strict=True) if is_there]
    texts = sorted({name.name for name in found if not name.is_number})
    spelled: dict[int, set[str]] = {}
    read = Meanings(texts, 0, "auto")
    for name in found:
        if name.is_number:
            number = number_in(name.name)
            assert isinstance(number, int)
            if not (_are_numbers(texts) and read.one(name.name).is_class):
                spelled.setdefault(number, set()).add(name.name)
    if spelled and not _are_numbers(texts):
        raise UsageError(_mixed(labels, there))
    numbers = [min(forms) if len(forms) == 1 else str(number) for number, forms in spelled.items()]
    names = [*texts, *numbers]
    return sorted(names, key=lambda name: (number_in(name) or 0, name)) if _are_numbers(names) else sorted(names)


def _are_numbers(names: Sequence[str]) -> bool:
    return all(isinstance(number_in(name), int) for name in names)


def _mixed(labels: FoundLabels, there: npt.NDArray[np.bool_]) -> str:
    """Return what is wrong where some labels are numbers and others are names, with an example of both."""

    def example(is_number: bool) -> str:
        for name, key, is_there in zip(labels.names, labels.examples, there.tolist(), strict=True):
            is_one = name.is_number if is_number else not isinstance(number_in(name.name), int)
            if is_there and is_one:
                return f"{brief(name.name)!r} of {brief(key)}"
        raise AssertionError

    return (
        f"some labels are numbers, as {example(True)}, and others are names, as {example(False)}: give all of one "
        "kind, or --labels_are names if the numbers are names"
    )


def numbers_of(names: Sequence[FoundName], class_names: Sequence[str]) -> npt.NDArray[np.int32]:
    """Return the class of each name, int32 [names]; NO_CLASS where it is none.

    >>> numbers_of([FoundName("cat"), FoundName("07", True), FoundName("cow")], ["7", "cat"]).tolist()
    [1, 0, -1]
    """
    read = Meanings(class_names, 0, "names")
    exact: Mapping[str, int] = read.by_name
    found = [read.one(name.name).number if name.is_number else exact.get(name.name) for name in names]
    return np.array([NO_CLASS if number is None else number for number in found], np.int32)
