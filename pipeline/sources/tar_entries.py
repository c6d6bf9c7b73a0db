"""The regular files of a tar archive, plain or compressed, one after the other; what is broken or a bomb among them.

Headers are parsed by the standard library's tarfile, which is held to what headers need. Must not know of samples,
labels or units' cuts.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline import image_kinds
from pipeline.batches import Code, Failure
from pipeline.sources import images
from pipeline.sources.container import open_unit
from pipeline.sources.inflate import BombError, Inflated, is_compressed
from pipeline.sources.limits import BLOCK, MEMBERS, too_large
from pipeline.sources.names import is_image_name, is_junk_name, is_sidecar_name, may_be_image
from pipeline.sources.skipped import JUNK, NO_FILES, OTHER, Skipped
from pipeline.storage import key_of
from pipeline.units import WorkUnit

LONGEST_LABEL = 1 << 20
"""Bytes of a label's file, at most. A larger .json is not about one image."""

LONGEST_NAME = 1 << 20
"""Bytes of a member's headers, at most. If there are more, the archive is damaged."""

LONGEST_END = 1 << 20
"""Bytes of zeros at the end, at most. If there are more, the archive is damaged."""

HEAD = 512
"""Bytes of a header, the first of which tells what the file is."""

_BROKEN = (
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    IndexError,
    OSError,
    OverflowError,
    RecursionError,
    ValueError,
)
"""Exceptions that tarfile and the decompressors raise for damaged archives."""


def is_tar(head: bytes) -> bool:
    """Return whether a file whose first 512 bytes these are is a tar archive, or compressed and so may be one."""
    return head[257:262] == b"ustar" or is_compressed_tar(head)


def is_compressed_tar(head: bytes) -> bool:
    """Return whether a file that starts so is compressed, and not a tar archive whose first name starts so."""
    return is_compressed(head) and head[257:262] != b"ustar"


class _Headers:
    """What tarfile reads headers from: keeps the last block, and refuses what no header needs.

    Left alone, tarfile takes a broken header for the end, and reads a name of gigabytes.
    """

    def __init__(self, stream: Any) -> None:
        self._read, self.seek, self.tell = stream.read, stream.seek, stream.tell
        self.last = b""
        self.left = LONGEST_NAME

    def read(self, size: int) -> bytes:
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


class Entry(NamedTuple):
    """A regular file of an archive; or, without a name, where and why the rest of it is lost.

    Attributes:
        name: of the member; "" for damage.
        start: its first header's first byte in the archive.
        stop: the byte after its last block.
        data: its content, or why there is none; None while an index is made.
        by_content: whether its first bytes tell that it is an image, as its name does not.
    """

    name: str
    start: int
    stop: int
    data: bytes | Failure | None
    by_content: bool = False

    @property
    def is_row(self) -> bool:
        """Whether it gives a row: an image, or damage."""
        return not self.name or self.by_content or is_image_name(self.name)

    @property
    def stem(self) -> str:
        """Folder and name up to the first dot: what the files of a sample have in common."""
        folder, _, file = self.name.rpartition("/")
        return f"{folder}/{file.partition('.')[0]}"


def entries(unit: WorkUnit, load: bool, skipped: Skipped | None = None) -> Iterator[Entry]:
    """Yield the regular files of a unit's piece of its archive, then its damage if it has any."""
    first, stop = unit.span
    stream = _stream(unit, load)
    headers: Any = _Headers(stream)
    end = rows = 0
    code: Code = "DATA_LOSS"
    try:
        with tarfile.open(
            fileobj=headers, mode="r:", encoding="utf-8", errors="surrogateescape", pax_headers=_NoDefaults()
        ) as archive:
            for member in archive:
                headers.left = LONGEST_NAME
                _check(archive, member, end)
                start, end = member.offset, archive.offset
                if not member.isreg():
                    _count(skipped, NO_FILES, unit, member.name)
                    continue
                is_told = is_image_name(member.name) or is_sidecar_name(member.name)
                head = b"" if is_told else _head(stream, member)
                why = None if is_told else _why_none(member.name, head)
                if why is None:
                    rows += 1
                    if rows > MEMBERS and isinstance(stream, Inflated):
                        raise BombError(f"it has more than {MEMBERS:,} members; make several archives of it")
                    data = _content(archive, stream, member, head) if load else None
                    yield Entry(member.name, first + start, min(first + end, stop), data, not is_told)
                else:
                    _count(skipped, why, unit, member.name)
            damage = _flaw_of_end(headers.last, stream, is_piece=stop < unit.sizes[0])
    except (FileNotFoundError, PermissionError):
        raise
    except BombError as error:
        damage, code = str(error), "RESOURCE_EXHAUSTED"
    except _BROKEN as error:
        damage = str(error) or type(error).__name__
    if damage is not None:
        text = f"archive is damaged at byte {first + end}: {damage}; what may follow is lost"
        yield Entry("", min(first + end, stop), stop, Failure("read", code, text))


def _check(archive: Any, member: tarfile.TarInfo, end: int) -> None:
    """Hold tarfile to a next member behind the last one, and keep it from keeping what it read."""
    archive.members.clear()
    if member.size < 0 or archive.offset <= end:
        raise tarfile.ReadError(f"a header says that {member.size:,} bytes follow")


def _stream(unit: WorkUnit, load: bool) -> Any:
    """Return a unit's piece of its archive as a file, decompressed; one that reads ahead if its content is wanted."""
    file = open_unit(unit, *unit.span)
    head = file.read(HEAD)
    file.seek(0)
    if is_compressed_tar(head):
        return Inflated(io.BufferedReader(file, BLOCK))
    return io.BufferedReader(file, BLOCK) if load else file


def _flaw_of_end(block: bytes, stream: Any, is_piece: bool) -> str | None:
    """Return what is wrong with the end of an archive, or of a piece of it; None if nothing is.

    Args:
        block: what stands where a header would.
        stream: what follows it.
        is_piece: whether the archive goes on elsewhere.
    """
    if block.strip(b"\0"):
        return "not a header"
    if len(block) < HEAD:
        return None if is_piece else "there is no end mark, so it may be cut short"
    rest = stream.read(LONGEST_END + 1)
    return "it goes on behind its end mark" if rest.strip(b"\0") or len(rest) > LONGEST_END else None


def _head(stream: Any, member: tarfile.TarInfo) -> bytes:
    """Return the first bytes of a member if only they tell whether it is an image, else none."""
    if is_junk_name(member.name) or not may_be_image(member.name) or member.issparse() or not member.size:
        return b""
    stream.seek(member.offset_data)
    data: bytes = stream.read(min(image_kinds.HEAD, member.size))
    return data


def _why_none(name: str, head: bytes) -> str | None:
    return JUNK if is_junk_name(name) else images.why_none(name, head) if may_be_image(name) else OTHER


def _content(archive: tarfile.TarFile, stream: Any, member: tarfile.TarInfo, head: bytes) -> bytes | Failure:
    """Return a member's bytes, or why there are none; its head was read before, which a stream gives only once."""
    if is_sidecar_name(member.name) and member.size > LONGEST_LABEL:
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
    except (FileNotFoundError, PermissionError):
        raise
    except BombError as error:
        return Failure("read", "RESOURCE_EXHAUSTED", f"member inflates too far: {error}")
    except _BROKEN as error:
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


def _count(skipped: Skipped | None, reason: str, unit: WorkUnit, name: str) -> None:
    if skipped is not None:
        skipped.add(reason, f"{key_of(unit.locations[0])}!{key_of(name)}")
