"""Plan what a network learns from: list the inputs, cut them into work units, and remember what each is for.

Must not know pixels or labels.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from model_training.data.archive import PIECE_BYTES, Archive
from model_training.data.options import DataOptions
from model_training.data.survey import first_rule
from pipeline import storage
from pipeline.errors import UsageError
from pipeline.formatting import left_out
from pipeline.model.spec import ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.sources import images
from pipeline.sources.inputs import plan_units
from pipeline.sources.labels import folder_of
from pipeline.sources.names import is_junk_name, same_name
from pipeline.sources.search import require_input
from pipeline.sources.skipped import Skipped
from pipeline.text import brief
from pipeline.units import WorkUnit

Role = Literal["dataset", "validation", "test"]
ROLES: tuple[Role, ...] = ("dataset", "validation", "test")
"""What an input is for; each is also the name of the flag that gives it. The splits of "dataset" are made here."""

UNIT_IMAGES = (32, 256)
"""Images of a work unit, at most: if they are large, and if they are small.

They are few, so that units in another order are images in another order.
"""

EMPTY_FOLDERS = "empty folders"
"""Reason of folders that hold no image of a class, because nothing is in them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """An input, and what it is for.

    Attributes:
        location: of it, absolute; may be a glob.
        role: what it is for.
    """

    location: str
    role: Role


@dataclass(frozen=True)
class Plan:
    """The images of all inputs, planned.

    Attributes:
        archive: its units come in the order of the sources.
        sources: the inputs.
        inputs: int32 [units], the number of the source that each unit is from.
        folders: names of the folders of the images to learn from, if nothing else can tell a label; else None.
        skipped: counts what is no image, as far as listing tells.
    """

    archive: Archive
    sources: Sequence[Source]
    inputs: npt.NDArray[np.int32]
    folders: frozenset[str] | None = None
    skipped: Skipped = field(default_factory=Skipped)

    def units_of(self, role: Role) -> npt.NDArray[np.bool_]:
        """Return which units are of a role, bool [units]."""
        return np.array([source.role == role for source in self.sources], np.bool_)[self.inputs]


def is_root(source: Source, location: str) -> bool:
    """Return whether a file lies where its folder's name is no label: right in an input, or beside one.

    In a folder that a glob leads to, the name counts.

    Args:
        source: the input that the file is from.
        location: of the file.

    >>> photos = Source("/data/photos", "dataset")
    >>> is_root(photos, "/data/photos/1.png"), is_root(photos, "/data/photos/cat/1.png")
    (True, False)
    >>> is_root(Source("/data/photos/cat/*", "dataset"), "/data/photos/cat/1.png")
    False
    """
    root, folder = source.location, location.rpartition("/")[0]
    return storage.fixed_prefix(root) == root and folder in (root, root.rpartition("/")[0])


def plan(options: DataOptions, piece_bytes: int = PIECE_BYTES) -> Plan:
    """List the inputs and cut them into units.

    Args:
        options: what the inputs are.
        piece_bytes: bytes of pixels that a local process makes in one go, at most.

    Raises:
        UsageError: an input has no images, or cannot be read.
    """
    rule = first_rule(options)
    few, many = UNIT_IMAGES
    fitting = piece_bytes // math.prod(rule.shape) if options.image_size else many // 2
    scored = options.to_score(unit_images=min(many, max(few, fitting)))
    spec = ModelSpec(rule, (), "", task=options.read_as, value_unit=1.0 if options.task == "value" else 0.0)
    run = Run.of("train", scored, spec)
    given = {"dataset": options.sources, "validation": options.validation, "test": options.test}
    sources = [
        Source(location, role) for role in ROLES for location in dict.fromkeys(map(storage.absolute, given[role]))
    ]
    planned = _Planned(sources, scored)
    archive = Archive.of(run, planned.units(), piece_bytes)
    if planned.folders is not None:
        count_empty_folders(sources, planned.skipped)
    tell(planned.skipped)
    folders = None if planned.folders is None else frozenset(planned.folders)
    return Plan(archive, sources, np.array(planned.inputs, np.int32), folders, planned.skipped)


class _Planned:
    """What is known of units while they are cut.

    Attributes:
        inputs: the number of the source of each unit.
        folders: see `Plan`.
        skipped: counts what is no image.
    """

    def __init__(self, sources: Sequence[Source], options: ScoreOptions) -> None:
        self.inputs: list[int] = []
        self.folders: set[str] | None = set() if options.label_source == "auto" else None
        self.skipped = Skipped()
        self._sources, self._options = sources, options

    def units(self) -> Iterator[WorkUnit]:
        """Cut the inputs of each role; what is wrong is told in the words of its flag."""
        for role in ROLES:
            numbers = [number for number, source in enumerate(self._sources) if source.role == role]
            locations = [self._sources[number].location for number in numbers]
            try:
                for location in locations:
                    _require(location, role, self._options)
                for unit in plan_units(locations, self._options, "", self.skipped):
                    self._note(unit, numbers[unit.input])
                    yield replace(unit, input=numbers[unit.input])
            except UsageError as error:
                raise UsageError(str(error).replace("--input", f"--{role}")) from error

    def _note(self, unit: WorkUnit, number: int) -> None:
        self.inputs.append(number)
        source = self._sources[number]
        if self.folders is None or source.role != "dataset":
            return
        if unit.source != images.NAME or "label" in unit.index:
            self.folders = None
        else:
            files = (location for location in unit.locations if not is_root(source, location))
            self.folders.update(same_name(folder_of(location)) for location in files)


def count_empty_folders(sources: Sequence[Source], skipped: Skipped) -> None:
    """Count the folders right below inputs on disk in which nothing is: they may be meant as classes."""
    for source in sources:
        if storage.is_remote(source.location) or not os.path.isdir(source.location):
            continue
        with os.scandir(source.location) as entries:
            folders = sorted(entry.path for entry in entries if entry.is_dir() and not is_junk_name(entry.name))
        for folder in folders:
            if not os.listdir(folder):
                skipped.add(EMPTY_FOLDERS, storage.key_of(folder))


def tell(skipped: Skipped) -> None:
    """Tell what was found and is no image that is read, with an example of each reason."""
    for reason, n in skipped.counts.items():
        what = "not read" if ":" in reason else "skipped"
        _log.warning("%s: %s", what, left_out(reason, n, brief(skipped.examples[reason])))


def _require(location: str, role: Role, options: ScoreOptions) -> None:
    is_pattern = storage.is_remote(location) or storage.fixed_prefix(location) != location
    if role == "dataset" and not is_pattern and not os.path.exists(location):
        raise UsageError(
            f"data set {location!r} is nowhere to be found: give mnist, digits or a folder of class folders, or any "
            "other images that 'nightscore score' reads"
        )
    require_input(location, options)
