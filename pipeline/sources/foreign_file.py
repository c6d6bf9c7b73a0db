"""A stored file as a library reads it that may raise anything on foreign bytes. Must not know any format."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from pipeline.storage import StoredFile

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""Where an object lies in memory, which no row may hold: the same file gives the same rows."""


class DamagedError(Exception):
    """A file that a library cannot read, in the library's words."""


class ForeignFile(io.RawIOBase):
    """A stored file that remembers what the store raised, which is no fault of the file's content.

    Attributes:
        error: what the store raised last; None: nothing.
    """

    def __init__(self, file: StoredFile) -> None:
        """Wrap a file; nothing is fetched."""
        super().__init__()
        self._file = file
        self.error: Exception | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move."""
        return self._file.seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        """Return bytes as `StoredFile` does."""
        try:
            return self._file.read(size)
        except Exception as error:
            self.error = error
            raise

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as the file goes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn whatever a library raises within into a DamagedError with its words; what the store raised stays.

        Raises:
            DamagedError: the library could not read what is there.
        """
        self.error = None
        try:
            yield
        except DamagedError:
            raise
        except Exception as error:
            if self.error is not None:
                raise self.error from None
            if isinstance(error, MemoryError) and not isinstance(error, pa.ArrowException):
                raise
            kind = "" if isinstance(error, (ValueError, OSError, pa.ArrowException)) else f"{type(error).__name__}: "
            raise DamagedError(_ADDRESS.sub("", f"{kind}{error}")) from error
