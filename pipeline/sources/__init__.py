"""Sources of encoded images: image files, and containers such as tar and TFRecord. Each kind has a module of its own.

The module of a kind cuts what is listed into work units, from names and headers alone (`cut`, `index`). It reads a unit
as encoded batches (`read`) and makes a smaller unit from one (`sample`, `first_images`). Must not know what pixels are.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Protocol

from pipeline.batches import BATCH_IMAGES, EncodedBatch
from pipeline.errors import ChangedError
from pipeline.image_kinds import HEAD
from pipeline.sources import idx, images, manifest, numpy_arrays, parquet_images, tar_archive, tfrecord, zip_archive
from pipeline.sources.container import Cut, container_unit, key_of_container, open_stream, split_at_places
from pipeline.sources.container_names import container_kind
from pipeline.sources.idx import is_labels_name
from pipeline.sources.inflate import BombError, StreamError, compression_of, first_inflated, is_compressed
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
    "TFRecord (.tfrecord .tfrec, also with .gz .zz .bz2 .xz .zst)",
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


class Archive(Source, Protocol):
    """What the module of a kind of container offers besides that may lie in another one, and may hold others."""

    def first_images(self, unit: WorkUnit, n: int, rule: ReadRule | None = None) -> WorkUnit:
        """See `first_images`."""

    def index(self, whole: WorkUnit, cut: Cut) -> Iterator[WorkUnit]:
        """See `index`."""


_CONTAINERS: dict[str, Container] = {idx.NAME: idx}
_ARCHIVES: dict[str, Archive] = {
    tfrecord.NAME: tfrecord,
    tar_archive.NAME: tar_archive,
    zip_archive.NAME: zip_archive,
}
_TABLES: dict[str, Table] = {parquet_images.NAME: parquet_images, numpy_arrays.NAME: numpy_arrays}
_SOURCES: dict[str, Source] = {images.NAME: images, **_CONTAINERS, **_ARCHIVES, **_TABLES}
_MAGIC = {
    images.NAME: images.is_image,
    tfrecord.NAME: tfrecord.is_plain,
    zip_archive.NAME: zip_archive.is_zip,
    idx.NAME: idx.is_idx,
    tar_archive.NAME: tar_archive.is_plain,
}
_COMPRESSED = (tfrecord.NAME, tar_archive.NAME, idx.NAME)
"""Kinds of containers that may be compressed as a whole."""


def index(
    kind: str, found: StoredObject, unit_images: int, skipped: Skipped, rule: ReadRule | None = None
) -> Iterator[WorkUnit]:
    """Cut a container into units, which have no id yet, and count what in it is no image.

    The first bytes of the container decide of which kind it is, if they are those of a container at all.
    A container that cannot be read, or that has changed since it was listed, becomes one unit; its rows say why.
    Containers in it are cut as well; what these hold of containers is a failed row each.

    Args:
        kind: what its name promises: "tfrecord", "tar", "zip" or "idx"; or what it is: "parquet" or "numpy".
        found: the container, as listed.
        unit_images: images in a unit, at most.
        skipped: counts by reason what is no image.
        rule: which members of archives, columns and arrays are images, and how their names read; None: the usual ones.

    Raises:
        UsageError: it is not clear which column or array of a table is meant.
    """
    if found.size == 0:
        skipped.add(EMPTY, key_of(found.location))
        return
    cut = Cut(unit_images, skipped, rule or ReadRule())
    try:
        kind = kind if kind in _TABLES else _confirmed(kind, head_of(found))
        units = list(_cut(kind, found, cut))
    except (FileNotFoundError, PermissionError, ChangedError):
        units, cut.inner = [container_unit(kind, found)], []
    if not units and not cut.inner:
        skipped.add(EMPTY, key_of(found.location))
    yield from units
    for inner in cut.inner:
        yield from _inner_units(inner, cut)


def _cut(kind: str, found: StoredObject, cut: Cut) -> Iterator[WorkUnit]:
    if kind in _TABLES:
        return _TABLES[kind].index(found, cut.unit_images, cut.skipped, cut.rule)
    if kind in _ARCHIVES:
        return _ARCHIVES[kind].index(container_unit(kind, found), cut)
    return _CONTAINERS[kind].index(found, cut.unit_images, cut.skipped)


def _inner_units(whole: WorkUnit, cut: Cut) -> Iterator[WorkUnit]:
    """Cut a container that is a member of another one; its first bytes decide of which kind it is."""
    try:
        with contextlib.suppress(BombError, StreamError):
            kind = _confirmed(whole.source, open_stream(whole).read(HEAD))
            whole = replace(whole, source=kind if kind in _ARCHIVES else whole.source)
        units = list(_ARCHIVES[whole.source].index(whole, cut))
    except (FileNotFoundError, PermissionError, ChangedError):
        units = [whole]
    if not units:
        cut.skipped.add(EMPTY, key_of_container(whole))
    yield from units


def _confirmed(kind: str, head: bytes) -> str:
    """Return the kind of a container by its first bytes; its name decides where they do not tell."""
    if _MAGIC[kind](head):
        return kind
    if is_compressed(head) and not _is_plain(head):
        inside = _kind_of_plain(first_inflated(head))
        return inside if inside in _COMPRESSED else kind
    found = _kind_of_plain(head)
    return found if found in _CONTAINERS or found in _ARCHIVES else kind


def _is_plain(head: bytes) -> bool:
    """Return whether bytes that may look compressed are a record's header, or a tar whose first name is so."""
    return tfrecord.is_plain(head) or tar_archive.is_plain(head)


def _kind_of_plain(head: bytes) -> str | None:
    return next((kind for kind, is_kind in _MAGIC.items() if is_kind(head)), None)


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


def first_images(unit: WorkUnit, n: int, rule: ReadRule | None = None) -> WorkUnit:
    """Return a unit of the first n images of a unit, or of all if it has fewer.

    Args:
        unit: that holds them.
        n: number of images.
        rule: by which the unit is read; in an archive that must be read to count them, it may change their number.
    """
    if unit.source in _ARCHIVES:
        return _ARCHIVES[unit.source].first_images(unit, n, rule)
    return _SOURCES[unit.source].first_images(unit, n)


def kind_by_name(name: str) -> str | None:
    """Return the kind of source that a file's name promises, None if it promises none. The name is not junk.

    >>> kind_by_name("a/B.JPG"), kind_by_name("x.tfrecord-00000-of-00004"), kind_by_name("notes.txt")
    ('images', 'tfrecord', None)
    """
    if name.endswith(_IMAGE_ENDINGS) or suffix(name) in IMAGE_SUFFIXES:  # the first is fast
        return images.NAME
    return container_kind(name)


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
    if not is_compressed(head) or _is_plain(head):
        return _kind_of_plain(head)
    inside = first_inflated(head)
    found = _kind_of_plain(inside)
    if found is not None:
        return found if found in _COMPRESSED else None
    is_told = inside or compression_of(head) in ("gzip", "zlib")  # the first bytes of bzip2 and zstd do not tell
    return None if is_told else tar_archive.NAME
