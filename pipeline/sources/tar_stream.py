"""A tar archive, or a piece of it, as a stream of its decompressed bytes; and what is wrong with its end.

Must not know what the files of the archive are.
"""

from __future__ import annotations

import io
from typing import Any

from pipeline.sources.compression import is_compressed
from pipeline.sources.container import extent_of, open_stream, open_unit
from pipeline.sources.inflate import Inflated
from pipeline.sources.limits import BLOCK
from pipeline.sources.tar_members import HEAD, Window
from pipeline.units import WorkUnit

LONGEST_END = 1 << 20
"""Bytes of zeros at the end, at most. If there are more, the archive is damaged."""


def is_plain(head: bytes) -> bool:
    """Return whether a file whose first 512 bytes these are is a tar archive that is not compressed."""
    return head[257:262] == b"ustar"


def is_compressed_tar(head: bytes) -> bool:
    """Return whether a file that starts so is compressed, and not a tar archive whose first name starts so."""
    return is_compressed(head) and not is_plain(head)


def open_piece(unit: WorkUnit, load: bool) -> Any:
    """Return a unit's piece of its archive as a file, decompressed; one that reads ahead if its content is wanted.

    Raises:
        UnreadError: it is compressed in a way that is not read.
    """
    stream = open_stream(unit)
    if isinstance(stream, Inflated):
        is_packed = is_compressed_tar(stream.peek(HEAD))
        return Inflated(io.BufferedReader(Window(stream, 1 << 62))) if is_packed else stream
    file = open_unit(unit, *unit.span)
    head = file.read(HEAD)
    file.seek(0)
    if unit.span[0] == extent_of(unit)[0] and is_compressed_tar(head):
        return Inflated(io.BufferedReader(file, BLOCK))
    return io.BufferedReader(file, BLOCK) if load else file


def flaw_of_end(block: bytes, stream: Any, is_piece: bool) -> str | None:
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
