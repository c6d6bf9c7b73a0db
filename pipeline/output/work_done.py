"""What of a run's plan is done, by its receipts, and how a run that has not ended comes on, by their times.

Changes nothing. Must not know what a person sees of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pipeline import storage
from pipeline.metrics.left_out import LeftOut
from pipeline.metrics.record import Record
from pipeline.metrics.sums import Sums
from pipeline.output.commit import committed, receipts
from pipeline.output.plan_file import Index
from pipeline.output.progress import Count, Meter
from pipeline.output.receipts import Receipt
from pipeline.output.run import Run

State = Literal["running", "running_or_interrupted", "interrupted", "finished", "unfinished"]
"""`interrupted`: a signal ended it. `unfinished`: it has ended by itself, and not all that was planned is done."""

SILENT_SECONDS = 60.0
SILENT_STEPS = 10
SILENT_START = 600.0
"""Seconds of silence after which a run may be dead: at least SILENT_SECONDS, and SILENT_STEPS times as long as it used
to be between two receipts; SILENT_START while that is not known yet."""

WINDOW_SECONDS = 300.0
"""Seconds over which the rate is measured, or a few receipts if they take longer."""

_CLOCKS = (1e9, 1e6)
_YEAR_2010 = 1.26e9


@dataclass(frozen=True)
class WorkDone:
    """What of a run's plan is done.

    Attributes:
        units: planned, None if there is no plan.
        images: in them, None where that is not known.
        receipts: of those that are done.
        metrics: sums over their rows.
        left_out: what the plan and these count that is no image.
        moments: unit -> seconds since 1970 when its receipt was written, where that is known.
        started: the run, in seconds since 1970.
    """

    units: int | None
    images: int | None
    receipts: Sequence[Receipt]
    metrics: Sums
    left_out: LeftOut
    moments: Mapping[str, float]
    started: float

    @classmethod
    def of(cls, run: Run, record: Record, index: Index | None) -> WorkDone:
        """Read the receipts of what is planned."""
        planned = {unit.id for unit in index.units} if index else set()
        written = {run.receipt(unit): unit for unit in committed(run) & planned}
        listed = storage.list_objects(run.folder("receipts"))
        moments = {written[o.location]: _moment(o.version) for o in listed if o.location in written}
        with closing(receipts(run, sorted(written.values()))) as found:
            done = list(found)
        metrics, totals = Sums(), index.totals if index else None
        left_out = LeftOut(totals.skipped, totals.skipped_examples) if totals else LeftOut()
        for receipt in done:
            metrics = metrics.merge(receipt.metrics)
            left_out = left_out.merge(receipt.extras.left_out)
        known = {unit: moment for unit, moment in moments.items() if moment is not None}
        units, images = len(planned) if index else None, totals.total if totals else None
        return cls(units, images, done, metrics, left_out, known, _seconds(str(record.get("started") or "")))

    def is_kept(self, receipt: Receipt) -> bool:
        """Return whether a receipt was there before the run."""
        return self.moments.get(receipt.unit, self.started) < self.started


def _seconds(started: str) -> float:
    """Return an ISO 8601 time in seconds since 1970; 0 where it is none."""
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(started).timestamp()
    return 0.0


def _moment(version: int) -> float | None:
    """Return when an object was written, in seconds since 1970, as far as its version tells.

    On disk that is a time in ns. Cloud Storage's generations are in microseconds, which it does not promise: any other
    number tells nothing.
    """
    times = (version / scale for scale in _CLOCKS)
    return next((time for time in times if _YEAR_2010 < time < 4 * _YEAR_2010), None)


class Course:
    """How a run without a verdict comes on."""

    def __init__(self, work: WorkDone, now: float) -> None:
        """Take the receipts of this run; now is in seconds since 1970."""
        new = [(work.moments[r.unit], r.rows) for r in work.receipts if r.unit in work.moments and not work.is_kept(r)]
        self._new = sorted(new)
        self._now = now
        self._started = work.started

    @property
    def silent(self) -> float:
        """Seconds since it was heard of."""
        return max(0.0, self._now - (self._new[-1][0] if self._new else self._started))

    def state(self) -> State:
        """Return what its silence means."""
        gaps = len(self._new) - 1
        usual = (self._new[-1][0] - self._new[0][0]) / gaps if gaps > 0 else SILENT_START / SILENT_STEPS
        return "running" if self.silent <= max(SILENT_SECONDS, SILENT_STEPS * usual) else "running_or_interrupted"

    def rate(self) -> float | None:
        """Return images per second lately, None where there are too few receipts or it may be dead."""
        if self.state() != "running":
            return None
        meter, scored = Meter(WINDOW_SECONDS), 0
        for moment, rows in self._new:
            scored += rows
            meter.rate(Count(scored=scored), moment)
        return meter.rate(Count(scored=scored), self._now) or None
