"""Image files: cut a listing of them into work units, and read them in batches."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from pipeline.batches import BATCH_BYTES, EncodedBatch, Failure
from pipeline.concurrency import ahead, pools
from pipeline.errors import ChangedError
from pipeline.image_kinds import is_read, kind_of, reason
from pipeline.sources.container_names import unread_container
from pipeline.sources.labels import Label, folder_of
from pipeline.sources.limits import too_large
from pipeline.sources.names import unread_kind
from pipeline.sources.nearest import nearest
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import OTHER
from pipeline.storage import NO_FILE, NoFileError, Store, StoredObject, key_of, store_of
from pipeline.units import UNIT_BYTES, WorkUnit

NAME = "images"
MISSING = NO_FILE
"""Version of a file that a manifest names and that did not exist when the run was planned."""

Listed = tuple[StoredObject, Label] | tuple[StoredObject, Label, Mapping[str, str | None]]
"""A file, its label as the archive writes it, and what passes through to its row, where something does."""

_NOTHING: Mapping[str, str | None] = MappingProxyType({})


def is_image(head: bytes) -> bool:
    """Return whether a file that starts so is an image of a supported format."""
    return is_read(kind_of(head))


def why_none(name: str, head: bytes) -> str | None:
    """Return the reason why a file is not read as an image; None if it is one.

    Args:
        name: of the file, which is neither junk nor that of an image. It decides only where the bytes do not.
        head: its first HEAD bytes.
    """
    kind, promised = kind_of(head), unread_kind(name)
    if promised is not None and kind in (None, "TIFF"):  # raw files of cameras begin like TIFF, and hold a thumbnail
        kind = promised
    if is_read(kind):
        return None
    return (unread_container(name) or OTHER) if kind is None else reason(kind)


def cut(files: Iterable[Listed], unit_images: int) -> Iterator[WorkUnit]:
    """Cut a sorted listing into units by content, so that a small change of the archive changes few units.

    A unit ends at the name with the smallest hash among those at which it would be between a quarter full and full.
    The units have no id yet.
    """
    waiting: list[Listed] = []
    hashes: list[bytes] = []
    size = floor = 0
    for file in files:
        found = file[0]
        while waiting and (len(waiting) == unit_images or size + found.size > UNIT_BYTES):
            end = min(range(min(floor, len(waiting) - 1), len(waiting)), key=hashes.__getitem__) + 1
            yield _unit(waiting[:end])
            waiting, hashes = waiting[end:], hashes[end:]
            size, floor = sum(other[0].size for other in waiting), _floor(waiting, unit_images)
        waiting.append(file)
        hashes.append(blake2b(found.location.encode("utf-8", "surrogateescape"), digest_size=8).digest())
        size += found.size
        if len(waiting) * 4 < unit_images and size * 4 < UNIT_BYTES:
            floor = len(waiting)
    if waiting:
        yield _unit(waiting)


def _floor(files: Sequence[Listed], unit_images: int) -> int:
    """Return the index of the first file with which the unit is a quarter full."""
    size = 0
    for i, file in enumerate(files):
        size += file[0].size
        if (i + 1) * 4 >= unit_images or size * 4 >= UNIT_BYTES:
            return i
    return len(files)


def _unit(files: Sequence[Listed]) -> WorkUnit:
    labels = tuple(file[1] for file in files)
    index: dict[str, Any] = {"label": labels} if any(label is not None for label in labels) else {}
    more = [file[2] if len(file) == 3 else _NOTHING for file in files]
    names = dict.fromkeys(name for columns in more if columns for name in columns)
    if names:
        index["more"] = {name: tuple(columns.get(name) for columns in more) for name in names}
    return WorkUnit(
        id="",
        source=NAME,
        locations=tuple(file[0].location for file in files),
        sizes=tuple(file[0].size for file in files),
        versions=tuple(file[0].version for file in files),
        images=len(files),
        index=index,
    )


def pieces(unit: WorkUnit, rule: ReadRule) -> Iterator[WorkUnit]:
    """Yield the unit's files in order, as units of at most a batch."""
    most = rule.batch_images
    start = size = 0
    for i, more in enumerate(unit.sizes):
        if i > start and (i - start == most or size + more > BATCH_BYTES):
            yield pick(unit, range(start, i))
            start, size = i, 0
        size += more
    yield pick(unit, range(start, len(unit.sizes)))


def read(unit: WorkUnit, rule: ReadRule) -> Generator[EncodedBatch, None, None]:
    """Yield the unit's files in order. If each read costs a round trip, many are under way at the same time."""
    store = store_of(unit.locations[0])

    for piece in pieces(unit, rule):

        def fetch(i: int, piece: WorkUnit = piece) -> bytes | Failure:
            return _fetch(store, piece.locations[i], piece.sizes[i], piece.versions[i])

        numbers = range(len(piece.locations))
        if store.parallel_reads == 1:
            found = list(map(fetch, numbers))
        else:
            found = list(ahead(fetch, numbers, store.parallel_reads - 1, pools().read))
        failures = {i: data for i, data in enumerate(found) if isinstance(data, Failure)}
        keys = [key_of(location) for location in piece.locations]
        folders = [folder_of(location) for location in piece.locations]
        own = piece.index["label"] if "label" in piece.index else [None] * len(keys)
        encoded = [b"" if isinstance(data, Failure) else data for data in found]
        columns = rule.labels.columns(keys, own, folders, failures)
        more: Any = piece.index.get("more")
        yield EncodedBatch(replace(columns, more=more) if more else columns, encoded)


def _fetch(store: Store, location: str, size: int, version: int) -> bytes | Failure:
    try:
        return too_large(size, what="file") or store.read(location, version=version)
    except NoFileError as error:
        return Failure("read", "NOT_FOUND", error.strerror or str(error))
    except FileNotFoundError:
        text = _what_is_there(location) if version == MISSING else "removed after it was planned"
        return Failure("read", "NOT_FOUND", text)
    except PermissionError as error:
        return Failure("read", "PERMISSION_DENIED", error.strerror or str(error))
    except ChangedError as error:
        return Failure("read", "FAILED_PRECONDITION", str(error))


def _what_is_there(location: str) -> str:
    """Return why a file that a list names is not read; names are quoted, as a space at an end is hard to see."""
    name, other = location.rpartition("/")[2], nearest(location)
    return f"there is no file {name!r}" + ("" if other is None else f"; the nearest in its folder is {other!r}")


def first_images(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of the first n files of a unit."""
    return pick(unit, range(min(n, len(unit.locations))))


def sample(unit: WorkUnit, n: int) -> WorkUnit:
    """Return a unit of at most n files of a unit, evenly spread."""
    total = len(unit.locations)
    return pick(unit, [i * total // n for i in range(n)] if n < total else range(total))


def pick(unit: WorkUnit, chosen: Sequence[int]) -> WorkUnit:
    """Return a unit of some files of a unit.

    Args:
        unit: that holds the files.
        chosen: numbers of the files in the unit, in the order that they get.
    """
    return replace(
        unit,
        images=len(chosen),
        locations=tuple(unit.locations[i] for i in chosen),
        sizes=tuple(unit.sizes[i] for i in chosen),
        versions=tuple(unit.versions[i] for i in chosen),
        index=_picked(unit.index, chosen),
    )


def _picked(columns: Mapping[str, Any], chosen: Sequence[int]) -> dict[str, Any]:
    """Return some entries of columns; "more" is a mapping of columns of its own."""
    return {
        name: _picked(column, chosen) if name == "more" else tuple(column[i] for i in chosen)
        for name, column in columns.items()
    }
