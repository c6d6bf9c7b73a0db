"""A member of a zip archive: why it is not read, its first bytes, its content.

What an archive's directory says of a member is believed only as far as its content agrees. Must not know what the
member is for.
"""

from __future__ import annotations

import zipfile
import zlib
from typing import IO, Any

from pipeline.batches import Failure
from pipeline.image_kinds import HEAD
from pipeline.sources.compression import UnreadError
from pipeline.sources.limits import too_large
from pipeline.sources.zip_directory import enter
from pipeline.sources.zip_methods import MethodError, inflate_member, is_read_method, name_of_method

ENCRYPTED, OVERLAPS, INNER = 1, 2, 4
"""Numbers in the column "flaw" that say why a member is not read."""


def head_of(file: IO[bytes], member: zipfile.ZipInfo) -> bytes:
    """Return the first bytes of a member, none if it cannot be read."""
    refused = _refused(member.compress_size, member.file_size, member.compress_type, member.flag_bits & ENCRYPTED)
    if refused is not None or not member.file_size or not enter(file, member.header_offset):
        return b""
    data = file.read(min(member.compress_size, 2 * HEAD))
    try:
        return inflate_member(data, HEAD - 1, member.compress_type)[:HEAD]
    except (MethodError, UnreadError):
        return b""


def _refused(packed: int, size: int, method: int, flaw: int) -> Failure | None:
    """Return why a member is not read, by what its entry says; None if it is."""
    if not flaw and is_read_method(method):
        return too_large(max(size, packed), packed)
    if flaw == ENCRYPTED:
        return Failure("read", "UNIMPLEMENTED", "member is encrypted; decrypt the archive")
    if flaw == OVERLAPS:
        return Failure("read", "DATA_LOSS", "member goes on into the next one, as in a zip bomb; repack the archive")
    if flaw == INNER:
        text = "it is an archive within an archive that is not opened: unpack the outer one"
        return Failure("read", "UNIMPLEMENTED", text)
    text = f"compression method {name_of_method(method)} is not read; repack it"
    return Failure("read", "UNIMPLEMENTED", text)


def content_of(file: Any, offset: int, packed: int, size: int, crc: int, method: int, flaw: int) -> bytes | Failure:
    """Return a member's bytes, or why there are none."""
    refused = _refused(packed, size, method, flaw)
    if refused is not None:
        return refused
    if not enter(file, offset):
        return Failure("read", "DATA_LOSS", f"no member begins at byte {offset}, where the directory says so")
    data = file.read(packed)
    try:
        data = inflate_member(data, size, method)
    except MethodError as error:
        return Failure("read", "DATA_LOSS", f"member cannot be inflated: {error}")
    except UnreadError as error:
        return Failure("read", "UNIMPLEMENTED", str(error))
    if len(data) != size or zlib.crc32(data) != crc:
        return Failure("read", "DATA_LOSS", "checksum of the member is wrong, or it is cut short")
    return data
