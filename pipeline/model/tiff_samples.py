"""The samples of a TIFF's first image as its tags say, as NumPy has them. Must not know what they mean.

A block's compressed bytes are inflated by zlib, or by libtiff, to which each is handed as a grey image of 8 bits; what
differs between files (depth, byte order, predictor, planes, tiles) is undone here, where Pillow knows a few cases.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.model import tiff_layout as tags
from pipeline.model.refused import RefusedError
from pipeline.model.tiff_layout import Layout

_INFLATED = (tags.ADOBE_DEFLATE, tags.DEFLATE)
_BY_LIBTIFF = (tags.LZW, tags.PACKBITS, tags.LZMA, tags.ZSTD)
COMPRESSIONS = (tags.RAW, *_INFLATED, *_BY_LIBTIFF)
"""Values of Compression that are undone here."""

_ROWS = 1 << 20
"""Samples whose bits are unpacked at once, about."""

Samples = npt.NDArray[np.generic]


def why_not(layout: Layout) -> str | None:
    """Return why the samples of a file are not read here, in words; None: they are."""
    if layout.compression not in COMPRESSIONS:
        return f"{layout.words()} in {layout.compression_words()} are not read"
    if layout.dtype is None or layout.is_reversed:
        return f"{layout.words()}{' in reverse order' if layout.is_reversed else ''} are not read"
    fits = {1: True, 2: layout.bits in (8, 16, 32, 64), 3: layout.kind == tags.FLOAT}
    if not fits.get(layout.predictor, False):
        return f"{layout.words()} with predictor {layout.predictor} are not read"
    return None


def read_samples(data: bytes, layout: Layout, bands: Sequence[int], most: int) -> Samples:
    """Return some bands of an image as they are stored, without any meaning.

    Args:
        data: the file.
        layout: of it, of which `why_not` is None.
        bands: indices of the bands, from 0.
        most: samples that a block may have, at most.

    Returns:
        [height, width, bands] of the layout's type, in the machine's byte order.

    Raises:
        RefusedError: a block is missing, cut short or larger than that.
    """
    block_width, block_height = layout.block
    across, down = -(-layout.width // block_width), -(-layout.height // block_height)
    planes = layout.samples if layout.is_planar else 1
    wanted = across * down * planes
    if len(layout.offsets) != wanted:
        raise RefusedError("INVALID_ARGUMENT", f"{len(layout.offsets)} of {wanted} blocks of pixels are stored")
    if block_width * block_height * (layout.samples // planes) > most:
        blocks = f"{layout.words()} in blocks of {block_width} x {block_height} pixels"
        raise RefusedError("RESOURCE_EXHAUSTED", f"{blocks}: too many values at once; raise --max_pixels")
    assert layout.dtype is not None
    samples = np.empty((layout.height, layout.width, len(bands)), layout.dtype)
    for plane, column, row, number in _places(layout, planes, bands):
        left, upper = column * block_width, row * block_height
        rows = block_height if layout.is_tiled else min(block_height, layout.height - upper)
        block = _block(data, layout, number, rows, layout.samples // planes)
        part = samples[upper : upper + rows, left : left + block_width]
        block = block[: part.shape[0], : part.shape[1]]
        if layout.is_planar:
            for i in (i for i, band in enumerate(bands) if band == plane):
                part[:, :, i] = block[:, :, 0]
        else:
            part[:] = block[:, :, list(bands)]
    return samples


def _places(layout: Layout, planes: int, bands: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield (plane, column, row, number) of each block that is wanted."""
    across, down = -(-layout.width // layout.block[0]), -(-layout.height // layout.block[1])
    for plane in sorted(set(bands)) if layout.is_planar else range(planes):
        for row in range(down):
            for column in range(across):
                yield plane, column, row, (plane * down + row) * across + column


def _block(data: bytes, layout: Layout, number: int, rows: int, samples: int) -> Samples:
    """Return a block, [rows, width, samples]."""
    width = layout.block[0]
    row_bytes = (width * samples * layout.bits + 7) // 8
    stored = _stored(data, layout, number, rows * row_bytes)
    raw = _decompressed(stored, layout.compression, rows, row_bytes)
    if len(raw) < rows * row_bytes:
        raise RefusedError("INVALID_ARGUMENT", f"block {number} of the pixels is cut short")
    lines = np.frombuffer(raw, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
    assert layout.dtype is not None
    if layout.predictor == 3:
        return _float_differences(lines, samples, layout.dtype)
    if layout.bits % 8:
        return _unpacked(lines, layout.bits, width * samples).reshape(rows, width, samples)
    block: npt.NDArray[Any] = (
        lines.view(layout.dtype.newbyteorder(layout.order)).reshape(rows, width, samples).astype(layout.dtype)
    )
    if layout.predictor == 2:
        integers = block.view(f"u{layout.dtype.itemsize}")
        np.cumsum(integers, axis=1, dtype=integers.dtype, out=integers)
    return block


def _stored(data: bytes, layout: Layout, number: int, size: int) -> bytes:
    """Return a block's bytes in the file; if the tags do not tell how many: all up to the next block.

    Args:
        data: the file.
        layout: of it.
        number: of the block.
        size: of the block in bytes where it is not compressed.
    """
    offset = int(layout.offsets[number])
    count = int(layout.counts[number]) if number < len(layout.counts) else 0
    if count <= 0:
        behind = int(min(layout.offsets[layout.offsets > offset], default=len(data)))
        count = size if layout.compression == tags.RAW else behind - offset
    stored = data[offset : offset + count] if offset > 0 else b""
    if not stored or len(stored) < count:
        raise RefusedError("INVALID_ARGUMENT", f"block {number} of the pixels is not in the file")
    return stored


def _decompressed(stored: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    if compression == tags.RAW:
        return stored
    if compression in _INFLATED:
        try:
            return zlib.decompressobj().decompress(stored, rows * row_bytes)
        except zlib.error as error:
            raise RefusedError("INVALID_ARGUMENT", f"the pixels are damaged: {error}") from error
    entries = ((256, row_bytes), (257, rows), (258, 8), (259, compression), (262, 1), (273, 0), (278, rows), (279, 0))
    start = 8 + 2 + 12 * len(entries) + 4
    values = {**dict(entries), 273: start, 279: len(stored)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    file = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + directory + bytes(4) + stored
    image: Image.Image = TiffImageFile(io.BytesIO(file))
    return image.tobytes()


def _float_differences(lines: npt.NDArray[np.uint8], samples: int, dtype: np.dtype[np.generic]) -> Samples:
    """Undo the predictor of floats: all high bytes of a row, then all second bytes, ..., as differences."""
    rows = len(lines)
    sums = np.cumsum(lines.reshape(rows, -1, samples), axis=1, dtype=np.uint8)
    planes = sums.reshape(rows, dtype.itemsize, -1).transpose(0, 2, 1)
    floats: npt.NDArray[Any] = np.ascontiguousarray(planes).view(dtype.newbyteorder(">")).astype(dtype)
    return floats.reshape(rows, -1, samples)


def _unpacked(lines: npt.NDArray[np.uint8], bits: int, values: int) -> npt.NDArray[np.generic]:
    """Return samples of any number of bits, packed from the highest bit of each byte on; a row begins at a byte."""
    made = np.empty((len(lines), values), np.uint8 if bits <= 8 else np.uint16)
    step = max(1, _ROWS // values)
    for first in range(0, len(lines), step):
        rows = np.unpackbits(lines[first : first + step], axis=1, count=values * bits).reshape(-1, values, bits)
        part = made[first : first + step]
        part[:] = 0
        for i in range(bits):
            part <<= 1
            part |= rows[:, :, i]
    return made
