"""How files are compressed, and what decompresses them: gzip, zlib, bzip2, xz, lzma and zstd. Without any limit.

Must not know what the files hold. zstd needs Python 3.14 or the package `zstandard`; where neither is there, and for
what is compressed in yet another way, reading says so.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from pipeline.sources.limits import GZIP

LONGEST_WINDOW = 1 << 27
"""Bytes that a zstd stream may look back, at most, as `zstd --long=27` writes them."""

_HEAD = 512
"""Bytes at the start of a file, or of a stream in it, that tell how it is compressed."""

_FED = 1 << 10
"""Bytes that are given to a decompressor at once: it makes at most 32 MB of them."""

_STARTS = {"gzip": GZIP, "bzip2": b"BZh", "xz": b"\xfd7zXZ\0", "zstd": b"\x28\xb5\x2f\xfd"}
_UNREAD = {
    "lz4": b"\x04\x22\x4d\x18",
    "lzip": b"LZIP",
    "lzop": b"\x89LZO\0\r\n\x1a\n",
    "compress (.Z)": b"\x1f\x9d",
    "snappy": b"\xff\x06\0\0sNaPpY",
}


class UnreadError(Exception):
    """A compressed file that is not read; the text says why and what to do."""


def compression_of(head: bytes) -> str | None:
    r"""Return how a file that starts so is compressed, None if it is not.

    Zlib and lzma have no mark of their own: their first bytes must inflate.

    >>> compression_of(gzip.compress(b"x")), compression_of(zlib.compress(b"x" * 99)), compression_of(b"PK\3\4")
    ('gzip', 'zlib', None)

    Args:
        head: its first bytes, best 512.
    """
    found = next((name for name, start in (_STARTS | _UNREAD).items() if head.startswith(start)), None)
    if found is not None:
        return found
    if len(head) >= 8 and head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] < 0x60:  # a frame that zstd passes over
        return "zstd"
    if _is_zlib_start(head) and _first_of(zlib.decompressobj(), head):
        return "zlib"
    if head.startswith(b"\x5d\0\0") and len(head) > 13 and _first_of(_lzma(), head):
        return "lzma"
    return None


def is_compressed(head: bytes) -> bool:
    """Return whether a file that starts so is compressed."""
    return compression_of(head) is not None


def first_inflated(head: bytes) -> bytes:
    """Return what the first bytes of a compressed file inflate to, at most 512; none if they cannot be inflated."""
    name = compression_of(head)
    if name is None or name in _UNREAD:
        return b""
    try:
        return _first_of(_decompressor(name), head)
    except UnreadError:
        return b""


def _is_zlib_start(head: bytes) -> bool:
    """Return whether two bytes are those of RFC 1950: deflate, no dictionary, a sum that is right."""
    return len(head) > 8 and head[0] & 0x8F == 8 and not head[1] & 0x20 and (head[0] << 8 | head[1]) % 31 == 0


def _first_of(decompressor: Any, head: bytes) -> bytes:
    data = b""
    try:
        for at in range(0, len(head), 8):  # what comes before damage, or before the head's end, is told
            data += decompressor.decompress(head[at : at + 8])
            if len(data) >= 512 or decompressor.eof:
                break
    except Exception:  # noqa: BLE001 - of any library: it is not what its start says
        return data[:512]
    return data[:512]


def _lzma() -> Any:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=LONGEST_WINDOW + (1 << 24))


def zstd_decompressor() -> Any:
    """Return a decompressor of one frame of zstd.

    Raises:
        UnreadError: no library is there that has one.
    """
    try:
        return importlib.import_module("compression.zstd").ZstdDecompressor()
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError as error:
        text = "it is compressed with zstd, which Python reads from 3.14 on: install zstandard"
        raise UnreadError(text) from error
    return zstandard.ZstdDecompressor(max_window_size=LONGEST_WINDOW).decompressobj()


_MAKERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16),
    "zlib": zlib.decompressobj,
    "deflate": lambda: zlib.decompressobj(wbits=-zlib.MAX_WBITS),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
    "lzma": _lzma,
    "zstd": zstd_decompressor,
}


def _decompressor(name: str) -> Any:
    """Return what inflates one stream.

    Raises:
        UnreadError: it is not read.
    """
    if name in _UNREAD:
        raise UnreadError(f"it is compressed with {name}, which is not read: decompress it")
    return _MAKERS[name]()


class _Inflater(io.RawIOBase):
    """What a stored stream inflates to, where the standard library has no file for it."""

    def __init__(self, stored: Any, name: str) -> None:
        super().__init__()
        self._stored, self._name = stored, name
        self._decompressor = _decompressor(name)
        self._waiting = self._fed = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        while not self._waiting and self._feed():
            pass
        n = min(len(view), len(self._waiting))
        view[:n], self._waiting = self._waiting[:n], self._waiting[n:]
        return n

    def _feed(self) -> bool:
        """Inflate some more, or begin the next stream behind one that ends; return False at the end of all."""
        if self._decompressor.eof:
            rest = self._fed or self._stored.read(_FED)
            if self._name == "deflate" or compression_of(rest + self._stored.peek(_HEAD)[:_HEAD]) != self._name:
                return False
            self._fed, self._decompressor = rest, _decompressor(self._name)
        data, self._fed = self._fed or self._stored.read(_FED), b""
        if not data:
            raise EOFError("Compressed file ended before the end-of-stream marker was reached")
        self._waiting = self._decompressor.decompress(data)
        if self._decompressor.eof:
            self._fed = self._decompressor.unused_data
        return True


_FILES: dict[str, Callable[[Any], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}


def opened(stored: io.BufferedReader, name: str | None = None) -> Any:
    """Return the content of a compressed file as a file, without any limit.

    Args:
        stored: the file, at its start.
        name: how it is compressed; None: its first bytes tell.

    Raises:
        UnreadError: it is not read.
    """
    name = name or compression_of(stored.peek(_HEAD)[:_HEAD]) or "gzip"
    return _FILES[name](stored) if name in _FILES else io.BufferedReader(_Inflater(stored, name))
