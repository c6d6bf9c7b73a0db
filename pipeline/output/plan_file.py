"""The pinned plan: written once, read in pieces by whoever needs one, never held whole.

A file of gzip members (RFC 1952 lets them follow each other, `zcat` reads them as one text): the first is a line of
JSON with the totals and a column of each unit's id, images, input and place; then one for each unit, as a line of JSON.
What crosses a shuffle is the place of a group of units, so no engine holds names.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import accumulate, pairwise

from pipeline import storage
from pipeline.output.run import Run
from pipeline.storage.formats import FIELD, check_format, check_names, numbered
from pipeline.units import WorkUnit

FAST = 1
"""Level of gzip: a fifth of the time of level 6 for a tenth more bytes."""

GROUP_UNITS = 8
"""Number of units that a worker gets at once, at most."""

GROUPS = 1_000
"""Number of groups below which groups are made smaller."""

BLOCK = 1 << 18
"""Number of bytes that are read at once: of an index, whose length is unknown, and of units one after the other."""

COLUMNS = ("id", "source", "images", "input")
"""Names of the fields of units that the first line has."""

_UNIT_FIELDS = frozenset(unit_field.name for unit_field in fields(WorkUnit))

Span = tuple[int, int]
"""Bytes [start, stop) of the plan's file."""


@dataclass(frozen=True)
class PlanTotals:
    """What a plan adds up to.

    Attributes:
        run: id of the run that it belongs to.
        model: id of the model.
        units: how many there are.
        images: rows that they will give, as far as known.
        open_units: units of which only reading tells how many images they have.
        bytes: encoded bytes that they read.
        skipped: reason -> objects that were listed and are not images.
        skipped_examples: reason -> key of one of those objects.
    """

    run: str
    model: str
    units: int = 0
    images: int = 0
    open_units: int = 0
    bytes: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    skipped_examples: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int | None:
        """Rows of the whole plan; None where only reading can tell."""
        return None if self.open_units else self.images

    def and_unit(self, unit: WorkUnit) -> PlanTotals:
        """Return the totals with one more unit."""
        return replace(
            self,
            units=self.units + 1,
            images=self.images + (unit.images or 0),
            open_units=self.open_units + (unit.images is None),
            bytes=self.bytes + unit.bytes,
        )


@dataclass(frozen=True)
class Index:
    """The first line of a plan.

    Attributes:
        totals: of the plan.
        units: id, images and input of each unit, in order; without what they read.
        places: bytes of the file at which each unit begins, and where the last one ends.
    """

    totals: PlanTotals
    units: list[WorkUnit]
    places: list[int]

    def groups(self, size: int) -> Iterator[Span]:
        """Yield where groups of so many units are; the last may be smaller."""
        last = len(self.units)
        for first in range(0, last, size):
            yield self.places[first], self.places[min(first + size, last)]


def group_units(total: int) -> int:
    """Return how many units a worker gets at once where there are many workers: 8, of few units fewer, at least one."""
    return max(1, min(GROUP_UNITS, total // GROUPS))


def create(
    run: Run, planned: Iterable[WorkUnit], skipped: Mapping[str, int], skipped_examples: Mapping[str, str]
) -> PlanTotals:
    """Write the plan of a run, unless one is there; return the totals of the one that is there.

    Args:
        run: whose plan it is.
        planned: its units, in order.
        skipped: reason -> objects that are no images; looked at when all units are made.
        skipped_examples: reason -> key of one of those objects; looked at then, too.
    """
    totals = PlanTotals(run.id, run.spec.model_id)
    units: list[WorkUnit] = []
    members = io.BytesIO()
    ends: list[int] = []
    for unit in planned:
        totals = totals.and_unit(unit)
        units.append(_head(unit))
        members.write(_member(unit.to_json()))
        ends.append(members.tell())
    examples = dict(sorted(skipped_examples.items()))
    totals = replace(totals, skipped=dict(sorted(skipped.items())), skipped_examples=examples)
    if storage.create(run.plan, _member(_to_json(totals, units, ends)) + members.getvalue()):
        return totals
    return read_totals(run)


def _member(text: str) -> bytes:
    return gzip.compress(text.encode("ascii") + b"\n", FAST, mtime=0)


def _head(unit: WorkUnit) -> WorkUnit:
    return WorkUnit(unit.id, unit.source, (), (), (), unit.images, input=unit.input)


def _to_json(totals: PlanTotals, units: list[WorkUnit], ends: list[int]) -> str:
    lengths = [stop - start for start, stop in pairwise([0, *ends])]
    columns = {name: [getattr(unit, name) for unit in units] for name in COLUMNS}
    told = asdict(totals)
    if not totals.skipped_examples:  # as in plans of earlier versions
        del told["skipped_examples"]
    content = {**numbered("plan"), "totals": told, **columns, "bytes": lengths}
    return json.dumps(content, separators=(",", ":"))


def read_index(run: Run) -> Index:
    """Return the first line of the pinned plan.

    Raises:
        FileNotFoundError: there is no plan.
        NewerFormatError: its format is newer, or it has an unknown field.
        ValueError: it is damaged.
    """
    unpack, text, end = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), b"", 0
    while not unpack.eof:
        data = storage.read(run.plan, end, end + max(BLOCK, end))
        if not data:
            raise ValueError("it ends in its first line")
        try:
            text += unpack.decompress(data)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        end += len(data)
    try:
        content = json.loads(text)
        check_format(content, "plan", run.plan)
        check_names(content, (FIELD, "totals", *COLUMNS, "bytes"), "plan", run.plan)
        check_names(content["totals"], (total.name for total in fields(PlanTotals)), "plan", run.plan)
        rows = zip(*(content[name] for name in COLUMNS), strict=True)
        units = [WorkUnit(name, source, (), (), (), images, input=place) for name, source, images, place in rows]
        places = list(accumulate(content["bytes"], initial=end - len(unpack.unused_data)))
        if len(places) != len(units) + 1:
            raise ValueError("columns of different lengths")
        return Index(PlanTotals(**content["totals"]), units, places)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its first line lacks something: {error!r}") from error


def read_span(run: Run, span: Span) -> Iterator[WorkUnit]:
    """Yield the units at a place in the pinned plan; few are held at once.

    Raises:
        NewerFormatError: a unit has an unknown field.
        ValueError: it is damaged.
    """
    try:
        for text in _members(run, span):
            unit = json.loads(text)
            check_names(unit, _UNIT_FIELDS, "plan", run.plan)
            yield WorkUnit.from_dict(unit)
    except (zlib.error, KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _members(run: Run, span: Span) -> Iterator[bytes]:
    """Yield the text of each gzip member at a place in the plan's file."""
    (at, stop), waiting = span, b""
    while at < stop or waiting:
        unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        text = unpack.decompress(waiting)
        if unpack.eof:
            waiting = unpack.unused_data
            yield text
            continue
        data = storage.read(run.plan, at, min(stop, at + max(BLOCK, len(waiting)))) if at < stop else b""
        if not data:
            raise ValueError("it ends within a unit")
        at, waiting = at + len(data), waiting + data


def read_units(run: Run, wanted: Container[str] | None = None) -> Iterator[WorkUnit]:
    """Yield the units of the pinned plan in its order, or those of them whose ids are wanted; few are read at once.

    Raises:
        FileNotFoundError: there is no plan.
        ValueError: it is damaged.
    """
    index = read_index(run)
    start = stop = index.places[0]
    for unit, (begin, end) in zip(index.units, pairwise(index.places), strict=True):
        if wanted is not None and unit.id not in wanted:
            continue
        if start < stop and begin != stop:
            yield from read_span(run, (start, stop))
            start = begin
        elif start == stop:
            start = begin
        stop = end
    if start < stop:
        yield from read_span(run, (start, stop))


def read_ids(run: Run) -> list[str]:
    """Return the ids of the units of the pinned plan, in its order."""
    return [unit.id for unit in read_index(run).units]


def read_totals(run: Run) -> PlanTotals:
    """Return the totals of the pinned plan."""
    return read_index(run).totals
