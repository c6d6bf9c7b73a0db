"""Pictures made from pixels: small ones for reports, whole ones as files. Must not know what they illustrate."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

LARGEST = 64
"""Pixels of a thumbnail's longer side, at most."""

QUALITY = 80
"""Quality of a thumbnail's JPEG file, of 100."""


def thumbnail(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return uint8 pixels [height, width, channels] as a picture of at most 64 x 64: PNG if gray, JPEG in color."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((LARGEST, LARGEST))
    return png(image) if pixels.shape[2] == 1 else jpeg(image)


def png(image: Image.Image) -> bytes:
    """Return an image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def as_png(encoded: bytes) -> bytes:
    """Return an image of bare pixels, a PGM or PPM file, as a PNG file of the same pixels."""
    with Image.open(io.BytesIO(encoded), formats=("PPM",)) as image:
        return png(image)


def jpeg(image: Image.Image) -> bytes:
    """Return an image as a JPEG file: of a photograph, a fifth of the bytes of its PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
