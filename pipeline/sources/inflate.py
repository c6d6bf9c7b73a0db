"""The content of a compressed file, read from start to end. One that inflates too far is refused.

Memory grows with the bytes that are there, not with the size that a header claims. Must not know what the files hold.
"""

from __future__ import annotations

import io
import lzma
import zlib

from pipeline.sources.compression import compression_of, opened
from pipeline.sources.limits import BLOCK, DEFLATED, RATIO, SMALL

_KEPT = 512
"""Bytes behind the position that can be read again: tarfile goes back by one."""

_BROKEN = (EOFError, ValueError, ArithmeticError, zlib.error, lzma.LZMAError)


class BombError(Exception):
    """Bytes that inflate to more than images do."""


class StreamError(Exception):
    """A compressed stream that is damaged; the text is that of the library that reads it."""


class Inflated:
    """The content of a compressed file, as a file that is read forward.

    Reading raises a BombError if one read, or the whole, gives more bytes than images give for the bytes stored, and a
    StreamError if the file is damaged.

    Attributes:
        name: how it is compressed: "gzip", "zlib", "bzip2", "xz", "lzma", "zstd" or "deflate".
    """

    def __init__(self, stored: io.BufferedReader, name: str | None = None) -> None:
        """Open a compressed file at its start.

        Args:
            stored: the file.
            name: how it is compressed; None: its first bytes tell.

        Raises:
            UnreadError: it is not read.
        """
        self.name = name or compression_of(stored.peek(_KEPT)[:_KEPT]) or "gzip"
        self._stream = opened(stored, self.name)
        self._stored = stored
        self._position = 0
        self._last = self._again = b""

    def tell(self) -> int:
        """Return how many bytes were read or passed over."""
        return self._position

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end only.

        Raises:
            BombError: they are too many for what is stored of them; the position is behind those read so far.
            StreamError: the file is damaged.
        """
        start = self._stored.tell()
        first = self._read(min(size, BLOCK))
        self._check()
        return first if len(first) == size else self._joined(first, size, start)

    def _read(self, size: int) -> bytes:
        """Return the next bytes, of which the last ones can be read again."""
        again, self._again = self._again[:size], self._again[size:]
        data = again
        if len(data) < size:
            try:
                data += self._stream.read(size - len(data))
            except (FileNotFoundError, PermissionError):
                raise
            except OSError as error:
                if error.errno is not None:
                    raise
                raise StreamError(str(error)) from error
            except _BROKEN as error:
                raise StreamError(str(error) or type(error).__name__) from error
            except Exception as error:
                if type(error).__module__.partition(".")[0] == "pipeline":
                    raise  # what the store says, or an outer stream
                raise StreamError(f"{type(error).__name__}: {error}") from error
        self._position += len(data)
        self._last = (self._last + data)[-_KEPT:] if len(data) < _KEPT else data[-_KEPT:]
        return data

    def _joined(self, first: bytes, size: int, start: int) -> bytes:
        data, more = io.BytesIO(), first
        while more:
            data.write(more)
            if data.tell() > SMALL + RATIO * (self._stored.tell() - start):
                raise BombError(f"it is of {size:,} bytes, and no image inflates more than {RATIO}-fold")
            more = self._read(min(size - data.tell(), BLOCK))
            self._check()
        return data.getvalue()

    def unread(self, data: bytes) -> None:
        """Go back by bytes that were read last; they will be read again."""
        self._again = data + self._again
        self._position -= len(data)
        self._last = b""

    def peek(self, size: int) -> bytes:
        """Return the next bytes without moving, at most 512."""
        data = self._read(min(size, _KEPT))
        self.seek(self._position - len(data))
        return data

    def seek(self, position: int) -> int:
        """Move forward to a position, or to the end if that is before it; or back by a few bytes.

        Raises:
            BombError: what is passed over is too much for what is stored in all.
            StreamError: the file is damaged, or the position is far back.
        """
        if position < self._position:
            back = self._position - position
            if back > len(self._last):
                raise StreamError(f"a compressed file is read forward only, not back by {back:,} bytes")
            self._again = self._last[-back:] + self._again
            self._last = self._last[:-back]
            self._position = position
        while (left := position - self._position) > 0 and self._read(min(left, BLOCK)):
            self._check()
        return self._position

    def _check(self) -> None:
        if self._position > SMALL + DEFLATED * self._stored.tell():
            raise BombError(f"it inflates more than {DEFLATED:,}-fold; the rest is not read")
