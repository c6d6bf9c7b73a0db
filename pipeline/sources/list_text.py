"""The text of a list: decompressed and decoded, whoever saved it. Must not know rows or columns."""

from __future__ import annotations

import codecs
import io

from pipeline.sources.compression import UnreadError, is_compressed, opened

LONGEST_LIST = 2 << 30
"""Bytes of a list, decompressed, at most."""

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
"""Suffixes that a compressed list has behind its own."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decompressed(data: bytes) -> bytes:
    """Return the bytes of a list that may be compressed.

    Raises:
        ValueError: it is damaged, or too long.
    """
    if not is_compressed(data):
        return data
    try:
        text = opened(io.BufferedReader(io.BytesIO(data))).read(LONGEST_LIST + 1)
    except UnreadError as error:
        raise ValueError(str(error)) from error
    except Exception as error:  # of any library
        raise ValueError(f"it is compressed and damaged: {str(error) or type(error).__name__}") from error
    if len(text) > LONGEST_LIST:
        raise ValueError(f"it is longer than {LONGEST_LIST:,} bytes")
    return bytes(text)


def marked_text(data: bytes) -> str | None:
    """Return the text of a list that begins with a byte order mark, or is UTF-16 without one; else None.

    >>> marked_text("a.png".encode("utf-16")), marked_text("a.png".encode("utf-16-le")), marked_text(b"a.png")
    ('a.png', 'a.png', None)
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding).removeprefix("\ufeff")
    head = data[:512]
    for zeros, other, encoding in ((head[1::2], head[::2], "utf-16-le"), (head[::2], head[1::2], "utf-16-be")):
        if zeros and not any(zeros) and any(other):
            return data.decode(encoding)
    return None


def decoded(data: bytes, or_western: bool = False) -> str:
    """Return the text of a list: UTF-8, or what its mark says.

    Args:
        data: all bytes of the list.
        or_western: whether a list that is not UTF-8 is in code page 1252, as Excel saves it.

    Raises:
        ValueError: it is none of these; the text says in which line.
    """
    marked = marked_text(data)
    if marked is not None:
        return marked
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        try:
            if or_western:
                return data.decode("cp1252")
        except UnicodeDecodeError:
            pass
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8") from error
