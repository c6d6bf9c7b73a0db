"""Shorter ways through the same C code as Pillow's, with Pillow's pixels to the bit.

A PNG's pixels go to Pillow's own decoder without the parsing and copying around it, which is half the time of a small
image; and where they are as large as the model takes them, all of a batch at once, which is most of the rest. JPEG goes
to libjpeg-turbo by simplejpeg, which also tells what libjpeg only warns of: an image that is cut short would be scored
with a grey rest. What is not laid out as usual is left to Pillow: None. Must not know what size, mode or orientation a
model wants.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

Pixels = npt.NDArray[np.uint8]

PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")
_HEADER = struct.Struct(">IIBBBBB")
_CRC = struct.Struct(">I")
_BEGIN = _CHUNK.pack(_HEADER.size, b"IHDR")
_FIRST = 33
"""Byte at which the chunk behind IHDR begins."""

_END = _CHUNK.pack(0, b"IEND") + _CRC.pack(zlib.crc32(b"IEND"))
_MODES = {(8, 0): "L", (8, 2): "RGB"}
"""(bit depth, color type) -> Pillow's mode; see https://www.w3.org/TR/png-3/#11IHDR."""

_HARMLESS = {b"pHYs": 9, b"tIME": 7, b"gAMA": 4, b"sRGB": 1, b"cHRM": 32}
"""Chunks that change no pixel, with their length in bytes."""

_CORRUPT = ("remature end", "bad Huffman code", "bad arithmetic code", "instead of RST")
"""Parts of libjpeg's warnings that mean that pixels are lost; see jerror.h there."""


class CorruptError(Exception):
    """An image of which a part is lost, although it could be decoded."""


def pngs(encoded: Sequence[bytes], shape: tuple[int, int, int]) -> tuple[list[int], Pixels]:
    """Decode those PNGs at once that are 8-bit grey or RGB of one shape and in which nothing is unusual.

    Each is inflated by itself. Their filtered rows, put one below the other, are one large image that Pillow's decoder
    undoes the filters of: between two images lies a row of zeros, which is what the first row of an image refers to.

    Args:
        encoded: files.
        shape: (height, width, channels) that counts.

    Returns:
        The indices of those images, and their pixels, uint8 [n, height, width, channels].
    """
    height, width, channels = shape
    header = _HEADER.pack(width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    mode, row = "L" if channels == 1 else "RGB", width * channels
    found: list[int] = []
    rows: list[bytes] = []
    for i, data in enumerate(encoded):
        inflated = _inflated(data, header, height * (row + 1))
        if inflated is not None:
            found.append(i)
            rows += (inflated, bytes(row + 1))
    try:
        stored = zlib.compress(b"".join(rows), 0)
        image = Image.frombytes(mode, (width, len(found) * (height + 1)), stored, "zip", mode, 0)
    except (ValueError, MemoryError):  # of a filter that does not exist
        return [], np.zeros((0, *shape), np.uint8)
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(len(found), height + 1, width, channels)
    return found, pixels[:, :height]


def _inflated(data: bytes, header: bytes, size: int) -> bytes | None:
    """Return the filtered rows of a PNG that begins and ends as it should, if they are of that size."""
    if (
        data[:16] != PNG + _BEGIN
        or data[16:29] != header
        or not data.endswith(_END)
        or not _is_whole(data, 8, len(header))
    ):
        return None
    deflated = _pixel_data(data)
    if deflated is None:
        return None
    stream = zlib.decompressobj()
    try:
        rows = stream.decompress(deflated, size + 1)
    except zlib.error:
        return None
    return rows if len(rows) == size and stream.eof else None


def png(data: bytes, max_pixels: int) -> Image.Image | None:
    """Return a PNG of 8-bit grey or RGB in which nothing is unusual, else None."""
    if data[:16] != PNG + _BEGIN or len(data) < _FIRST or not data.endswith(_END):
        return None
    width, height, depth, color, *rest = _HEADER.unpack_from(data, 16)
    mode = _MODES.get((depth, color))
    if mode is None or any(rest) or not 0 < width * height <= max_pixels or not _is_whole(data, 8, _HEADER.size):
        return None
    deflated = _pixel_data(data)
    if not deflated:
        return None
    try:
        return Image.frombytes(mode, (width, height), deflated, "zip", mode, 0)
    except (ValueError, MemoryError):
        return None


def _pixel_data(data: bytes) -> bytes | None:
    """Return what a PNG's IDAT chunks hold; None if there is a chunk that may change pixels."""
    found = []
    position, end = _FIRST, len(data) - len(_END)
    while position < end:
        length, kind = _CHUNK.unpack_from(data, position)
        if kind == b"IDAT":
            found.append(data[position + 8 : position + 8 + length])
        elif length != _HARMLESS.get(kind) or not _is_whole(data, position, length):
            return None
        position += length + 12
    return (found[0] if len(found) == 1 else b"".join(found)) if position == end else None


def _is_whole(data: bytes, position: int, length: int) -> bool:
    """Return whether a chunk's checksum is right."""
    end = position + 8 + length
    return data[end : end + 4] == _CRC.pack(zlib.crc32(data[position + 4 : end]))


def jpeg(data: bytes, mode: str, size: tuple[int, int], denominator: int = 1, is_fast: bool = False) -> Pixels | None:
    """Decode a JPEG at one of libjpeg's scales, or return None.

    simplejpeg is told a size and picks the scale itself, the smallest n/8 that gives at least that size. It is ours
    where both sides have at least 8 pixels and twice the denominator: no other n/8 gives the same size. Smaller images
    give None.

    Args:
        data: the file.
        mode: Pillow's name of the file's own, or "L" for the luma of one in color; other modes than "L" and "RGB" give
            None.
        size: (width, height) of the whole image.
        denominator: 1, 2, 4 or 8; each side is divided by it and rounded up.
        is_fast: whether to use the fast and coarse arithmetic that is TensorFlow's default.

    Returns:
        uint8 [height, width] (mode "L") or [height, width, 3] ("RGB").

    Raises:
        CorruptError: a part of the image is lost.
    """
    if mode not in ("L", "RGB") or (denominator > 1 and min(size) < max(8, 2 * denominator)):
        return None
    width, height = (-(-side // denominator) for side in size)
    scaled = {} if denominator == 1 else {"min_width": width, "min_height": height}
    pixels = _by_simplejpeg(data, "GRAY" if mode == "L" else "RGB", (width, height), fastdct=is_fast, **scaled)
    return pixels[:, :, 0] if mode == "L" and pixels is not None else pixels


def cmyk_jpeg(data: bytes, size: tuple[int, int], is_inverted: bool) -> Pixels | None:
    """Decode a JPEG in CMYK or YCCK by the fast arithmetic to RGB, as TensorFlow does, or return None.

    Args:
        data: the file.
        size: (width, height) of the image.
        is_inverted: whether 255 means no ink, as Adobe's files have it.

    Returns:
        uint8 [height, width, 3].

    Raises:
        CorruptError: a part of the image is lost.
    """
    inks = _by_simplejpeg(data, "CMYK", size, fastdct=True)
    if inks is None:
        return None
    light = inks.astype(np.uint16) if is_inverted else 255 - inks.astype(np.uint16)
    return (light[:, :, :3] * light[:, :, 3:] // 255).astype(np.uint8)


def _by_simplejpeg(data: bytes, colorspace: str, size: tuple[int, int], **options: int) -> Pixels | None:
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, colorspace, **options)
    except (ValueError, MemoryError) as error:
        if any(text in str(error) for text in _CORRUPT):
            raise CorruptError(str(error)) from error
        return None
    return pixels if pixels.shape[:2] == size[::-1] else None
