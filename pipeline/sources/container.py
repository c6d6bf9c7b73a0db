"""Containers of images, such as tar and TFRecord: cut them into work units, gather their images into batches.

The module of a kind of container says where in it the images lie and what they are. Must not know any kind.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from pipeline.batches import BATCH_BYTES, BATCH_IMAGES, EncodedBatch, Failure
from pipeline.errors import ChangedError
from pipeline.sources.labels import Label
from pipeline.sources.read_rule import ReadRule
from pipeline.storage import StoredFile, StoredObject, key_of, store_of
from pipeline.units import UNIT_BYTES, WorkUnit

PLACES = "places"
"""Column of a unit's index that lists where in the container reading may begin, as [byte, images before it]."""


class UniqueNames:
    """Makes the names of a container's members distinct: the second x.png is x.png#2.

    >>> names = UniqueNames()
    >>> [names.unique(name) for name in ("x", "x", "x#2", "x")]
    ['x', 'x#2', 'x#2#2', 'x#3']
    """

    def __init__(self) -> None:
        """Start with no name taken."""
        self._taken: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """Return a name that was not returned before."""
        candidate, n = name, self._taken.get(name, 1)
        while candidate in self._taken:
            n += 1
            candidate = f"{name}#{n}"
        self._taken[name] = n  # where to go on: a name that is there 10,000 times is not tried as often each time
        self._taken.setdefault(candidate, 1)
        return candidate


class Image(NamedTuple):
    """One image of a container.

    Attributes:
        key: see `pipeline.output.rows.row_schema`.
        encoded: its bytes, or why there are none.
        label: what the container itself says of it.
        folder: name of the folder that it lies in.
        more: what passes through to its row, by name: only what the rule of the run names.
    """

    key: str
    encoded: bytes | Failure
    label: Label
    folder: str
    more: Mapping[str, str] = MappingProxyType({})


def container_unit(source: str, found: StoredObject) -> WorkUnit:
    """Return a whole container as one unit of as many images as it has; it has no id yet."""
    columns = ((found.location,), (found.size,), (found.version,))
    return WorkUnit("", source, *columns, images=None, span=(0, found.size))


@dataclass
class Extent:
    """Bytes of a container that stay in one unit: a record, or a sample of several files.

    Attributes:
        start: first byte in the container.
        images: how many of them are images.
        stop: the byte after its last.
    """

    start: int
    stop: int
    images: int = 1


def cut_container(whole: WorkUnit, extents: Iterable[Extent], unit_images: int) -> Iterator[WorkUnit]:
    """Cut a container between extents into units of bounded images and bytes. Each unit has at least one image.

    Bytes between two extents belong to the unit before; bytes before the first extent belong to none. Each unit lists
    the places where reading may begin, about a batch apart, in the column PLACES of its index.

    Args:
        whole: the container as one unit.
        extents: in the order of their bytes.
        unit_images: images in a unit, at most.
    """
    first = count = start = stop = 0
    places: list[tuple[int, int]] = []
    for extent in extents:
        if count and (count + extent.images > unit_images or extent.stop - start > UNIT_BYTES):
            yield replace(whole, images=count, first=first, span=(start, stop), index={PLACES: places})
            first, count, places = first + count, 0, []
        if count == 0:
            start = extent.start
        byte, images = places[-1] if places else (start, 0)
        if count + extent.images - images > BATCH_IMAGES or extent.stop - byte > BATCH_BYTES:
            places.append((extent.start, count))
        count += extent.images
        stop = extent.stop
    if count:
        yield replace(whole, images=count, first=first, span=(start, stop), index={PLACES: places})


def split_at_places(unit: WorkUnit) -> Iterator[WorkUnit]:
    """Yield a unit's images in order, as smaller units; each begins at one of the unit's places."""
    places = [(byte, before) for byte, before in unit.index.get(PLACES, ()) if before < (unit.images or 0)]
    bounds = [(unit.span[0], 0), *places, (unit.span[1], unit.images or 0)]
    for (start, before), (stop, after) in pairwise(bounds):
        if before < after:
            yield replace(unit, span=(start, stop), first=unit.first + before, images=after - before, index={})


def open_unit(unit: WorkUnit, start: int = 0, stop: int | None = None) -> StoredFile:
    """Return the bytes [start, stop) of a unit's container as a file.

    Reading it raises a ChangedError if the container is not the planned one any more.
    """
    found = StoredObject(unit.locations[0], unit.sizes[0], unit.versions[0])
    return StoredFile(store_of(found.location), found, start, stop)


def make_batches(images: Iterable[Image], rule: ReadRule) -> Generator[EncodedBatch, None, None]:
    """Gather images into batches. There is at least one batch, which may be empty."""
    most = rule.batch_images
    waiting: list[Image] = []
    size = 0
    for image in images:
        more = 0 if isinstance(image.encoded, Failure) else len(image.encoded)
        if waiting and (len(waiting) == most or size + more > BATCH_BYTES):
            yield _batch(waiting, rule)
            waiting, size = [], 0
        waiting.append(image)
        size += more
    yield _batch(waiting, rule)


def _batch(images: list[Image], rule: ReadRule) -> EncodedBatch:
    failures = {i: image.encoded for i, image in enumerate(images) if isinstance(image.encoded, Failure)}
    columns = rule.labels.columns(
        [image.key for image in images],
        own=[image.label for image in images],
        folders=[image.folder for image in images],
        failures=failures,
    )
    columns = replace(columns, more=_more_of(images))
    return EncodedBatch(columns, [b"" if isinstance(i.encoded, Failure) else i.encoded for i in images])


def _more_of(images: Sequence[Image]) -> dict[str, list[str | None]]:
    """Return what passes through to the rows, as columns by name."""
    names = dict.fromkeys(name for image in images if image.more for name in image.more)
    return {name: [image.more.get(name) for image in images] for name in names}


def fail_the_rest(unit: WorkUnit, images: Iterator[Image], rest: str) -> Iterator[Image]:
    """Yield images; if their container is gone, forbidden or replaced, yield a failed image for each that is missing.

    Args:
        unit: that holds the images. If it does not say how many there are, one failed image stands for the rest.
        images: as they are read.
        rest: text between the container's key and an image's number, for keys of images that have no name.
    """
    done = 0
    try:
        for image in images:
            yield image
            done += 1
        return
    except FileNotFoundError:
        failure = Failure("read", "NOT_FOUND", "removed after it was planned")
    except PermissionError as error:
        failure = Failure("read", "PERMISSION_DENIED", error.strerror or str(error))
    except ChangedError as error:
        failure = Failure("read", "FAILED_PRECONDITION", str(error))
    for number in range(done, done + 1 if unit.images is None else unit.images):
        yield Image(f"{key_of(unit.locations[0])}{rest}{unit.first + number}", failure, None, "")
