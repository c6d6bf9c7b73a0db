"""Where arrays lie in .npy files and .npz archives, and their values, entry by entry. Must not know images."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline.sources import numpy_header
from pipeline.sources.container import UniqueNames, open_unit
from pipeline.sources.foreign_file import ForeignFile
from pipeline.sources.limits import BLOCK, DEFLATED
from pipeline.sources.numpy_header import Array
from pipeline.sources.skipped import OTHER, Skipped
from pipeline.storage import key_of
from pipeline.units import WorkUnit

MISSING = 1 << 16
"""Number of missing images up to which each has a failed row."""

_LOCAL = struct.Struct("<4s22xHH")
"""A local file header of a zip archive: signature, 22 bytes, length of the name, length of the extra."""


class StoredArray(NamedTuple):
    """An array where it lies in a file.

    Attributes:
        array: what its header says.
        at: byte of the file at which its values begin; of a compressed one, its first byte.
        size: bytes of its values, as they are when inflated.
        packed: bytes that are stored.
        member: of a zip archive, if it is compressed.
    """

    array: Array
    at: int
    size: int
    packed: int
    member: zipfile.ZipInfo | None = None

    @property
    def images(self) -> int:
        """How many images have a row of their own."""
        n, held = self.array.shape[0], self.size // self.array.entry
        return n if n < held + MISSING else held

    @property
    def rows(self) -> int:
        """How many rows there are: one more if the size is not that of the images."""
        n = self.array.shape[0]
        return self.images + (n > self.images or self.size > n * self.array.entry)


def arrays_of(unit: WorkUnit, skipped: Skipped) -> list[StoredArray]:
    """Return the arrays of a file, in the order of its directory.

    Raises:
        DamagedError: it is no array and no archive of arrays.
    """
    stored = ForeignFile(open_unit(unit))
    with stored.reading():
        head = stored.read(numpy_header.HEADER)
        if not head.startswith(b"PK"):
            array = numpy_header.parse("", head)
            size = unit.sizes[0] - array.start
            return [StoredArray(array, array.start, size, size)]
        stored.seek(0)
        file: Any = io.BufferedReader(stored, BLOCK)
        with zipfile.ZipFile(file) as archive:
            return list(_in_archive(unit, archive, file, skipped))


def _in_archive(unit: WorkUnit, archive: zipfile.ZipFile, file: Any, skipped: Skipped) -> Iterator[StoredArray]:
    names = UniqueNames()
    for member in archive.infolist():
        if not member.filename.endswith(".npy"):
            skipped.add(OTHER, f"{key_of(unit.locations[0])}!{key_of(member.filename)}")
            continue
        name = names.unique(member.filename[: -len(".npy")])
        with archive.open(member) as content:
            array = numpy_header.parse(name, content.read(numpy_header.HEADER))
        if member.compress_type == zipfile.ZIP_STORED:
            file.seek(member.header_offset)
            _, length, extra = _LOCAL.unpack(file.read(_LOCAL.size))
            at = member.header_offset + _LOCAL.size + length + extra + array.start
            values = max(min(member.file_size - array.start, unit.sizes[0] - at), 0)
            yield StoredArray(array, at, values, values)
        else:
            values = min(member.file_size, member.compress_size * DEFLATED) - array.start
            yield StoredArray(array, member.header_offset, max(values, 0), member.compress_size, member)


def values_of(unit: WorkUnit, stored: StoredArray, first: int) -> Iterator[bytes]:
    """Yield the entries of an array from number `first` on, a short one where it ends.

    Raises:
        DamagedError: it cannot be read on.
    """
    file = ForeignFile(open_unit(unit))
    entry = stored.array.entry
    with file.reading():
        if stored.member is None:
            content: Any = io.BufferedReader(file, BLOCK)
            content.seek(stored.at + first * entry)
            left = stored.size - first * entry
        else:
            archive = zipfile.ZipFile(io.BufferedReader(file, BLOCK))
            content = archive.open(stored.member)
            content.seek(stored.array.start + first * entry)
            left = stored.size - first * entry
    while True:
        with file.reading():
            data = content.read(max(min(entry, left), 0))
        left -= len(data)
        yield data
