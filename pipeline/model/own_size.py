"""The size of an image as a person sees it, and whether it has a color: what an input rule may follow from.

Must not know which rule follows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from pipeline.model.colors import to_mode
from pipeline.model.input_rule import InputSpec
from pipeline.model.pillow import open_image
from pipeline.option_values import read_bands
from pipeline.options import MAX_PIXELS

_ORIENTATION = 0x0112
_GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"}


def look(
    data: bytes, rule: InputSpec, max_pixels: int = MAX_PIXELS, looks_for_color: bool = True
) -> tuple[tuple[int, int], bool]:
    """Return width and height of an image, (0, 0) if they cannot be told, and whether it has a color.

    Args:
        data: the image as it is stored.
        rule: says whether images are turned, and how color is made of bands and transparency.
        max_pixels: larger images are not looked at.
        looks_for_color: whether the image is decoded to see whether it has a color; else it has none.
    """
    try:
        image = open_image(data, max_pixels, read_bands(rule.bands))
        has_color = looks_for_color and _has_color(image, rule)
        return (_upright_size(image) if rule.exif_orientation else image.size), has_color
    except Exception:  # noqa: BLE001 - Pillow raises anything; who decodes the image meets it again and says why
        return (0, 0), False


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    lies = image.format != "TIFF" and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)  # a TIFF is upright at once
    return (height, width) if lies else (width, height)


def _has_color(image: Image.Image, rule: InputSpec) -> bool:
    if image.mode in _GREY_MODES:
        return False
    red, green, blue = np.moveaxis(np.asarray(to_mode(image, replace(rule, color_mode="rgb"))), 2, 0)
    return not (np.array_equal(red, green) and np.array_equal(green, blue))
