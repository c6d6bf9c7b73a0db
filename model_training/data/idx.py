"""IDX, the file format of MNIST: bytes to an array. Must not know where the bytes lie or what they mean.

    0  0  type  dimensions        type 8 = uint8, the only one read here
    one big-endian uint32 a dimension
    the values, last dimension fastest

A file may be gzip-compressed; that is seen by its first bytes, not by its name.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib

import numpy as np
import numpy.typing as npt

_GZIP = b"\x1f\x8b"
_UINT8 = 8


def parse(data: bytes, dimensions: int) -> npt.NDArray[np.uint8]:
    """Return the array that an IDX file holds.

    Args:
        data: the whole file, gzip-compressed or not.
        dimensions: how many it must have: 3 for images, 1 for labels.

    Returns:
        uint8, read-only, of the shape that the file states.

    Raises:
        ValueError: it is not IDX, holds other than uint8 in that many dimensions, or is too short or too long.

    >>> parse(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]), dimensions=1)
    array([7, 8, 9], dtype=uint8)
    """
    if data.startswith(_GZIP):
        data = _decompressed(data)
    head = 4 + 4 * dimensions
    if len(data) < head:
        raise ValueError(f"{len(data)} bytes are too few for an IDX header of {head}")
    magic = data[:4]
    if magic != bytes([0, 0, _UINT8, dimensions]):
        raise ValueError(f"starts with 0x{magic.hex()}, expected 0x{_UINT8 << 8 | dimensions:08x}")
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    expected = math.prod(shape)
    if len(data) - head != expected:
        raise ValueError(f"holds {len(data) - head:,} values, its header says {' x '.join(map(str, shape))}")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _decompressed(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"gzip: {str(error).rstrip('.')}") from error
