"""The last step of a run: verdict, summary, report, table, record, and then the sweep.

Everything is written from receipts; nothing is removed unless every unit of the pinned plan has its own. What is
shared with other runs into OUTPUT is written by the last one that started, see `pipeline.output.sweep`.

run.json tells of the last run that went to work. It says `complete: false` and `verdict: null` from the moment in
which that run may change something until it has ended, so for ever if it dies. Meanwhile summary.json, report.html and
table.txt stay those of the last complete run. A run that has nothing to score replaces run.json once, at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast

from pipeline import storage
from pipeline.concurrency import cores
from pipeline.errors import ChangedError, DamagedPartError
from pipeline.metrics.headline import HEADLINES, headline_in
from pipeline.metrics.record import (
    AnyPrevious,
    Comparison,
    EndedRecord,
    Plan,
    RecordedReview,
    StartedRun,
    Training,
)
from pipeline.metrics.review import Review
from pipeline.metrics.timing import shares
from pipeline.output import records
from pipeline.output.commit import committed, decided
from pipeline.output.plan_file import PlanTotals, read_index
from pipeline.output.readable_json import readable_json
from pipeline.output.review import Reviewed
from pipeline.output.review_files import make_review, store_decisions
from pipeline.output.run import Run
from pipeline.output.summary import Summary, figures
from pipeline.output.sweep import Claim, sweep
from pipeline.output.verdict import verdict
from pipeline.report.page import report
from pipeline.task import Task


def go_to_work(run: Run) -> None:
    """Let run.json say that this run is under way, unless a later run has started or this one has ended.

    Called once, before the first image is scored, by whoever starts the pipeline.
    """
    record = records.read(run.record)
    claim = Claim(run, frozenset(), record["started"])
    if claim.is_last and claim.is_open:
        storage.replace(run.result("run.json"), readable_json(record))


def finish(summary: Summary, run: Run) -> EndedRecord:
    """Write the results of a run and return its record, the content of run.json.

    With a unit unfinished, lost or never heard of, or after a canary's alarm, only the record is written. Where a
    later run with other units is there, not even run.json: the results are that run's. Nor is run.json written where
    it tells of a later run under way. Done a second time, it returns the record of the first.
    """
    started = records.read(run.record)
    if records.has_ended(started):
        return started
    try:
        index = read_index(run)
    except FileNotFoundError:
        return records.read_ended(run)
    planned, totals = list(dict.fromkeys(unit.id for unit in index.units)), index.totals
    claim = Claim(run, frozenset(planned), started["started"])
    comparison = compare_with_others(summary, run, started["training"])
    lost = _lost(summary, claim)
    reviewed, lost = _review(summary, run, planned, lost)
    review = reviewed.review if reviewed else None
    removes = not run.options.accepts and bool(decided(run))
    record = record_of(summary, run, started, comparison, totals, len(planned), lost, None, review, removes)
    if record["complete"]:
        _publish(summary, claim, record, planned, reviewed)
        sweep(claim)
        lost, ended = _lost(summary, claim), record["ended"]
        record = record_of(summary, run, started, comparison, totals, len(planned), lost, ended, review, removes)
    if not claim.is_open:
        return records.read_ended(run)
    storage.replace(run.record, readable_json(record))
    if claim.may_replace(records.read_if_sound(run.result("run.json"))):
        storage.replace(run.result("run.json"), readable_json(record))
    return record


def compare_with_others(summary: Summary, run: Run, training: Training | None) -> Comparison:
    """Return the night beside the model's training and the night before.

    Raises:
        NewerFormatError: a record of an earlier run is of a newer format.
    """
    metrics, task = run.metrics, run.spec.task
    night = metrics.night(metrics.empty.merge(summary.metrics))
    before = records.night_before(run)
    drift = metrics.drift(night, training, before["night"] if before else None)
    return {"night": night, "previous": previous_of(before, task), "drift": drift}


def previous_of(before: EndedRecord | None, task: Task) -> AnyPrevious | None:
    """Return what a record keeps of the night before, of a model of a task."""
    if before is None:
        return None
    kept: dict[str, Any] = {
        "run": before["run"],
        "ended": before["ended"],
        "images": before["images"],
        "failed": before["failed"],
        "images_per_second": before["images_per_second"],
    }
    if name := HEADLINES[task]:
        kept[name], kept[f"{name}_interval_95"] = headline_in(before["night"], task)
    return cast(AnyPrevious, kept)


def record_of(
    summary: Summary,
    run: Run,
    started: StartedRun,
    comparison: Comparison,
    totals: PlanTotals,
    units: int,
    lost: str = "",
    ended: str | None = None,
    review: Review | None = None,
    removes: bool = False,
) -> EndedRecord:
    """Return the record of a run that ends as its summary says.

    Args:
        summary: the summary of all units that ended.
        run: the run.
        started: what `records.start` wrote.
        comparison: the night beside others.
        totals: what the run's plan adds up to.
        units: number of units in the plan, each counted once.
        lost: what is missing although it was committed, as one line; "": nothing is.
        ended: time of the run's end, ISO 8601; None: now.
        review: of all rows; None: nobody has looked at them.
        removes: whether an earlier run decided what to accept, and this one removes its decisions if it is complete.
    """
    looked: Review = {} if review is None else review
    total = None if summary.stopped else totals.total
    code, reasons = verdict(summary, run, total, lost, review)
    ended = ended or records.now()
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started["started"])).total_seconds()
    scored = summary.metrics.images - summary.kept
    return {
        **started,
        "verdict": {"exit_code": code, "reasons": reasons},
        "complete": _is_whole(summary, units, lost),
        **comparison,
        "ended": ended,
        "seconds": seconds,
        "images": summary.metrics.images,
        "scored": scored,
        "rescored": summary.rescored,
        "kept": summary.kept,
        "units_scored": summary.units - summary.kept_units,
        "units_kept": summary.kept_units,
        "images_per_second": round(scored / seconds, 1) if seconds > 0 else None,
        "time": shares(summary.spent, seconds, cores()) if scored and summary.spent.steps else None,
        "failed": summary.metrics.failed,
        "unfinished_units": summary.unfinished,
        "plan": cast(Plan, asdict(totals)),
        "made_by": [{"maker": maker, "units": n} for maker, n in sorted(summary.makers.items())],
        "skipped_inside": dict(sorted(summary.left_out.counts.items())),
        "skipped_inside_examples": dict(sorted(summary.left_out.examples.items())),
        **cast(RecordedReview, {name: looked[name] for name in ("accepted", "unseen") if name in looked}),
        **_removed(removes and _is_whole(summary, units, lost)),
    }


def _removed(is_so: bool) -> RecordedReview:
    """Return what a record says of the decisions of an earlier run."""
    return {"decisions_removed": True} if is_so else {}


def _is_whole(summary: Summary, units: int, lost: str) -> bool:
    """Return whether every planned unit, of which there is one at least, has its part and its receipt."""
    return 0 < summary.units == units and not summary.unfinished and not lost


def _review(summary: Summary, run: Run, planned: Sequence[str], lost: str) -> tuple[Reviewed | None, str]:
    """Return the review of a result that is whole, else None; and what is missing, as one line."""
    if not _is_whole(summary, len(planned), lost):
        return None, lost
    try:
        return make_review(run, planned, summary.digest), ""
    except (ChangedError, DamagedPartError) as error:
        return None, f"a part has changed since it was committed ({error}); rerun"


def _lost(summary: Summary, claim: Claim) -> str:
    """Return what other runs took from this one, one line; "" if nothing."""
    output = claim.run.output
    gone = summary.units - len(committed(claim.run) & claim.units)
    other = claim.superseded_by()
    if other:
        return (
            f"run {other} has started into {output} after this one and with other images or options: its results "
            "count there; rerun when it has ended, or give each its own --output"
        )
    if gone > 0:
        return f"results of {gone} units are gone: another run into {output} removed them; rerun"
    return ""


def _publish(
    summary: Summary, claim: Claim, record: EndedRecord, planned: Sequence[str], reviewed: Reviewed | None
) -> None:
    """Write what belongs to the last run only; stop as soon as that is another."""
    run = claim.run
    results = {
        **pages(summary, run, record, reviewed.review if reviewed else None),
        **(reviewed.files if reviewed else {}),
        "table.txt": "".join(f"{run.part(unit)}\n" for unit in planned).encode(),
    }
    if reviewed is not None:
        store_decisions(run, planned, reviewed, lambda: bool(claim.superseded_by()) or not claim.is_open)
    for name, data in results.items():
        if claim.superseded_by() or not claim.is_open:
            return
        storage.replace(run.result(name), data)


def pages(summary: Summary, run: Run, record: EndedRecord, review: Review | None) -> dict[str, bytes]:
    """Return the contents of summary.json and report.html, by name."""
    content = figures(summary, run)
    pictures = {} if run.options.no_pictures else summary.thumbnails
    page = report(content, record, pictures, review, run.options.link_base, summary.cells)
    return {"summary.json": readable_json(content), "report.html": page.encode()}
