"""Small pictures for reports, made from the model's pixels. Must not know what they illustrate."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

LARGEST = 64
"""No side of a thumbnail is longer, in pixels."""


def thumbnail(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return uint8 pixels [height, width, channels] as a PNG file of at most 64 x 64 pixels."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((LARGEST, LARGEST))
    return png(image)


def png(image: Image.Image) -> bytes:
    """Return an image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def data_uri(data: bytes) -> str:
    """Return a PNG file as a data: URI (RFC 2397)."""
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")
