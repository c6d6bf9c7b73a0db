"""TFRecord files of tf.train.Example, plain or gzip, without TensorFlow.

A record is framed as: uint64 length, uint32 masked CRC32C of it, data, uint32 masked CRC32C of the data, all
little-endian (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).

What a broken frame hides cannot be counted: the rest of the file is one failed row.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import google_crc32c

from pipeline.batches import BATCH_BYTES, BATCH_IMAGES, EncodedBatch, Failure
from pipeline.errors import ChangedError
from pipeline.labels import folder_of
from pipeline.run import Run
from pipeline.sources.example import parse_example
from pipeline.storage import StoredObject, key_of, store_of
from pipeline.storage import read as read_bytes
from pipeline.units import UNIT_BYTES, WorkUnit

NAME = "tfrecord"
IMAGE_KEYS = ("image/encoded", "image")
LABEL_KEYS = ("image/class/label", "label")

BLOCK = 8 << 20
WINDOW = 256 << 10
LONGEST = 1 << 30
HOP = 16 << 10
"""Records longer than this are hopped over by the index; shorter ones are cheaper to read through, WINDOW by WINDOW."""

_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_FRAME = 16
_GZIP = b"\x1f\x8b"


def is_tfrecord(head: bytes) -> bool:
    """Return whether a file that starts so is gzip or begins with a record's header."""
    return head.startswith(_GZIP) or _length(head) is not None


def _is_gzip(head: bytes) -> bool:
    """Return whether a file that starts so is gzip, and not a record of 35,615 (0x8b1f) bytes."""
    return head.startswith(_GZIP) and _length(head) is None


def _length(header: bytes) -> int | None:
    """Return the record length that a header announces, None where its checksum is wrong."""
    if len(header) < _HEADER.size:
        return None
    length, crc = _HEADER.unpack_from(header)
    return int(length) if crc == _masked(header[:8]) else None


def _masked(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def index(found: StoredObject, unit_images: int) -> Iterator[WorkUnit]:
    """Cut a file into units by hopping from header to header; the units have no id yet.

    A gzip file, which cannot be entered in the middle, is one unit whose number of images is not known.
    """
    unit = WorkUnit("", NAME, (found.location,), (found.size,), (found.version,), images=None, span=(0, found.size))
    if found.size == 0:
        return
    if _is_gzip(store_of(found.location).read(found.location, 0, _HEADER.size)):
        yield unit
        return
    first = start = position = count = 0
    for position, end in _frames(found):
        if count == unit_images or (count and end - start > UNIT_BYTES):
            yield replace(unit, images=count, first=first, span=(start, position))
            first, start, count = first + count, position, 0
        count += 1
    yield replace(unit, images=count, first=first, span=(start, found.size))


def _frames(found: StoredObject) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of every record; the last is what follows a broken frame, to the end of the file."""
    store = store_of(found.location)
    window, at = b"", 0
    position, length = 0, 0
    while position < found.size:
        if not at <= position <= at + len(window) - _HEADER.size:
            size = _HEADER.size if length > HOP else WINDOW
            window, at = store.read(found.location, position, position + size, found.version), position
        header = window[position - at : position - at + _HEADER.size]
        announced = _length(header)
        if announced is None or position + announced + _FRAME > found.size:
            yield position, found.size
            return
        length = announced
        yield position, position + length + _FRAME
        position += length + _FRAME


def read(unit: WorkUnit, run: Run) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's records in order, at most `unit.images` of them where that is known."""
    location = unit.locations[0]
    folder = folder_of(location)
    keys: list[str] = []
    encoded: list[bytes] = []
    labels: list[int | str | None] = []
    failures: dict[int, Failure] = {}
    size = 0

    def batch() -> EncodedBatch:
        return EncodedBatch(run.label_rule.columns(keys, labels, [folder] * len(keys), failures), encoded)

    for i, record in enumerate(islice(_records(unit), unit.images)):
        image, label = _fields(record, run)
        if keys and (len(keys) == BATCH_IMAGES or size + _size(image) > BATCH_BYTES):
            yield batch()
            keys, encoded, labels, failures, size = [], [], [], {}, 0
        if isinstance(image, Failure):
            failures[len(keys)] = image
        keys.append(f"{key_of(location)}#{unit.first + i}")
        encoded.append(b"" if isinstance(image, Failure) else image)
        labels.append(label)
        size += _size(image)
    yield batch()


def _size(image: bytes | Failure) -> int:
    return 0 if isinstance(image, Failure) else len(image)


def _fields(record: bytes | Failure, run: Run) -> tuple[bytes | Failure, int | str | None]:
    """Return a record's encoded image, and its label as found."""
    if isinstance(record, Failure):
        return record, None
    try:
        features = parse_example(record)
    except ValueError as error:
        return Failure("read", "INVALID_ARGUMENT", str(error)), None
    label = _first(features, (run.options.label_key,) if run.options.label_key else LABEL_KEYS)
    wanted = (run.options.image_key,) if run.options.image_key else IMAGE_KEYS
    image = _first(features, wanted)
    if not isinstance(image, bytes):
        names = ", ".join(sorted(features)[:8]) or "none"
        text = f"record has no bytes feature {' or '.join(map(repr, wanted))}; it has {names}; see --image_key"
        return Failure("read", "INVALID_ARGUMENT", text), None
    return image, label.decode("utf-8", "replace") if isinstance(label, bytes) else label


def _first(features: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first value of the first of these features that has one."""
    for name in names:
        if name in features:
            for values in (features[name].bytes_list.value, features[name].int64_list.value):
                if values:
                    return values[0]
    return None


def _records(unit: WorkUnit) -> Iterator[bytes | Failure]:
    """Yield each record's data, or why it cannot be had; a broken frame ends the file."""
    try:
        yield from _unframed(unit)
    except FileNotFoundError:
        yield from _lost(unit, Failure("read", "NOT_FOUND", "removed after it was planned"))
    except PermissionError as error:
        yield from _lost(unit, Failure("read", "PERMISSION_DENIED", error.strerror or str(error)))
    except ChangedError as error:
        yield from _lost(unit, Failure("read", "FAILED_PRECONDITION", str(error)))


def _lost(unit: WorkUnit, failure: Failure) -> Iterator[Failure]:
    """Yield one failure for every image that may still be due; the reader takes as many as there are."""
    yield from [failure] * (unit.images or 1)


def _unframed(unit: WorkUnit) -> Iterator[bytes | Failure]:
    stored = io.BufferedReader(_Span(unit), BLOCK)
    stream: io.BufferedIOBase = stored
    if unit.span[0] == 0 and _is_gzip(stored.peek(_HEADER.size)):
        stream = gzip.GzipFile(fileobj=stored)
    number, offset = unit.first, unit.span[0]
    while True:
        try:
            header = stream.read(_HEADER.size)
            length = _length(header)
            data = b"" if length is None or length > LONGEST else stream.read(length + 4)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            yield Failure("read", "DATA_LOSS", f"gzip stream is damaged at record {number}: {error}; the rest is lost")
            return
        if not header:
            return
        if length is None or len(data) < length + 4:
            what = "has a wrong length checksum" if len(header) == _HEADER.size and length is None else "is cut short"
            yield Failure("read", "DATA_LOSS", f"record {number} at byte {offset} {what}; the rest of the file is lost")
            return
        record, (crc,) = data[:length], _CRC.unpack_from(data, length)
        good = crc == _masked(record)
        yield record if good else Failure("read", "DATA_LOSS", f"checksum of record {number} at byte {offset} is wrong")
        number, offset = number + 1, offset + length + _FRAME


class _Span(io.RawIOBase):
    """The bytes of a unit's container, as the standard library's readers want them."""

    def __init__(self, unit: WorkUnit) -> None:
        super().__init__()
        (self._location,), (self._version,) = unit.locations, unit.versions
        self._position, self._stop = unit.span

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        stop = min(self._position + len(view), self._stop)
        data = read_bytes(self._location, self._position, stop, self._version)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def shortened(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n records, or of as many as it has; a compressed one is read to count them."""
    has = sum(1 for _ in islice(_records(unit), n)) if unit.images is None else unit.images
    return replace(unit, images=min(n, has))


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n of its records, its first ones."""
    return replace(unit, images=n if unit.images is None else min(n, unit.images))
