"""The last step of a run: verdict, summary, report, table, record, and then the sweep.

Everything is written from receipts; nothing is removed unless every unit of the pinned plan has its own. What is
shared with other runs into OUTPUT is written by the last one that started, see `pipeline.sweep`.

run.json tells of the last run that went to work. It says `complete: false` and `verdict: null` from the moment in
which that run may change something until it has ended, so for ever if it dies. Meanwhile summary.json, report.html and
table.txt stay those of the last complete run. A run that has nothing to score replaces run.json once, at its end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from pipeline import storage
from pipeline.commit import committed
from pipeline.concurrency import cores
from pipeline.machine import versions
from pipeline.metrics.timing import shares
from pipeline.nights import compared, night_before, night_of, previous_of, training_of
from pipeline.pinned import PlanTotals, read_index
from pipeline.report.page import report
from pipeline.run import Run
from pipeline.summarize import Summary, figures, verdict
from pipeline.sweep import Claim, sweep


def start(run: Run) -> None:
    """Write what is known of a run before it starts, into its own record only."""
    content = {
        **run.to_record(),
        "started": _now(),
        "versions": versions(),
        "training": training_of(run.spec.training),
        "verdict": None,
        "complete": False,
    }
    storage.replace(run.record, _json(content))


def go_to_work(run: Run) -> None:
    """Let run.json say that this run is under way, unless a later run has started or this one has ended.

    Called once, before the first image is scored, by whoever starts the pipeline.
    """
    record: dict[str, Any] = json.loads(storage.read(run.record))
    claim = Claim(run, frozenset(), record["started"])
    if claim.is_last and claim.is_open:
        storage.replace(run.result("run.json"), _json(record))


def finish(summary: Summary, run: Run) -> dict[str, Any]:
    """Write the results of a run and return its record, the content of run.json.

    With a unit unfinished, lost or never heard of, or after a canary's alarm, only the record is written. Where a
    later run with other units is there, not even run.json: the results are that run's. Nor is run.json written where
    it tells of a later run under way. Done a second time, it returns the record of the first.
    """
    started: dict[str, Any] = json.loads(storage.read(run.record))
    if started["verdict"] is not None:
        return started
    try:
        index = read_index(run)
    except FileNotFoundError:
        return _ended(run)
    planned, totals = list(dict.fromkeys(unit.id for unit in index.units)), index.totals
    claim = Claim(run, frozenset(planned), started["started"])
    started |= beside_others(summary, run, started)
    record = record_of(summary, run, started, totals, len(planned), _lost(summary, claim))
    if record["complete"]:
        _publish(summary, claim, record, planned)
        sweep(claim)
        record = record_of(summary, run, started, totals, len(planned), _lost(summary, claim), record["ended"])
    if not claim.is_open:
        return _ended(run)
    storage.replace(run.record, _json(record))
    if claim.may_replace(_last_told(run)):
        storage.replace(run.result("run.json"), _json(record))
    return record


def _last_told(run: Run) -> dict[str, Any] | None:
    """Return the content of run.json; None where there is none, or it is damaged."""
    try:
        content = json.loads(storage.read(run.result("run.json")))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _ended(run: Run) -> dict[str, Any]:
    """Return the record of a run whose last step was done meanwhile; a later run may have removed its plan since.

    Raises:
        FileNotFoundError: it has not ended, and its plan should be there.
    """
    record: dict[str, Any] = json.loads(storage.read(run.record))
    if record["verdict"] is None:
        raise FileNotFoundError(run.plan)
    return record


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


def beside_others(summary: Summary, run: Run, started: dict[str, Any]) -> dict[str, Any]:
    """Return what a record says of the night beside the model's training and the night before."""
    night = night_of(summary.metrics, run.spec.class_names)
    before = night_before(run)
    drift = compared(night, started["training"], before)
    return {"night": night, "previous": previous_of(before), "drift": drift}


def record_of(
    summary: Summary,
    run: Run,
    started: dict[str, Any],
    totals: PlanTotals,
    units: int,
    lost: str = "",
    ended: str | None = None,
) -> dict[str, Any]:
    """Return the record of a run as it stands, the content of run.json.

    Args:
        summary: of all units that ended.
        run: whose record it is.
        started: what `start` wrote.
        totals: of its plan.
        units: in it.
        lost: what is missing although it was committed.
        ended: when it did, as its pages say; None is now.
    """
    code, reasons = verdict(summary, run, None if summary.stopped else totals.total, lost)
    ended = ended or _now()
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started["started"])).total_seconds()
    scored = summary.metrics.images - summary.kept
    return {
        **started,
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
        "plan": asdict(totals),
        "verdict": {"exit_code": code, "reasons": reasons},
        "complete": 0 < summary.units == units and not summary.unfinished and not lost,
    }


def _publish(summary: Summary, claim: Claim, record: dict[str, Any], planned: Sequence[str]) -> None:
    """Write what belongs to the last run only; stop as soon as that is another."""
    run = claim.run
    results = {
        **pages(summary, run, record),
        "table.txt": "".join(f"{run.part(unit)}\n" for unit in planned).encode(),
    }
    for name, data in results.items():
        if claim.superseded_by() or not claim.is_open:
            return
        storage.replace(run.result(name), data)


def pages(summary: Summary, run: Run, record: dict[str, Any]) -> dict[str, bytes]:
    """Return the contents of summary.json and report.html, by name."""
    content = figures(summary, run)
    return {"summary.json": _json(content), "report.html": report(content, record, summary.thumbnails).encode()}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _json(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"  # a name's bytes that are not UTF-8, as JSON's \udcff
