"""What a label means among the classes of a model: one function for every carrier. Must not know images."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.options import LabelsAre
from pipeline.sources.label_values import MISSING, NAME_FIELDS, NO_NAME, Label, Scalar, as_text, inside, number_in
from pipeline.sources.names import same_name

INT32 = np.iinfo(np.int32)

_MOST_REMEMBERED = 1 << 16
"""Number of labels whose meaning is kept, at most."""


class Meaning(NamedTuple):
    """What a label is: a class of the model has both; a number that is none's, a number; another label, a name."""

    number: int | None = None
    name: str | None = None

    @property
    def is_class(self) -> bool:
        """Whether it is a class of the model."""
        return self.number is not None and self.name is not None


NOTHING = Meaning()
"""Meaning of a label that is not there."""

NUMBER, FOLDER = 0, 1
"""Numbers of a `Meaning` where no classes are known: its name is a number; it is the name of the image's folder."""


@functools.lru_cache(maxsize=16)
def meanings(
    class_names: tuple[str, ...],
    offset: int,
    labels_are: LabelsAre,
    own_names: tuple[str, ...],
    finds_names: bool = False,
) -> Meanings:
    """Return how labels are read for a model's classes; one reader serves every batch of a run.

    Args:
        class_names: of the model, in the order of its output.
        offset: number of the first class in the archive.
        labels_are: see `pipeline.options.ScoreOptions`.
        own_names: names that the archive itself has for its numbers, in their order; (): it has none.
        finds_names: whether the classes are not known yet: there are no class names.
    """
    return Meanings(class_names, offset, labels_are, own_names, finds_names)


class Meanings:
    """Reads labels as classes of a model.

    A text is the class of that name first. A number is the class that is called by it, however it is written; else it
    is a position in the model's output, if not all classes are called by numbers. If the archive has names of its own,
    a number is one of these first.

    >>> read = Meanings(("1", "10", "2"), 0, "auto", ())
    >>> read.one(10), read.one("2.0"), read.one([2]), read.one(0), read.one("NaN")
    (Meaning(number=1, name='10'), Meaning(number=2, name='2'), Meaning(number=2, name='2'), \
Meaning(number=None, name='0'), Meaning(number=None, name=None))
    >>> Meanings(("cat", "dog", "cow"), 0, "auto", ()).one([0, 0, 1]).name
    'cow'
    >>> Meanings(("cat", "dog"), 0, "auto", ("dog", "cat", "cow")).one(0).name
    'dog'

    Where classes are not known yet, each label is a name as it is written, and a folder is one as well. A name has no
    number then, unless it is NUMBER or FOLDER.

    >>> read = Meanings((), 0, "auto", (), finds_names=True)
    >>> read.one("cat"), read.one("07"), read.of_folder("cat"), read.one("NaN")
    (Meaning(number=None, name='cat'), Meaning(number=0, name='07'), Meaning(number=1, name='cat'), \
Meaning(number=None, name=None))
    """

    def __init__(
        self,
        class_names: Sequence[str],
        offset: int,
        labels_are: LabelsAre,
        own_names: Sequence[str] = (),
        finds_names: bool = False,
    ) -> None:
        """See `meanings`."""
        self.class_names = class_names
        self.finds_names = finds_names
        self._offset = offset
        self._numbers_are_positions = labels_are == "indices" or (labels_are == "auto" and offset != 0)
        self._only_positions = labels_are == "indices"
        self._own_names = () if labels_are == "indices" else own_names
        self.by_name: dict[str, int] = {}
        for number, name in enumerate(class_names):
            self.by_name.setdefault(same_name(name), number)
        self._called = called_by_numbers(class_names)
        self._only_names = labels_are == "names" or (len(self._called) == len(class_names) > 0)
        truths = [name for name in class_names if name.lower() in ("true", "false")]
        self._truths = {} if len({name.lower() for name in truths}) < len(truths) else {n.lower(): n for n in truths}
        self._remembered: dict[Scalar, Meaning] = {}
        self._folders: dict[str, Meaning] = {}

    def one(self, label: Label) -> Meaning:
        """Return what a label means to a model of which one class is right; several values are no class."""
        if not isinstance(label, str | int | float):
            return self._of_many(label)
        meaning = self._remembered.get(label)
        if meaning is None:
            meaning = self._text(label) if isinstance(label, str) else self._number(label)
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[label] = meaning
        return meaning

    def named(self, text: str) -> Meaning:
        """Return the class of a name, or that name."""
        number = self.by_name.get(same_name(text))
        return Meaning(None, text) if number is None else Meaning(number, self.class_names[number])

    def of_folder(self, folder: str) -> Meaning:
        """Return the class that a folder is called like; nothing if there is none."""
        if self.finds_names:
            return Meaning(FOLDER, folder) if folder else NOTHING
        meaning = self._folders.get(folder)
        if meaning is None:
            named = self.named(folder)
            meaning = named if named.is_class else NOTHING
            if len(self._folders) >= _MOST_REMEMBERED:
                self._folders.clear()
            self._folders[folder] = meaning
        return meaning

    def of_vector(self, label: Label) -> list[int] | None:
        """Return the numbers, as the archive counts, of the ones in a label that has a zero or a one for each class.

        Another label is None.
        """
        n = len(self._own_names or self.class_names)
        if not isinstance(label, list) or len(label) != n or n == 0:
            return None
        numbers = [number_in(one) if isinstance(one, str) else one for one in label]
        if any(number not in (0, 1) for number in numbers):
            return None
        return [i + self._offset for i, number in enumerate(numbers) if number]

    def is_missing(self, label: Label) -> bool:
        """Return whether a text spells a missing value and no class is called so."""
        return isinstance(label, str) and label in MISSING and label not in self.by_name

    def _of_many(self, label: list[Scalar] | dict[str, Scalar] | None) -> Meaning:
        """Return the meaning of a struct, of a list of one, and of a list with a one at its class."""
        if not label:
            return NOTHING
        if isinstance(label, dict):
            return self._struct(label)
        if len(label) == 1:
            return self.one(label[0])
        ones = self.of_vector(label)
        if ones is not None and len(ones) == 1:
            return self.one(ones[0])
        return self.named(as_text(label))

    def _struct(self, label: dict[str, Scalar]) -> Meaning:
        """Return the meaning of the first name that is a class; else of the first name, or of the first number."""
        values = [label[name] for name in NAME_FIELDS if name in label]
        names = [value for value in values if isinstance(value, str) and not self.is_missing(value)]
        number = next((value for value in values if not isinstance(value, str)), None)
        if not names or (self._only_positions and number is not None):
            return self.one(number)
        found = next((meaning for name in names if (meaning := self.one(name)).is_class), None)
        return found or self.one(number if self._numbers_are_positions and number is not None else names[0])

    def _text(self, text: str) -> Meaning:
        number = number_in(text)
        if text in MISSING or number is None or not self._numbers_are_positions:
            meaning = self.named(text)
            if meaning.is_class:
                return meaning
        if text in MISSING:
            return NOTHING
        if number is not None:
            if self.finds_names and not self._own_names:
                return self._found(text, number)
            return self._number(number) if isinstance(number, int) else Meaning(None, text)
        if text.lower() in self._truths:
            return self.named(self._truths[text.lower()])
        spelled = inside(text)
        if spelled is None:
            return Meaning(None, text)
        meaning = self.one(spelled)
        return meaning if meaning.is_class or meaning == NOTHING else self.named(text)

    def _number(self, number: int | float) -> Meaning:
        if isinstance(number, float):
            return self.named(as_text(number))
        position = number - self._offset
        if self._own_names:
            known = 0 <= position < len(self._own_names)
            return self._own(self._own_names[position]) if known else Meaning(None, NO_NAME.format(number))
        if self.finds_names:
            return self._found(as_text(number), number)
        if not self._numbers_are_positions:
            called = self._called.get(number)
            if called is not None:
                return Meaning(called, self.class_names[called])
            if self._only_names:
                return self.named(as_text(number))
        if 0 <= position < len(self.class_names):
            return Meaning(position, self.class_names[position])
        return Meaning(min(max(position, INT32.min), INT32.max), None)

    def _found(self, text: str, number: int | float) -> Meaning:
        """Return the meaning of a number where no classes are known: a name, of which is told that it is a number."""
        return Meaning(NUMBER if isinstance(number, int) and not self._only_names else None, text)

    def _own(self, name: str) -> Meaning:
        """Return the class that the archive's own name of a number is: of that name, or called by the same number."""
        meaning = self.named(name)
        number = number_in(name)
        if meaning.is_class or not isinstance(number, int) or number not in self._called:
            return meaning
        return Meaning(self._called[number], self.class_names[self._called[number]])


def called_by_numbers(class_names: Sequence[str]) -> dict[int, int]:
    """Return number -> position of the class that alone is called by it, however it is written.

    >>> called_by_numbers(("00", "01", "cat")), called_by_numbers(("1", "01")), called_by_numbers(("1.5",))
    ({0: 0, 1: 1}, {}, {})
    """
    called: dict[int, list[int]] = {}
    for position, name in enumerate(class_names):
        number = number_in(name)
        if isinstance(number, int):
            called.setdefault(number, []).append(position)
    return {number: positions[0] for number, positions in called.items() if len(positions) == 1}


def is_ambiguous(class_names: Sequence[str]) -> bool:
    """Return whether a number may mean two classes: the one called so, and the one at that position.

    >>> is_ambiguous(("0", "1")), is_ambiguous(("1", "10", "2")), is_ambiguous(("cat", "dog"))
    (False, True, False)
    """
    return any(number != position for number, position in called_by_numbers(class_names).items())
