"""The framing of TFRecord files: records behind each other, each with checksums; and where to go on behind damage.

A record is framed as: uint64 length, uint32 masked CRC32C of it, data, uint32 masked CRC32C of the data, all
little-endian (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). Must not know what a
record holds.

Behind a header that is damaged, reading goes on at the next place where the checksum of a length holds, and so many
bytes follow. What lies before it is one failed record.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import numpy.typing as npt

from pipeline.sources.inflate import Inflated
from pipeline.sources.limits import BLOCK, LONGEST

HEADER = struct.Struct("<QI")
"""Length of a record, and the checksum of that."""

FRAME = 16
"""Bytes of a record besides its data."""

_MOST = 1 << 40
"""Bytes of a record, at most, behind damage: a longer one is none."""


def length_of(header: bytes) -> int | None:
    """Return the record length that a header announces, None where its checksum is wrong."""
    if len(header) < HEADER.size:
        return None
    length, crc = HEADER.unpack_from(header)
    plain: int = google_crc32c.value(header[:8])
    return int(length) if crc == ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF else None


def masked(data: bytes) -> int:
    """Return the masked CRC32C of bytes."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class Frame(NamedTuple):
    """A record's place, or that of damage.

    Attributes:
        start: its first byte.
        stop: the byte after its last; of damage that reaches to the end of a stream, None.
        length: bytes of its data; None: its header is damaged.
        flaw: what is wrong with it, "" if nothing is.
        images: rows that it is.
    """

    start: int
    stop: int | None
    length: int | None
    flaw: str = ""
    images: int = 1


def frames(stream: Any, start: int, stop: int | None, size: int | None) -> Iterator[Frame]:
    """Yield the records of a stretch of a file in order; the stream is behind the header of the one that was yielded.

    Whoever reads a stretch that begins and ends between records finds the frames that reading the whole file finds.

    Args:
        stream: the stretch, as a file that is read forward.
        start: its first byte in the file.
        stop: the byte behind its last; None: it ends where the stream does.
        size: the byte behind the file's last; None: it is not known.
    """
    position, read, seek = start, stream.read, stream.seek
    while stop is None or position < stop:
        header = read(HEADER.size)
        if not header:
            return
        length = length_of(header)
        stop_of_it = None if length is None else position + length + FRAME
        is_short = len(header) < HEADER.size or (stop_of_it is not None and size is not None and stop_of_it > size)
        if stop_of_it is not None and not is_short:
            yield Frame(position, stop_of_it, length)
            position = stop_of_it
            seek(position - start)
            continue
        found = None if is_short else _next_header(stream, header[1:], position + 1, size)
        if found is None and not is_short and stop is not None and stop != size:
            found = stop  # the next unit begins there
        goes_on = "the rest of the file is lost" if found is None else f"reading goes on at byte {found}"
        flaw = "is cut short" if is_short else "has a wrong length checksum"
        yield Frame(position, stop if found is None else found, None, f"{flaw}; {goes_on}")
        if found is None or found == stop:
            return
        position = found


def _next_header(stream: Any, block: bytes, position: int, size: int | None) -> int | None:
    """Return where the next record begins, and move there; None if there is none.

    Args:
        stream: to read on; it is behind the block.
        block: bytes that were read from it.
        position: of the block in the file.
        size: the byte behind the file's last; None: it is not known.
    """
    last = position + LONGEST
    first = position - stream.tell() + len(block)  # of the stream in the file
    while position < last and (more := stream.read(BLOCK)):
        block += more
        offset = find_header(block, _MOST if size is None else size - position)
        if offset is not None:
            if isinstance(stream, Inflated):
                stream.unread(block[offset:])
            else:
                stream.seek(position + offset - first)
            return position + offset
        kept = min(HEADER.size - 1, len(block))
        position += len(block) - kept
        block = block[len(block) - kept :]
    return None


def find_header(block: bytes, left: int) -> int | None:
    """Return the first place in a block where a record may begin: the checksum of its length holds, and it fits.

    Args:
        block: bytes of a file.
        left: bytes from the block's first to the end of the file.

    >>> find_header(b"????" + HEADER.pack(3, masked(bytes([3, 0, 0, 0, 0, 0, 0, 0]))) + b"abc1234", 23)
    4
    """
    data = np.frombuffer(block, np.uint8)
    n = len(data) - HEADER.size + 1
    if n < 1:
        return None
    high = data[5 : 5 + n] | data[6 : 6 + n] | data[7 : 7 + n]
    places = np.flatnonzero(high == 0)
    columns = [data[places + i].astype(np.int64) for i in range(5)]
    lengths = sum((column << (8 * i) for i, column in enumerate(columns)), np.zeros(len(places), np.int64))
    fitting = (lengths > 0) & (lengths + FRAME + places <= min(left, _MOST))
    places = places[fitting]
    crcs = np.zeros(len(places), np.uint32)
    for i in range(4):
        crcs |= data[places + 8 + i].astype(np.uint32) << np.uint32(8 * i)
    right = places[_masked_of(data, places) == crcs]
    return int(right[0]) if len(right) else None


def _masked_of(data: npt.NDArray[np.uint8], places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Return the masked CRC32C of the 8 bytes at each of some places, uint32 [n]."""
    table = _table()
    crc = np.full(len(places), 0xFFFFFFFF, np.uint32)
    for i in range(8):
        crc = table[(crc ^ data[places + i]) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    crc = ~crc
    turned: npt.NDArray[np.uint32] = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    turned += np.uint32(0xA282EAD8)
    return turned


@functools.cache
def _table() -> npt.NDArray[np.uint32]:
    """Return what CRC32C makes of each byte, uint32 [256]."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), np.uint32(0x82F63B78), np.uint32(0))
    return table
