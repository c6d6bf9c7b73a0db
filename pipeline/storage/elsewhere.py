"""A long listing goes on in a copy of this process, while this one works on what was listed. Knows no store."""

from __future__ import annotations

import os
import struct
import sys
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import IO, NoReturn

from pipeline.storage.base import StoredObject

SHORT = 10_000
"""Objects of a listing that is not long: this process lists them itself."""

BLOCK = 1_000
"""Objects that pass to this process at once."""

_COUNTS = struct.Struct(">QQ")
"""The head of a block: number of objects, and bytes of their locations.

Then come the locations, each ended by a zero byte, which no path on a disk has; the sizes; and the versions.
"""


def list_elsewhere(make: Callable[[], Iterator[StoredObject]]) -> Iterator[StoredObject]:
    """Yield what a sorted listing yields; after the first SHORT objects, a copy of this process goes on with it.

    If the copy does not come to the end, this process goes on, and meets what has stopped the copy. So it does where
    there is no fork, or where other threads run, which a copy would lack.

    Args:
        make: starts the listing.
    """
    listing, last, n = make(), "", 0
    for found in islice(listing, SHORT):
        last, n = found.location, n + 1
        yield found
    if n < SHORT or sys.platform != "linux" or threading.active_count() > 1:
        yield from listing
        return
    try:
        for found in _copied(listing):
            last = found.location
            yield found
    except EOFError:
        yield from (found for found in make() if found.location > last)


def _copied(listing: Iterator[StoredObject]) -> Iterator[StoredObject]:
    """Yield the rest of a listing, from a copy of this process that makes it.

    Raises:
        EOFError: the copy has ended before the listing.
    """
    reading, writing = os.pipe()
    copy = os.fork()
    if copy == 0:
        os.close(reading)
        _send(listing, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as stream:
            while block := _receive(stream):
                yield from block
    finally:
        os.waitpid(copy, 0)


def _receive(stream: IO[bytes]) -> list[StoredObject]:
    n, length = _COUNTS.unpack(_read(stream, _COUNTS.size))
    locations = os.fsdecode(_read(stream, length)).split("\0")[:n]
    sizes, versions = array("q", _read(stream, 8 * n)), array("q", _read(stream, 8 * n))
    return list(map(StoredObject, locations, sizes, versions))


def _read(stream: IO[bytes], n: int) -> bytes:
    data = stream.read(n)
    if len(data) < n:
        raise EOFError
    return data


def _send(listing: Iterator[StoredObject], descriptor: int) -> NoReturn:
    """Write a listing in blocks, and an empty one at the end; then end this process, which is a copy."""
    try:
        with os.fdopen(descriptor, "wb") as stream:
            while block := list(islice(listing, BLOCK)):
                _write(block, stream)
            _write((), stream)
    finally:
        os._exit(0)  # also after an error: the other process meets it, too


def _write(block: Sequence[StoredObject], stream: IO[bytes]) -> None:
    locations = os.fsencode("".join(f"{found.location}\0" for found in block))
    numbers = (array("q", [found.size for found in block]), array("q", [found.version for found in block]))
    stream.write(_COUNTS.pack(len(block), len(locations)) + locations + b"".join(map(bytes, numbers)))
