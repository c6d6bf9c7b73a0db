"""Containers of images, such as tar and TFRecord: cut them into work units, gather their images into batches.

The module of a kind of container says where in it the images lie and what they are. Must not know any kind.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from pipeline.batches import BATCH_BYTES, BATCH_IMAGES, EncodedBatch, Failure
from pipeline.errors import ChangedError
from pipeline.sources.container_names import stem_of
from pipeline.sources.inflate import Inflated
from pipeline.sources.labels import Label, folder_of
from pipeline.sources.limits import BLOCK
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import EMPTY, Skipped
from pipeline.storage import StoredFile, StoredObject, key_of, store_of
from pipeline.units import UNIT_BYTES, WorkUnit

PLACES = "places"
"""Column of a unit's index that lists where in the container reading may begin, as [byte, images before it]."""


INNER = "inner"
"""Column of a unit's index that says which member of its archive the container is: [name, first byte, byte behind the
last, whether it is deflated]."""


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


NONE: Mapping[str, str] = MappingProxyType({})
"""What passes through to the rows of images that have nothing besides."""


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
    more: Mapping[str, str] = NONE


def container_unit(source: str, found: StoredObject) -> WorkUnit:
    """Return a whole container as one unit of as many images as it has; it has no id yet."""
    columns = ((found.location,), (found.size,), (found.version,))
    return WorkUnit("", source, *columns, images=None, span=(0, found.size))


@dataclass
class Cut:
    """How a container is cut into units, and what is found on the way.

    Attributes:
        unit_images: images in a unit, at most.
        skipped: counts what in it is no image.
        rule: which of its members are images, and how their names read.
        inner: containers among its members, each as one unit of an index with INNER alone, which are still to be cut.
    """

    unit_images: int
    skipped: Skipped
    rule: ReadRule = field(default_factory=ReadRule)
    inner: list[WorkUnit] = field(default_factory=list)


def inner_unit(outer: WorkUnit, source: str, name: str, span: tuple[int, int], is_deflated: bool = False) -> WorkUnit:
    """Return a container that is a member of another one as one unit; it has no id yet.

    Args:
        outer: the archive that holds it.
        source: its own kind.
        name: of the member, which no other has.
        span: bytes [start, stop) of the archive that are its content.
        is_deflated: whether these bytes are deflated.
    """
    index = {INNER: [name, *span, is_deflated]}
    return replace(outer, source=source, images=None, first=0, span=span, index=index)


def extent_of(unit: WorkUnit) -> tuple[int, int]:
    """Return the bytes [start, stop) of the stored object that are a unit's container."""
    if INNER in unit.index:
        _, start, stop, _ = unit.index[INNER]
        return start, stop
    return 0, unit.sizes[0]


def is_inner(unit: WorkUnit) -> bool:
    """Return whether a unit's container is a member of another one."""
    return INNER in unit.index


def is_deflated(unit: WorkUnit) -> bool:
    """Return whether a unit's container is a deflated member, which can be read from its start only."""
    return INNER in unit.index and bool(unit.index[INNER][3])


def key_of_container(unit: WorkUnit) -> str:
    """Return the key of a unit's container: that of the stored object, and of the member that it is."""
    outer = key_of(unit.locations[0])
    return f"{outer}!{key_of(unit.index[INNER][0])}" if INNER in unit.index else outer


def folder_in(unit: WorkUnit, name: str) -> str:
    """Return the name of the folder in which a member of an archive lies; in an inner archive's root, that archive's.

    >>> outer = WorkUnit("", "tar", ("/a/x.tar",), (9,), (1,), images=None)
    >>> folder_in(inner_unit(outer, "tar", "n01440764.tar", (0, 9)), "1.png"), folder_in(outer, "cat/1.png")
    ('n01440764', 'cat')
    """
    folder = folder_of(f"/{name}")
    if folder in ("", ".") and INNER in unit.index:
        return folder_of(f"{stem_of(unit.index[INNER][0])}/")
    return folder


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
            yield replace(whole, images=count, first=first, span=(start, stop), index={**whole.index, PLACES: places})
            first, count, places = first + count, 0, []
        if count == 0:
            start = extent.start
        byte, images = places[-1] if places else (start, 0)
        if count + extent.images - images > BATCH_IMAGES or extent.stop - byte > BATCH_BYTES:
            places.append((extent.start, count))
        count += extent.images
        stop = extent.stop
    if count:
        yield replace(whole, images=count, first=first, span=(start, stop), index={**whole.index, PLACES: places})


def split_at_places(unit: WorkUnit) -> Iterator[WorkUnit]:
    """Yield a unit's images in order, as smaller units; each begins at one of the unit's places."""
    places = [(byte, before) for byte, before in unit.index.get(PLACES, ()) if before < (unit.images or 0)]
    index = {name: column for name, column in unit.index.items() if name != PLACES}
    bounds = [(unit.span[0], 0), *places, (unit.span[1], unit.images or 0)]
    for (start, before), (stop, after) in pairwise(bounds):
        if before < after:
            yield replace(unit, span=(start, stop), first=unit.first + before, images=after - before, index=index)


def open_unit(unit: WorkUnit, start: int | None = None, stop: int | None = None) -> StoredFile:
    """Return the bytes [start, stop) of the stored object that a unit reads as a file; without them, its container.

    Reading it raises a ChangedError if the object is not the planned one any more.
    """
    found = StoredObject(unit.locations[0], unit.sizes[0], unit.versions[0])
    first, last = extent_of(unit)
    return StoredFile(
        store_of(found.location), found, first if start is None else start, last if stop is None else stop
    )


def open_stream(unit: WorkUnit) -> Any:
    """Return what a unit reads as a file that is read forward and has `peek`; inflated if it is a deflated member."""
    stored: Any = io.BufferedReader(open_unit(unit, *unit.span), BLOCK)
    return Inflated(stored, "deflate") if is_deflated(unit) else stored


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


def count_if_empty(unit: WorkUnit, images: Iterator[Image], skipped: Skipped | None) -> Iterator[Image]:
    """Yield images; if there is none, count their container as an empty one.

    Args:
        unit: that holds the images.
        images: as they are read.
        skipped: counts it; None: it was counted when it was planned.
    """
    is_empty = True
    for image in images:
        is_empty = False
        yield image
    if is_empty and skipped is not None:
        skipped.add(EMPTY, key_of_container(unit))


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
        yield Image(f"{key_of_container(unit)}{rest}{unit.first + number}", failure, None, "")
