"""Zip archives: stored and deflated members, Zip64; entered at any member, nothing is ever extracted.

The directory at an archive's end is parsed by the standard library's zipfile, once, while planning; a unit carries
its members' entries. An archive whose directory cannot be read is one failed row, whose key is the archive's with "!".
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import IO, Any

from pipeline.batches import EncodedBatch, Failure
from pipeline.labels import folder_of
from pipeline.run import Run
from pipeline.sources.container import (
    BLOCK,
    LONGEST,
    Image,
    Names,
    Piece,
    batched,
    container_unit,
    cut_container,
    guarded,
    open_unit,
)
from pipeline.sources.names import is_image_name, is_junk_name
from pipeline.storage import StoredObject, key_of
from pipeline.units import WorkUnit

NAME = "zip"
SUFFIXES = (".zip",)
COLUMNS = ("name", "folder", "offset", "packed", "size", "crc", "method", "encrypted")

_HEADER = struct.Struct("<4s22xHH")
"""A local file header: signature, 22 bytes that the directory repeats, length of the name, length of the extra."""


def is_zip(head: bytes) -> bool:
    """Return whether a file that starts so is a zip archive."""
    return head.startswith((b"PK\3\4", b"PK\5\6"))


def index(found: StoredObject, unit_images: int, skipped: Counter[str]) -> Iterator[WorkUnit]:
    """Cut an archive into units by its directory, in the order of its bytes; the units have no id yet."""
    whole = container_unit(NAME, found)
    try:
        with zipfile.ZipFile(io.BufferedReader(open_unit(whole), BLOCK)) as archive:
            members = sorted(archive.infolist(), key=lambda member: member.header_offset)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, EOFError) as error:
        yield replace(whole, images=1, index={"damage": (str(error) or "no directory",)})
        return
    images = []
    for member in members:
        if member.is_dir():
            skipped["links, folders and devices in archives"] += 1
        elif is_image_name(member.filename):
            images.append(member)
        else:
            skipped["junk" if is_junk_name(member.filename) else "other files"] += 1
    names = Names()
    pieces = (Piece(m.header_offset, m.header_offset + _HEADER.size + m.compress_size) for m in images)
    for unit in cut_container(whole, pieces, unit_images):
        mine = images[unit.first : unit.first + (unit.images or 0)]
        rows = [_row(member, names) for member in mine]
        yield replace(unit, index={name: tuple(row[i] for row in rows) for i, name in enumerate(COLUMNS)})


def _row(member: zipfile.ZipInfo, names: Names) -> tuple[Any, ...]:
    return (
        names.unique(member.filename),
        folder_of(f"/{member.filename}"),
        member.header_offset,
        member.compress_size,
        member.file_size,
        member.CRC,
        member.compress_type,
        member.flag_bits & 1,
    )


def read(unit: WorkUnit, run: Run) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's members in order."""
    return batched(guarded(unit, _images(unit), "!#"), run)


def _images(unit: WorkUnit) -> Iterator[Image]:
    archive = key_of(unit.locations[0])
    if "damage" in unit.index:
        text = f"zip archive cannot be read: {unit.index['damage'][0]}"
        yield Image(f"{archive}!", Failure("read", "DATA_LOSS", text), None, "")
        return
    file: Any = io.BufferedReader(open_unit(unit), BLOCK)
    for name, folder, *entry in zip(*(unit.index[column] for column in COLUMNS), strict=True):
        yield Image(f"{archive}!{key_of(name)}", _content(file, *entry), None, folder)


def _content(
    file: IO[bytes], offset: int, packed: int, size: int, crc: int, method: int, encrypted: int
) -> bytes | Failure:
    """Return a member's bytes, or why there are none."""
    if encrypted:
        return Failure("read", "UNIMPLEMENTED", "member is encrypted; decrypt the archive")
    if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Failure(
            "read", "UNIMPLEMENTED", f"compression method {method} is neither stored nor deflated; repack it"
        )
    if max(size, packed) > LONGEST:
        return Failure("read", "RESOURCE_EXHAUSTED", f"member of {size:,} bytes is larger than {LONGEST:,}")
    file.seek(offset)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size or not header.startswith(b"PK\3\4"):
        return Failure("read", "DATA_LOSS", f"no member begins at byte {offset}, where the directory says so")
    _, name_length, extra_length = _HEADER.unpack(header)
    file.seek(name_length + extra_length, io.SEEK_CUR)
    data = file.read(packed)
    if method == zipfile.ZIP_DEFLATED:
        try:
            data = zlib.decompressobj(wbits=-15).decompress(data, size + 1)
        except zlib.error as error:
            return Failure("read", "DATA_LOSS", f"member cannot be inflated: {error}")
    if len(data) != size or zlib.crc32(data) != crc:
        return Failure("read", "DATA_LOSS", "checksum of the member is wrong, or it is cut short")
    return data


def shortened(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n members."""
    return _picked(unit, range(min(n, unit.images or 0)))


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n of its members, evenly spread."""
    total = unit.images or 0
    return _picked(unit, [i * total // n for i in range(n)] if n < total else range(total))


def _picked(unit: WorkUnit, chosen: Any) -> WorkUnit:
    if "damage" in unit.index:
        return unit
    columns = {name: tuple(unit.index[name][i] for i in chosen) for name in COLUMNS}
    return replace(unit, images=len(chosen), index=columns)
