"""Compressed files, read from start to end: gzip, bzip2 and xz. One that inflates further than images is refused.

Memory grows with the bytes that are there, not with the size that a header claims. Must not know what the files hold.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from typing import Any

from pipeline.sources.limits import BLOCK, DEFLATED, GZIP, RATIO, SMALL

_OPENERS: dict[bytes, Callable[[Any], Any]] = {GZIP: gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


class BombError(Exception):
    """Bytes that inflate to more than images do."""


def is_compressed(head: bytes) -> bool:
    """Return whether a file that starts so is compressed."""
    return head.startswith(tuple(_OPENERS))


def opened(stored: io.BufferedReader) -> Any:
    """Return the content of a compressed file as a file, without any limit."""
    head = stored.peek(8)
    return next(opener for magic, opener in _OPENERS.items() if head.startswith(magic))(stored)


class Inflated:
    """The content of a compressed file, as a file that is read forward.

    Reading raises a BombError if one read, or the whole, gives more bytes than images give for the bytes stored.
    """

    def __init__(self, stored: io.BufferedReader) -> None:
        """Open a compressed file at its start."""
        self._stream = opened(stored)
        self._stored = stored

    def tell(self) -> int:
        """Return how many bytes were read or passed over."""
        position: int = self._stream.tell()
        return position

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end only.

        Raises:
            BombError: they are too many for what is stored of them; the position is behind those read so far.
        """
        start = self._stored.tell()
        first: bytes = self._stream.read(min(size, BLOCK))
        self._check()
        return first if len(first) == size else self._joined(first, size, start)

    def _joined(self, first: bytes, size: int, start: int) -> bytes:
        data, more = io.BytesIO(), first
        while more:
            data.write(more)
            if data.tell() > SMALL + RATIO * (self._stored.tell() - start):
                raise BombError(f"it is of {size:,} bytes, and no image inflates more than {RATIO}-fold")
            more = self._stream.read(min(size - data.tell(), BLOCK))
            self._check()
        return data.getvalue()

    def seek(self, position: int) -> int:
        """Move forward to a position, or to the end if that is before it.

        Raises:
            BombError: what is passed over is too much for what is stored in all.
        """
        while (left := position - self.tell()) > 0 and self._stream.read(min(left, BLOCK)):
            self._check()
        return self.tell() if left > 0 else int(self._stream.seek(position))

    def _check(self) -> None:
        if self.tell() > SMALL + DEFLATED * self._stored.tell():
            raise BombError(f"it inflates more than {DEFLATED:,}-fold; the rest is not read")
