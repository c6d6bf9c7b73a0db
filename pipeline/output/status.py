"""This module tells from OUTPUT alone how a run stands, while it is under way or long after. Changes nothing.

Needs neither inputs nor model, so that any machine can ask that can read OUTPUT. Knows no Beam and no terminal.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pipeline import storage
from pipeline.metrics.examples import first_of_each
from pipeline.metrics.figures import FailureExample, FailureSummary, FailureText
from pipeline.metrics.headline import headline_in, task_in
from pipeline.metrics.record import Interrupted, Record
from pipeline.metrics.review import Unseen
from pipeline.output import records
from pipeline.output.interrupted import exit_code, interruption_of
from pipeline.output.last_run import last_run
from pipeline.output.plan_file import Index, read_index
from pipeline.output.receipts import Receipt
from pipeline.output.run import Run
from pipeline.output.work_done import Course, State, WorkDone
from pipeline.task import Task

NIGHTS = 5
"""Number of earlier runs that are shown."""


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
        exit_code: of the verdict, or of the signal that interrupted it.
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
            interrupted = interruption_of(record)
            return cls(record["run"], started, exit_code=exit_code(interrupted) if interrupted else None)
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
        run_exit_code: of its verdict, or of the signal that interrupted it; None where there is neither.
        interrupted_by: name of that signal, SIGINT or SIGTERM; None where none did, or none that could be noted.
        interrupted_at: when it was, ISO 8601, UTC; None as above.
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
        silent_seconds: since the last receipt, or since the start; None of a run that has ended or was interrupted.
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
    interrupted_by: str | None
    interrupted_at: str | None
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
    work = WorkDone.of(run, record, _index(run))
    ended = record if records.has_ended(record) else None
    interrupted = interruption_of(record)
    course = Course(work, now) if ended is None and interrupted is None else None
    is_complete = ended is not None and ended["complete"]
    total = ended["images"] if work.images is None and ended is not None and is_complete else work.images
    task, night = run.spec.task, run.metrics.night(run.metrics.empty.merge(work.metrics))
    rate = course.rate() if course else (ended and ended.get("images_per_second")) or None
    return Status(
        run=run.id,
        state=course.state() if course else _state_of_ended(interrupted, is_complete),
        started=str(record.get("started") or ""),
        run_exit_code=ended["verdict"]["exit_code"] if ended else exit_code(interrupted) if interrupted else None,
        interrupted_by=interrupted["signal"] if interrupted else None,
        interrupted_at=interrupted["at"] if interrupted else None,
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


def _state_of_ended(interrupted: Interrupted | None, is_complete: bool) -> State:
    if interrupted is not None:
        return "interrupted"
    return "finished" if is_complete else "unfinished"


def _index(run: Run) -> Index | None:
    """Return what is planned; None while it is not, or where that is gone or damaged, which `verify` tells."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return read_index(run)
    return None


def _failures(work: WorkDone) -> list[FailureSummary]:
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
