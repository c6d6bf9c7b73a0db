"""Batches of small encoded images for local processes."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pipeline.batches import EncodedBatch, ImageColumns


def noise(level: int, note: bytes = b"", size: tuple[int, int] = (8, 8)) -> bytes:
    """Return a PNG file of noise, with a note behind it that tests/tools/poisoned may look for."""
    buffer = io.BytesIO()
    Image.effect_noise(size, level).save(buffer, "PNG")
    return buffer.getvalue() + note


def beginning_with(value: int) -> bytes:
    """Return a PNG file of 28 x 28 pixels, of which the first has this value."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[5:20, 10:14] = 200
    pixels[0, 0] = value
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def batch(*encoded: bytes) -> EncodedBatch:
    """Return a batch of these files; the keys are numbers."""
    return EncodedBatch(ImageColumns.of([f"{i}.png" for i in range(len(encoded))]), encoded)
