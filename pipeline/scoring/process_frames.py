"""Frames carry the messages between a run and its local processes through pipes.

A frame is the length of the message and that of the body (8 bytes each, big-endian), the message as JSON, and the body,
whose bytes no message describes byte by byte: images, rows, parts. Nothing is pickled. Must not know what a message
asks.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import IO, TypeVar

from pipeline.scoring.process_messages import Answer, Request

_LENGTHS = struct.Struct(">QQ")

Message = TypeVar("Message", Request, Answer)


class GoneError(Exception):
    """The other side has closed its stream."""


def send(stream: IO[bytes], message: Request | Answer, body: Iterable[bytes | memoryview] = ()) -> None:
    """Write a message and its body to an unbuffered stream; the body may come in several pieces.

    Raises:
        GoneError: nobody reads the stream.
    """
    text = json.dumps(message.to_json(), separators=(",", ":")).encode("ascii")
    pieces = [memoryview(piece) for piece in body]
    head = _LENGTHS.pack(len(text), sum(piece.nbytes for piece in pieces)) + text
    try:
        for piece in (memoryview(head), *pieces):
            left = piece.cast("B") if piece.nbytes else piece
            while left.nbytes:
                left = left[stream.write(left) :]
    except (BrokenPipeError, ValueError) as error:  # ValueError: closed on our side
        raise GoneError from error


def receive(stream: IO[bytes], kind: type[Message]) -> tuple[Message, memoryview]:
    """Read the next message and its body from an unbuffered stream.

    Raises:
        GoneError: the stream has ended, maybe in the middle of a frame.
        ValueError: the message is not of this kind or of another version; the frame is read to its end.
    """
    text_length, body_length = _LENGTHS.unpack(_read_exactly(stream, _LENGTHS.size))
    text = _read_exactly(stream, text_length)
    body = _read_exactly(stream, body_length)
    return kind.from_json(json.loads(text)), memoryview(body)


def split(body: memoryview, sizes: Sequence[int]) -> list[memoryview]:
    """Return a body in pieces of these sizes.

    >>> [bytes(piece) for piece in split(memoryview(b"abcde"), [2, 3])]
    [b'ab', b'cde']
    """
    ends = list(accumulate(sizes))
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _read_exactly(stream: IO[bytes], n: int) -> bytearray:
    data = bytearray(n)
    left = memoryview(data)
    while left:
        try:
            count = stream.readinto(left)  # type: ignore[attr-defined]
        except ValueError as error:
            raise GoneError from error
        if not count:
            raise GoneError
        left = left[count:]
    return data
