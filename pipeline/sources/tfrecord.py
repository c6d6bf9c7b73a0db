"""TFRecord files of tf.train.Example, plain or compressed, without TensorFlow.

`pipeline.sources.records` knows how records are framed, and `pipeline.sources.example_image` what they say of an image.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, cast

from pipeline.batches import EncodedBatch, Failure
from pipeline.errors import ChangedError
from pipeline.sources import own_names
from pipeline.sources.compression import UnreadError, is_compressed
from pipeline.sources.container import (
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
from pipeline.sources.example_image import image_of
from pipeline.sources.inflate import BombError, Inflated, StreamError
from pipeline.sources.labels import folder_of
from pipeline.sources.limits import too_large
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.records import Frame, frames, length_of, masked
from pipeline.sources.skipped import EMPTY, Skipped
from pipeline.storage import StoredObject
from pipeline.units import WorkUnit

NAME = "tfrecord"
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
        yield image_of(f"{location}#{number}", record, folder, rule)


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
