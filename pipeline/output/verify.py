"""This module checks an OUTPUT: is every image accounted for, and is every part as its receipt says?

Needs neither inputs nor model: the run is known by its record. Reads every part, changes nothing. Knows no Beam.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.metrics.figures import FIRST_FIGURES
from pipeline.metrics.headline import task_in
from pipeline.metrics.task_figures import AnyFigures
from pipeline.output import records
from pipeline.output.findings import AGAIN, Finding, Kind
from pipeline.output.last_run import LastRun, Oddity, last_run
from pipeline.output.plan_file import PlanTotals, read_totals, read_units
from pipeline.output.review_check import check_review
from pipeline.output.run import Run
from pipeline.output.summary import Summary, earlier_figures, figures
from pipeline.output.sweep import check_leftover, leftovers
from pipeline.output.verify_unit import verify_unit
from pipeline.units import WorkUnit

UNITS_AHEAD = 16
"""Number of units whose parts are in memory at once: enough to wait for many reads of a bucket together."""

_RECORD_FINDINGS: Mapping[Oddity, tuple[Kind, str]] = {
    Oddity.LAST_MISSING: ("record_missing", f"the last run did not write it to its end; {AGAIN}"),
    Oddity.LAST_DAMAGED: ("record_damaged", f"{{detail}}; {AGAIN}"),
    Oddity.LAST_UNLIKE_ITS_RECORD: ("record_damaged", f"it does not repeat {{detail!r}}; {AGAIN}"),
    Oddity.LAST_OUTDATED: ("record_damaged", f"it is of run {{run}}, but {{detail!r}} ended later; {AGAIN}"),
    Oddity.RECORD_MISSING: ("record_missing", f"run.json is of this run; {AGAIN} to have a record"),
    Oddity.RECORD_UNLIKE_LAST: ("record_damaged", f"it is not what run.json repeats; remove it, and {AGAIN}"),
    Oddity.NEWEST_DAMAGED: ("record_damaged", f"{{detail}}; remove it, and {AGAIN}"),
    Oddity.NOT_ENDED: (
        "run_unfinished",
        f"this run has not ended: it is still under way, or was interrupted; wait for it, or {AGAIN}",
    ),
    Oddity.INTERRUPTED: ("run_unfinished", f"this run was interrupted ({{detail}}); {AGAIN}"),
    Oddity.INCOMPLETE: ("run_unfinished", f"it did not end with all its units; {AGAIN}"),
}
"""What is said of each oddity of the records."""


@dataclass(frozen=True)
class Verification:
    """What was verified, and what came out.

    Attributes:
        run: id of the run.
        units: in its plan.
        images: that have a row, by the parts that are there and the receipts of those that are not.
        findings: nothing, if all is well.
    """

    run: str
    units: int
    images: int
    findings: Sequence[Finding]


def verify(output: str) -> Verification:
    """Verify what the last run into OUTPUT left there.

    Raises:
        NewerFormatError: something there is of a newer format.
        UsageError: it is no OUTPUT, or nothing tells which run it is of.
    """
    output = storage.absolute(output)
    last = last_run(output)
    findings = list(_verify_records(last))
    recorded = Run.from_record(last.record)
    run = recorded.at(output)
    try:
        units, totals = _read_plan(run)
    except FileNotFoundError:
        findings.append(Finding("plan_missing", run.plan, f"what was planned is unknown; {AGAIN} to plan anew"))
        return Verification(run.id, 0, 0, findings)
    except ValueError as error:
        findings.append(Finding("plan_damaged", run.plan, f"{error}; {AGAIN} to plan anew"))
        return Verification(run.id, 0, 0, findings)
    summary, found = _verify_units(units, run)
    findings += found
    if records.has_ended(last.record) and last.record["complete"]:
        findings += _verify_results(summary, recorded, run, list(units))
        faults = () if found else check_review(run, last.record, list(units), summary.digest)
        findings += (Finding(fault, location, f"{text}; remove it, and {AGAIN}") for fault, location, text in faults)
        planned = last.record["images"] if totals.total is None else totals.total
        if not found and summary.metrics.images != planned:
            text = f"{planned} images were planned but {summary.metrics.images} have a row; {AGAIN}, and report a bug"
            findings.append(Finding("rows_unaccounted", run.plan, text))
    if not any(finding.kind == "run_unfinished" for finding in findings):  # else it may be the work of that run
        findings += _verify_nothing_else(run, units)
    return Verification(run.id, len(units), summary.metrics.images, findings)


def _verify_records(last: LastRun) -> Iterator[Finding]:
    """Yield what is to be said of the records of OUTPUT."""
    for oddity, location, detail in last.odd:
        kind, text = _RECORD_FINDINGS[oddity]
        if oddity is Oddity.INCOMPLETE and records.has_ended(last.record) and last.record["verdict"]["reasons"]:
            text = last.record["verdict"]["reasons"][0]
        else:
            text = text.format(run=last.record["run"], detail=detail)
        yield Finding(kind, location, text)


def _read_plan(run: Run) -> tuple[dict[str, WorkUnit], PlanTotals]:
    """Return the pinned plan, the units by their ids and without what they read, and its totals.

    Raises:
        FileNotFoundError: there is no plan.
        ValueError: it is damaged, or its totals are not those of its units.
    """
    units: dict[str, WorkUnit] = {}
    counted = PlanTotals(run.id, run.spec.model_id)
    try:
        for unit in read_units(run):
            counted = counted.and_unit(unit)
            units[unit.id] = replace(unit, locations=(), sizes=(), versions=(), index={})
        totals = read_totals(run)
    except ValueError as error:
        raise ValueError(f"it is not as it was written: {error}") from error
    if replace(totals, skipped={}, skipped_examples={}) != counted:
        raise ValueError(f"its first line says {totals}, but its units give {counted}")
    return units, totals


def _verify_units(units: Mapping[str, WorkUnit], run: Run) -> tuple[Summary, list[Finding]]:
    """Return the summary of what the units' files say, and what is wrong with those."""
    findings: list[Finding] = []

    def summaries() -> Iterator[Summary]:
        with closing(ahead(lambda unit: verify_unit(unit, run), units.values(), UNITS_AHEAD, pools().read)) as verified:
            for receipt, found in verified:
                findings.extend(found)
                if receipt is not None:
                    yield Summary.of(receipt)

    return Summary.merge_all(summaries()), findings


def _verify_results(summary: Summary, recorded: Run, run: Run, planned: Sequence[str]) -> Iterator[Finding]:
    """Yield what is wrong with what the run wrote last: table, summary, report.

    The table may name the parts where the run wrote them, although OUTPUT was moved or copied since.
    """
    table, result, report = (run.result(name) for name in ("table.txt", "summary.json", "report.html"))
    try:
        lines = storage.read(table)
        tables = ("".join(f"{place.part(unit)}\n" for unit in planned) for place in (run, recorded))
        if lines not in [text.encode(errors="surrogateescape") for text in tables]:
            yield Finding("table_wrong", table, f"it does not name the planned parts, one a line; {AGAIN}")
    except FileNotFoundError:
        yield Finding("table_missing", table, f"nothing says which parts are the result; {AGAIN}")
    try:
        stored, ways = _parse(storage.read(result)), (figures, earlier_figures)
        if summary.units == len(planned) and not any(_is_summary(stored, way(summary, run)) for way in ways):
            yield Finding("summary_wrong", result, f"its figures are not those of the receipts; {AGAIN}")
    except FileNotFoundError:
        yield Finding("summary_missing", result, f"the figures are not there; {AGAIN}")
    if storage.stat(report) is None:
        yield Finding("report_missing", report, f"the page is not there; {AGAIN}")


def _parse(data: bytes) -> Any:
    """Return the JSON value in a file; None if it holds none."""
    try:
        return json.loads(data)
    except ValueError:
        return None


def _is_summary(stored: Any, computed: AnyFigures) -> bool:
    """Return whether a summary has the figures that the receipts give; an older one lacks later figures."""
    first = set(FIRST_FIGURES if task_in(computed) == "classes" else computed)
    is_whole = isinstance(stored, dict) and stored.keys() >= first
    return is_whole and _agrees(stored, json.loads(json.dumps(computed)))


def _agrees(stored: Any, computed: Any) -> bool:
    """Return whether two JSON values are equal in all that the stored one has."""
    if isinstance(stored, dict) and isinstance(computed, dict):
        return all(name in computed and _agrees(value, computed[name]) for name, value in stored.items())
    if isinstance(stored, list) and isinstance(computed, list):
        return len(stored) == len(computed) and all(map(_agrees, stored, computed))
    return bool(stored == computed)


def _verify_nothing_else(run: Run, planned: Mapping[str, WorkUnit]) -> Iterator[Finding]:
    """Yield what no reader of the folder should find beside the result."""
    for found in leftovers(run, planned):
        check_leftover(found, run)
        yield Finding("leftover", found.location, f"it is no part of the result; {AGAIN} to have it removed")
