"""What the tags of a TIFF's first image say: how its values lie in the file, and what they mean. Reads no pixels."""

from __future__ import annotations

import struct
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

_MEANINGS: Mapping[int, str] = {
    256: "width",
    257: "height",
    258: "bits of a band",
    259: "compression",
    262: "meaning of the values",
    266: "order of the bits",
    273: "places of the strips",
    274: "orientation",
    277: "number of bands",
    278: "rows of a strip",
    279: "sizes of the strips",
    284: "order of the bands",
    317: "predictor",
    320: "palette",
    322: "width of a tile",
    323: "height of a tile",
    324: "places of the tiles",
    325: "sizes of the tiles",
    338: "meaning of the extra bands",
    339: "kind of numbers",
    347: "JPEG tables",
    530: "subsampling of the colors",
}
"""Tags without which other pixels would be read -> what each tells."""

_SIZES: Mapping[int, int] = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Type of a tag -> bytes of one of its values. A tag of another type is ignored, as TIFF demands."""

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
        counts: of the blocks' bytes in the file; fewer than offsets where the tags do not tell them.
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
    _check_sides(width, height, block, is_tiled)
    compression = _number(tags, 259, RAW)
    photometric = YCBCR if compression == 6 else _number(tags, 262, WHITE_IS_ZERO)
    if photometric == PALETTE:
        _check_palette(tags, bits[0])
    return Layout(
        order="<" if data[:2] == b"II" else ">",
        width=width,
        height=height,
        bits=bits[0] if len(set(bits[:samples])) == 1 else 0,
        samples=samples,
        kind=kinds[0] if len(set(kinds)) == 1 else 0,
        photometric=photometric,
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


def _check_sides(width: int, height: int, block: tuple[int, int], is_tiled: bool) -> None:
    if min(width, height) <= 0:
        raise RefusedError("INVALID_ARGUMENT", f"an image of {width} x {height} pixels")
    if min(block) <= 0:
        words = f"tiles of {block[0]} x {block[1]} pixels" if is_tiled else f"strips of {block[1]} rows"
        raise RefusedError("INVALID_ARGUMENT", f"an image of {width} x {height} pixels in {words}")


def _check_palette(tags: ImageFileDirectory_v2, bits: int) -> None:
    there, all_of_it = len(_numbers(tags, 320)), 3 << min(bits, 8)
    if there < all_of_it:
        raise RefusedError("INVALID_ARGUMENT", f"{_words(320)}: {there} of {all_of_it} values are there")


def _tags(data: bytes) -> ImageFileDirectory_v2:
    is_big = data[2:4] in (b"+\0", b"\0+")
    directory = ImageFileDirectory_v2(data[: 16 if is_big else 8])
    _check_directory(data, directory.next, is_big)
    file = Metered(data)
    file.seek(directory.next)
    directory.load(file)
    return directory


def _check_directory(data: bytes, place: int, is_big: bool) -> None:
    """Raise a RefusedError if the file does not hold the directory, or what a tag of it claims.

    Pillow leaves out all tags from that one on. What they mean would be lost in silence, so it is an error if one of
    them is needed.
    """
    order = "<" if data[:2] == b"II" else ">"
    head, entry = struct.Struct(order + ("Q" if is_big else "H")), struct.Struct(order + ("HHQQ" if is_big else "HHII"))
    inside = 8 if is_big else 4
    start = place + head.size
    if start > len(data):
        raise RefusedError("INVALID_ARGUMENT", "the directory of tags is not in the file")
    stop = start + entry.size * head.unpack_from(data, place)[0]
    if stop > len(data):
        raise RefusedError("INVALID_ARGUMENT", "the directory of tags is cut short")
    broken = None
    for tag, kind, count, where in entry.iter_unpack(data[start:stop]):
        size = _SIZES.get(kind, 0) * count
        if broken is None and size > inside and where + size > len(data):
            broken = f"{_words(tag)}: {count} values are claimed, more than the file holds"
        if broken is not None and tag in _MEANINGS:
            raise RefusedError("INVALID_ARGUMENT", broken)


def _numbers(tags: ImageFileDirectory_v2, tag: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
    value: Any = tags.get(tag, default)
    if value is None:
        raise RefusedError("INVALID_ARGUMENT", f"{_words(tag)} is missing")
    values = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(one, int) for one in values):
        raise RefusedError("INVALID_ARGUMENT", f"{_words(tag)}: expected whole numbers, not {str(value)[:40]!r}")
    return values


def _number(tags: ImageFileDirectory_v2, tag: int, default: int | None = None) -> int:
    return _numbers(tags, tag, None if default is None else (default,))[0]


def _words(tag: int) -> str:
    return f"the {_MEANINGS[tag]} (tag {tag})" if tag in _MEANINGS else f"tag {tag}"
