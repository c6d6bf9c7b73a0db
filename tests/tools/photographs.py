"""Photographs of odd sizes, each as every kind of file on which image loaders differ."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from random import Random

import numpy as np
from pictures import ORIENTATION, Pixels, png, saved
from PIL import Image

KINDS = (
    "jpeg",
    "jpeg 4:4:4",
    "jpeg progressive",
    "jpeg gray",
    "jpeg cmyk",
    "jpeg turned",
    "png",
    "png palette",
    "png alpha",
    "png gray alpha",
    "png 16 gray",
    "png 16 gray alpha",
    "png 16",
    "png 16 alpha",
)
"""Names of the files that `files_of` makes."""


@lru_cache(maxsize=1)
def _originals() -> tuple[Pixels, Pixels]:
    """Return the two photographs that come with scikit-learn, uint8 [427, 640, 3]."""
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg"), load_sample_image("flower.jpg")


def photograph(seed: int) -> Pixels:
    """Return a part of a photograph, 40 to 640 pixels wide and 40 to 427 high; every second one is flipped."""
    chance = Random(seed)
    original = _originals()[seed % 2]
    width, height = chance.randint(40, 640), chance.randint(40, 427)
    left, upper = chance.randint(0, 640 - width), chance.randint(0, 427 - height)
    part = original[upper : upper + height, left : left + width]
    return np.ascontiguousarray(part[:, ::-1] if seed % 4 > 1 else part)


def files_of(seed: int) -> Mapping[str, bytes]:
    """Return a photograph as a file of each kind."""
    pixels = photograph(seed)
    chance = np.random.default_rng(seed)
    quality = int(chance.integers(60, 96))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    alpha = chance.integers(0, 256, pixels.shape[:2], np.uint8)
    deep = pixels.astype(np.uint16) * 257 + chance.integers(-40, 40, pixels.shape).astype(np.int16).astype(np.uint16)
    deep_alpha = chance.integers(0, 65536, (*pixels.shape[:2], 1), np.uint16)
    image = Image.fromarray(pixels)
    return {
        "jpeg": saved(pixels, "JPEG", quality=quality),
        "jpeg 4:4:4": saved(pixels, "JPEG", quality=quality, subsampling=0),
        "jpeg progressive": saved(pixels, "JPEG", quality=quality, progressive=True),
        "jpeg gray": saved(image.convert("L"), "JPEG", quality=quality),
        "jpeg cmyk": saved(image.convert("CMYK"), "JPEG", quality=quality),
        "jpeg turned": saved(pixels, "JPEG", quality=quality, exif=exif),
        "png": saved(pixels, "PNG"),
        "png palette": saved(image.quantize(64), "PNG"),
        "png alpha": saved(np.dstack([pixels, alpha]), "PNG"),
        "png gray alpha": saved(np.dstack([pixels[..., 1], alpha]), "PNG"),
        "png 16 gray": png(deep[..., 1], 0),
        "png 16 gray alpha": png(np.dstack([deep[..., 1:2], deep_alpha]), 4),
        "png 16": png(deep, 2),
        "png 16 alpha": png(np.dstack([deep, deep_alpha]), 6),
    }
