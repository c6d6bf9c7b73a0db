"""What the tags of a TIFF's first image say: how its values lie in the file, and what they mean. Reads no pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from pipeline.model.refused import Metered, RefusedError

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
"""Values of PhotometricInterpretation."""

RAW, LZW, JPEG, ADOBE_DEFLATE, DEFLATE, PACKBITS, LZMA, ZSTD = 1, 5, 7, 8, 32946, 32773, 34925, 50000
"""Values of Compression whose result is bytes of samples, but for JPEG's."""

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
"""Values of SampleFormat."""

MOST_SAMPLES = 64
"""Bands of an image, at most."""

_COLORS: Mapping[int, str] = {
    4: "a mask",
    LAB: "CIE Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32803: "a camera's color filter array (raw)",
    32844: "LogL",
    32845: "LogLuv",
    34892: "a camera's linear raw colors",
}
_COMPRESSIONS: Mapping[int, str] = {34887: "LERC", 34712: "JPEG 2000", 50001: "WebP", 50002: "JPEG XL", 6: "old JPEG"}
_KINDS = {UNSIGNED: "", SIGNED: "signed ", FLOAT: "floating-point "}


@dataclass(frozen=True)
class Layout:
    """How the values of a TIFF's first image lie in the file, and what they mean.

    Attributes:
        order: "<" (little-endian) or ">".
        width: in pixels, as stored.
        height: in pixels, as stored.
        bits: of a sample; 0 where the samples differ.
        samples: number of values of a pixel: bands.
        kind: UNSIGNED, SIGNED or FLOAT; another number as the tag has it.
        photometric: what the values mean, as the tag has it.
        compression: as the tag has it.
        predictor: 1 = none, 2 = horizontal differences, 3 = differences of floats' bytes.
        extra: what the samples beyond the colors are: 0 = unspecified, 1 = alpha that colors are multiplied by, 2 =
            alpha.
        is_planar: whether each band is stored by itself.
        is_reversed: whether the bits of each byte are stored in reverse.
        subsampling: of YCbCr: (across, down).
        orientation: 1 to 8, as in EXIF.
        block: (width, height) of a tile, or of a strip.
        is_tiled: whether blocks are tiles, which are stored in full, also at the edges.
        offsets: of the blocks in the file.
        counts: of the blocks' bytes in the file.
    """

    order: Literal["<", ">"]
    width: int
    height: int
    bits: int
    samples: int
    kind: int
    photometric: int
    compression: int
    predictor: int
    extra: tuple[int, ...]
    is_planar: bool
    is_reversed: bool
    subsampling: tuple[int, ...]
    orientation: int
    block: tuple[int, int]
    is_tiled: bool
    offsets: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[np.generic] | None:
        """NumPy's type of a sample; None: there is none that is read."""
        if self.kind == UNSIGNED and (self.bits in range(1, 17) or self.bits == 32):
            return np.dtype("u1" if self.bits <= 8 else "u2" if self.bits <= 16 else "u4")
        letter = {SIGNED: "i", FLOAT: "f"}.get(self.kind)
        known = (8, 16, 32) if self.kind == SIGNED else (16, 32, 64)
        return np.dtype(f"{letter}{self.bits // 8}") if letter and self.bits in known else None

    @property
    def colors(self) -> int:
        """Number of samples that the photometric interpretation names; the others are extra."""
        return {RGB: 3, YCBCR: 3, LAB: 3, CMYK: 4}.get(self.photometric, 1)

    @property
    def alpha(self) -> int | None:
        """Index of the sample that is alpha; None: there is none."""
        first = self.samples - len(self.extra)
        return next((first + i for i, what in enumerate(self.extra) if what in (1, 2)), None)

    def words(self) -> str:
        """Return the layout in words for a person."""
        bands = "1 band" if self.samples == 1 else f"{self.samples} bands"
        return f"{bands} of {self.bits or 'different'} {_KINDS.get(self.kind, 'unknown ')}bits"

    def color_words(self) -> str | None:
        """Return what colors the image has where these are not read in any file; None: they may be read."""
        if self.photometric in _COLORS:
            return _COLORS[self.photometric]
        return None if self.photometric in (0, 1, RGB, PALETTE, CMYK, YCBCR) else f"colors of kind {self.photometric}"

    def compression_words(self) -> str:
        """Return the name of the compression."""
        return _COMPRESSIONS.get(self.compression, f"compression {self.compression}")


def read_layout(data: bytes) -> Layout:
    """Return what the tags of a TIFF's first image say.

    Raises:
        RefusedError: a tag is missing or says what cannot be.
        Exception: of many kinds, where the directory cannot be parsed; see Pillow.
    """
    tags = _tags(data)
    bits = _numbers(tags, 258, (1,))
    samples = _number(tags, 277, 1)
    if not 0 < samples <= MOST_SAMPLES:
        raise RefusedError("INVALID_ARGUMENT", f"{samples} bands: at most {MOST_SAMPLES} are read")
    kinds = _numbers(tags, 339, (UNSIGNED,))
    width, height = _number(tags, 256), _number(tags, 257)
    is_tiled = 324 in tags
    block = (_number(tags, 322), _number(tags, 323)) if is_tiled else (width, _number(tags, 278, height))
    if min(width, height, *block) <= 0:
        raise RefusedError("INVALID_ARGUMENT", f"an image of {width} x {height} pixels in blocks of {block}")
    compression = _number(tags, 259, RAW)
    return Layout(
        order="<" if data[:2] == b"II" else ">",
        width=width,
        height=height,
        bits=bits[0] if len(set(bits[:samples])) == 1 else 0,
        samples=samples,
        kind=kinds[0] if len(set(kinds)) == 1 else 0,
        photometric=YCBCR if compression == 6 else _number(tags, 262, WHITE_IS_ZERO),
        compression=compression,
        predictor=_number(tags, 317, 1),
        extra=_numbers(tags, 338, ()),
        is_planar=_number(tags, 284, 1) == 2,
        is_reversed=_number(tags, 266, 1) == 2,
        subsampling=_numbers(tags, 530, (2, 2)),
        orientation=_number(tags, 274, 1),
        block=block if is_tiled else (width, min(block[1], height)),
        is_tiled=is_tiled,
        offsets=_numbers(tags, 324 if is_tiled else 273, ()),
        counts=_numbers(tags, 325 if is_tiled else 279, ()),
    )


def _tags(data: bytes) -> ImageFileDirectory_v2:
    is_big = data[2:4] in (b"+\0", b"\0+")
    directory = ImageFileDirectory_v2(data[: 16 if is_big else 8])
    file = Metered(data)
    file.seek(directory.next)
    directory.load(file)
    return directory


def _numbers(tags: ImageFileDirectory_v2, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    value: Any = tags.get(tag, default)
    values = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(value, int) for value in values):
        raise RefusedError("INVALID_ARGUMENT", f"tag {tag} is {str(value)[:40]}: expected whole numbers")
    return values


def _number(tags: ImageFileDirectory_v2, tag: int, default: int | None = None) -> int:
    values = _numbers(tags, tag, () if default is None else (default,))
    if not values:
        raise RefusedError("INVALID_ARGUMENT", f"tag {tag} is missing")
    return values[0]
