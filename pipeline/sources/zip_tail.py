"""The end of a zip archive that can be read forward only, as a member of another one. Must not know what is in it."""

from __future__ import annotations

import io
from typing import Any

from pipeline.sources.limits import BLOCK

_LONGEST = 32 << 20
"""Bytes at the end of an archive that are kept to find its directory in."""


class Tail(io.RawIOBase):
    """The end of an archive, as a file in which the directory can be found; what lies before it was not kept."""

    def __init__(self, size: int, tail: bytes) -> None:
        """Take what was kept.

        Args:
            size: bytes of the whole archive.
            tail: the last of them.
        """
        super().__init__()
        self._size, self._tail, self._at = size, tail, 0

    @classmethod
    def of(cls, stream: Any) -> Tail:
        """Read a stream to its end, and keep the last of it."""
        size, tail = 0, b""
        while block := stream.read(BLOCK):
            size += len(block)
            tail = (tail + block)[-_LONGEST:] if len(tail) < 2 * _LONGEST else tail[-_LONGEST:] + block
        return cls(size, tail)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position; what was not kept reads as zeros."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if self._at < 0:
            raise OSError(f"seek to byte {self._at}")
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the archive goes."""
        view = memoryview(buffer).cast("B")
        skipped = self._size - len(self._tail)
        zeros = min(max(skipped - self._at, 0), len(view))
        data = self._tail[max(self._at - skipped, 0) :][: len(view) - zeros]
        view[:zeros], view[zeros : zeros + len(data)] = bytes(zeros), data
        self._at += zeros + len(data)
        return zeros + len(data)
