"""This module tells from OUTPUT alone how a run stands, while it is under way or long after. Changes nothing.

Needs neither inputs nor model, so that any machine can ask that can read OUTPUT. Knows no Beam and no terminal.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from pipeline import storage
from pipeline.metrics.examples import first_of_each
from pipeline.metrics.figures import FailureExample, FailureSummary, FailureText
from pipeline.metrics.headline import headline_in, task_in
from pipeline.metrics.left_out import LeftOut
from pipeline.metrics.record import Record
from pipeline.metrics.review import Unseen
from pipeline.metrics.sums import Sums
from pipeline.output import records
from pipeline.output.commit import committed, receipts
from pipeline.output.last_run import last_run
from pipeline.output.plan_file import Index, read_index
from pipeline.output.progress import Count, Meter
from pipeline.output.receipts import Receipt
from pipeline.output.run import Run
from pipeline.task import Task

State = Literal["running", "running_or_interrupted", "finished", "unfinished"]
"""`unfinished`: it has ended, and not all that was planned is done."""

NIGHTS = 5
"""Number of earlier runs that are shown."""

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
class EarlierRun:
    """A run as its record tells it; None for what that does not tell, as of a run that has not ended.

    Attributes:
        run: its id.
        started: ISO 8601, UTC.
        images: that have a row.
        failed: of those.
        accuracy: of the labelled ones, of a model of classes.
        images_per_second: scored, with start-up.
        exit_code: of the verdict.
        quality: value of the headline of the model's task, see `pipeline.metrics.headline.HEADLINES`.
    """

    run: str
    started: str
    images: int | None = None
    failed: int | None = None
    accuracy: float | None = None
    images_per_second: float | None = None
    exit_code: int | None = None
    quality: float | None = None

    @classmethod
    def of(cls, record: Record) -> EarlierRun:
        """Return what a record tells."""
        task = task_in(record["model_spec"])
        night = cast(Mapping[str, Any], record.get("night") or {})
        started = str(record.get("started") or "")
        if not records.has_ended(record):
            return cls(record["run"], started)
        return cls(
            run=record["run"],
            started=started,
            images=record.get("images"),
            failed=record.get("failed"),
            accuracy=headline_in(night, "classes")[0],
            quality=headline_in(night, task)[0],
            images_per_second=record.get("images_per_second") if record.get("scored") else None,
            exit_code=record["verdict"]["exit_code"],
        )


@dataclass(frozen=True)
class Status:
    """How the last run into an OUTPUT stands.

    Attributes:
        run: its id.
        state: of the run.
        started: ISO 8601, UTC.
        run_exit_code: of its verdict, None where there is none.
        reasons: for that, one line each.
        units: planned; None while they are not, or where the plan is gone.
        units_done: of those.
        images: planned; None where that is not known, or only reading tells.
        done: images that have a row.
        kept: of those, from earlier runs.
        failed: of those that have a row.
        failures: {stage, code, images, examples: [{key, message}]}, the most frequent first.
        labelled: scored images with a label that the model could give.
        accuracy: of those, of a model of classes.
        accuracy_interval_95: of the accuracy.
        task: what the model says of an image.
        quality: value of the task's headline, see `pipeline.metrics.headline.HEADLINES`.
        quality_interval_95: of that.
        images_per_second: of a run under way lately, of another as its record says.
        seconds_left: of a run under way.
        silent_seconds: since the last receipt, or since the start; None of a run that has ended.
        has_receipt: whether this run has written one.
        nights: the runs before, the last one last.
        skipped: reason -> files of the inputs that are not scored, as far as planned and read.
        skipped_examples: reason -> key of one of those.
        inputs: of the run, as keys begin.
        unseen: figures of the images of which training had no exact copy; None where nobody knows.
    """

    run: str
    state: State
    started: str
    run_exit_code: int | None
    reasons: Sequence[str]
    units: int | None
    units_done: int
    images: int | None
    done: int
    kept: int
    failed: int
    failures: Sequence[FailureSummary]
    labelled: int
    accuracy: float | None
    accuracy_interval_95: Sequence[float] | None
    task: Task
    quality: float | None
    quality_interval_95: Sequence[float] | None
    images_per_second: float | None
    seconds_left: float | None
    silent_seconds: float | None
    has_receipt: bool
    nights: Sequence[EarlierRun]
    skipped: Mapping[str, int]
    skipped_examples: Mapping[str, str]
    inputs: Sequence[str]
    unseen: Unseen | None


def status(output: str, now: float) -> Status:
    """Return how the last run into an OUTPUT stands, at a time in seconds since 1970.

    Raises:
        NewerFormatError: something there is of a newer format.
        UsageError: it is no OUTPUT, or nothing tells which run it is of.
        TransientError: storage fails for now.
    """
    output = storage.absolute(output)
    *before, record = records.latest(output, 1 + NIGHTS) or [last_run(output).record]
    run = Run.from_record(record).at(output)
    work = _Work.of(run, record, _index(run))
    ended = record if records.has_ended(record) else None
    course = _Course(work, now) if ended is None else None
    is_complete = ended is not None and ended["complete"]
    total = ended["images"] if work.images is None and ended is not None and is_complete else work.images
    task, night = run.spec.task, run.metrics.night(run.metrics.empty.merge(work.metrics))
    rate = course.rate() if course else (ended and ended.get("images_per_second")) or None
    return Status(
        run=run.id,
        state=course.state() if course else "finished" if is_complete else "unfinished",
        started=str(record.get("started") or ""),
        run_exit_code=ended["verdict"]["exit_code"] if ended else None,
        reasons=ended["verdict"]["reasons"] if ended else (),
        units=work.units,
        units_done=len(work.receipts),
        images=total,
        done=work.metrics.images,
        kept=sum(receipt.rows for receipt in work.receipts if work.is_kept(receipt)),
        failed=work.metrics.failed,
        failures=_failures(work),
        labelled=getattr(work.metrics, "labelled", 0),
        accuracy=headline_in(night, "classes")[0],
        accuracy_interval_95=headline_in(night, "classes")[1],
        task=task,
        quality=headline_in(night, task)[0],
        quality_interval_95=headline_in(night, task)[1],
        images_per_second=rate,
        seconds_left=(total - work.metrics.images) / rate if course and rate and total is not None else None,
        silent_seconds=course.silent if course else None,
        has_receipt=any(not work.is_kept(receipt) for receipt in work.receipts),
        nights=[EarlierRun.of(night) for night in before],
        skipped=dict(work.left_out.counts),
        skipped_examples=dict(work.left_out.examples),
        inputs=[storage.key_of(pattern) for pattern in run.inputs],
        unseen=ended.get("unseen") if ended and is_complete else None,
    )


def _index(run: Run) -> Index | None:
    """Return what is planned; None while it is not, or where that is gone or damaged, which `verify` tells."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return read_index(run)
    return None


@dataclass(frozen=True)
class _Work:
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
    def of(cls, run: Run, record: Record, index: Index | None) -> _Work:
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


class _Course:
    """How a run without a verdict comes on."""

    def __init__(self, work: _Work, now: float) -> None:
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


def _failures(work: _Work) -> list[FailureSummary]:
    """Return what failed by reason, with the first examples by key."""
    examples: dict[tuple[str, str], list[FailureText]] = defaultdict(list)
    for failure in first_of_each(sorted(_examples(work.receipts), key=lambda failure: failure["key"])):
        reason = (failure["stage"], failure["code"])
        examples[reason].append({"key": failure["key"], "message": failure["message"]})
    ordered = sorted(work.metrics.failures.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"stage": stage, "code": code, "images": n, "examples": examples[stage, code]} for (stage, code), n in ordered
    ]


def _examples(found: Iterable[Receipt]) -> Iterator[FailureExample]:
    for receipt in found:
        yield from receipt.failures
