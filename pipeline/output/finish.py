"""The last step of a run: verdict, summary, report, table, record, and then the sweep.

Everything is written from receipts; nothing is removed unless every unit of the pinned plan has its own. What is
shared with other runs into OUTPUT is written by the last one that started, see `pipeline.output.sweep`.

run.json tells of the last run that went to work. It says `complete: false` and `verdict: null` from the moment in
which that run may change something until it has ended, so for ever if it dies. Meanwhile summary.json, report.html and
table.txt stay those of the last complete run. A run that has nothing to score replaces run.json once, at its end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipeline import storage
from pipeline.output.commit import committed
from pipeline.output.plan_file import read_index
from pipeline.output.records import (
    as_bytes,
    beside_others,
    ended_record,
    record_of,
)
from pipeline.output.run import Run
from pipeline.output.summary import Summary, figures
from pipeline.output.sweep import Claim, sweep
from pipeline.report.page import report


def go_to_work(run: Run) -> None:
    """Let run.json say that this run is under way, unless a later run has started or this one has ended.

    Called once, before the first image is scored, by whoever starts the pipeline.
    """
    record: dict[str, Any] = json.loads(storage.read(run.record))
    claim = Claim(run, frozenset(), record["started"])
    if claim.is_last and claim.is_open:
        storage.replace(run.result("run.json"), as_bytes(record))


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
        return ended_record(run)
    planned, totals = list(dict.fromkeys(unit.id for unit in index.units)), index.totals
    claim = Claim(run, frozenset(planned), started["started"])
    started |= beside_others(summary, run, started)
    record = record_of(summary, run, started, totals, len(planned), _lost(summary, claim))
    if record["complete"]:
        _publish(summary, claim, record, planned)
        sweep(claim)
        record = record_of(summary, run, started, totals, len(planned), _lost(summary, claim), record["ended"])
    if not claim.is_open:
        return ended_record(run)
    storage.replace(run.record, as_bytes(record))
    if claim.may_replace(_last_told(run)):
        storage.replace(run.result("run.json"), as_bytes(record))
    return record


def _last_told(run: Run) -> dict[str, Any] | None:
    """Return the content of run.json; None where there is none, or it is damaged."""
    try:
        content = json.loads(storage.read(run.result("run.json")))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


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
    return {"summary.json": as_bytes(content), "report.html": report(content, record, summary.thumbnails).encode()}
