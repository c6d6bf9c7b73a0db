"""Inputs to pinned work units: lists, cuts, names, and writes the plan once.

Reads names and headers, never pixels. Must not know how units are scored.
"""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from itertools import groupby
from typing import Any

from pipeline import sources, storage
from pipeline.errors import UsageError
from pipeline.run import Run
from pipeline.sources import images, is_shard, kind_by_magic, kind_by_name, tfrecord
from pipeline.storage import StoredObject
from pipeline.units import WorkUnit, unit_id

GROUP_UNITS = 8
GROUPS = 1_000

Found = tuple[str, StoredObject]
"""The name of the source that reads an object, and the object."""


@dataclass(frozen=True)
class PlanTotals:
    """The last line of a plan.

    Attributes:
        run: id of the run that it belongs to.
        model: id of the model.
        units: how many lines stand above.
        images: rows that they will give, as far as known.
        open_units: units of which only reading tells how many images they have.
        bytes: encoded bytes that they read.
        skipped: reason -> objects that were listed and are not images.
    """

    run: str
    model: str
    units: int = 0
    images: int = 0
    open_units: int = 0
    bytes: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int | None:
        """Rows of the whole plan; None where only reading can tell."""
        return None if self.open_units else self.images


def find(pattern: str, skipped: Counter[str]) -> Iterator[Found]:
    """Yield what can be scored under a pattern, sorted by location, and count what cannot.

    A file that is named, or matched by a glob, and whose name promises nothing is opened to see what it is; in a
    folder only shards (train-00000-of-00010) are.
    """
    location = storage.absolute(pattern)
    named = storage.fixed_prefix(location) != location
    for found in storage.list_objects(location):
        name = found.location[found.location.rfind("/") + 1 :]
        if _is_junk(found.location[len(location) :], name, found.size):
            skipped["junk"] += 1
            continue
        kind = kind_by_name(name)
        if kind is None and (named or found.location == location or is_shard(name)):
            kind = kind_by_magic(storage.read(found.location, 0, 16))
        if kind is None:
            skipped["other files"] += 1
        else:
            yield kind, found


def _is_junk(relative: str, name: str, size: int) -> bool:
    """What desktops and consoles leave behind: .DS_Store, ._x.jpg, Thumbs.db, __MACOSX/, placeholders of folders."""
    return name in ("", ".DS_Store", "Thumbs.db", "desktop.ini") or name.startswith("._") or "__MACOSX/" in relative


def require_input(pattern: str) -> None:
    """Check that a pattern names at least one image or TFRecord.

    Raises:
        UsageError: it does not; says what is there instead.
    """
    skipped: Counter[str] = Counter()
    try:
        if next(find(pattern, skipped), None) is not None:
            return
    except PermissionError as error:
        raise UsageError(
            f"--input {pattern!r} cannot be read: {error.strerror or error}; allow it or leave it out"
        ) from error
    if skipped:
        raise UsageError(
            f"--input {pattern!r} has no image or TFRecord among its {sum(skipped.values())} files; "
            f"known are {', '.join(sorted(images.EXTENSIONS))}, .tfrecord and .tfrecord.gz"
        )
    location = storage.absolute(pattern)
    if storage.fixed_prefix(location) != location:
        raise UsageError(f"--input {pattern!r} matches no file; check the pattern, and quote it in a shell")
    raise UsageError(f"--input {pattern!r} does not exist or is empty; give a file, folder or glob of images")


def plan_units(run: Run, skipped: Counter[str]) -> Iterator[WorkUnit]:
    """Yield the run's work units in the order of its inputs, each image once, `--limit` images at most."""
    left = run.options.limit
    for unit in _cut(_found(run.options.input, skipped), run.options.unit_images, skipped):
        if left is not None:
            if unit.images is None or unit.images > left:
                unit = sources.shortened(unit, left)
            left -= unit.images or 0
        yield replace(unit, id=unit_id(unit, run.spec.model_id, run.options))
        if left == 0:
            return


def _cut(found: Iterable[tuple[int, str, StoredObject]], unit_images: int, skipped: Counter[str]) -> Iterator[WorkUnit]:
    """Cut neighbors of one kind and one input together."""
    for (_, kind), group in groupby(found, key=lambda entry: entry[:2]):
        objects = (entry[2] for entry in group)
        if kind == images.NAME:
            yield from images.cut(objects, unit_images)
            continue
        for container in objects:
            units = list(tfrecord.index(container, unit_images))
            if not units:
                skipped["empty containers"] += 1
            yield from units


def _found(patterns: Iterable[str], skipped: Counter[str]) -> Iterator[tuple[int, str, StoredObject]]:
    """Yield (input, kind, object) of all inputs, image files before containers, none of them twice."""
    patterns = list(dict.fromkeys(storage.absolute(p) for p in patterns))
    seen: set[bytes] | None = set() if len(patterns) > 1 else None
    for number, pattern in enumerate(patterns):
        containers: list[tuple[int, str, StoredObject]] = []
        for kind, found in find(pattern, skipped):
            if seen is not None:
                digest = blake2b(found.location.encode("utf-8", "surrogateescape"), digest_size=16).digest()
                if digest in seen:
                    continue
                seen.add(digest)
            if kind == images.NAME:
                yield number, kind, found
            else:
                containers.append((number, kind, found))
        yield from containers


def pin(run: Run) -> PlanTotals:
    """Make the run's plan and write it, unless it is there; return the totals of the one that is there."""
    skipped: Counter[str] = Counter()
    totals = PlanTotals(run.id, run.spec.model_id)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as file:
        for unit in plan_units(run, skipped):
            file.write(unit.to_json().encode("ascii") + b"\n")
            totals = replace(
                totals,
                units=totals.units + 1,
                images=totals.images + (unit.images or 0),
                open_units=totals.open_units + (unit.images is None),
                bytes=totals.bytes + unit.bytes,
            )
        totals = replace(totals, skipped=dict(sorted(skipped.items())))
        file.write(json.dumps({"totals": asdict(totals)}).encode("ascii") + b"\n")
    if storage.create(run.plan, buffer.getvalue()):
        return totals
    return read_totals(run)


def _lines(run: Run) -> Iterator[dict[str, Any]]:
    with gzip.open(io.BytesIO(storage.read(run.plan)), "rt", encoding="ascii") as file:
        for line in file:
            yield json.loads(line)


def read_units(run: Run) -> Iterator[WorkUnit]:
    """Yield the units of the pinned plan."""
    for content in _lines(run):
        if "totals" not in content:
            yield WorkUnit.from_dict(content)


def read_totals(run: Run) -> PlanTotals:
    """Return the totals of the pinned plan."""
    (last,) = deque(_lines(run), maxlen=1)
    return PlanTotals(**last["totals"])


def groups(units: Iterable[WorkUnit], total: int) -> Iterator[list[WorkUnit]]:
    """Yield units in groups: of 8, of fewer where there are few units, never of less than one."""
    size = max(1, min(GROUP_UNITS, total // GROUPS))
    group: list[WorkUnit] = []
    for unit in units:
        group.append(unit)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
