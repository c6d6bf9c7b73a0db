"""TFRecord files of tf.train.Example, plain or compressed, without TensorFlow.

`pipeline.sources.records` knows how records are framed. A record is one row, whatever it holds: one that has several
images, or is a sequence of them, is a failed row that says so.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, cast

from pipeline.batches import EncodedBatch, Failure
from pipeline.errors import ChangedError
from pipeline.sources import own_names
from pipeline.sources.compression import UnreadError, is_compressed
from pipeline.sources.container import (
    NONE,
    Cut,
    Extent,
    Image,
    count_if_empty,
    cut_container,
    extent_of,
    fail_the_rest,
    folder_in,
    is_deflated,
    is_inner,
    key_of_container,
    make_batches,
    open_stream,
    open_unit,
)
from pipeline.sources.inflate import BombError, Inflated, StreamError
from pipeline.sources.label_values import BLANK
from pipeline.sources.labels import Label, as_label, folder_of
from pipeline.sources.limits import too_large
from pipeline.sources.list_columns import as_passed
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.records import Frame, frames, length_of, masked
from pipeline.sources.skipped import EMPTY, Skipped
from pipeline.storage import StoredObject
from pipeline.units import WorkUnit

NAME = "tfrecord"
IMAGE_KEYS = ("image/encoded", "image")
LABEL_KEYS = ("image/class/label", "label")
NAME_KEYS = {"image/class/text": "text", "image/class/synset": "synset"}
"""Feature with the name of a record's class -> name of the field of a label that it becomes."""

RAW_KEY = "image_raw"
SOURCE_FOLDER = "source_folder"
"""Feature with the folder that an image lay in before `nightscore pack`; it may name the image's class."""

RAW_SHAPE = ("height", "width", "depth")

HEAD = 512
"""Bytes at the start of a file that tell whether it is compressed."""

_CRC = struct.Struct("<I")


def is_plain(head: bytes) -> bool:
    """Return whether a file that starts so begins with a record's header."""
    return length_of(head) is not None


def _is_compressed(head: bytes) -> bool:
    """Return whether a file that starts so is compressed, and not e.g. a record of 35,615 (0x8b1f) bytes."""
    return is_compressed(head) and not is_plain(head)


def index(whole: WorkUnit, cut: Cut) -> Iterator[WorkUnit]:
    """Cut a file into units by hopping from header to header; the units have no id yet.

    A compressed file, which cannot be entered in the middle, is one unit whose number of images is not known.
    """
    if not is_inner(whole):
        whole = _with_names(whole)
    if is_deflated(whole) or _is_compressed(open_unit(whole).read(HEAD)):
        yield whole
    else:
        start, stop = extent_of(whole)
        extents = cast(Iterator[Extent], frames(open_unit(whole), start, stop, stop))  # in a file each has a stop
        yield from cut_container(whole, extents, cut.unit_images)


def read(unit: WorkUnit, rule: ReadRule, skipped: Skipped | None = None) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's records in order, at most `unit.images` of them where that is known.

    Args:
        unit: the file, or a piece of it.
        rule: how it is read.
        skipped: counts a file without a record; None: `index` has counted it.
    """
    rows = count_if_empty(unit, _images(unit, rule), skipped)
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
    location = key_of_container(unit)
    folder = folder_in(unit, "") if is_inner(unit) else folder_of(unit.locations[0])
    for number, record in enumerate(_records(unit), unit.first):
        yield _image_of(f"{location}#{number}", record, folder, rule)


def _image_of(key: str, record: bytes | Failure, folder: str, rule: ReadRule) -> Image:
    """Return a record's encoded image, its label as found, the folder that it was packed from, else its file's."""
    if isinstance(record, Failure):
        return Image(key, record, None, folder)
    from pipeline.sources.tf_example import parse_record  # protobuf, which other archives do without

    try:
        features, lists = parse_record(record)
    except ValueError as error:
        return Image(key, Failure("read", "INVALID_ARGUMENT", str(error)), None, folder)
    label = _label(features, rule.label_key)
    wanted = (rule.image_key,) if rule.image_key else IMAGE_KEYS
    image = None if wanted == (RAW_KEY,) else _image(features, lists, wanted)
    if image is None and rule.image_key in (None, RAW_KEY):
        image = _raw_pixels(features)
    if image is None:
        names = ", ".join(sorted(features)[:8]) or "none"
        more = f", and a sequence of {', '.join(sorted(lists)[:8])}" if lists else ""
        text = f"record has no bytes feature {' or '.join(map(repr, wanted))}; it has {names}{more}; see --image_key"
        image = Failure("read", "INVALID_ARGUMENT", text)
    if SOURCE_FOLDER in features:
        folder = str(next(iter(_values(features, (SOURCE_FOLDER,)) or ()), ""))
    return Image(key, image, label, folder, _passed(features, rule.columns) if rule.columns else NONE)


def _passed(features: Mapping[str, Any], columns: Sequence[str]) -> Mapping[str, str]:
    """Return the features that pass through to a row: a value as text, several as a JSON list."""
    found: dict[str, str] = {}
    for name in columns:
        values = _values(features, (name,)) or []
        text = as_passed(values[0] if len(values) == 1 else values or None)
        if text is not None:
            found[name] = text
    return found


def _image(features: Mapping[str, Any], lists: Mapping[str, Any], wanted: tuple[str, ...]) -> bytes | Failure | None:
    """Return the image in the first of some features or lists of a sequence that has one, or why none."""
    for name in wanted:
        if name in features and (values := features[name].bytes_list.value):
            what = f"record has {len(values)} images in {name!r}"
        elif name in lists and (values := [v for step in lists[name].feature for v in step.bytes_list.value]):
            what = f"record is a SequenceExample of {len(values)} images in {name!r}"
        elif name in features and features[name].int64_list.value:
            return None
        else:
            continue
        if len(values) == 1:
            image: bytes = values[0]
            return image
        return Failure("read", "UNIMPLEMENTED", f"{what}, and a row is of one: write a tf.train.Example for each")
    return None


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
    values = _values(features, (key,) if key else LABEL_KEYS)
    known = _names(features) if key is None else {}
    if known and (values is None or len(values) <= 1):
        return as_label({**known, "label": values[0]} if values else known)
    if values and type(values[0]) is int:
        return values  # integers mean what they are
    label = as_label(values)
    return BLANK if values and label == [] else label


def _names(features: Mapping[str, Any]) -> dict[str, int | float | str]:
    """Return the names of its class that a record says, each by the field of a label that it becomes."""
    found = {}
    for feature, name in NAME_KEYS.items():
        if feature in features and (texts := _values(features, (feature,))) is not None and len(texts) == 1:
            found[name] = texts[0]
    return found


def _values(features: Mapping[str, Any], names: tuple[str, ...]) -> list[int | float | str] | None:
    """Return all values of the first of these features that has one; [] if those that are there have none."""
    is_there = False
    for name in names:
        if name not in features:
            continue
        is_there, feature = True, features[name]
        if numbers := feature.int64_list.value:
            return list(numbers)
        if texts := feature.bytes_list.value:
            return [text.decode("utf-8", "replace") for text in texts]
        if numbers := feature.float_list.value:
            return list(numbers)
    return [] if is_there else None


def _records(unit: WorkUnit) -> Iterator[bytes | Failure]:
    """Yield each record's data, or why there is none."""
    stream, start = open_stream(unit), unit.span[0]
    stop: int | None = unit.span[1]
    size: int | None = extent_of(unit)[1]
    number, what = unit.first, "file"
    try:
        if start == extent_of(unit)[0] and _is_compressed(stream.peek(HEAD)[:HEAD]):
            stream = Inflated(stream)
        if isinstance(stream, Inflated):
            start, stop, size, what = 0, None, None, f"{stream.name} stream"
        for number, frame in enumerate(frames(stream, start, stop, size), unit.first):
            yield _record(stream, number, frame)
            number += 1
    except UnreadError as error:
        yield Failure("read", "UNIMPLEMENTED", f"TFRecord file cannot be read: {error}")
    except (StreamError, BombError) as error:
        text = f"{what} is damaged at record {number}: {error}; the rest is lost"
        yield Failure("read", "DATA_LOSS", text)


def _record(stream: Any, number: int, frame: Frame) -> bytes | Failure:
    """Return a record's data, or why there is none."""
    if frame.length is None:
        return Failure("read", "DATA_LOSS", f"record {number} at byte {frame.start} {frame.flaw}")
    data = _data(stream, frame.length)
    if isinstance(data, Failure):
        return data
    if len(data) < frame.length + 4:
        text = f"record {number} at byte {frame.start} is cut short; the rest of the file is lost"
        return Failure("read", "DATA_LOSS", text)
    record, (crc,) = data[:-4], _CRC.unpack_from(data, len(data) - 4)
    if crc == masked(record):
        return record
    return Failure("read", "DATA_LOSS", f"checksum of record {number} at byte {frame.start} is wrong")


def _data(stream: Any, length: int) -> bytes | Failure:
    """Return a record with its checksum behind it, fewer bytes at the end of the file; or why it is no image."""
    failure = too_large(length, what="record")
    if failure is not None:
        return failure
    try:
        data: bytes = stream.read(length + 4)
    except BombError as error:
        return Failure("read", "RESOURCE_EXHAUSTED", f"record inflates too far: {error}")
    return data


def first_images(unit: WorkUnit, n: int, rule: ReadRule | None = None, skipped: Skipped | None = None) -> WorkUnit:
    """Return a unit of its first n records, or of as many as it has; a compressed one is read to count them."""
    if unit.images is not None:
        return replace(unit, images=min(n, unit.images))
    images = sum(1 for _ in islice(_records(unit), n))
    if not images and skipped is not None:
        skipped.add(EMPTY, key_of_container(unit))
    return replace(unit, images=images)


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n of its records, its first ones."""
    return replace(unit, images=n if unit.images is None else min(n, unit.images))
