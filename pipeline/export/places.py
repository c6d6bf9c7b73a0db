"""This module decides where each image of a run goes when its images are sorted into folders.

Each place is a function of all rows: the same rows give the same places on any day, and no two images the same one.
Names are clean where they can be. Where two images would have one name, each of them gets a hash of its key behind its
own. Knows no disk and no image.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.errors import UsageError
from pipeline.export.decided_rows import ACCEPTED, DecidedRows, in_slices
from pipeline.export.names import file_name, fold, hashed, looks_hashed, safe
from pipeline.output.plan_file import read_index
from pipeline.storage import fixed_prefix, key_of
from pipeline.task import WITH_CLASSES
from pipeline.units import WorkUnit

By = Literal["predicted", "accepted", "review", "confused"]
"""What an image's folder says.

"predicted": the class that the model gives. "accepted": whether the prediction is accepted, and the class. "review":
the same, but only of images that are not accepted. "confused": the label and the class, of mistakes only.
"""

DECIDED: Sequence[By] = ("accepted", "review")
"""Those that need decisions on which predictions are accepted."""

AS = " as "
"""Stands between the label and the class in the name of a folder of mistakes."""

RAW_SOURCES = ("idx", "numpy")
"""Kinds of sources whose images are bare pixels, which no file has as they are stored."""

_SUFFIXES = {
    "JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "TIFF": ".tif", "WEBP": ".webp", "BMP": ".bmp", "PNM": ".pnm",
    "PPM": ".ppm", "PFM": ".pfm", "AVIF": ".avif", "JPEG 2000": ".jp2", "JPEG2000": ".jp2",
    "HEIC": ".heic", "HEIF": ".heic",
}  # fmt: skip
"""Name of a format, in capital letters -> suffix of a file of it."""


class Folder(NamedTuple):
    """A folder, before its name is known.

    Attributes:
        above: name of ours: of the folder above it, or of itself if it has no names.
        names: names of classes and labels that its own name is made of.
    """

    above: str
    names: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Its path, if no other folder has the same."""
        return "/".join(filter(None, (self.above, safe(AS.join(self.names)) if self.names else "")))


FAILED = Folder("failed")
NONE = Folder("none")
"""Where images go that have no prediction, or for which the model predicts no label at all."""


@dataclass
class Places:
    """Where the images of a run go; made by `Places.of`.

    Attributes:
        by: what the folders say.
        roots: for each input of the run, what its images' keys may begin with and their names leave out.
        images: number of rows.
        bytes: sum of the sizes of the images that are placed, as far as known.
        id: tells whether another run of the same command puts the same images at the same places.
    """

    by: By
    roots: Sequence[Sequence[str]]
    images: int = 0
    bytes: int = 0
    id: str = ""
    _folders: dict[Folder, str] = field(default_factory=dict)
    _seen: array[int] = field(default_factory=lambda: array("Q"))
    _known: Any = field(default_factory=lambda: blake2b(digest_size=16))
    _taken: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    @classmethod
    def of(cls, rows: DecidedRows, by: By) -> Places:
        """Return the places of all rows, by one pass over them that keeps 8 bytes for each.

        Raises:
            UsageError: the rows have nothing that says where an image goes.
        """
        check(rows, by)
        places = cls(by, [roots_of(pattern) for pattern in rows.run.inputs])
        units = read_index(rows.run).units
        for unit, (_, table) in zip(units, rows.by_unit(columns(rows, by)), strict=True):
            for some in in_slices(table):
                places.add(unit, some.to_pylist())
        places.close()
        return places

    def add(self, unit: WorkUnit, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the rows of the next unit."""
        for row in rows:
            for folder, (stem, suffix) in self._clean(unit, row):
                self._folders.setdefault(folder, "")
                self._seen.append(_number(folder, stem, suffix))
                self._known.update(json.dumps([folder, stem, suffix, row["key"]]).encode("ascii"))
                self.bytes += row.get("bytes") or 0
            self.images += 1

    def close(self) -> None:
        """Decide on the names, after the last row."""
        numbers, counts = np.unique(np.frombuffer(self._seen, np.uint64), return_counts=True)
        self._taken, self._seen = numbers[counts > 1], array("Q")
        self._name_folders()
        self.id = self._known.hexdigest()

    def of_row(self, unit: WorkUnit, row: Mapping[str, Any]) -> list[str]:
        """Return the paths in the sorted folder that an image gets; [] if it gets none.

        Args:
            unit: that it is of; its source and input count.
            row: its row.
        """
        paths = []
        for folder, (stem, suffix) in self._clean(unit, row):
            number = _number(folder, stem, suffix)
            at = int(np.searchsorted(self._taken, np.uint64(number)))
            is_taken = at < len(self._taken) and int(self._taken[at]) == number
            if is_taken or looks_hashed(stem):
                stem = hashed(stem, row["key"])
            paths.append(f"{self._folders[folder]}/{stem}{suffix}")
        return paths

    def _clean(self, unit: WorkUnit, row: Mapping[str, Any]) -> Iterator[tuple[Folder, tuple[str, str]]]:
        name: tuple[str, str] | None = None
        for folder in folders_of(row, self.by):
            name = name or file_name(self._relative(unit, row["key"]), _suffix(unit, row))
            yield folder, name

    def _relative(self, unit: WorkUnit, key: str) -> str:
        for root in self.roots[unit.input] if unit.input < len(self.roots) else ():
            if key.startswith(root):
                return key[len(root) :]
        return key.partition("://")[2] or key.lstrip("/")

    def _name_folders(self) -> None:
        """Give each folder a name that no other has."""
        same: dict[str, list[Folder]] = {}
        for folder in self._folders:
            same.setdefault(fold(folder.path), []).append(folder)
        for folders in same.values():
            for folder in folders:
                is_taken = (len(folders) > 1 or looks_hashed(folder.path)) and bool(folder.names)
                path = folder.path
                self._folders[folder] = hashed(path, json.dumps(folder.names)) if is_taken else path


def check(rows: DecidedRows, by: By) -> None:
    """Check that the rows say where images go.

    Raises:
        UsageError: they do not.
    """
    task = rows.run.spec.task
    if task not in WITH_CLASSES:
        raise UsageError(f"--sort_into needs a model with classes, and this one gives {_GIVES[task]}: take --csv")
    if by == "confused" and task != "classes":
        raise UsageError(
            "--by confused needs a model that gives one class, and this one gives labels: take --by predicted"
        )
    if by in DECIDED:
        rows.require_decided(f"--by {by}")


_GIVES = {"value": "a value", "embedding": "an embedding"}


def columns(rows: DecidedRows, by: By) -> list[str]:
    """Return the names of the columns that say where an image goes."""
    schema = rows.schema.names
    wanted = ["key", "status", "format", "bytes", "label", "label_name", "label_score", "predicted", "predicted_name"]
    wanted += ["predicted_names", *([ACCEPTED] if by in DECIDED else [])]
    return [name for name in wanted if name in schema]


def folders_of(row: Mapping[str, Any], by: By) -> Iterator[Folder]:
    """Yield the folders that an image goes to; none if the image is not asked for, or nothing is known of it."""
    if row["status"] == "failed":
        if by == "accepted":
            yield FAILED
        return
    if by == "confused":
        if row["label_score"] is not None and row["label"] != row["predicted"]:
            yield Folder("confused", (row["label_name"], row["predicted_name"]))
        return
    if by == "review" and row[ACCEPTED]:
        return
    above = "" if by == "predicted" else "accepted" if row[ACCEPTED] else "review"
    names = row["predicted_names"] if "predicted_names" in row else [row["predicted_name"]]
    for name in dict.fromkeys(names):
        yield Folder(above, (name,))
    if not names:
        yield Folder(f"{above}/none") if above else NONE


def _number(folder: Folder, stem: str, suffix: str) -> int:
    """Return 64 bits that two files share which could be one."""
    text = json.dumps([*folder, fold(stem + suffix)])
    return int.from_bytes(blake2b(text.encode("ascii"), digest_size=8).digest(), "little")


def _suffix(unit: WorkUnit, row: Mapping[str, Any]) -> str:
    if unit.source in RAW_SOURCES:
        return ".png"
    return _SUFFIXES.get((row.get("format") or "").upper(), "")


def roots_of(pattern: str) -> list[str]:
    """Return the folders that keys of an input's images may begin with: the input, or the one that it lies in.

    >>> roots_of("/data/photos"), roots_of("/data/photos/2024-*/*.png")
    (['/data/photos/', '/data/'], ['/data/photos/'])
    """
    fixed = fixed_prefix(pattern)
    above = key_of(fixed.rstrip("/").rpartition("/")[0] + "/")
    return [f"{key_of(pattern).rstrip('/')}/", above] if fixed == pattern else [key_of(fixed[: fixed.rfind("/") + 1])]
