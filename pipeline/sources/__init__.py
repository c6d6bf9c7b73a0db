"""Sources of encoded images: image files, and containers such as tar and TFRecord. Each kind has a module of its own.

The module of a kind cuts what is listed into work units, from names and headers alone (`cut`, `index`). It reads a unit
as encoded batches (`read`) and makes a smaller unit from one (`sample`, `first_images`). Must not know what pixels are.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Protocol

from pipeline.batches import BATCH_IMAGES, EncodedBatch
from pipeline.errors import ChangedError
from pipeline.image_kinds import HEAD
from pipeline.sources import idx, images, numpy_arrays, parquet_images, tar_archive, tfrecord, zip_archive
from pipeline.sources.container import Cut, container_unit, key_of_container, open_stream, split_at_places
from pipeline.sources.inflate import BombError, StreamError
from pipeline.sources.kinds import confirmed, head_of
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import EMPTY, Skipped
from pipeline.storage import StoredObject, key_of
from pipeline.units import WorkUnit

__all__ = [
    "Piece",
    "first_images",
    "index",
    "pieces",
    "read",
    "sample",
    "some_pieces",
    "why_no_table",
]

Piece = WorkUnit | EncodedBatch
"""A piece of a unit, at most a batch of images: a small unit that is still to be read, or the images themselves."""


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

    def read(
        self, unit: WorkUnit, rule: ReadRule, skipped: Skipped | None = None
    ) -> Generator[EncodedBatch, None, None]:
        """See `read`."""

    def first_images(
        self, unit: WorkUnit, n: int, rule: ReadRule | None = None, skipped: Skipped | None = None
    ) -> WorkUnit:
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
    cut = Cut(unit_images, Skipped(), rule or ReadRule())
    try:
        kind = kind if kind in _TABLES else confirmed(kind, head_of(found))
        units = list(_cut(kind, found, cut))
    except (FileNotFoundError, PermissionError, ChangedError):
        units = [container_unit(kind, found)]
        cut = Cut(unit_images, Skipped(), cut.rule)  # without what was found before: who reads the unit finds it again
    if not units and not cut.inner:
        cut.skipped.add(EMPTY, key_of(found.location))
    skipped.update(cut.skipped.counts, cut.skipped.examples)
    yield from units
    for inner in cut.inner:
        yield from _inner_units(inner, Cut(unit_images, Skipped(), cut.rule), skipped)


def _cut(kind: str, found: StoredObject, cut: Cut) -> Iterator[WorkUnit]:
    if kind in _TABLES:
        return _TABLES[kind].index(found, cut.unit_images, cut.skipped, cut.rule)
    if kind in _ARCHIVES:
        return _ARCHIVES[kind].index(container_unit(kind, found), cut)
    return _CONTAINERS[kind].index(found, cut.unit_images, cut.skipped)


def _inner_units(whole: WorkUnit, cut: Cut, skipped: Skipped) -> Iterator[WorkUnit]:
    """Cut a container that is a member of another one; its first bytes decide of which kind it is."""
    try:
        with contextlib.suppress(BombError, StreamError):
            kind = confirmed(whole.source, open_stream(whole).read(HEAD))
            whole = replace(whole, source=kind if kind in _ARCHIVES else whole.source)
        units = list(_ARCHIVES[whole.source].index(whole, cut))
    except (FileNotFoundError, PermissionError, ChangedError):
        units, cut.skipped = [whole], Skipped()
    if not units:
        cut.skipped.add(EMPTY, key_of_container(whole))
    skipped.update(cut.skipped.counts, cut.skipped.examples)
    yield from units


def read(unit: WorkUnit, rule: ReadRule, skipped: Skipped | None = None) -> Generator[EncodedBatch, None, None]:
    """Yield a unit's images in order. An image that cannot be read is there as a failed one.

    Args:
        unit: that holds the images.
        rule: how they are read.
        skipped: counts by reason what in the unit is no image, if only reading tells how many images the unit has; of
            any other unit, `index` has counted it. None: nobody asks.

    Raises:
        TransientError: the store fails for now.
    """
    if unit.source in _ARCHIVES:
        return _ARCHIVES[unit.source].read(unit, rule, skipped if unit.images is None else None)
    return _SOURCES[unit.source].read(unit, rule)


def pieces(unit: WorkUnit, rule: ReadRule, most: int | None = None, skipped: Skipped | None = None) -> Iterator[Piece]:
    """Yield a unit's images in order, in pieces of at most a batch.

    A piece is a smaller unit, which somebody else can read. If a unit cannot be read from the middle, it is read here,
    and its pieces are batches.

    Args:
        unit: that holds the images.
        rule: how they are read.
        most: images in a piece, at most; None: as many as in a batch. A TFRecord file is cut at the unit's places only.
        skipped: see `read`; complete when the last piece is there.

    Raises:
        TransientError: the store fails for now.
    """
    smaller = replace(rule, batch_images=min(rule.batch_images, most or rule.batch_images))
    if unit.source == images.NAME:
        yield from images.pieces(unit, smaller)
    elif unit.source == tfrecord.NAME and unit.images and rule.batch_images == BATCH_IMAGES:
        yield from split_at_places(unit)
    else:
        with closing(read(unit, smaller, skipped)) as batches:
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
            begin, first = first, first + len(batch.encoded)
            chosen = rows[bisect_left(rows, begin) : bisect_left(rows, first)]
            if chosen:
                yield batch.pick([row - begin for row in chosen])


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n images of a unit; which ones, its source decides."""
    return _SOURCES[unit.source].sample(unit, n)


def first_images(unit: WorkUnit, n: int, rule: ReadRule | None = None, skipped: Skipped | None = None) -> WorkUnit:
    """Return a unit of the first n images of a unit, or of all if it has fewer.

    Args:
        unit: that holds them.
        n: number of images.
        rule: by which the unit is read; in an archive that must be read to count them, it may change their number.
        skipped: counts what is found there that is no image, as far as it is read; None: nobody asks.
    """
    if unit.source in _ARCHIVES:
        return _ARCHIVES[unit.source].first_images(unit, n, rule, skipped if unit.images is None else None)
    return _SOURCES[unit.source].first_images(unit, n)


def why_no_table(kind: str, found: StoredObject, image_key: str | None = None) -> str | None:
    """Return the reason why a table holds no images; None if it holds some, or cannot be read: its rows say why.

    Args:
        kind: of the table.
        found: as listed.
        image_key: column or array that is meant; None: one with a usual name.
    """
    return _TABLES[kind].why_none(found, image_key)
