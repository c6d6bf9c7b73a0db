"""MNIST's own layout: IDX files of uint8 images, and of labels beside them, gzip or not.

Big-endian: magic 0x00000803 (images) or 0x00000801 (labels), one uint32 a dimension, then the values
(http://yann.lecun.com/exdb/mnist/). Pixels travel as binary PGM files, which is a header of a few bytes.

A file that ends too early has a failed row for each image that it lacks, or one for all if those are very many; one
that goes on behind its last image has one more (in a gzip file it is the last image's). Pixels and labels have no
checksum, except in gzip files.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import re
import struct
import zlib
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import islice, repeat
from typing import Any, NamedTuple

import numpy as np

from pipeline.batches import EncodedBatch, Failure
from pipeline.errors import UsageError
from pipeline.sources.container import (
    Extent,
    Image,
    container_unit,
    cut_container,
    fail_the_rest,
    make_batches,
    open_unit,
)
from pipeline.sources.labels import Label, as_label, folder_of
from pipeline.sources.limits import BLOCK, DEFLATED, GZIP, LONGEST, too_large
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import Skipped
from pipeline.storage import StoredFile, StoredObject, absolute, key_of, stat, store_of
from pipeline.units import WorkUnit

NAME = "idx"
_IMAGES = re.compile(r"images([-.])idx3([-.]ubyte(?:\.gz)?)$", re.IGNORECASE)
_LABELS = re.compile(r"labels[-.]idx[1-4][-.](?:ubyte|byte|short|int|float|double)(?:\.gz)?$", re.IGNORECASE)
_LABEL_FORMS = (r"labels\1idx1\2", r"labels\1idx2-int")
"""Names of files of labels, made from that of the images: MNIST's and QMNIST's."""

_HEADER = struct.Struct(">IIII")
_MAGIC = 0x803
_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""Number of a type in an IDX header -> the same for NumPy."""

_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)

MISSING = 1 << 16
"""Number of missing images up to which each has a failed row. More have one together: the header is likely damaged."""

MOST_COLUMNS = 64
"""Numbers of a label in a file of labels, at most."""

MOST = 1 << 24
"""Number of images in a gzip file, and of labels in a file, at most."""


_WRONG = Failure("read", "DATA_LOSS", "not an IDX file of images: its header is wrong")


def is_idx_name(name: str) -> bool:
    """Return whether a name is like train-images-idx3-ubyte or t10k-images.idx3-ubyte.gz."""
    return _IMAGES.search(name) is not None


def is_labels_name(name: str) -> bool:
    """Return whether a name is like train-labels-idx1-ubyte."""
    return _LABELS.search(name) is not None


def is_idx(head: bytes) -> bool:
    """Return whether a file that starts so is an IDX file of images."""
    return head.startswith(_MAGIC.to_bytes(4, "big"))


class _Shape(NamedTuple):
    """What a header says, and what that makes of the file.

    Attributes:
        claimed: how many images there should be.
        height: of each, in pixels.
        width: of each, in pixels.
        images: how many have a row of their own.
        rows: images, and one more if the file's size is not that of them.
    """

    claimed: int
    height: int
    width: int
    images: int
    rows: int

    @property
    def pixels(self) -> int:
        """Bytes of an image."""
        return self.height * self.width


def index(found: StoredObject, unit_images: int, skipped: Skipped) -> Iterator[WorkUnit]:
    """Cut a file into units by its header; the units have no id yet. A gzip file or a damaged one is one unit."""
    whole = container_unit(NAME, found)
    file = _open(open_unit(whole))
    shape = _shape(file, found.size)
    if isinstance(shape, Failure):
        yield replace(whole, images=1)
        return
    whole = _with_labels(whole)
    if isinstance(file, gzip.GzipFile):
        if shape.rows:
            yield replace(whole, images=shape.rows)
        return
    yield from cut_container(whole, _extents(shape, found.size), unit_images)


def _extents(shape: _Shape, size: int) -> Iterator[Extent]:
    for number in range(shape.rows):
        start = _HEADER.size + number * shape.pixels
        stop = start + shape.pixels if number < shape.images else size
        yield Extent(min(start, size), min(stop, size))


def _with_labels(unit: WorkUnit) -> WorkUnit:
    """Return the unit with its labels' file as a second object, where there is one beside it."""
    found = next(filter(None, map(stat, _names_of_labels(unit.locations[0]))), None)
    return unit if found is None else _with(unit, found)


def _names_of_labels(location: str) -> Iterator[str]:
    """Yield where the labels of a file of images may lie: beside it, or as Kaggle unpacks archives, in own folders."""
    folder, _, file = location.rpartition("/")
    if not _IMAGES.search(file):
        return
    above, _, own = folder.rpartition("/")
    for form in _LABEL_FORMS:
        name = _IMAGES.sub(form, file).removesuffix(".gz")
        folders = [folder]
        if _IMAGES.search(own):
            folders += [f"{above}/{name}", f"{above}/{_IMAGES.sub(form, own)}"]
        if own.lower() == "images":
            folders.append(f"{above}/{own.replace('images', 'labels').replace('Images', 'Labels')}")
        for place in folders:
            yield f"{place}/{name}"
            yield f"{place}/{name}.gz"


def _with(unit: WorkUnit, labels: StoredObject) -> WorkUnit:
    return replace(
        unit,
        locations=(unit.locations[0], labels.location),
        sizes=(unit.sizes[0], labels.size),
        versions=(unit.versions[0], labels.version),
    )


def with_labels_file(unit: WorkUnit, labels_file: str) -> WorkUnit:
    """Return the unit with a file of labels that a person names.

    Raises:
        UsageError: it is not there, is no IDX file, or has not as many labels as there are images.
    """
    location = absolute(labels_file)
    found = stat(location)
    if found is None:
        raise UsageError(f"--labels_file {labels_file!r} does not exist; give an IDX file of labels")
    shape = _labels_shape(_open(StoredFile(store_of(location), found)))
    image = _shape(_open(open_unit(unit)), unit.sizes[0])
    if shape is None:
        raise UsageError(f"--labels_file {labels_file!r} is no IDX file of labels; its header is wrong")
    if isinstance(image, _Shape) and shape[1][0] != image.claimed:
        raise UsageError(
            f"--labels_file {labels_file!r} has {shape[1][0]:,} labels and {key_of(unit.locations[0])!r} has "
            f"{image.claimed:,} images; give each its own run"
        )
    return _with(unit, found)


def _open(file: StoredFile) -> Any:
    buffered = io.BufferedReader(file, BLOCK)
    return gzip.GzipFile(fileobj=buffered) if buffered.peek(2)[:2] == GZIP else buffered


def _shape(file: Any, size: int) -> _Shape | Failure:
    """Return what the header of a file of `size` stored bytes says, or why no image of it is read."""
    try:
        header = file.read(_HEADER.size)
        goes_on = bool(file.read(1))
    except _BROKEN:
        return _WRONG
    if len(header) < _HEADER.size:
        return _WRONG
    magic, n, height, width = _HEADER.unpack(header)
    pixels = height * width
    if magic != _MAGIC or not 0 < pixels <= LONGEST:
        return _WRONG
    if isinstance(file, gzip.GzipFile):
        if n > size * DEFLATED // pixels or (n == 0 and goes_on):
            return _WRONG
        return _Shape(n, height, width, images=n, rows=n) if n <= MOST else _too_many(n)
    held = size - _HEADER.size
    images = n if n < held // pixels + MISSING else held // pixels
    more = n > images or held > n * pixels
    return _Shape(n, height, width, images, images + more)


def _too_many(n: int) -> Failure:
    text = f"it has {n:,} images, and of a gzip file at most {MOST:,} are read: unpack it with gunzip"
    return Failure("read", "RESOURCE_EXHAUSTED", text)


def read(unit: WorkUnit, rule: ReadRule) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's images in order, as PGM files."""
    return make_batches(islice(fail_the_rest(unit, _images(unit), "#"), unit.images), rule)


def _images(unit: WorkUnit) -> Iterator[Image]:
    location = key_of(unit.locations[0])
    folder = folder_of(unit.locations[0])
    file = _open(open_unit(unit))
    shape = _shape(file, unit.sizes[0])
    if isinstance(shape, Failure):
        yield Image(f"{location}#0", shape, None, "")
        return
    last = shape.rows if unit.images is None else unit.first + unit.images
    labels = list(_labels(unit, last - unit.first))
    pixels: Iterator[bytes | Failure] = _pixels(file, shape, unit.first, last)
    packed = unit.sizes[0] // shape.rows if isinstance(file, gzip.GzipFile) else None
    refused = too_large(shape.pixels, packed, "image")
    if refused is not None:
        pixels = repeat(refused, last - unit.first)
    for number, data in enumerate(pixels, unit.first):
        label = labels[number - unit.first] if number - unit.first < len(labels) else None
        yield Image(f"{location}#{number}", data, label, folder)


def _pixels(file: Any, shape: _Shape, first: int, last: int) -> Iterator[bytes | Failure]:
    """Yield images [first, last) as PGM files, or what became of them."""
    pgm = f"P5 {shape.width} {shape.height} 255\n".encode("ascii")
    why = ""
    with contextlib.suppress(*_BROKEN):  # reading says the same
        file.seek(_HEADER.size + first * shape.pixels)
    for number in range(first, last):
        data = b""
        try:
            if not why and number < shape.images:
                data = file.read(shape.pixels)
                why = "" if len(data) == shape.pixels else "it ends"
            if number == shape.images or (number + 1 == shape.rows and file.read(1)):
                why = why or f"its size is not that of the {shape.claimed:,} images in its header"
        except _BROKEN as error:
            why = str(error)
        yield Failure("read", "DATA_LOSS", f"file is damaged at image {number}: {why}") if why else pgm + data


def _labels(unit: WorkUnit, n: int) -> list[Label]:
    """Return the labels of the unit's n images; fewer, or none, where there are none or their file is damaged."""
    if len(unit.locations) == 1:
        return []
    found = StoredObject(unit.locations[1], unit.sizes[1], unit.versions[1])
    file = _open(StoredFile(store_of(found.location), found))
    shape = _labels_shape(file)
    if shape is None:
        return []
    kind, (count, *others) = shape
    width = math.prod(others)
    try:
        data = file.read(min(count, MOST) * width * kind.itemsize + 1)  # a gzip file's end is its checksum
    except _BROKEN:
        return []
    if len(data) > count * width * kind.itemsize:
        return []
    whole = len(data) // (width * kind.itemsize)
    values = np.frombuffer(data, kind, whole * width)[::width]  # the first one of QMNIST's is the class
    return [as_label(value) for value in values[unit.first : unit.first + n].tolist()]


def _labels_shape(file: Any) -> tuple[np.dtype[Any], tuple[int, ...]] | None:
    """Return the type and the dimensions that the header of a file of labels says; None where it is none."""
    try:
        zeros, kind, axes = struct.unpack(">HBB", file.read(4))
        shape = struct.unpack(f">{axes}I", file.read(4 * axes))
    except (*_BROKEN, struct.error):
        return None
    if zeros or kind not in _TYPES or axes not in (1, 2) or not 0 < math.prod(shape[1:]) <= MOST_COLUMNS:
        return None
    return np.dtype(_TYPES[kind]), shape


def first_images(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n images."""
    return replace(unit, images=min(n, 1 if unit.images is None else unit.images))


sample = first_images
