"""MNIST's own layout: IDX files of uint8 images, and of labels beside them, gzip or not.

Big-endian: magic 0x00000803 (images) or 0x00000801 (labels), one uint32 a dimension, then the values
(http://yann.lecun.com/exdb/mnist/). Pixels travel as binary PGM files, which is a header of a few bytes.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import struct
import zlib
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import islice
from typing import IO, Any

from pipeline.batches import EncodedBatch, Failure
from pipeline.labels import folder_of
from pipeline.run import Run
from pipeline.sources.container import (
    BLOCK,
    Image,
    Piece,
    batched,
    container_unit,
    cut_container,
    guarded,
    open_unit,
)
from pipeline.storage import StoredFile, StoredObject, key_of, stat, store_of
from pipeline.units import WorkUnit

NAME = "idx"
_IMAGES = re.compile(r"images([-.])idx3([-.]ubyte(?:\.gz)?)$", re.IGNORECASE)
_LABELS = re.compile(r"labels[-.]idx1[-.]ubyte(?:\.gz)?$", re.IGNORECASE)
_HEADER = struct.Struct(">IIII")
_LABELS_HEADER = struct.Struct(">II")
_MAGIC, _LABELS_MAGIC = 0x803, 0x801
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)


def is_idx_name(name: str) -> bool:
    """Return whether a name is like train-images-idx3-ubyte or t10k-images.idx3-ubyte.gz."""
    return _IMAGES.search(name) is not None


def is_labels_name(name: str) -> bool:
    """Return whether a name is like train-labels-idx1-ubyte."""
    return _LABELS.search(name) is not None


def is_idx(head: bytes) -> bool:
    """Return whether a file that starts so is an IDX file of images."""
    return head.startswith(_MAGIC.to_bytes(4, "big"))


def index(found: StoredObject, unit_images: int, skipped: Counter[str]) -> Iterator[WorkUnit]:
    """Cut a file into units by its header; a gzip file, or one that is damaged, is one unit. They have no id yet."""
    whole = container_unit(NAME, found)
    with _open(open_unit(whole)) as file:
        shape = _shape(file)
    if shape is None:
        yield replace(whole, images=1)
        return
    n, height, width = shape
    whole = _with_labels(whole)
    if open_unit(whole).read(2) == b"\x1f\x8b":
        yield replace(whole, images=n)
        return
    starts = (_HEADER.size + i * height * width for i in range(n))
    yield from cut_container(whole, (Piece(start, start + height * width) for start in starts), unit_images)


def _with_labels(unit: WorkUnit) -> WorkUnit:
    """Return the unit with its labels' file as a second object, where there is one beside it."""
    stem = _IMAGES.sub(r"labels\1idx1\2", unit.locations[0]).removesuffix(".gz")
    for name in (stem, f"{stem}.gz"):
        labels = stat(name)
        if labels is not None:
            return replace(
                unit,
                locations=(*unit.locations, labels.location),
                sizes=(*unit.sizes, labels.size),
                versions=(*unit.versions, labels.version),
            )
    return unit


def _open(file: StoredFile) -> Any:
    buffered = io.BufferedReader(file, BLOCK)
    return gzip.GzipFile(fileobj=buffered) if buffered.peek(2)[:2] == b"\x1f\x8b" else buffered


def _shape(file: IO[bytes]) -> tuple[int, int, int] | None:
    """Return (images, height, width) as the header says; None where it is no header of images."""
    try:
        header = file.read(_HEADER.size)
    except _BROKEN:
        return None
    if len(header) < _HEADER.size:
        return None
    magic, n, height, width = _HEADER.unpack(header)
    return (n, height, width) if magic == _MAGIC and height and width else None


def read(unit: WorkUnit, run: Run) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's images in order, as PGM files."""
    return batched(islice(guarded(unit, _images(unit), "#"), unit.images), run)


def _images(unit: WorkUnit) -> Iterator[Image]:
    location = key_of(unit.locations[0])
    folder = folder_of(unit.locations[0])
    file = _open(open_unit(unit))
    shape = _shape(file)
    if shape is None:
        yield Image(
            f"{location}#0", Failure("read", "DATA_LOSS", "not an IDX file of images: its header is wrong"), None, ""
        )
        return
    _, height, width = shape
    pgm = f"P5 {width} {height} 255\n".encode("ascii")
    with contextlib.suppress(*_BROKEN):  # reading says the same of every image
        file.seek(_HEADER.size + unit.first * height * width)
    for number, label in enumerate(_labels(unit), unit.first):
        try:
            pixels = file.read(height * width)
        except _BROKEN:
            pixels = b""
        whole = len(pixels) == height * width
        data = pgm + pixels if whole else Failure("read", "DATA_LOSS", f"the file ends before image {number}")
        yield Image(f"{location}#{number}", data, label, folder)


def _labels(unit: WorkUnit) -> Iterator[int | None]:
    """Yield a label for each image of the unit; None where there is none, or the file of labels is damaged."""
    labels = b""
    if len(unit.locations) > 1:
        found = StoredObject(unit.locations[1], unit.sizes[1], unit.versions[1])
        file = _open(StoredFile(store_of(found.location), found))
        try:
            header = file.read(_LABELS_HEADER.size)
            if len(header) == _LABELS_HEADER.size and _LABELS_HEADER.unpack(header)[0] == _LABELS_MAGIC:
                labels = file.read()[unit.first : unit.first + (unit.images or 0)]
        except _BROKEN:
            labels = b""
    yield from labels
    yield from [None] * ((unit.images or 0) - len(labels))


def shortened(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of its first n images."""
    return replace(unit, images=min(n, unit.images or 0))


sample = shortened
