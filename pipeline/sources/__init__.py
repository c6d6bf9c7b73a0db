"""Sources of encoded images: image files, and containers such as tar and TFRecord. Each kind has a module of its own.

The module of a kind cuts what is listed into work units, from names and headers alone (`cut`, `index`). It reads a unit
as encoded batches (`read`) and makes a smaller unit from one (`sample`, `first_images`). Must not know what pixels are.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Protocol

from pipeline.batches import BATCH_IMAGES, EncodedBatch
from pipeline.errors import ChangedError
from pipeline.image_kinds import HEAD
from pipeline.sources import idx, images, manifest, numpy_arrays, parquet_images, tar_archive, tfrecord, zip_archive
from pipeline.sources.container import container_unit, split_at_places
from pipeline.sources.idx import is_labels_name
from pipeline.sources.limits import GZIP
from pipeline.sources.names import IMAGE_SUFFIXES, is_junk_name, suffix
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import EMPTY, Skipped
from pipeline.storage import StoredObject, key_of, store_of
from pipeline.units import WorkUnit

__all__ = [
    "KNOWN",
    "Piece",
    "first_images",
    "head_of",
    "index",
    "is_junk_name",
    "is_labels_name",
    "is_shard",
    "kind_by_magic",
    "kind_by_name",
    "pieces",
    "read",
    "sample",
    "some_pieces",
    "table_by_magic",
    "table_by_name",
    "why_no_table",
]

KNOWN = (
    f"images ({' '.join(sorted(IMAGE_SUFFIXES))}, or what begins like one)",
    "TFRecord (.tfrecord .tfrec, also with .gz)",
    f"tar ({' '.join(tar_archive.SUFFIXES)})",
    f"zip ({' '.join(zip_archive.SUFFIXES)})",
    "IDX (images-idx3-ubyte, also with .gz)",
    f"Parquet with images in its rows ({' '.join(parquet_images.SUFFIXES)})",
    f"NumPy arrays of uint8 images ({' '.join(numpy_arrays.SUFFIXES)})",
    f"and, where --input names it, a list of images ({' '.join(sorted(manifest.SUFFIXES))})",
)
"""Files that hold images, as a message lists them."""

Piece = WorkUnit | EncodedBatch
"""A piece of a unit, at most a batch of images: a small unit that is still to be read, or the images themselves."""

_IMAGE_ENDINGS = tuple(IMAGE_SUFFIXES)
_SHARD = re.compile(r"-\d{5}-of-\d{5}(\.gz)?$")


class Source(Protocol):
    """What the module of a kind of source offers."""

    def read(self, unit: WorkUnit, rule: ReadRule) -> Generator[EncodedBatch, None, None]:
        """See `read`."""

    def sample(self, unit: WorkUnit, n: int) -> WorkUnit:
        """See `sample`."""

    def first_images(self, unit: WorkUnit, n: int) -> WorkUnit:
        """See `first_images`."""


class Container(Source, Protocol):
    """What the module of a kind of container offers besides."""

    def index(self, found: StoredObject, unit_images: int, skipped: Skipped) -> Iterator[WorkUnit]:
        """See `index`."""


class Table(Source, Protocol):
    """What the module of a kind of table offers besides: a container of which not every file holds images."""

    SUFFIXES: tuple[str, ...]

    def index(
        self, found: StoredObject, unit_images: int, skipped: Skipped, rule: ReadRule | None = None
    ) -> Iterator[WorkUnit]:
        """See `index`."""

    def why_none(self, found: StoredObject, image_key: str | None = None) -> str | None:
        """See `why_no_table`."""


_CONTAINERS: dict[str, Container] = {
    tfrecord.NAME: tfrecord,
    tar_archive.NAME: tar_archive,
    zip_archive.NAME: zip_archive,
    idx.NAME: idx,
}
_TABLES: dict[str, Table] = {parquet_images.NAME: parquet_images, numpy_arrays.NAME: numpy_arrays}
_SOURCES: dict[str, Source] = {images.NAME: images, **_CONTAINERS, **_TABLES}
_MAGIC = {
    images.NAME: images.is_image,
    tfrecord.NAME: tfrecord.is_tfrecord,
    zip_archive.NAME: zip_archive.is_zip,
    idx.NAME: idx.is_idx,
    tar_archive.NAME: tar_archive.is_tar,
}


def index(
    kind: str, found: StoredObject, unit_images: int, skipped: Skipped, rule: ReadRule | None = None
) -> Iterator[WorkUnit]:
    """Cut a container into units, which have no id yet, and count what in it is no image.

    The first bytes of the container decide of which kind it is, if they are those of a container at all.
    A container that cannot be read, or that has changed since it was listed, becomes one unit; its rows say why.

    Args:
        kind: what its name promises: "tfrecord", "tar", "zip" or "idx"; or what it is: "parquet" or "numpy".
        found: the container, as listed.
        unit_images: images in a unit, at most.
        skipped: counts by reason what is no image.
        rule: which columns and arrays of a table are meant; None: those with the usual names.

    Raises:
        UsageError: it is not clear which column or array of a table is meant.
    """
    if found.size == 0:
        skipped.add(EMPTY, key_of(found.location))
        return
    try:
        if kind in _TABLES:
            units = list(_TABLES[kind].index(found, unit_images, skipped, rule))
        else:
            kind = _confirmed(kind, head_of(found))
            units = list(_CONTAINERS[kind].index(found, unit_images, skipped))
    except (FileNotFoundError, PermissionError, ChangedError):
        units = [container_unit(kind, found)]
    if not units:
        skipped.add(EMPTY, key_of(found.location))
    yield from units


def _confirmed(kind: str, head: bytes) -> str:
    if _MAGIC[kind](head):
        return kind
    found = kind_by_magic(head)
    return found if found in _CONTAINERS else kind


def read(unit: WorkUnit, rule: ReadRule) -> Generator[EncodedBatch, None, None]:
    """Yield a unit's images in order. An image that cannot be read is there as a failed one.

    Raises:
        TransientError: the store fails for now.
    """
    return _SOURCES[unit.source].read(unit, rule)


def pieces(unit: WorkUnit, rule: ReadRule, most: int | None = None) -> Iterator[Piece]:
    """Yield a unit's images in order, in pieces of at most a batch.

    A piece is a smaller unit, which somebody else can read. If a unit cannot be read from the middle, it is read here,
    and its pieces are batches.

    Args:
        unit: that holds the images.
        rule: how they are read.
        most: images in a piece, at most; None: as many as in a batch. A TFRecord file is cut at the unit's places only.

    Raises:
        TransientError: the store fails for now.
    """
    smaller = replace(rule, batch_images=min(rule.batch_images, most or rule.batch_images))
    if unit.source == images.NAME:
        yield from images.pieces(unit, smaller)
    elif unit.source == tfrecord.NAME and unit.images and rule.batch_images == BATCH_IMAGES:
        yield from split_at_places(unit)
    else:
        with closing(read(unit, smaller)) as batches:
            yield from batches


def some_pieces(unit: WorkUnit, rows: Sequence[int], rule: ReadRule) -> Iterator[Piece]:
    """Yield some of a unit's images, in order, in pieces of at most a batch.

    A container is read whole to find them.

    Args:
        unit: that holds them.
        rows: their numbers in the unit, sorted.
        rule: how they are read.
    """
    if unit.source == images.NAME:
        yield from images.pieces(images.pick(unit, rows), rule)
        return
    first = 0
    with closing(read(unit, rule)) as batches:
        for batch in batches:
            chosen = [row - first for row in rows if first <= row < first + len(batch.encoded)]
            first += len(batch.encoded)
            if chosen:
                yield batch.pick(chosen)


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n images of a unit; which ones, its source decides."""
    return _SOURCES[unit.source].sample(unit, n)


def first_images(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of the first n images of a unit, or of all if it has fewer."""
    return _SOURCES[unit.source].first_images(unit, n)


def kind_by_name(name: str) -> str | None:
    """Return the kind of source that a file's name promises, None if it promises none. The name is not junk.

    >>> kind_by_name("a/B.JPG"), kind_by_name("x.tfrecord-00000-of-00004"), kind_by_name("notes.txt")
    ('images', 'tfrecord', None)
    """
    if name.endswith(_IMAGE_ENDINGS) or suffix(name) in IMAGE_SUFFIXES:  # the first is fast
        return images.NAME
    lower = name.lower()
    if tfrecord.is_tfrecord_name(lower):
        return tfrecord.NAME
    if lower.endswith(tar_archive.SUFFIXES):
        return tar_archive.NAME
    if lower.endswith(zip_archive.SUFFIXES):
        return zip_archive.NAME
    return idx.NAME if idx.is_idx_name(lower) else None


def table_by_name(name: str) -> str | None:
    """Return the kind of table that a file's name promises, None if it promises none. It may hold no images.

    >>> table_by_name("train-00000-of-00001.parquet"), table_by_name("mnist.npz"), table_by_name("a.csv")
    ('parquet', 'numpy', None)
    """
    return next((kind for kind, table in _TABLES.items() if suffix(name) in table.SUFFIXES), None)


def table_by_magic(head: bytes) -> str | None:
    """Return the kind of table of a file with these first HEAD bytes, None if it is none."""
    if parquet_images.is_parquet(head):
        return parquet_images.NAME
    return numpy_arrays.NAME if numpy_arrays.is_numpy(head) else None


def why_no_table(kind: str, found: StoredObject, image_key: str | None = None) -> str | None:
    """Return the reason why a table holds no images; None if it holds some, or cannot be read: its rows say why.

    Args:
        kind: of the table.
        found: as listed.
        image_key: column or array that is meant; None: one with a usual name.
    """
    return _TABLES[kind].why_none(found, image_key)


def is_shard(name: str) -> bool:
    """Return whether a name looks like train-00000-of-00010, which may be anything."""
    return _SHARD.search(name) is not None


def head_of(found: StoredObject) -> bytes:
    """Return the first HEAD bytes of an object."""
    return store_of(found.location).read(found.location, 0, HEAD, found.version)


def kind_by_magic(head: bytes) -> str | None:
    """Return the kind of source that can read a file with these first HEAD bytes, None if none can."""
    if head.startswith(GZIP) and not tfrecord.is_plain(head):
        try:
            head = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, HEAD)
        except (zlib.error, gzip.BadGzipFile):
            return None
    return next((kind for kind, is_kind in _MAGIC.items() if is_kind(head)), None)
