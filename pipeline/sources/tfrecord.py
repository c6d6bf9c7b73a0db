"""TFRecord files of tf.train.Example, plain or gzip, without TensorFlow.

A record is framed as: uint64 length, uint32 masked CRC32C of it, data, uint32 masked CRC32C of the data, all
little-endian (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).

What a broken frame hides cannot be counted: the rest of the file is one failed row.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import google_crc32c

from pipeline.batches import EncodedBatch, Failure
from pipeline.errors import ChangedError
from pipeline.sources import own_names
from pipeline.sources.container import (
    Extent,
    Image,
    container_unit,
    cut_container,
    fail_the_rest,
    make_batches,
    open_unit,
)
from pipeline.sources.inflate import BombError, Inflated
from pipeline.sources.labels import Label, as_label, folder_of
from pipeline.sources.limits import BLOCK, GZIP, too_large
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import Skipped
from pipeline.storage import StoredObject, key_of
from pipeline.units import WorkUnit

NAME = "tfrecord"
IMAGE_KEYS = ("image/encoded", "image")
LABEL_KEYS = ("image/class/label", "label")
NAME_KEYS = ("text", "synset")
"""Names, behind image/class/, of features with the name of a record's class."""

RAW_KEY = "image_raw"
RAW_SHAPE = ("height", "width", "depth")

_NAME = re.compile(r"\.(tfrecords?|tfrec)(-\d+-of-\d+)?(\.gz)?$")
_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_FRAME = 16
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)


def is_tfrecord_name(lower: str) -> bool:
    """Return whether a name in lower case promises TFRecords."""
    return _NAME.search(lower) is not None


def is_plain(head: bytes) -> bool:
    """Return whether a file that starts so begins with a record's header."""
    return _length(head) is not None


def is_tfrecord(head: bytes) -> bool:
    """Return whether a file that starts so is gzip or begins with a record's header."""
    return head.startswith(GZIP) or is_plain(head)


def _is_gzip(head: bytes) -> bool:
    """Return whether a file that starts so is gzip, and not a record of 35,615 (0x8b1f) bytes."""
    return head.startswith(GZIP) and not is_plain(head)


def _length(header: bytes) -> int | None:
    """Return the record length that a header announces, None where its checksum is wrong."""
    if len(header) < _HEADER.size:
        return None
    length, crc = _HEADER.unpack_from(header)
    return int(length) if crc == _masked(header[:8]) else None


def _masked(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def index(found: StoredObject, unit_images: int, skipped: Skipped) -> Iterator[WorkUnit]:
    """Cut a file into units by hopping from header to header; the units have no id yet.

    A gzip file, which cannot be entered in the middle, is one unit whose number of images is not known.
    """
    whole = _with_names(container_unit(NAME, found))
    if _is_gzip(open_unit(whole).read(_HEADER.size)):
        yield whole
    else:
        yield from cut_container(whole, _frames(whole), unit_images)


def _frames(whole: WorkUnit) -> Iterator[Extent]:
    """Yield every record; the last is what follows a broken frame, to the end of the file."""
    size = whole.sizes[0]
    file = open_unit(whole)
    position = 0
    while position < size:
        file.seek(position)
        length = _length(file.read(_HEADER.size))
        if length is None or position + length + _FRAME > size:
            yield Extent(position, size)
            return
        yield Extent(position, position + length + _FRAME)
        position += length + _FRAME


def read(unit: WorkUnit, rule: ReadRule) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's records in order, at most `unit.images` of them where that is known."""
    rows = _images(unit, rule)
    try:
        rule = _with_names_of(unit, rule)
    except (OSError, ChangedError) as error:
        rows = _raise(error)
    return make_batches(islice(fail_the_rest(unit, rows, "#"), unit.images), rule)


def _with_names(unit: WorkUnit) -> WorkUnit:
    """Return the unit with the file of its archive's own names as a second object, where there is one beside it."""
    names = own_names.beside(unit.locations[0])
    if names is None:
        return unit
    return replace(
        unit,
        locations=(*unit.locations, names.location),
        sizes=(*unit.sizes, names.size),
        versions=(*unit.versions, names.version),
    )


def _with_names_of(unit: WorkUnit, rule: ReadRule) -> ReadRule:
    """Return the rule that reads numbers by the names of a unit's second object, if it has one."""
    if len(unit.locations) == 1:
        return rule
    names = own_names.read_names(StoredObject(unit.locations[1], unit.sizes[1], unit.versions[1]))
    return replace(rule, labels=replace(rule.labels, archive_names=names))


def _raise(error: Exception) -> Iterator[Image]:
    raise error
    yield


def _images(unit: WorkUnit, rule: ReadRule) -> Iterator[Image]:
    location, folder = key_of(unit.locations[0]), folder_of(unit.locations[0])
    for number, record in enumerate(_records(unit), unit.first):
        yield Image(f"{location}#{number}", *_fields(record, rule), folder)


def _fields(record: bytes | Failure, rule: ReadRule) -> tuple[bytes | Failure, Label]:
    """Return a record's encoded image, and its label as found."""
    if isinstance(record, Failure):
        return record, None
    from pipeline.sources.tf_example import parse_example  # protobuf, which other archives do without

    try:
        features = parse_example(record)
    except ValueError as error:
        return Failure("read", "INVALID_ARGUMENT", str(error)), None
    label = _label(features, rule.label_key)
    wanted = (rule.image_key,) if rule.image_key else IMAGE_KEYS
    image = None if wanted == (RAW_KEY,) else _first(features, wanted)
    if image is None and rule.image_key in (None, RAW_KEY):
        image = _raw_pixels(features)
    if not isinstance(image, bytes):
        names = ", ".join(sorted(features)[:8]) or "none"
        text = f"record has no bytes feature {' or '.join(map(repr, wanted))}; it has {names}; see --image_key"
        image = Failure("read", "INVALID_ARGUMENT", text)
    return image, label


def _raw_pixels(features: Mapping[str, Any]) -> bytes | None:
    """Return `image_raw`, uint8 of `height` x `width` x `depth`, as a PGM or PPM file; None where it is not that."""
    pixels = _first(features, (RAW_KEY,))
    height, width, depth = (_first(features, (name,)) for name in RAW_SHAPE)
    depth = 1 if depth is None else depth
    if not (isinstance(pixels, bytes) and isinstance(height, int) and isinstance(width, int) and depth in (1, 3)):
        return None
    if height < 1 or width < 1 or len(pixels) != height * width * depth:
        return None
    return f"P{5 if depth == 1 else 6} {width} {height} 255\n".encode("ascii") + pixels


def _first(features: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first value of the first of these features that has one."""
    for name in names:
        if name in features:
            for values in (features[name].bytes_list.value, features[name].int64_list.value):
                if values:
                    return values[0]
    return None


def _label(features: Mapping[str, Any], key: str | None) -> Label:
    """Return all that a record says of its label: also its names, unless a key is given."""
    values = _label_values(features, (key,) if key else LABEL_KEYS)
    names = {} if key else {name: _label_values(features, (f"image/class/{name}",)) for name in NAME_KEYS}
    known = {name: texts[0] for name, texts in names.items() if texts is not None and len(texts) == 1}
    if not known or (values is not None and len(values) > 1):
        return as_label(values)
    return as_label({**known, "label": values[0]} if values else known)


def _label_values(features: Mapping[str, Any], names: tuple[str, ...]) -> list[int | float | str] | None:
    """Return all values of the first of these features that has one; [] if those that are there have none."""
    there = [features[name] for name in names if name in features]
    for feature in there:
        if texts := feature.bytes_list.value:
            return [text.decode("utf-8", "replace") for text in texts]
        if numbers := feature.int64_list.value or feature.float_list.value:
            return list(numbers)
    return [] if there else None


def _records(unit: WorkUnit) -> Iterator[bytes | Failure]:
    """Yield each record's data; a broken frame fails the rest of the file."""
    stream: Any = io.BufferedReader(open_unit(unit, *unit.span), BLOCK)
    if unit.span[0] == 0 and _is_gzip(stream.peek(_HEADER.size)):
        stream = Inflated(stream)
    number, offset = unit.first, unit.span[0]
    while True:
        try:
            header = stream.read(_HEADER.size)
            length = _length(header)
            data = b"" if length is None else _data(stream, length)
        except (*_BROKEN, BombError) as error:
            yield Failure("read", "DATA_LOSS", f"gzip stream is damaged at record {number}: {error}; the rest is lost")
            return
        if not header:
            return
        if length is None or (isinstance(data, bytes) and len(data) < length + 4):
            short = length is not None or len(header) < _HEADER.size
            what = "is cut short" if short else "has a wrong length checksum"
            yield Failure("read", "DATA_LOSS", f"record {number} at byte {offset} {what}; the rest of the file is lost")
            return
        yield data if isinstance(data, Failure) else _checked(data, number, offset)
        number, offset = number + 1, offset + length + _FRAME


def _data(stream: Any, length: int) -> bytes | Failure:
    """Return a record with its checksum behind it; one that is no image is passed over."""
    end = stream.tell() + length + 4
    failure = too_large(length, what="record")
    if failure is None:
        try:
            data: bytes = stream.read(length + 4)
            return data
        except BombError as error:
            failure = Failure("read", "RESOURCE_EXHAUSTED", f"record inflates too far: {error}")
    stream.seek(end)
    return failure


def _checked(data: bytes, number: int, offset: int) -> bytes | Failure:
    """Return a record without the checksum behind it, if that is right."""
    record, (crc,) = data[:-4], _CRC.unpack_from(data, len(data) - 4)
    if crc == _masked(record):
        return record
    return Failure("read", "DATA_LOSS", f"checksum of record {number} at byte {offset} is wrong")


def first_images(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n records, or of as many as it has; a compressed one is read to count them."""
    if unit.images is not None:
        return replace(unit, images=min(n, unit.images))
    return replace(unit, images=sum(1 for _ in islice(_records(unit), n)))


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n of its records, its first ones."""
    return replace(unit, images=n if unit.images is None else min(n, unit.images))
