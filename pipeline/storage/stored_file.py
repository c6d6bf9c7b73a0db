"""A stored object as a seekable file, for the standard library's readers."""

from __future__ import annotations

import errno
import io
import os
from typing import Any

from pipeline.storage.base import Store, StoredObject

HOP = 16 << 10
"""Bytes of a gap, at most, that is read through. A longer one is skipped."""

WINDOW = 256 << 10
"""Bytes that are fetched at once, at most, when many reads follow each other."""

LEAST = 5 << 9
"""Bytes that are fetched at first and after a skipped gap; from there the number grows to WINDOW.

The headers of a tar member with a long name are up to five blocks of 512.
"""


class StoredFile(io.RawIOBase):
    """Bytes [start, stop) of an object, as a file of its own that begins at 0.

    Reads ahead while reads follow each other, and fetches little after a hop: whoever looks at headers that lie far
    apart fetches little more than those. Reading raises what `Store.read` raises.
    """

    def __init__(self, store: Store, found: StoredObject, start: int = 0, stop: int | None = None) -> None:
        """Open an object; nothing is fetched yet."""
        super().__init__()
        self._store = store
        self._found = found
        self._start = start
        self._size = max((found.size if stop is None else stop) - start, 0)
        self._position = 0
        self._window, self._at = b"", 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, also behind the end, as files do.

        Raises:
            OSError: to before the start, as files do and zipfile expects.
        """
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, f"seek to byte {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return `size` bytes, fewer at the end of the object only; all that are left if it is negative or None."""
        left = max(self._size - self._position, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        offset = self._position - self._at
        if wanted and not 0 <= offset <= len(self._window) - wanted:
            self._fetch(wanted)
            offset = 0
        data = self._window[offset : offset + wanted] if wanted else b""
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the object goes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _fetch(self, wanted: int) -> None:
        end = self._at + len(self._window)
        follows = bool(self._window) and self._at <= self._position <= end + HOP
        least = min(max(8 * len(self._window), LEAST), WINDOW) if follows else LEAST
        fetched = min(max(wanted, least), self._size - self._position)
        start = self._start + self._position
        self._window = self._store.read(self._found.location, start, start + fetched, self._found.version)
        self._at = self._position
