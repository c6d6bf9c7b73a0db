"""Which run an OUTPUT is of: run.json, and the records in runs/ beside it. Reads records only, changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from pipeline import storage
from pipeline.concurrency import cores
from pipeline.errors import UsageError
from pipeline.machine import versions
from pipeline.metrics.drift import compare, night_of
from pipeline.metrics.timing import shares
from pipeline.output.findings import AGAIN, Finding
from pipeline.output.plan_file import PlanTotals
from pipeline.output.run import Run
from pipeline.output.summary import Summary, verdict
from pipeline.storage.formats import check_format

_RECORD = re.compile(r"/runs/([^/.][^/]*)\.json$")


def last_record(output: str) -> tuple[dict[str, Any], list[Finding]]:
    """Return the record of the run whose result is in OUTPUT, and what is wrong with the records.

    That is the run that run.json tells of. Where that has not ended, it is the last complete run, whose summary, report
    and table are still there. Where there is no run.json, it is the newest run in runs/.

    Raises:
        NewerFormatError: one is of a newer format.
        UsageError: there is none, or none that can be read.
    """
    last = storage.join(output, "run.json")
    history = _history(output)
    try:
        record = _record_at(last)
    except FileNotFoundError as error:
        found = Finding("record_missing", last, f"the last run did not write it to its end; {AGAIN}")
        if not history:
            text = f"{output!r} is not the OUTPUT of a run: it has neither run.json nor runs/; check its name"
            raise UsageError(text) from error
    except ValueError as error:
        found = Finding("record_damaged", last, f"{error}; {AGAIN}")
    else:
        if record.get("verdict") is None:
            complete = next((older for older in records(output) if older.get("complete")), record)
            return complete, [_under_way(record, output, history)]
        return record, list(_verify_record(record, output, history))
    newest = history[-1] if history else last
    try:
        record = _record_at(newest)
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(f"{newest!r} does not say what was run: {error}; remove it, and {AGAIN}") from error
    return record, [_not_ended(newest)] if record.get("verdict") is None else [found]


def run_under_way(output: str) -> dict[str, Any] | None:
    """Return the record of the newest run if that has not ended, be it under way or interrupted; else None."""
    history = _history(output)
    try:
        record = _record_at(history[-1]) if history else {"verdict": "none"}
    except (ValueError, FileNotFoundError):
        return None
    return record if record.get("verdict") is None else None


def records(output: str) -> Iterator[dict[str, Any]]:
    """Yield the records in runs/ that can be read, the newest first; each is read when its turn comes."""
    for location in reversed(_history(output)):
        try:
            yield _record_at(location)
        except (ValueError, FileNotFoundError):
            continue  # `verify` tells of the newest, and an older one tells nothing that is needed


def _history(output: str) -> list[str]:
    """Return the locations of the records in runs/, the oldest first."""
    listed = storage.list_objects(storage.join(output, "runs", ""))
    return [found.location for found in listed if _RECORD.search(found.location)]


def _record_at(location: str) -> dict[str, Any]:
    """Return the record in a file.

    Raises:
        FileNotFoundError: there is no such file.
        NewerFormatError: its format is newer.
        ValueError: it holds no record.
    """
    record: dict[str, Any] = json.loads(storage.read(location))
    Run.from_record(record, location)
    return record


def _verify_record(record: Mapping[str, Any], output: str, history: Sequence[str]) -> Iterator[Finding]:
    """Yield what is wrong with run.json by what runs/ says."""
    run = Run.from_record(record).at(output)
    if run.record not in history:
        yield Finding("record_missing", run.record, f"run.json is of this run; {AGAIN} to have a record")
    elif (twin := parsed(storage.read(run.record))) != record:
        check_format(twin, "record", run.record)
        yield Finding("record_damaged", run.record, f"it is not what run.json repeats; remove it, and {AGAIN}")
    if not record.get("complete"):
        reasons = [*(record.get("verdict") or {}).get("reasons", []), f"it did not end with all its units; {AGAIN}"]
        yield Finding("run_unfinished", run.result("run.json"), reasons[0])
    newest = history[-1] if history else run.record
    if newest > run.record:
        try:
            later = _record_at(newest)
        except ValueError as error:
            yield Finding("record_damaged", newest, f"{error}; remove it, and {AGAIN}")
            return
        if later.get("verdict") is None:
            yield _not_ended(newest)
        elif str(later.get("ended")) > str(record.get("ended")):
            text = f"it is of run {run.id}, but {newest!r} ended later; {AGAIN}"
            yield Finding("record_damaged", run.result("run.json"), text)


def _under_way(record: Mapping[str, Any], output: str, history: Sequence[str]) -> Finding:
    """Return what is to be said where run.json tells of a run that has not ended."""
    run = Run.from_record(record).at(output)
    if run.record in history and parsed(storage.read(run.record)) == record:
        return _not_ended(run.record)
    return Finding("record_damaged", run.result("run.json"), f"it does not repeat {run.record!r}; {AGAIN}")


def _not_ended(location: str) -> Finding:
    text = f"this run has not ended: it is still under way, or was interrupted; wait for it, or {AGAIN}"
    return Finding("run_unfinished", location, text)


def parsed(data: bytes) -> Any:
    """Return what JSON holds, None if it is none."""
    try:
        return json.loads(data)
    except ValueError:
        return None


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
    storage.replace(run.record, as_bytes(content))


def ended_record(run: Run) -> dict[str, Any]:
    """Return the record of a run whose last step was done meanwhile; a later run may have removed its plan since.

    Raises:
        FileNotFoundError: it has not ended, and its plan should be there.
    """
    record: dict[str, Any] = json.loads(storage.read(run.record))
    if record["verdict"] is None:
        raise FileNotFoundError(run.plan)
    return record


def beside_others(summary: Summary, run: Run, started: dict[str, Any]) -> dict[str, Any]:
    """Return what a record says of the night beside the model's training and the night before."""
    night = night_of(summary.metrics, run.spec.class_names)
    before = night_before(run)
    drift = compare(night, started["training"], before)
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


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def as_bytes(content: dict[str, Any]) -> bytes:
    """Return the contents of a JSON file that a person may read."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"  # a name's bytes that are not UTF-8, as JSON's \udcff


def training_of(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a record keeps of the model's training: of `ModelSpec.training`, if there is any."""
    names = ("dataset", "test_accuracy", "test_accuracy_interval_95", "images_per_class", "confidence_histogram")
    return {name: facts.get(name) for name in names} if facts else None


def night_before(run: Run) -> dict[str, Any] | None:
    """Return the record of the last complete run before this one into the same OUTPUT; None if there is none.

    Raises:
        NewerFormatError: one in between is of a newer format.
    """
    earlier = []
    for found in storage.list_objects(run.folder("runs")):
        match = _RECORD.fullmatch(found.location, len(run.output))
        if match and match[1] < run.id:
            earlier.append(found.location)
    for location in reversed(earlier):
        try:
            record: dict[str, Any] = json.loads(storage.read(location))
            check_format(record, "record", location)
            if record["complete"] and record["night"]:
                return record
        except (ValueError, KeyError, TypeError, FileNotFoundError):
            continue  # one that did not end, or is damaged: the one before that
    return None


def previous_of(before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what a record keeps of the night before."""
    if before is None:
        return None
    night = {name: before["night"][name] for name in ("accuracy", "accuracy_interval_95")}
    return {**{name: before[name] for name in ("run", "ended", "images", "failed", "images_per_second")}, **night}
