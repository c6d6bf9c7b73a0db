"""Whose OUTPUT it is when several runs write into it, and what in it belongs to nobody.

Runs with the same units work on the same result: all of them end well. Of runs with different units the last one
started has its way, and the others say so. Nobody is asked to wait, and nobody trusts that another is still alive:
a run is later if its record sorts behind, which is written before anything is planned, and what it wants is its
pinned plan. So whoever is about to change what all share looks at the records right before; and once more when it is
done, so that a change that crossed the start of another run is at least noticed by the one that made it.

Must not know what a verdict is.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pipeline import storage
from pipeline.commit import Receipt
from pipeline.errors import ChangedError, DamagedPartError
from pipeline.formats import check_format
from pipeline.options import PartFormat
from pipeline.pinned import read_ids, read_totals
from pipeline.rows import check_part
from pipeline.run import Run
from pipeline.storage import StoredObject

LONGEST_RUN = timedelta(days=7)
"""A run that has not ended after so long has died."""

_RESULT = re.compile(r"/(?:predictions/part-([0-9a-f]{32})\.(?:parquet|jsonl)|receipts/([0-9a-f]{32})\.json)")
_TEMPORARY = re.compile(r"/(?:predictions/|receipts/|plan/|runs/)?\.[^/]+\.\d+-\d+-\d+\.tmp")
_RECORD = re.compile(r"/runs/([^/]+)\.json")
_PLAN = re.compile(r"/plan/([^/]+)\.jsonl\.gz")


@dataclass(frozen=True)
class Claim:
    """A run's claim to OUTPUT.

    Attributes:
        run: that makes it.
        units: ids of its plan.
        started: when it did, as in its record.
    """

    run: Run
    units: frozenset[str]
    started: str

    @property
    def is_open(self) -> bool:
        """Whether the run has not ended yet: its last step may be done twice, and the second be late."""
        record = _record(self.run)
        return record is not None and record.get("verdict") is None

    @property
    def is_last(self) -> bool:
        """Whether no later run has started, unless it was over before this one began."""
        return next(self._later(), None) is None

    def superseded_by(self) -> str:
        """Return the id of a later run with other units, which has a result or will have one; "" if there is none."""
        for record in self._later():
            if record.get("complete") is not False and self._wants_others(record["run"]):
                return str(record["run"])
        return ""

    def _wants_others(self, other: str) -> bool:
        try:
            return self.units != set(read_ids(replace(self.run, id=other)))
        except FileNotFoundError:
            return False  # not planned yet: it will find this run's results, and its own are still to come

    def _later(self) -> Iterator[dict[str, Any]]:
        for found in storage.list_objects(self.run.folder("runs")):
            match = _RECORD.fullmatch(found.location[len(self.run.output) :])
            if match and match[1] > self.run.id:
                record = _record(replace(self.run, id=match[1]))
                if record is not None and not (record.get("ended") and record["ended"] <= self.started):
                    yield record


def sweep(claim: Claim) -> None:
    """Remove what no run needs any more; nothing more as soon as a later run has started, as that may need it.

    Results of units that are not planned; what writers that died left behind; plans of earlier runs that are over.
    Receipts go last, and only where no part is left: without its receipt a damaged part may look like a good one.

    Raises:
        NewerFormatError: one of them is of a newer format; nothing is removed.
    """
    found = [*leftovers(claim.run, claim.units), *_plans_of_the_past(claim)]
    for one in found:
        check_leftover(one)
    receipts = {one.location: one for one in found if one.location.startswith(claim.run.result("receipts/"))}
    _remove((one for one in found if one.location not in receipts), claim)
    for part in storage.list_objects(claim.run.folder("predictions")):
        match = _RESULT.fullmatch(part.location[len(claim.run.output) :])
        if match:
            receipts.pop(claim.run.receipt(match[1]), None)
    _remove(receipts.values(), claim)


def _remove(doomed: Iterable[StoredObject], claim: Claim) -> None:
    for found in doomed:
        if not claim.is_last or not claim.is_open:
            return
        storage.delete(found.location, found.version)


def check_leftover(found: StoredObject) -> None:
    """Check that a part or a receipt which is not needed is not of a newer format: its own version may need it.

    Raises:
        NewerFormatError: it is.
    """
    match = _RESULT.search(found.location)
    with contextlib.suppress(FileNotFoundError, ChangedError, DamagedPartError):
        if match is not None and match[1]:
            form: PartFormat = "parquet" if found.location.endswith(".parquet") else "jsonl"
            check_part(storage.read(found.location, version=found.version), form, found.location)
        elif match is not None:
            Receipt.from_json(storage.read(found.location, version=found.version), found.location)


def leftovers(run: Run, units: Container[str]) -> Iterator[StoredObject]:
    """Yield what Nightscore itself wrote into OUTPUT and a result of these units does not need."""
    for found in storage.list_objects(run.folder()):
        relative = found.location[len(run.output) :]
        match = _RESULT.fullmatch(relative)
        is_result = match is not None and (match[1] or match[2]) not in units
        if is_result or _TEMPORARY.fullmatch(relative):
            yield found


def _plans_of_the_past(claim: Claim) -> Iterator[StoredObject]:
    """Yield the plans of earlier runs that have ended or died."""
    for found in storage.list_objects(claim.run.folder("plan")):
        match = _PLAN.fullmatch(found.location[len(claim.run.output) :])
        if match is None or match[1] >= claim.run.id:
            continue
        record = _record(replace(claim.run, id=match[1]))
        if record is not None and (record.get("verdict") is not None or _is_dead(record, claim)):
            with contextlib.suppress(FileNotFoundError, ValueError):
                read_totals(replace(claim.run, id=match[1]))  # a plan of a newer format is refused
            yield found


def _is_dead(record: dict[str, Any], claim: Claim) -> bool:
    return datetime.fromisoformat(claim.started) - datetime.fromisoformat(record["started"]) > LONGEST_RUN


def _record(run: Run) -> dict[str, Any] | None:
    """Return the record of a run; None if it is damaged or gone.

    Raises:
        NewerFormatError: its format is newer.
    """
    try:
        record = json.loads(storage.read(run.record))
        check_format(record, "record", run.record)
        return record if record["run"] == run.id and record["started"] else None
    except (ValueError, KeyError, TypeError, FileNotFoundError):
        return None
