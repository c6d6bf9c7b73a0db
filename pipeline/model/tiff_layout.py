"""What the tags of a TIFF's first image say: how its values lie in the file, and what they mean. Reads no pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.image_kinds import advice
from pipeline.model.refused import RefusedError
from pipeline.model.tiff_tags import read_tags

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
"""Values of PhotometricInterpretation."""

RAW, LZW, JPEG, ADOBE_DEFLATE, DEFLATE, PACKBITS, LZMA, ZSTD = 1, 5, 7, 8, 32946, 32773, 34925, 50000
"""Values of Compression whose result is bytes of samples, but for JPEG's."""

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
"""Values of SampleFormat."""

DNG_VERSION = 50706
"""A tag of raw files of cameras whose first image is a thumbnail."""

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


@dataclass(frozen=True, eq=False)
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
        offsets: of the blocks in the file, int64 [blocks].
        counts: of the blocks' bytes in the file, int64; fewer than offsets where the tags do not tell them.
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
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

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
        if first < self.colors:
            return None
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
        struct.error: the file ends before its directory is told.
    """
    tags = read_tags(data)
    if tags.has_bytes(DNG_VERSION, 4):
        raise RefusedError("UNIMPLEMENTED", f"it is of the kind DNG, whatever its name says: {advice('DNG')}")
    bits = tags.numbers(258, (1,))
    samples = tags.number(277, 1)
    if not 0 < samples <= MOST_SAMPLES:
        raise RefusedError("INVALID_ARGUMENT", f"{samples} bands: at most {MOST_SAMPLES} are read")
    kinds = tags.numbers(339, (UNSIGNED,))
    width, height = tags.number(256), tags.number(257)
    is_tiled = tags.has(324)
    block = (tags.number(322), tags.number(323)) if is_tiled else (width, tags.number(278, height))
    _check_sides(width, height, block, is_tiled)
    compression = tags.number(259, RAW)
    photometric = YCBCR if compression == 6 else tags.number(262, WHITE_IS_ZERO)
    if photometric == PALETTE:
        tags.require(320, 3 << min(bits[0], 8))
    return Layout(
        order=tags.order,
        width=width,
        height=height,
        bits=bits[0] if len(set(bits[:samples])) == 1 else 0,
        samples=samples,
        kind=kinds[0] if len(set(kinds)) == 1 else 0,
        photometric=photometric,
        compression=compression,
        predictor=tags.number(317, 1),
        extra=tags.numbers(338, ()),
        is_planar=tags.number(284, 1) == 2,
        is_reversed=tags.number(266, 1) == 2,
        subsampling=tags.numbers(530, (2, 2)),
        orientation=tags.number(274, 1),
        block=block if is_tiled else (width, min(block[1], height)),
        is_tiled=is_tiled,
        offsets=tags.column(324 if is_tiled else 273),
        counts=tags.column(325 if is_tiled else 279),
    )


def _check_sides(width: int, height: int, block: tuple[int, int], is_tiled: bool) -> None:
    if min(width, height) <= 0:
        raise RefusedError("INVALID_ARGUMENT", f"an image of {width} x {height} pixels")
    if min(block) <= 0:
        words = f"tiles of {block[0]} x {block[1]} pixels" if is_tiled else f"strips of {block[1]} rows"
        raise RefusedError("INVALID_ARGUMENT", f"an image of {width} x {height} pixels in {words}")
