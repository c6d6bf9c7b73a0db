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

ENLARGED_BYTES = 8_000
"""Bytes of a larger picture, at most."""

ENLARGED = ((256, 65), (256, 45), (192, 45), (128, 45))
"""Pixels of a larger picture's longer side, at most, and its quality: the first that takes ENLARGED_BYTES is made."""


def thumbnail(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return uint8 pixels [height, width, channels] as a picture of at most 64 x 64: PNG if gray, JPEG in color."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((LARGEST, LARGEST))
    return png(image) if pixels.shape[2] == 1 else jpeg(image)


def enlarged(pixels: npt.NDArray[np.uint8]) -> bytes | None:
    """Return uint8 pixels [height, width, channels] as a larger picture, JPEG; None: a thumbnail shows all of them.

    Of noise, none of which fits into ENLARGED_BYTES, there is none either.
    """
    if max(pixels.shape[:2]) <= LARGEST:
        return None
    whole = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    for side, quality in ENLARGED:
        image = whole.copy()
        image.thumbnail((side, side))
        data = jpeg(image, quality)
        if len(data) <= ENLARGED_BYTES:
            return data
    return None


def png(image: Image.Image) -> bytes:
    """Return an image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def as_png(encoded: bytes) -> bytes:
    """Return an image of bare pixels, a PGM or PPM file, as a PNG file of the same pixels."""
    with Image.open(io.BytesIO(encoded), formats=("PPM",)) as image:
        return png(image)


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    """Return an image as a JPEG file: of a photograph, a fifth of the bytes of its PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
