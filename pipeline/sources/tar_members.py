"""The members of a tar archive, one after the other, as the standard library's tarfile parses their headers.

Holds tarfile to what headers need: left alone, it takes a broken header for the end, and reads a name of gigabytes.
Must not know what members hold.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

from pipeline.batches import Failure
from pipeline.errors import NightscoreError
from pipeline.sources.compression import UnreadError
from pipeline.sources.inflate import BombError
from pipeline.sources.limits import too_large
from pipeline.sources.names import is_sidecar_name

HEAD = 512
"""Bytes of a header, the first of which tells what the file is."""

LONGEST_LABEL = 1 << 20
"""Bytes of a label's file, at most. A larger .json is not about one image."""

LONGEST_NAME = 1 << 20
"""Bytes of a member's headers, at most. If there are more, the archive is damaged."""

PASSED_ON = (FileNotFoundError, PermissionError, NightscoreError, BombError, UnreadError, MemoryError)
"""Exceptions of reading that say nothing of the bytes that were read."""


class Headers:
    """What tarfile reads headers from: keeps the last block, and refuses what no header needs."""

    def __init__(self, stream: Any) -> None:
        """Read from a stream."""
        self._read, self.seek, self.tell = stream.read, stream.seek, stream.tell
        self.last = b""
        self.left = LONGEST_NAME

    def read(self, size: int) -> bytes:
        """Return bytes of a header."""
        if not 0 <= size <= self.left:
            raise tarfile.ReadError(f"a header says that {size:,} bytes follow")
        self.left -= size
        self.last = self._read(size)
        return self.last


class _NoDefaults(dict[str, str]):
    """Drops what headers say of all members to come: a comment, usually.

    Who enters an archive in the middle has not read them, and must find the same members.
    """

    def __setitem__(self, name: str, value: str) -> None:
        pass


class Window(io.RawIOBase):
    """The next bytes of a stream that is read forward, as a file of its own that begins at 0."""

    def __init__(self, stream: Any, size: int) -> None:
        """Begin where the stream is."""
        super().__init__()
        self._stream, self._size, self._start = stream, size, stream.tell()

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        position: int = self._stream.tell() - self._start
        return position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move forward, at most to the end."""
        offset += {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._stream.seek(self._start + min(offset, self._size))
        return self.tell()

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the window goes."""
        view = memoryview(buffer).cast("B")
        data = self._stream.read(min(len(view), max(self._size - self.tell(), 0)))
        view[: len(data)] = data
        return len(data)


def open_tar(headers: Headers) -> tarfile.TarFile:
    """Return an archive that is read from its headers."""
    source: Any = headers
    return tarfile.open(
        fileobj=source, mode="r:", encoding="utf-8", errors="surrogateescape", pax_headers=_NoDefaults()
    )


def members_of(archive: Any, headers: Headers) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Yield an archive's members, each with the byte behind its last.

    Raises:
        tarfile.ReadError: a member does not lie behind the one before it.
    """
    end = 0
    for member in archive:
        headers.left = LONGEST_NAME
        archive.members.clear()  # tarfile keeps what it read
        if member.size < 0 or archive.offset <= end:
            raise tarfile.ReadError(f"a header says that {member.size:,} bytes follow")
        end = archive.offset
        yield member, end


def content_of(archive: Any, stream: Any, member: tarfile.TarInfo, head: bytes = b"") -> bytes | Failure:
    """Return a member's bytes, or why there are none.

    Args:
        archive: that holds it; it is behind its headers.
        stream: from which the archive is read.
        member: a regular file.
        head: its first bytes, if they were read before: a stream gives them only once.
    """
    if member.size > LONGEST_LABEL and is_sidecar_name(member.name):
        text = f"label of {member.size:,} bytes is larger than {LONGEST_LABEL:,}"
        return Failure("read", "RESOURCE_EXHAUSTED", text)
    refused = too_large(member.size, archive.offset - member.offset_data if member.issparse() else None)
    if refused is not None:
        return refused
    try:
        if member.issparse():
            data = _sparse_content(archive, member)
        else:
            stream.seek(member.offset_data + len(head))
            data = head + stream.read(member.size - len(head))
    except BombError as error:
        return Failure("read", "RESOURCE_EXHAUSTED", f"member inflates too far: {error}")
    except PASSED_ON:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library raises for foreign bytes
        return Failure("read", "DATA_LOSS", f"archive is damaged within this member: {error}")
    if len(data) != member.size:
        text = f"archive ends within this member, after {len(data):,} of {member.size:,} bytes"
        return Failure("read", "DATA_LOSS", text)
    return data


def _sparse_content(archive: Any, member: tarfile.TarInfo) -> bytes:
    data = io.BytesIO()
    with archive.extractfile(member) as file:
        while more := file.read(LONGEST_NAME // 2):
            data.write(more)
            archive.fileobj.left = LONGEST_NAME  # what was read is no header
    return data.getvalue()
