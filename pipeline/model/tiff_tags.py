"""The tags of a TIFF's first image: numbers, by the tag's number. Must not know what follows from them.

Pillow reads them as well, and leaves out in silence those behind one that is damaged. Here that is an error.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.model.refused import RefusedError

_MEANINGS: Mapping[int, str] = {
    256: "width",
    257: "height",
    258: "bits of a band",
    259: "compression",
    262: "meaning of the values",
    266: "order of the bits",
    273: "places of the strips",
    274: "orientation",
    277: "number of bands",
    278: "rows of a strip",
    279: "sizes of the strips",
    284: "order of the bands",
    317: "predictor",
    320: "palette",
    322: "width of a tile",
    323: "height of a tile",
    324: "places of the tiles",
    325: "sizes of the tiles",
    338: "meaning of the extra bands",
    339: "kind of numbers",
    347: "JPEG tables",
    530: "subsampling of the colors",
    50706: "version of DNG",
}
"""Tags without which other pixels would be read -> what each tells."""

_SIZES: Mapping[int, int] = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Type of a tag -> bytes of one of its values. A tag of another type is ignored, as TIFF demands."""

_WHOLE: Mapping[int, str] = {3: "H", 4: "I", 8: "h", 9: "i", 13: "I", 16: "Q"}
"""Type of a tag of whole numbers -> the letter that struct and NumPy have for it."""

_MOST = 64
"""Values of a tag that are looked at, at most, but for columns."""


@dataclass(frozen=True)
class _Place:
    """Where the values of a tag lie in the file."""

    kind: int
    count: int
    start: int


@dataclass(frozen=True)
class Tags:
    """The tags that decide about pixels.

    Attributes:
        data: the file.
        order: "<" (little-endian) or ">".
        places: tag -> where its values lie, all within the file.
    """

    data: bytes
    order: Literal["<", ">"]
    places: Mapping[int, _Place]

    def has(self, tag: int) -> bool:
        """Return whether a tag is there."""
        return tag in self.places

    def has_bytes(self, tag: int, count: int) -> bool:
        """Return whether a tag is there with so many bytes."""
        place = self.places.get(tag)
        return place is not None and (place.kind, place.count) == (1, count)

    def numbers(self, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
        """Return the first values of a tag.

        Raises:
            RefusedError: they are no whole numbers.
        """
        place = self.places.get(tag)
        if place is None:
            return default
        return struct.unpack_from(f"{self.order}{min(place.count, _MOST)}{_letter(tag, place)}", self.data, place.start)

    def number(self, tag: int, default: int | None = None) -> int:
        """Return the first value of a tag.

        Raises:
            RefusedError: it is no whole number, or it is missing and there is no default.
        """
        if default is None:
            self.require(tag)
        return self.numbers(tag, (default or 0,))[0]

    def column(self, tag: int) -> npt.NDArray[np.int64]:
        """Return all values of a tag, int64 [n]; none if it is missing.

        Raises:
            RefusedError: they are no whole numbers.
        """
        place = self.places.get(tag)
        if place is None:
            return np.zeros(0, np.int64)
        return np.frombuffer(self.data, self.order + _letter(tag, place), place.count, place.start).astype(np.int64)

    def require(self, tag: int, count: int = 1) -> None:
        """Check that a tag has so many values.

        Raises:
            RefusedError: it has fewer.
        """
        if tag not in self.places:
            raise RefusedError("INVALID_ARGUMENT", f"{_words(tag)} is missing")
        there = self.places[tag].count
        if there < count:
            raise RefusedError("INVALID_ARGUMENT", f"{_words(tag)}: {there} of {count} values are there")


def read_tags(data: bytes) -> Tags:
    """Return the tags of a TIFF's first image.

    Raises:
        RefusedError: the file does not hold the directory, or what a tag of it claims, and tags that decide about
            pixels are among those from there on.
        struct.error: the file ends before it tells where the directory is.
    """
    is_big = data[2:4] in (b"+\0", b"\0+")
    order: Literal["<", ">"] = "<" if data[:2] == b"II" else ">"
    (place,) = struct.unpack_from(f"{order}Q", data, 8) if is_big else struct.unpack_from(f"{order}I", data, 4)
    head, entry = struct.Struct(order + ("Q" if is_big else "H")), struct.Struct(order + ("HHQQ" if is_big else "HHII"))
    inside = 8 if is_big else 4
    first = place + head.size
    if first > len(data):
        raise RefusedError("INVALID_ARGUMENT", "the directory of tags is not in the file")
    stop = first + entry.size * head.unpack_from(data, place)[0]
    if stop > len(data):
        raise RefusedError("INVALID_ARGUMENT", "the directory of tags is cut short")
    places: dict[int, _Place] = {}
    broken = None
    for at, (tag, kind, count, where) in zip(
        range(first, stop, entry.size), entry.iter_unpack(data[first:stop]), strict=True
    ):
        size = _SIZES.get(kind, 0) * count
        start = where if size > inside else at + entry.size - inside
        if start + size > len(data):
            broken = broken or f"{_words(tag)}: {count} values are claimed, more than the file holds"
        if tag in _MEANINGS:
            if broken is not None:
                raise RefusedError("INVALID_ARGUMENT", broken)
            if size:
                places[tag] = _Place(kind, count, start)
    return Tags(data, order, places)


def _letter(tag: int, place: _Place) -> str:
    if place.kind not in _WHOLE:
        raise RefusedError("INVALID_ARGUMENT", f"{_words(tag)}: expected whole numbers, not type {place.kind}")
    return _WHOLE[place.kind]


def _words(tag: int) -> str:
    return f"the {_MEANINGS[tag]} (tag {tag})" if tag in _MEANINGS else f"tag {tag}"
