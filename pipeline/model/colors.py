"""From what a file holds to 8 bits of grey or of red, green and blue, as the input rule says.

Must not know how an image is turned or resized.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from pipeline.model.alpha import has_alpha, without_alpha
from pipeline.model.input_rule import Deep, InputSpec, library_of
from pipeline.model.pillow import open_image
from pipeline.model.refused import RefusedError
from pipeline.model.tiff import FULL_SCALE

_KEPT_DEEP = ("I", "I;16")
_LOW_BYTES: Mapping[Any, str] = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
"""How Pillow unpacks the high bytes of a PNG's samples -> how it unpacks their low bytes."""

_RED, _GREEN = 9797, 19234
"""Weights of libpng, in 1/32768: 0.299 and 0.587 as it rounds them."""


def to_mode(image: Image.Image, spec: InputSpec, is_png: bool = False) -> Image.Image:
    """Return an image in mode "L" or "RGB", as the spec's color mode says.

    Deep grey that is to be cut off last stays as it is.

    Args:
        image: decoded.
        spec: what the model takes.
        is_png: whether it was a PNG file, of which libpng has a grey of its own.
    """
    wanted = "L" if spec.color_mode == "grayscale" else "RGB"
    if image.mode == wanted and "transparency" not in image.info:
        return image
    if has_alpha(image):
        image = without_alpha(image, spec.background)
    if image.mode.startswith("I") or image.mode == "F":
        if spec.deep == "clip_last" and wanted == "L" and image.mode in _KEPT_DEEP:
            return image
        image = cut_off(image) if spec.deep.startswith("clip") else _eight_bits(image, spec.deep)
    if wanted == "L" and spec.gray_from == "jpeg_luma" and is_png:
        return _gray_of_libpng(image)
    if image.mode == "CMYK" and library_of(spec.resize) == "cv2":
        image = _colors_of_opencv(image)
    return image if image.mode == wanted else image.convert(wanted)


def _eight_bits(image: Image.Image, deep: Deep) -> Image.Image:
    values = np.asarray(image)
    full = 1.0 if image.mode == "F" else float(image.info.get(FULL_SCALE, 65535))
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= full):
        raise RefusedError(
            "INVALID_ARGUMENT", f"pixels from {low:g} to {high:g}: expected 0 to {full:g} in mode {image.mode}"
        )
    if deep == "high_byte" and image.mode != "F":
        return Image.fromarray((values >> int(full).bit_length() - 8).astype(np.uint8))
    return Image.fromarray(np.rint(values * (255.0 / full)).astype(np.uint8))


def cut_off(image: Image.Image) -> Image.Image:
    """Return deep grey in mode "L": what is above 255 becomes 255."""
    values = np.asarray(image)
    if np.isnan(values).any():
        raise RefusedError("INVALID_ARGUMENT", f"pixels that are no numbers in mode {image.mode}")
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _gray_of_libpng(image: Image.Image) -> Image.Image:
    """Follow libpng's `png_set_rgb_to_gray` with the weights that TensorFlow and OpenCV give: cut to whole levels."""
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    pixels = np.asarray(image.convert("RGB"))
    red, green, blue = (pixels[:, :, i].astype(np.int32) for i in range(3))
    gray = (_RED * red + _GREEN * green + ((1 << 15) - _RED - _GREEN) * blue) >> 15
    return Image.fromarray(np.where((red == green) & (green == blue), red, gray).astype(np.uint8))


def low_bytes(data: bytes, max_pixels: int) -> Image.Image | None:
    """Return the low bytes of a PNG of 16-bit color; None: it is another file.

    Pillow unpacks one byte of each sample: the right one of big-endian samples is the wrong one of little-endian ones.
    """
    image = open_image(data, max_pixels)
    image.tile = [tile._replace(args=_LOW_BYTES[tile.args]) for tile in image.tile if tile.args in _LOW_BYTES]
    if image.format != "PNG" or not image.tile:
        return None
    image.load()
    return image


def gray_of_deep_png(high: Image.Image, low: Image.Image) -> Image.Image:
    """Return the grey that libpng makes of 16-bit color. It takes the high byte only then."""
    pixels = np.asarray(high)[:, :, :3].astype(np.int64) << 8 | np.asarray(low)[:, :, :3]
    red, green, blue = (pixels[:, :, i] for i in range(3))
    gray = (_RED * red + _GREEN * green + ((1 << 15) - _RED - _GREEN) * blue + (1 << 14)) >> 15
    return Image.fromarray((np.where((red == green) & (green == blue), red, gray) >> 8).astype(np.uint8))


def _colors_of_opencv(image: Image.Image) -> Image.Image:
    """Return inks as colors as `cv2.imread` has them: up to one level darker than Pillow's."""
    inks = np.asarray(image).astype(np.int32)
    light = 255 - inks[:, :, 3:]
    return Image.fromarray((light - (inks[:, :, :3] * light >> 8)).astype(np.uint8))
