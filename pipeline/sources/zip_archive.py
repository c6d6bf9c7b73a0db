"""Zip archives: stored and deflated members, Zip64; entered at any member, nothing is ever extracted.

The directory at an archive's end is parsed by the standard library's zipfile, once, while planning; a unit carries
its members' entries. An archive whose directory cannot be read is one failed row, whose key is the archive's with "!".
A directory has no checksum: an image to which damage gave another suffix, or made it a link, counts as what it seems.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import islice, zip_longest
from typing import IO, Any

from pipeline.batches import EncodedBatch, Failure
from pipeline.image_kinds import HEAD
from pipeline.sources import images
from pipeline.sources.container import (
    Extent,
    Image,
    UniqueNames,
    container_unit,
    cut_container,
    fail_the_rest,
    make_batches,
    open_unit,
)
from pipeline.sources.labels import folder_of
from pipeline.sources.limits import BLOCK, LONGEST, MEMBERS, too_large
from pipeline.sources.names import is_image_name, is_junk_name, may_be_image
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import JUNK, NO_FILES, OTHER, Skipped
from pipeline.storage import StoredObject, key_of
from pipeline.units import WorkUnit

NAME = "zip"
SUFFIXES = (".zip",)
COLUMNS = ("name", "folder", "offset", "packed", "size", "crc", "method", "flaw")
"""Names of the columns that a unit's index has, one entry an image."""

_HEADER = struct.Struct("<4s22xHH")
"""A local file header: signature, 22 bytes that the directory repeats, length of the name, length of the extra."""

_UTF8 = 1 << 11
"""Flag of a member whose name is encoded in UTF-8."""

_ENTRY = 46
"""Bytes of a member's entry in the directory, without its name, extra and comment."""

_SIGNATURE = b"PK\1\2"
"""Bytes at the start of such an entry."""

_ENCRYPTED, _OVERLAPS = 1, 2
"""Numbers in the column "flaw" that say why a member is not read."""

_UNIX = 3
"""Number of the system that made a member, as the directory gives it, if that is Unix."""


def is_zip(head: bytes) -> bool:
    """Return whether a file that starts so is a zip archive."""
    return head.startswith((b"PK\3\4", b"PK\5\6"))


def index(found: StoredObject, unit_images: int, skipped: Skipped) -> Iterator[WorkUnit]:
    """Cut an archive into units by its directory, in the order of its bytes; the units have no id yet."""
    whole = container_unit(NAME, found)
    columns = _columns(whole, skipped)
    if "damage" in columns:
        yield replace(whole, images=1, index=columns)
        return
    ends = zip(columns["offset"], columns["packed"], strict=True)
    extents = (Extent(offset, offset + _HEADER.size + packed) for offset, packed in ends)
    for unit in cut_container(whole, extents, unit_images):
        mine = slice(unit.first, unit.first + (unit.images or 0))
        yield replace(unit, index={name: column[mine] for name, column in columns.items()})


class _TooManyError(Exception):
    """A directory of more members than an archive of images has."""


class _Directory(io.BufferedReader):
    """What zipfile reads a directory from: refuses one that would fill the memory before it is parsed."""

    def read(self, size: int | None = -1) -> bytes:
        """Return bytes; zipfile reads a directory at once."""
        if size is not None and size > LONGEST:
            raise _TooManyError(f"its directory of {size:,} bytes is larger than {LONGEST:,}")
        data = super().read(size)
        if len(data) > _ENTRY * MEMBERS and data.count(_SIGNATURE) > MEMBERS:
            raise _TooManyError(f"it has more than {MEMBERS:,} members; make several archives of it")
        return data


def _columns(whole: WorkUnit, skipped: Skipped) -> dict[str, tuple[Any, ...]]:
    """Return what the directory says of an archive's images, in the order of their bytes; or "damage": why not."""
    file = open_unit(whole)
    file.read(1)  # raises if it is gone or forbidden: zipfile would say that it is no archive
    try:
        with zipfile.ZipFile(_Directory(file, BLOCK)) as archive:
            members = sorted(archive.infolist(), key=lambda member: member.header_offset)
            end = _end_of_loss(archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, EOFError) as error:
        return {"damage": ("DATA_LOSS", str(error) or "no directory")}
    except _TooManyError as error:
        return {"damage": ("RESOURCE_EXHAUSTED", str(error))}
    content: Any = io.BufferedReader(open_unit(whole))
    names = UniqueNames()
    rows = []
    for member, follower in zip_longest(members, members[1:]):
        name = _name(member)
        if name.endswith("/") or stat.S_ISLNK(member.external_attr >> 16):
            skipped.add(NO_FILES, f"{key_of(whole.locations[0])}!{key_of(name)}")
            continue
        why = None if is_image_name(name) else _why_none(content, name, member)
        if why is None:
            overlaps = follower is not None and _end_of(member) > follower.header_offset
            rows.append(_row(names.unique(name), folder_of(f"/{name}"), member, overlaps))
        else:
            skipped.add(why, f"{key_of(whole.locations[0])}!{key_of(name)}")
    if end is not None:
        rows.append(("", "", end, 0, 0, 0, 0, 0))
    return {name: tuple(row[i] for row in rows) for i, name in enumerate(COLUMNS)}


def _end_of_loss(archive: zipfile.ZipFile) -> int | None:
    """Return where a directory ends that has more or fewer members than it should, None if it has as many.

    Zipfile does not compare, and one wrong length in a directory may swallow all that follows.
    """
    lengths = (len(m.orig_filename.encode(_encoding(m))) + len(m.extra) + len(m.comment) for m in archive.infolist())
    end = archive.start_dir + sum(_ENTRY + length for length in lengths)
    file: Any = archive.fp
    file.seek(end)
    record = file.read(56)
    n = len(archive.infolist())
    if record.startswith(b"PK\6\6"):
        return None if len(record) == 56 and struct.unpack_from("<Q", record, 32) == (n,) else end
    return None if record.startswith(b"PK\5\6") and struct.unpack_from("<H", record, 10) == (n % (1 << 16),) else end


def _encoding(member: zipfile.ZipInfo) -> str:
    return "utf-8" if member.flag_bits & _UTF8 else "cp437"


def _name(member: zipfile.ZipInfo) -> str:
    """Return a member's name. One that does not say that it is UTF-8 is bytes on Unix, else in code page 437.

    Info-ZIP and macOS write UTF-8 and do not say so, and Python's versions differ in what they make of it.
    """
    name = member.orig_filename
    if member.create_system == _UNIX and not member.flag_bits & _UTF8:
        name = name.encode(_encoding(member)).decode("utf-8", "surrogateescape")
    return name.partition("\0")[0]


def _why_none(file: Any, name: str, member: zipfile.ZipInfo) -> str | None:
    """Return why a member without the name of an image is none; None if it begins like one."""
    if is_junk_name(name):
        return JUNK
    return images.why_none(name, _head(file, member)) if may_be_image(name) else OTHER


def _head(file: IO[bytes], member: zipfile.ZipInfo) -> bytes:
    """Return the first bytes of a member, none if it cannot be read."""
    refused = _refused(member.compress_size, member.file_size, member.compress_type, member.flag_bits & _ENCRYPTED)
    if refused is not None or not member.file_size or not _enter(file, member.header_offset):
        return b""
    data = file.read(min(member.compress_size, 2 * HEAD))
    if member.compress_type != zipfile.ZIP_DEFLATED:
        return data[:HEAD]
    try:
        return zlib.decompressobj(wbits=-15).decompress(data, HEAD)
    except zlib.error:
        return b""


def _enter(file: IO[bytes], offset: int) -> bool:
    """Move to the content of the member that begins at a byte; return False if none does."""
    file.seek(max(offset, 0))
    header = file.read(_HEADER.size) if offset >= 0 else b""
    if len(header) < _HEADER.size or not header.startswith(b"PK\3\4"):
        return False
    _, name_length, extra_length = _HEADER.unpack(header)
    file.seek(name_length + extra_length, io.SEEK_CUR)
    return True


def _end_of(member: zipfile.ZipInfo) -> int:
    """Return the byte before which a member does not end; how long its own header is, only that header says."""
    return member.header_offset + _HEADER.size + member.compress_size


def _row(name: str, folder: str, member: zipfile.ZipInfo, overlaps: bool) -> tuple[Any, ...]:
    return (
        name,
        folder,
        member.header_offset,
        member.compress_size,
        member.file_size,
        member.CRC,
        member.compress_type,
        _OVERLAPS if overlaps else member.flag_bits & _ENCRYPTED,
    )


def read(unit: WorkUnit, rule: ReadRule) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's members in order."""
    return make_batches(islice(fail_the_rest(unit, _images(unit), "!#"), unit.images), rule)


def _images(unit: WorkUnit) -> Iterator[Image]:
    archive = key_of(unit.locations[0])
    columns = unit.index or _columns(unit, Skipped())  # an archive that could not be read when it was planned
    if "damage" in columns:
        code, text = columns["damage"]
        yield Image(f"{archive}!", Failure("read", code, f"zip archive cannot be read: {text}"), None, "")
        return
    file: Any = io.BufferedReader(open_unit(unit), BLOCK)
    for name, folder, *entry in zip(*(columns[column] for column in COLUMNS), strict=True):
        lost = "the directory has not as many members as it says; others may be lost"
        data = _content(file, *entry) if name else Failure("read", "DATA_LOSS", lost)
        yield Image(f"{archive}!{key_of(name)}", data, None, folder)


def _refused(packed: int, size: int, method: int, flaw: int) -> Failure | None:
    """Return why a member is not read, by what its entry says; None if it is."""
    if flaw == _ENCRYPTED:
        return Failure("read", "UNIMPLEMENTED", "member is encrypted; decrypt the archive")
    if flaw == _OVERLAPS:
        return Failure("read", "DATA_LOSS", "member goes on into the next one, as in a zip bomb; repack the archive")
    if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        text = f"compression method {method} is neither stored nor deflated; repack it"
        return Failure("read", "UNIMPLEMENTED", text)
    return too_large(max(size, packed), packed)


def _content(file: IO[bytes], offset: int, packed: int, size: int, crc: int, method: int, flaw: int) -> bytes | Failure:
    """Return a member's bytes, or why there are none."""
    refused = _refused(packed, size, method, flaw)
    if refused is not None:
        return refused
    if not _enter(file, offset):
        return Failure("read", "DATA_LOSS", f"no member begins at byte {offset}, where the directory says so")
    data = file.read(packed)
    if method == zipfile.ZIP_DEFLATED:
        try:
            data = zlib.decompressobj(wbits=-15).decompress(data, size + 1)
        except zlib.error as error:
            return Failure("read", "DATA_LOSS", f"member cannot be inflated: {error}")
    if len(data) != size or zlib.crc32(data) != crc:
        return Failure("read", "DATA_LOSS", "checksum of the member is wrong, or it is cut short")
    return data


def first_images(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n members."""
    return _picked(unit, range(min(n, unit.images or 1)))


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n of its members, evenly spread."""
    total = unit.images or 1
    return _picked(unit, [i * total // n for i in range(n)] if n < total else range(total))


def _picked(unit: WorkUnit, chosen: Any) -> WorkUnit:
    columns = unit.index
    if "name" in columns:
        columns = {name: tuple(columns[name][i] for i in chosen) for name in COLUMNS}
    return replace(unit, images=len(chosen), index=columns)
