"""The labels of all images of an archive, as they are found, before anybody knows which classes there are.

Must not know pixels or splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model_training.data.archive import Decoded
from model_training.data.plan import Plan, is_root
from pipeline.batches import ImageColumns
from pipeline.errors import UsageError
from pipeline.sources import images, tar_archive, zip_archive
from pipeline.sources.container import INNER
from pipeline.sources.label_meaning import FOLDER, NUMBER
from pipeline.sources.label_values import NO_NAME, inside
from pipeline.sources.names import same_name
from pipeline.text import brief
from pipeline.units import WorkUnit

NO_LABEL, NO_CLASS_FOLDER, NO_NUMBER = "has no label", "lies in no class folder", "has a label that is no number"
"""Why an image without a label is left out."""

_NAMELESS = NO_NAME.format("")
_IN_ARCHIVES = (tar_archive.NAME, zip_archive.NAME)

Integers = npt.NDArray[np.int32]


class FoundName(NamedTuple):
    """A label as the archive has it.

    Attributes:
        name: in the one spelling by which names are compared.
        is_number: whether it is a number that stands for a class.
    """

    name: str
    is_number: bool = False


@dataclass(frozen=True)
class FoundLabels:
    """The labels of n images.

    Attributes:
        labelled: bool [n], whether an image has a label, or a list of them.
        names: every name that is there, once; the numbers of labels are its indices.
        examples: of each name, the key of the first image that has it.
        counts: int32 [n], how many names an image has; of the task "classes", one where it is labelled.
        numbers: int32 [m], the numbers of the names of all images, one image after the other.
        values: of the task "value": float32 [n], NaN where an image has none; else None.
    """

    labelled: npt.NDArray[np.bool_]
    names: Sequence[FoundName]
    examples: Sequence[str]
    counts: Integers
    numbers: Integers
    values: npt.NDArray[np.float32] | None = None


class LabelFinder:
    """Collects the labels of images, piece by piece.

    Attributes:
        why: index of an image of the last piece that has no label -> why.
    """

    def __init__(self, plan: Plan) -> None:
        """Start without images."""
        self.why: Mapping[int, str] = {}
        self._plan = plan
        self._unit: WorkUnit | None = None
        self._table: dict[FoundName, int] = {}
        self._examples: list[str] = []
        self._labelled: list[npt.NDArray[np.bool_]] = [np.zeros(0, np.bool_)]
        self._counts: list[Integers] = [np.zeros(0, np.int32)]
        self._numbers: list[Integers] = [np.zeros(0, np.int32)]
        self._values: list[npt.NDArray[np.float32]] = []

    def add(self, found: Decoded) -> npt.NDArray[np.bool_]:
        """Take the labels of a piece; return which of its images have one."""
        columns = found.batch.images
        self.why = {}
        if columns.label_values is not None:
            values = columns.label_values.astype(np.float32)
            labelled = ~np.isnan(values)
            self._values.append(values)
            self.why = {i: NO_NUMBER if columns.labelled[i] else NO_LABEL for i in np.flatnonzero(~labelled).tolist()}
        elif columns.label_lists is not None:
            labelled = self._add_lists(columns.label_lists, columns.keys)
        else:
            labelled = self._add_names(found, columns)
        self._labelled.append(labelled)
        return labelled

    def labels(self) -> FoundLabels:
        """Return the labels of all pieces."""
        labelled, counts = np.concatenate(self._labelled), np.concatenate(self._counts)
        values = np.concatenate(self._values) if self._values else None
        return FoundLabels(labelled, list(self._table), self._examples, counts, np.concatenate(self._numbers), values)

    def _add_names(self, found: Decoded, columns: ImageColumns) -> npt.NDArray[np.bool_]:
        """Take one name an image."""
        roots = self._roots(found, columns)
        numbers, why = [], {}
        for i, name in enumerate(columns.label_names):
            if name is None:
                why[i] = NO_LABEL
            elif roots[i]:
                why[i] = NO_CLASS_FOLDER if self._is_of_files() else NO_LABEL
            elif name.endswith(_NAMELESS):
                why[i] = f"has the label {name}"
            else:
                is_number = bool(columns.labelled[i]) and columns.labels[i] == NUMBER
                numbers.append(self._number(FoundName(same_name(name), is_number), columns.keys[i]))
        labelled = np.ones(len(columns), np.bool_)
        labelled[list(why)] = False
        self.why = why
        self._counts.append(labelled.astype(np.int32))
        self._numbers.append(np.array(numbers, np.int32))
        return labelled

    def _add_lists(self, lists: Sequence[Sequence[str] | None], keys: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Take a list of names an image; an empty list is one."""
        numbers: list[int] = []
        counts, why = [], {}
        for i, names in enumerate(lists):
            nameless = next((name for name in names or () if name.endswith(_NAMELESS)), None)
            if names is None or nameless is not None:
                why[i] = NO_LABEL if names is None else f"has the label {nameless}"
                counts.append(0)
                continue
            mine = dict.fromkeys(self._number(FoundName(same_name(name)), keys[i]) for name in names)
            numbers += mine
            counts.append(len(mine))
        labelled = np.ones(len(lists), np.bool_)
        labelled[list(why)] = False
        self.why = why
        self._counts.append(np.array(counts, np.int32))
        self._numbers.append(np.array(numbers, np.int32))
        return labelled

    def _number(self, name: FoundName, key: str) -> int:
        """Return the number of a name."""
        number = self._table.get(name)
        if number is None:
            number = self._table[name] = len(self._table)
            self._examples.append(key)
            if isinstance(inside(name.name), list):
                raise UsageError(
                    f"{brief(key)} has the label {brief(name.name)!r}, but nothing says which classes it lists: give "
                    "names, such as cat|dog with --task labels, or put a file labels.txt beside it, a class a line"
                )
        return number

    def _is_of_files(self) -> bool:
        return self._unit is not None and self._unit.source == images.NAME

    def _roots(self, found: Decoded, columns: ImageColumns) -> Sequence[bool]:
        """Return which images have the name of a folder as their label that is no class: that of the input itself."""
        of_folder = columns.labelled & (columns.labels == FOLDER)
        if not of_folder.any():
            return [False] * len(columns)
        if self._unit is None or self._unit.id != str(found.unit):
            self._unit = self._plan.archive.unit(found.unit)
        unit = self._unit
        source = self._plan.sources[unit.input]
        if unit.source in _IN_ARCHIVES or INNER in unit.index:
            return [False] * len(columns)
        if unit.source != images.NAME:
            is_first_root = is_root(source, unit.locations[0])
            return [is_first_root and one for one in of_folder.tolist()]
        return [
            one and is_root(source, unit.locations[row])
            for one, row in zip(of_folder.tolist(), found.rows.tolist(), strict=True)
        ]
