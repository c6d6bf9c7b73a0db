"""Which run an OUTPUT is of: run.json, and the records in runs/ beside it. Reads records only, changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.findings import AGAIN, Finding
from pipeline.run import Run
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
