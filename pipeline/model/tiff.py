"""TIFF files: what their tags say decides who reads them, before a pixel is used.

Pillow reads the usual layouts. It reads some others wrongly, and `TaggedTiff` reads those, and more, from the samples
as they are stored: grey of any depth of which 0 is white, 9 to 15 bits, planes, floats, many bands. What neither reads
is refused in words.

    grey, 1 to 8 bits       in proportion to their full scale
    grey, 9 to 16 bits      deep grey, of which the input rule says how it becomes 8 bits
    grey, float             0 to 1
    color, up to 16 bits    the high byte, as of every image of 16-bit color; float: 0 to 1
    3 or 4 bands            the first three are red, green and blue, also where the tags only call them grey and extra
    2 bands                 grey and alpha if the tags say so
    other numbers of bands  those that `--bands` names
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import COMPRESSION_INFO, OPEN_INFO, TiffImageFile

from pipeline.model import tiff_layout as tags
from pipeline.model.refused import Metered, RefusedError
from pipeline.model.tiff_layout import Layout, read_layout
from pipeline.model.tiff_samples import read_samples, why_not

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF files."""

FULL_SCALE = "full_scale"
"""Key in an image's info: what is white in deep grey; absent: 65535."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Number in the tag Orientation -> what turns the image upright."""

_GREY, _COLOR, _INKS = 1, 3, 4


@dataclass(frozen=True)
class Choice:
    """Which samples of a file make the picture.

    Attributes:
        bands: their indices, from 0: one of grey, three of color or four of inks.
        alpha: index of the one that is alpha; None: there is none, or it does not belong to these bands.
    """

    bands: tuple[int, ...]
    alpha: int | None = None


class TaggedTiff(ImageFile.ImageFile):
    """A TIFF that is read here, upright, as Pillow's own are."""

    format = "TIFF"

    def __init__(self, data: bytes, layout: Layout, choice: Choice, max_pixels: int) -> None:
        """Take a file, its layout and what is read of it."""
        self._data, self._layout, self._choice, self._most = data, layout, choice, 4 * max_pixels
        super().__init__(io.BytesIO(data))

    @property
    def orientation(self) -> int:
        """1 to 8, as in EXIF; the image is upright."""
        return self._layout.orientation

    def _open(self) -> None:
        layout = self._layout
        size = layout.width, layout.height
        self._size = size[::-1] if layout.orientation in (5, 6, 7, 8) else size
        self._mode = {_COLOR: "RGB", _INKS: "CMYK"}.get(len(self._choice.bands)) or _grey_mode(layout)
        if self._choice.alpha is not None:
            self._mode = "RGBA" if self._mode == "RGB" else "LA"
        if self._mode == "I;16" and layout.bits < 16:
            self.info[FULL_SCALE] = (1 << layout.bits) - 1
        self._exif: Any = None

    def load(self) -> Any:
        """Read the pixels."""
        if self._im is None:
            made = _picture(self._data, self._layout, self._choice, self._most)
            method = TURNS.get(self._layout.orientation)
            self.im = (made if method is None else made.transpose(method)).im
        return Image.Image.load(self)


def open_tiff(data: bytes, bands: Sequence[int] = (), max_pixels: int = 0) -> TiffImageFile | TaggedTiff:
    """Return the first image of a TIFF, whose pixels are not read yet.

    Args:
        data: the file.
        bands: numbers of the bands that are grey (one) or red, green and blue (three), from 1; empty: as the tags say.
        max_pixels: pixels of an image that are not too many; a larger one is opened, and must not be loaded.

    Raises:
        RefusedError: its tags say that it is not read, and why.
        Exception: of many kinds, where the tags cannot be parsed.
    """
    layout = read_layout(data)
    is_chosen = bool(bands) and layout.samples > 1 and layout.photometric in (0, 1, tags.RGB)
    if not is_chosen and is_pillows(layout):
        return TiffImageFile(Metered(data))
    choice = _chosen(layout, bands) if is_chosen else _named(layout)
    reason = why_not(layout)
    if reason is not None:
        raise RefusedError("UNIMPLEMENTED", reason)
    return TaggedTiff(data, layout, choice, max_pixels)


def is_pillows(layout: Layout) -> bool:
    """Return whether Pillow reads a layout, and reads it as the tags say. What it does not read, it says."""
    if layout.compression not in COMPRESSION_INFO or not layout.bits:
        return False
    bits, samples, photometric = layout.bits, layout.samples, layout.photometric
    if layout.is_planar and (layout.compression != tags.JPEG or photometric not in (1, tags.RGB)):
        return photometric == tags.PALETTE and bits == 8  # of others it takes a part of the tags' meaning
    if photometric == tags.YCBCR:
        return bits == 8 and samples == 3 and layout.compression != tags.RAW
    if photometric == tags.PALETTE:
        return bits <= 8 and layout.kind == tags.UNSIGNED
    if photometric in (tags.RGB, tags.CMYK):
        order, fill = (b"II" if layout.order == "<" else b"MM"), 2 if layout.is_reversed else 1
        return (order, photometric, (layout.kind,), fill, (bits,) * samples, layout.extra) in OPEN_INFO
    if photometric not in (0, 1):
        return False
    return _is_pillows_grey(layout)


def _is_pillows_grey(layout: Layout) -> bool:
    bits, photometric = layout.bits, layout.photometric
    if layout.samples == 2:
        return bits == 8 and layout.extra == (2,) and photometric == 1 and layout.kind == tags.UNSIGNED
    if layout.samples != 1:
        return False
    if bits in (1, 2, 4, 8):
        return layout.kind == tags.UNSIGNED
    if layout.kind == tags.UNSIGNED:
        return photometric == 1 and bits == 16
    is_swapped_twice = layout.order == ">" and layout.compression != tags.RAW  # by libtiff and by Pillow
    known = (tags.SIGNED, 16), (tags.SIGNED, 32), (tags.FLOAT, 32)
    return photometric == 1 and not is_swapped_twice and (layout.kind, bits) in known


def _chosen(layout: Layout, bands: Sequence[int]) -> Choice:
    if max(bands) > layout.samples:
        raise RefusedError("INVALID_ARGUMENT", f"there is no band {max(bands)}: the image has {layout.words()}")
    return Choice(tuple(band - 1 for band in bands))


def _named(layout: Layout) -> Choice:
    """Return the samples that the tags name."""
    words, samples, photometric = layout.words(), layout.samples, layout.photometric
    odd = layout.color_words()
    if odd is not None:
        raise RefusedError("UNIMPLEMENTED", f"its colors are {odd}: not read")
    if photometric in (tags.PALETTE, tags.YCBCR):
        what = "a palette" if photometric == tags.PALETTE else "YCbCr"
        raise RefusedError("UNIMPLEMENTED", f"{words} with {what} in {layout.compression_words()} are not read")
    if photometric == tags.CMYK and samples == _INKS:
        return Choice((0, 1, 2, 3))
    if photometric == tags.RGB and samples >= _COLOR:
        return Choice((0, 1, 2), layout.alpha)
    if photometric in (0, 1):
        if samples == 1:
            return Choice((0,))
        if samples == 2 and layout.alpha == 1:
            return Choice((0,), 1)
        if photometric == 1 and samples in (3, 4) and layout.alpha in (None, 3):
            return Choice((0, 1, 2), layout.alpha)
    if samples == 1 or photometric == tags.CMYK:
        meaning = "red, green and blue" if photometric == tags.RGB else "inks"
        raise RefusedError("UNIMPLEMENTED", f"{words} as {meaning} are not read")
    choose = "choose one or three" if samples == 2 else "choose three"
    raise RefusedError("INVALID_ARGUMENT", f"{words}: {choose} with --bands")


def _grey_mode(layout: Layout) -> str:
    if layout.kind == tags.FLOAT:
        return "F"
    if layout.kind == tags.UNSIGNED and layout.bits <= 16:
        return "L" if layout.bits <= 8 else "I;16"
    return "L" if layout.bits == 8 else "I"


def _picture(data: bytes, layout: Layout, choice: Choice, most: int) -> Image.Image:
    """Return the picture as stored: neither turned nor in 8 bits where it is deep grey."""
    has_alpha = choice.alpha is not None
    bands = choice.bands if choice.alpha is None else (*choice.bands, choice.alpha)
    samples: npt.NDArray[Any] = read_samples(data, layout, bands, most)
    if layout.photometric == 0:
        samples[:, :, : len(choice.bands)] = _negative(samples[:, :, : len(choice.bands)], layout)
    if has_alpha and 1 in layout.extra and not bool((_bytes(samples[:, :, -1:], layout) == 255).all()):
        raise RefusedError("UNIMPLEMENTED", f"{layout.words()} with colors multiplied by alpha are not read")
    if len(bands) == 1:
        return _grey(samples[:, :, 0], layout)
    pixels = _bytes(samples, layout)
    if len(choice.bands) == _INKS:
        return Image.frombytes("CMYK", (layout.width, layout.height), pixels.tobytes())
    return Image.fromarray(pixels)  # of 2, 3 or 4 samples: LA, RGB, RGBA


def _negative(samples: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    if layout.kind == tags.SIGNED or (layout.bits == 32 and layout.kind == tags.UNSIGNED):
        raise RefusedError("UNIMPLEMENTED", f"{layout.words()} of which 0 is white are not read")
    full = 1.0 if layout.kind == tags.FLOAT else (1 << layout.bits) - 1
    return np.asarray(full - samples if layout.kind == tags.FLOAT else np.subtract(samples.dtype.type(full), samples))


def _grey(values: npt.NDArray[Any], layout: Layout) -> Image.Image:
    mode = _grey_mode(layout)
    if mode == "L" and layout.kind == tags.UNSIGNED:
        return Image.fromarray(_bytes(values, layout))
    if mode in ("L", "I"):
        low = int(values.min())
        if low < 0:
            raise RefusedError("INVALID_ARGUMENT", f"{layout.words()} with values from {low} on: expected 0 or more")
        if layout.bits == 8:
            return Image.fromarray(values.astype(np.uint8))
        values = np.minimum(values.astype(np.int64), (1 << 31) - 1).astype(np.int32)
    return Image.fromarray(values.astype(np.float32) if mode == "F" else values)


def _bytes(values: npt.NDArray[Any], layout: Layout) -> npt.NDArray[np.uint8]:
    """Return samples of grey or color in 8 bits: small ones in proportion, of deep ones the high byte."""
    if layout.kind == tags.FLOAT:
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):
            raise RefusedError("INVALID_ARGUMENT", f"pixels from {low:g} to {high:g}: expected 0 to 1 in floats")
        return np.rint(values.astype(np.float64) * 255).astype(np.uint8)
    if layout.kind == tags.SIGNED or layout.bits > 16:
        raise RefusedError("UNIMPLEMENTED", f"{layout.words()} in color are not read")
    if layout.bits >= 8:
        return np.asarray(values >> (layout.bits - 8), np.uint8)
    full = (1 << layout.bits) - 1
    levels = np.rint(np.arange(full + 1) * (255 / full)).astype(np.uint8)
    return np.asarray(levels[values])
