"""What a process and its children say to each other: frames of a JSON object and a body of bytes. No pickle.

A frame is the length of the text and that of the body (8 bytes each, big-endian), the text, the body.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from typing import IO, Any

_LENGTHS = struct.Struct(">QQ")


CURSOR = struct.Struct("<q")
"""In memory that both share: which image of a piece is being decoded; -1 while none is."""


class GoneError(Exception):
    """The other side has closed its stream."""


def send(stream: IO[bytes], content: Mapping[str, Any], body: Iterable[bytes | memoryview] = ()) -> None:
    """Write a frame to an unbuffered stream; the body may come in several pieces.

    Raises:
        GoneError: nobody reads it.
    """
    text = json.dumps(content, separators=(",", ":")).encode("ascii")
    pieces = [memoryview(piece) for piece in body]
    head = _LENGTHS.pack(len(text), sum(piece.nbytes for piece in pieces)) + text
    try:
        for piece in (memoryview(head), *pieces):
            left = piece.cast("B") if piece.nbytes else piece
            while left.nbytes:
                left = left[stream.write(left) :]
    except (BrokenPipeError, ValueError) as error:  # ValueError: closed on our side
        raise GoneError from error


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytearray]:
    """Return the next frame of an unbuffered stream.

    Raises:
        GoneError: there is none, or it breaks off.
    """
    text_length, body_length = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    content: dict[str, Any] = json.loads(_exactly(stream, text_length))
    return content, _exactly(stream, body_length)


def _exactly(stream: IO[bytes], n: int) -> bytearray:
    data = bytearray(n)
    left = memoryview(data)
    while left:
        try:
            done = stream.readinto(left)  # type: ignore[attr-defined]
        except ValueError as error:
            raise GoneError from error
        if not done:
            raise GoneError
        left = left[done:]
    return data
