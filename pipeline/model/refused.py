"""What every reader of image files shares: how an image is refused, and how much of it may be read."""

from __future__ import annotations

import io

from pipeline.batches import Code


class RefusedError(Exception):
    """An image that is not scored, with its google.rpc code."""

    def __init__(self, code: Code, message: str) -> None:
        """Take the code and a message for a person."""
        super().__init__(message)
        self.code = code


class Metered(io.BytesIO):
    """A file that may be read a few times over, not thousands: Pillow copies what tags share for each of them."""

    def __init__(self, data: bytes) -> None:
        """Take the file's content."""
        super().__init__(data)
        self._left = 8 * len(data) + (64 << 20)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `BytesIO` does, until far more was read than there is."""
        data = super().read(size)
        self._left -= len(data)
        if self._left < 0:
            raise RefusedError("RESOURCE_EXHAUSTED", "the tags claim far more data than the file holds")
        return data
