"""The directory of a zip archive: read by the standard library's zipfile and held to what an archive of images needs.

Says what its members are called, which is written in many ways. Must not know units or images.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import IO, Any

from pipeline.batches import Code
from pipeline.errors import NightscoreError
from pipeline.sources.limits import BLOCK, LONGEST
from pipeline.sources.names import with_slashes

ENTRY = 46
"""Bytes of a member's entry in the directory, without its name, extra and comment."""

HEADER = struct.Struct("<4s22xHH")
"""A local file header: signature, 22 bytes that the directory repeats, length of the name, length of the extra."""

_SIGNATURE = b"PK\1\2"
"""Bytes at the start of an entry of the directory."""

_UTF8 = 1 << 11
"""Flag of a member whose name is encoded in UTF-8."""

_UNICODE_PATH = 0x7075
"""Number of Info-ZIP's extra field with a member's name in UTF-8."""

_UNIX, _MACOS = 3, 19
"""Numbers of the systems that made a member, as the directory gives them, whose names are bytes."""

END = 22
"""Bytes of the end record without its comment."""


class DirectoryError(Exception):
    """A directory that cannot be read.

    Attributes:
        code: of the failure that it is.
    """

    def __init__(self, code: Code, text: str) -> None:
        """Take what is wrong, and its code."""
        super().__init__(text)
        self.code: Code = code


class _Directory(io.BufferedReader):
    """What zipfile reads a directory from: refuses one that would fill the memory before it is parsed."""

    most = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return bytes; zipfile reads a directory at once."""
        if size is not None and size > LONGEST:
            raise DirectoryError("RESOURCE_EXHAUSTED", f"its directory of {size:,} bytes is larger than {LONGEST:,}")
        data = super().read(size)
        if len(data) > ENTRY * self.most and data.count(_SIGNATURE) > self.most:
            text = f"it has more than {self.most:,} members; make several archives of it"
            raise DirectoryError("RESOURCE_EXHAUSTED", text)
        return data


def members_of(file: Any, most: int) -> tuple[list[zipfile.ZipInfo], int | None]:
    """Return an archive's members in the order of their bytes, and where its directory ends if others are lost.

    Args:
        file: the archive, which can be read anywhere.
        most: members that it may have.

    Raises:
        DirectoryError: its directory cannot be read.
    """
    directory = _Directory(file, BLOCK)
    directory.most = most
    try:
        with zipfile.ZipFile(directory) as archive:
            members = sorted(archive.infolist(), key=lambda member: member.header_offset)
            end = _end_of_loss(archive)
            parts = _parts(file, len(archive.comment))
            if parts > 1 and members and not enter(file, members[0].header_offset):
                raise DirectoryError("UNIMPLEMENTED", _split(parts))
            return members, end
    except (DirectoryError, FileNotFoundError, PermissionError, NightscoreError, MemoryError):
        raise
    except Exception as error:  # whatever zipfile raises for foreign bytes
        parts = _parts(file, (1 << 16) - 1)
        if parts > 1:
            raise DirectoryError("UNIMPLEMENTED", _split(parts)) from error
        raise DirectoryError("DATA_LOSS", _why_none(file, error)) from error


def _why_none(file: Any, error: Exception) -> str:
    """Return why there is no directory, in words that say what to do where zipfile finds none at all."""
    words = str(error) or type(error).__name__
    if words != "File is not a zip file":
        return words
    file.seek(0)
    if file.read(4) in (b"PK\3\4", b"PK\5\6"):
        return "its end, where the directory of a zip stands, is missing: it is cut short; copy it again"
    return "it does not begin like a zip file, whatever its name says"


def _split(parts: int) -> str:
    which = "a part" if parts == 0xFFFF else f"part {parts}"
    return f"it is {which} of a split archive; join the parts first: zip -s 0 x.zip --out whole.zip"


def _parts(file: Any, comment: int) -> int:
    """Return which part of a split archive its end record says that it is, 1 if it tells of no other.

    Args:
        file: the archive.
        comment: bytes of the comment behind the end record, at most.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - END - comment, 0))
    tail = file.read(END + comment)
    at = tail.rfind(b"PK\5\6")
    if at >= 0 and len(tail) >= at + 6:
        (number,) = struct.unpack_from("<H", tail, at + 4)
        return 1 if number == 0xFFFF else int(number) + 1
    file.seek(0)
    return 0xFFFF if file.read(4) == b"PK\7\x08" else 1


def enter(file: IO[bytes], offset: int) -> bool:
    """Move to the content of the member that begins at a byte; return False if none does."""
    if offset < 0:
        return False
    file.seek(offset)
    header = file.read(HEADER.size)
    if len(header) < HEADER.size or not header.startswith(b"PK\3\4"):
        return False
    _, name_length, extra_length = HEADER.unpack(header)
    file.seek(offset + HEADER.size + name_length + extra_length)
    return True


def _end_of_loss(archive: zipfile.ZipFile) -> int | None:
    """Return where a directory ends that has more or fewer members than it should, None if it has as many.

    Zipfile does not compare, and one wrong length in a directory may swallow all that follows.
    """
    lengths = (len(m.orig_filename.encode(_encoding(m))) + len(m.extra) + len(m.comment) for m in archive.infolist())
    end = archive.start_dir + sum(ENTRY + length for length in lengths)
    file: Any = archive.fp
    file.seek(end)
    record = file.read(56)
    n = len(archive.infolist())
    if record.startswith(b"PK\6\6"):
        return None if len(record) == 56 and struct.unpack_from("<Q", record, 32) == (n,) else end
    return None if record.startswith(b"PK\5\6") and struct.unpack_from("<H", record, 10) == (n % (1 << 16),) else end


def _encoding(member: zipfile.ZipInfo) -> str:
    return "utf-8" if member.flag_bits & _UTF8 else "cp437"


def name_of(member: zipfile.ZipInfo, encoding: str | None, is_windows: bool) -> str:
    r"""Return a member's name, with "/" between its folders.

    Args:
        member: as zipfile reads it.
        encoding: of names that do not say that they are UTF-8 (--zip_encoding); None: bytes on Unix, else UTF-8 where
            they are that, else code page 437.
        is_windows: whether "\" stands between folders even if a Unix system is said to have made the member.
    """
    name = _decoded(member, encoding).partition("\0")[0]
    if member.create_system in (_UNIX, _MACOS):
        return with_slashes(name) if is_windows else name
    return name.replace("\\", "/")


def _decoded(member: zipfile.ZipInfo, encoding: str | None) -> str:
    """Return a member's name. Info-ZIP and macOS write UTF-8 and do not say so; Windows has another field for it."""
    if not member.extra and (member.flag_bits & _UTF8 or member.orig_filename.isascii()):
        return member.orig_filename
    raw = member.orig_filename.encode(_encoding(member))
    told = _unicode_path(member.extra, raw)
    if told is not None:
        return told
    if member.flag_bits & _UTF8 or raw.isascii():
        return member.orig_filename
    if encoding is None and member.create_system == _UNIX:
        return raw.decode("utf-8", "surrogateescape")
    for each in (encoding, "utf-8"):
        if each is not None:
            try:
                return raw.decode(each)
            except ValueError:
                continue
    return member.orig_filename if encoding is None else raw.decode("utf-8", "surrogateescape")


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """Return the name in a member's Unicode Path field, None if it has none of this name."""
    at = 0
    while at + 4 <= len(extra):
        number, length = struct.unpack_from("<HH", extra, at)
        content = extra[at + 4 : at + 4 + length]
        at += 4 + length
        if number == _UNICODE_PATH and len(content) > 5 and struct.unpack_from("<I", content, 1) == (zlib.crc32(raw),):
            try:
                return content[5:].decode("utf-8")
            except UnicodeDecodeError:
                return None
    return None
