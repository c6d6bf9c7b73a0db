"""Decide which of several runs owns OUTPUT, and remove what no run needs.

Runs with the same units work on the same result: all of them end well. Of runs with different units the last one
started has its way, and the others say so. Nobody is asked to wait, and nobody trusts that another is still alive:
a run is later if its record sorts behind, which is written before anything is planned, and what it wants is its
pinned plan. So whoever is about to change what all share looks at the records right before; and once more when it is
done, so that a change that crossed the start of another run is at least noticed by the one that made it.

A sweep may remove a hundred thousand objects, each in a request of its own. It looks at the records before each group
of removals, which then go out side by side. A look is good for `LOOK_SECONDS` only: a process that was suspended
looks again when it wakes up. A run that starts within these seconds may lose results that it wanted to keep. It sees
that they are gone when it finishes, and so does this run see the other.

Must not know what a verdict is.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import ChangedError, DamagedPartError, NewerFormatError
from pipeline.metrics.record import Record
from pipeline.options import PartFormat
from pipeline.output import records
from pipeline.output.plan_file import read_ids, read_totals
from pipeline.output.receipts import Receipt
from pipeline.output.rows import check_part
from pipeline.output.run import Run
from pipeline.storage import StoredObject

LONGEST_RUN = timedelta(days=7)
"""Time after which a run that has not ended counts as dead."""

GROUP = 256
"""Number of objects that are removed after one look at the records."""

LOOK_SECONDS = 5.0
"""Seconds after a look at the records in which a removal may begin. The look was answered before they count."""

_RESULT = re.compile(r"/(?:predictions/part-([0-9a-f]{32})\.(?:parquet|jsonl)|receipts/([0-9a-f]{32})\.json)")
_DECISIONS = re.compile(r"/decisions/part-([0-9a-f]{32})\.parquet")
_FOLDERS = ("", "/decisions", "/predictions", "/receipts", "/plan", "/runs")
"""Folders in which a run writes files; the first is OUTPUT itself."""

_PLAN = re.compile(r"/plan/([^/]+)\.jsonl\.gz")

_logger = logging.getLogger(__name__)


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
        record = records.read_own(self.run)
        return record is not None and not records.has_ended(record)

    @property
    def is_last(self) -> bool:
        """Whether no later run has started, unless it was over before this one began."""
        return next(self._later(), None) is None

    def superseded_by(self) -> str:
        """Return the id of a later run with other units, which has a result or will have one; "" if there is none."""
        for record in self._later():
            is_open = not records.has_ended(record)
            if (is_open or record.get("complete")) and self._wants_others(record["run"]):
                return record["run"]
        return ""

    def may_replace(self, last: Record | None) -> bool:
        """Return whether this run's record may replace `last`, the content of run.json.

        It may not where the result is that of a later run, or where a later run that has not ended is told of.
        """
        if last is not None and not records.has_ended(last) and last["run"] > self.run.id:
            return False
        return not self.superseded_by()

    def _wants_others(self, other: str) -> bool:
        try:
            return self.units != set(read_ids(replace(self.run, id=other)))
        except FileNotFoundError:
            return False  # not planned yet: it will find this run's results, and its own are still to come

    def _later(self) -> Iterator[Record]:
        """Yield the records of later runs, unless they were over before this one began."""
        for record in records.later_than(self.run):
            if not (records.has_ended(record) and record.get("ended", "~") <= self.started):
                yield record


def sweep(claim: Claim) -> None:
    """Remove what no run needs any more; nothing more as soon as a later run has started, as that may need it.

    Results of units that are not planned; what writers that died left behind; plans of earlier runs that are over.
    Receipts go last, and only where no part is left: without its receipt a damaged part may look like a good one.
    What is of a newer format stays, and the log says so: the version that wrote it may need it.
    """
    found = list(_find_doomed(claim))
    receipts = {one.location: one for one in found if one.location.startswith(claim.run.result("receipts/"))}
    _remove((one for one in found if one.location not in receipts), claim)
    if not receipts:
        return
    for part in storage.list_objects(claim.run.folder("predictions")):
        match = _RESULT.fullmatch(part.location[len(claim.run.output) :])
        if match:
            receipts.pop(claim.run.receipt(match[1]), None)
    _remove(receipts.values(), claim)


def _find_doomed(claim: Claim) -> Iterator[StoredObject]:
    """Yield what no run needs any more, from one listing of OUTPUT."""
    for found in storage.list_objects(claim.run.folder()):
        if _is_leftover(found, claim.run, claim.units) or _is_plan_of_the_past(found, claim):
            yield found


def _remove(doomed: Iterable[StoredObject], claim: Claim) -> None:
    """Remove objects group by group; remove no more once a later run has started, or this one has ended."""
    waiting = deque(doomed)
    while waiting:
        if not claim.is_last or not claim.is_open:
            return
        group = [waiting.popleft() for _ in range(min(GROUP, len(waiting)))]
        waiting.extend(_remove_in_time(group, claim.run))


def _remove_in_time(group: Sequence[StoredObject], run: Run) -> list[StoredObject]:
    """Remove a group of objects, several at once where the store can; return those whose turn came too late."""
    looked = time.time()  # not the monotonic clock: that stands still while a machine is suspended

    def remove(found: StoredObject) -> StoredObject | None:
        if time.time() - looked > LOOK_SECONDS:
            return found
        try:
            check_leftover(found, run)
        except NewerFormatError as error:
            _logger.warning("%s; it stays", error)
            return None
        storage.delete(found.location, found.version)
        return None

    at_once = storage.store_of(group[0].location).parallel_reads
    if at_once == 1:
        return [late for late in map(remove, group) if late is not None]
    with closing(ahead(remove, group, at_once - 1, pools().read)) as removed:
        return [late for late in removed if late is not None]


def check_leftover(found: StoredObject, run: Run) -> None:
    """Check that a part, a receipt or a plan of OUTPUT which is not needed is not of a newer format.

    Raises:
        NewerFormatError: it is.
    """
    relative = found.location[len(run.output) :]
    match, plan = _RESULT.fullmatch(relative), _PLAN.fullmatch(relative)
    with contextlib.suppress(FileNotFoundError, ChangedError, DamagedPartError, ValueError):
        if plan is not None:
            read_totals(replace(run, id=plan[1]))
        elif match is not None and match[1]:
            form: PartFormat = "parquet" if found.location.endswith(".parquet") else "jsonl"
            check_part(storage.read(found.location, version=found.version), form, found.location, run.rules)
        elif match is not None:
            Receipt.from_json(storage.read(found.location, version=found.version), found.location)


def leftovers(run: Run, units: Container[str]) -> Iterator[StoredObject]:
    """Yield what Nightscore itself wrote into OUTPUT and a result of these units does not need."""
    return (found for found in storage.list_objects(run.folder()) if _is_leftover(found, run, units))


def _is_leftover(found: StoredObject, run: Run, units: Container[str]) -> bool:
    relative = found.location[len(run.output) :]
    match = _RESULT.fullmatch(relative)
    is_result = match is not None and (match[1] or match[2]) not in units
    folder, _, name = relative.rpartition("/")
    decision = _DECISIONS.fullmatch(relative)
    if decision is not None and (decision[1] not in units or not run.options.accepts):
        return True
    return is_result or (folder in _FOLDERS and storage.is_temporary(name))


def _is_plan_of_the_past(found: StoredObject, claim: Claim) -> bool:
    """Return whether an object is the plan of an earlier run that has ended or died."""
    match = _PLAN.fullmatch(found.location[len(claim.run.output) :])
    if match is None or match[1] >= claim.run.id:
        return False
    record = records.read_own(replace(claim.run, id=match[1]))
    return record is not None and (records.has_ended(record) or _is_dead(record, claim))


def _is_dead(record: Record, claim: Claim) -> bool:
    return datetime.fromisoformat(claim.started) - datetime.fromisoformat(record["started"]) > LONGEST_RUN
