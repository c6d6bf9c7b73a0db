"""Compression methods of a zip's members: which are read, and what the others are called. Must not know directories.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.4.5.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from pipeline.sources.compression import UnreadError, zstd_decompressor

XZ, ZSTD = 95, 93

_NAMES = {
    1: "shrink", 2: "reduce", 3: "reduce", 4: "reduce", 5: "reduce", 6: "implode", 9: "deflate64", 10: "DCL implode",
    12: "bzip2", 14: "lzma", 16: "CMPSC", 18: "TERSE", 19: "LZ77", 93: "zstd", 94: "MP3", 95: "xz", 96: "JPEG",
    97: "WavPack", 98: "PPMd", 99: "AES",
}  # fmt: skip


class MethodError(Exception):
    """A member that cannot be inflated; the text is the library's."""


def _lzma(data: bytes, size: int) -> bytes:
    """Return what LZMA in a zip inflates to: 4 bytes of version and length, 5 of properties, the stream."""
    (length,) = struct.unpack_from("<2xH", data)
    properties, dictionary = struct.unpack_from("<BI", data, 4)
    if length != 5 or properties >= 9 * 5 * 5:
        raise ValueError("LZMA properties are damaged")
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    enough = min(max(dictionary, 1 << 12), max(size, 1 << 12))  # no more is looked back than there is
    chain = [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": enough}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=chain).decompress(data[9:], size + 1)


def _xz(data: bytes, size: int) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=1 << 28).decompress(data, size + 1)


def _zstd(data: bytes, size: int) -> bytes:
    """Return what zstd inflates to; it is fed little by little, as it inflates whatever it is given."""
    decompressor: Any = zstd_decompressor()
    inflated = bytearray()
    for at in range(0, len(data), 1024):
        inflated += decompressor.decompress(data[at : at + 1024])
        if len(inflated) > size or decompressor.eof:
            break
    return bytes(inflated)


_READ: dict[int, Callable[[bytes, int], bytes]] = {
    zipfile.ZIP_STORED: lambda data, _: data,
    zipfile.ZIP_DEFLATED: lambda data, size: zlib.decompressobj(wbits=-15).decompress(data, size + 1),
    zipfile.ZIP_BZIP2: lambda data, size: bz2.BZ2Decompressor().decompress(data, size + 1),
    zipfile.ZIP_LZMA: _lzma,
    XZ: _xz,
    ZSTD: _zstd,
}


def is_read_method(method: int) -> bool:
    """Return whether a method is read."""
    return method in _READ


def name_of_method(method: int) -> str:
    """Return what a method is called.

    >>> name_of_method(9), name_of_method(77)
    ('9 (deflate64)', '77')
    """
    return f"{method} ({_NAMES[method]})" if method in _NAMES else str(method)


def inflate_member(data: bytes, size: int, method: int) -> bytes:
    """Return what a member's bytes inflate to, at most one byte more than it says.

    Args:
        data: as they are stored.
        size: bytes that the member says it inflates to.
        method: one that is read.

    Raises:
        MethodError: they are damaged.
        UnreadError: the library that it needs is not installed.
    """
    try:
        return _READ[method](data, size)
    except UnreadError:
        raise
    except Exception as error:  # whatever a library raises for foreign bytes
        raise MethodError(str(error) or type(error).__name__) from error
