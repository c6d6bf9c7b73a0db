"""From a run's inputs to work units: list what the inputs name, cut it into units, give each unit its id.

Reads names and headers, never pixels. Must not know how units are scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from hashlib import blake2b

from pipeline import sources, storage
from pipeline.errors import UsageError
from pipeline.options import ScoreOptions
from pipeline.sources import images, manifest
from pipeline.sources.skipped import JUNK, OTHER, Skipped
from pipeline.storage import StoredObject
from pipeline.units import WorkUnit, unit_id


def find(pattern: str, skipped: Skipped) -> Iterator[tuple[str, StoredObject]]:
    """Yield what can be scored under a pattern, sorted by location, with its kind, and count what cannot.

    A file that is named, or matched by a glob, and whose name promises nothing is opened to see what it is; in a
    folder only shards (train-00000-of-00010) are. A manifest is one only where it is named.

    Raises:
        UsageError: a folder, or a file that must be opened, is forbidden.
    """
    location = storage.absolute(pattern)
    fixed = storage.fixed_prefix(location)
    is_glob = fixed != location
    start = len(fixed.rpartition("/")[0] if is_glob else location)  # a folder above it that is named like junk is none
    try:
        for found in storage.list_long(location):
            is_named = found.location == location
            if sources.is_junk_name(found.location if is_named else found.location[start:]):
                skipped.add(JUNK, storage.key_of(found.location))
                continue
            kind = sources.kind_by_name(found.location) or _kind_inside(found, is_named, is_glob, skipped)
            if kind is not None:
                yield kind, found
    except PermissionError as error:
        raise UsageError(f"--input {pattern!r} cannot be read: {error}; allow it or leave it out") from error


def _kind_inside(found: StoredObject, is_named: bool, is_glob: bool, skipped: Skipped) -> str | None:
    """Return what a file is whose name promises nothing; None, counted, if it is nothing to score."""
    if sources.is_labels_name(found.location):
        return None  # read with the images beside it
    if is_named and manifest.is_manifest_name(found.location):
        return manifest.NAME
    if is_named or is_glob or sources.is_shard(found.location):
        kind = sources.kind_by_magic(sources.head_of(found))
        if kind is not None:
            return kind
    skipped.add(OTHER, storage.key_of(found.location))
    return None


def require_input(pattern: str) -> None:
    """Check that a pattern names at least one image or container of images.

    Raises:
        UsageError: it does not; the text says what is there instead.
    """
    skipped = Skipped()
    kind, found = next(find(pattern, skipped), (None, None))
    if found is not None:
        if kind == manifest.NAME:
            with closing(manifest.listed(found)) as files:
                next(files)
        return
    if skipped:
        raise UsageError(
            f"--input {pattern!r} has no image or archive of images among its {skipped.total} files; "
            f"known are {', '.join(sources.KNOWN)}"
        )
    location = storage.absolute(pattern)
    if storage.fixed_prefix(location) != location:
        raise UsageError(f"--input {pattern!r} matches no file; check the pattern, and quote it in a shell")
    raise UsageError(f"--input {pattern!r} does not exist or is empty; give a file, folder or glob of images")


def plan_units(patterns: Sequence[str], options: ScoreOptions, model_id: str, skipped: Skipped) -> Iterator[WorkUnit]:
    """Yield work units in the order of the inputs, each image once, `--limit` images at most.

    Args:
        patterns: locations or globs of the inputs, each once.
        options: how units are cut, and what else is in their identity.
        model_id: of the model that scores them; part of their identity.
        skipped: counts by reason what is found and is no image.
    """
    left = options.limit
    for unit in _cut(patterns, options.unit_images, skipped):
        if left is not None:
            if unit.images is None or unit.images > left:
                unit = sources.first_images(unit, left)
            left -= unit.images or 0
        yield replace(unit, id=unit_id(unit, model_id, options))
        if left == 0:
            return


def _cut(patterns: Sequence[str], unit_images: int, skipped: Skipped) -> Iterator[WorkUnit]:
    """Yield the units of all inputs, without ids: of each input its image files first, then its containers."""
    once = _Once(len(patterns) > 1 or any(map(manifest.is_manifest_name, patterns)))
    for number, pattern in enumerate(patterns):
        rest: list[tuple[str, StoredObject]] = []
        for unit in images.cut(_files(pattern, once, rest, skipped), unit_images):
            yield replace(unit, input=number)
        for kind, found in rest:
            if kind == manifest.NAME:
                files = (file for file in manifest.listed(found) if once.is_new(file[0].location))
                units = images.cut(files, unit_images)
            else:
                units = sources.index(kind, found, unit_images, skipped)
            for unit in units:
                yield replace(unit, input=number)


def _files(
    pattern: str, once: _Once, rest: list[tuple[str, StoredObject]], skipped: Skipped
) -> Iterator[images.Listed]:
    """Yield the image files that a pattern finds, without labels, and put all else aside into `rest`."""
    for kind, found in find(pattern, skipped):
        if not once.is_new(found.location):
            continue
        if kind == images.NAME:
            yield found, None
        else:
            rest.append((kind, found))


class _Once:
    """Remembers locations, if there may be any twice, by digests of 16 bytes."""

    def __init__(self, active: bool) -> None:
        self._seen: set[bytes] | None = set() if active else None

    def is_new(self, location: str) -> bool:
        """Return whether this location was not asked for before."""
        if self._seen is None:
            return True
        before = len(self._seen)
        self._seen.add(blake2b(location.encode("utf-8", "surrogateescape"), digest_size=16).digest())
        return len(self._seen) > before
