"""The records of runs: run.json, and runs/<run>.json for each run into OUTPUT.

A run has a record from its start on. This module alone lists and reads records, and writes the first one of a run. A
record of a newer format is refused wherever it is read. A damaged one is passed over, except where it alone tells which
run OUTPUT is of: `pipeline.output.last_run` finds that run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, TypeGuard, cast

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.machine import versions
from pipeline.metrics.record import EndedRecord, OpenRecord, Record, TaskTraining, Training
from pipeline.output.readable_json import readable_json
from pipeline.output.run import Run
from pipeline.storage.formats import check_format

READS_AHEAD = 31
"""Number of records that are read while earlier ones are looked at."""

_RECORD = re.compile(r"/runs/([^/.][^/]*)\.json")


def start(run: Run) -> None:
    """Write what is known of a run before it starts, into its own record only."""
    record: OpenRecord = {
        **run.to_record(),
        "started": now(),
        "versions": versions(),
        "training": training_of(run.spec.training),
        "verdict": None,
        "complete": False,
    }
    storage.replace(run.record, readable_json(record))


def training_of(facts: Mapping[str, Any]) -> Training | None:
    """Return what a record keeps of `ModelSpec.training`; None if the model directory tells nothing of it."""
    if not facts:
        return None
    training: Training = {
        "dataset": facts.get("dataset"),
        "test_accuracy": facts.get("test_accuracy"),
        "test_accuracy_interval_95": facts.get("test_accuracy_interval_95"),
        "images_per_class": facts.get("images_per_class"),
        "confidence_histogram": facts.get("confidence_histogram"),
    }
    told = {name: facts[name] for name in TaskTraining.__annotations__ if facts.get(name) is not None}
    return cast(Training, {**training, **told})


def now() -> str:
    """Return the time as records have it: ISO 8601, UTC, in milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def location_in(output: str, name: str) -> str:
    """Return where the record of a run lies, by the run's id."""
    return storage.join(output, "runs", f"{name}.json")


def names(output: str) -> list[str]:
    """Return the ids of all runs that have a record in OUTPUT, the oldest first."""
    folder = storage.join(output, "runs", "")
    matches = (_RECORD.fullmatch(stored.location, len(output)) for stored in storage.list_objects(folder))
    return sorted(match[1] for match in matches if match)


def read(location: str) -> Record:
    """Return the record in a file; it tells its run and its model, and may lack other fields if it is damaged.

    Raises:
        FileNotFoundError: there is no such file.
        NewerFormatError: its format is newer.
        ValueError: it holds no record.
    """
    content = json.loads(storage.read(location))
    check_format(content, "record", location)
    for name in ("run", "model"):
        if not isinstance(content, dict) or not isinstance(content.get(name), str):
            raise ValueError(f"it does not tell which run it is of: it has no {name!r}")
    return cast(Record, content)


def read_whole(location: str) -> Record:
    """Return the record in a file that also tells the run's options and the model's input rule.

    Raises:
        FileNotFoundError: there is no such file.
        NewerFormatError: its format is newer.
        ValueError: it holds no such record.
    """
    record = read(location)
    Run.from_record(record, location)
    return record


def read_if_sound(location: str) -> Record | None:
    """Return the record in a file; None if there is none, or it is damaged.

    Raises:
        NewerFormatError: its format is newer.
    """
    try:
        return read(location)
    except (FileNotFoundError, ValueError):
        return None


def has_ended(record: Record) -> TypeGuard[EndedRecord]:
    """Return whether a record tells how its run ended; if not, the run is under way, or has died."""
    return record.get("verdict") is not None


def newest_first(output: str) -> Iterator[Record]:
    """Yield the records in runs/ that can be read, the newest first; each is read when its turn comes."""
    for name in reversed(names(output)):
        try:
            yield read_whole(location_in(output, name))
        except (ValueError, FileNotFoundError):
            continue  # `verify` tells of the newest, and an older one tells nothing that is needed


def latest(output: str, count: int) -> list[Record]:
    """Return the records of the last runs, by the time of their start, the last one last; none that is damaged.

    Args:
        output: where the runs wrote.
        count: number of records to read, many at once.
    """

    def read_one(name: str) -> Record | None:
        try:
            return read_whole(location_in(output, name))
        except ValueError:
            return None

    with closing(ahead(read_one, names(output)[-count:], READS_AHEAD, pools().read)) as records:
        sound = [record for record in records if record is not None]
    return sorted(sound, key=lambda record: (str(record.get("started") or ""), record["run"]))


def later_than(run: Run) -> Iterator[Record]:
    """Yield the records of runs that started after this one, the oldest first; none that is damaged."""
    for name in names(run.output):
        if name > run.id and (record := read_own(replace(run, id=name))) is not None:
            yield record


def read_own(run: Run) -> Record | None:
    """Return the record of a run; None if there is none, or it is damaged, that of another run, or without a start.

    Raises:
        NewerFormatError: its format is newer.
    """
    record = read_if_sound(run.record)
    return record if record is not None and record["run"] == run.id and record.get("started") else None


def read_ended(run: Run) -> EndedRecord:
    """Return the record of a run that has ended; a later run may have removed its plan since.

    Raises:
        FileNotFoundError: it has not ended, and its plan should be there.
    """
    record = read(run.record)
    if not has_ended(record):
        raise FileNotFoundError(run.plan)
    return record


def night_before(run: Run) -> EndedRecord | None:
    """Return the record of the last complete run before this one into the same OUTPUT; None if there is none.

    Raises:
        NewerFormatError: one in between is of a newer format.
    """
    for name in reversed([name for name in names(run.output) if name < run.id]):
        record = read_if_sound(location_in(run.output, name))
        if record is not None and has_ended(record) and record["complete"] and record.get("night"):
            return record
    return None


def under_way(output: str) -> Record | None:
    """Return the record of the newest run if that has not ended, be it under way or dead; else None."""
    runs = names(output)
    try:
        record = read_whole(location_in(output, runs[-1])) if runs else None
    except (ValueError, FileNotFoundError):
        return None
    return record if record is not None and not has_ended(record) else None
