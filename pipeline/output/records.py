"""The records of runs: run.json, and runs/<run>.json for each run into OUTPUT.

A run has a record from its start on. This module alone lists and reads records, and writes the first one of a run. It
finds what is odd about them; `pipeline.output.verify` words it. A record of a newer format is refused wherever it is
read. A damaged one is passed over, except where it alone tells which run OUTPUT is of.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, NamedTuple, TypeGuard, cast

from pipeline import storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import UsageError
from pipeline.machine import versions
from pipeline.metrics.record import EndedRecord, OpenRecord, Record, TaskTraining, Training
from pipeline.metrics.task_figures import AnyFigures
from pipeline.output.run import Run
from pipeline.storage.formats import check_format

READS_AHEAD = 31
"""Number of records that are read while earlier ones are looked at."""

_RECORD = re.compile(r"/runs/([^/.][^/]*)\.json")


class Oddity(enum.Enum):
    """What can be odd about the records of an OUTPUT."""

    LAST_MISSING = "there is no run.json"
    LAST_DAMAGED = "run.json cannot be read"
    LAST_UNLIKE_ITS_RECORD = "run.json tells of a run that has not ended, and does not repeat its record in runs/"
    LAST_OUTDATED = "run.json tells of a run, but a later one ended after it"
    RECORD_MISSING = "run.json tells of a run that has no record in runs/"
    RECORD_UNLIKE_LAST = "the record in runs/ is not what run.json repeats"
    NEWEST_DAMAGED = "the newest record in runs/ cannot be read"
    NOT_ENDED = "a run is under way, or has died"
    INCOMPLETE = "the run has ended, but not with all its units"


class Odd(NamedTuple):
    """One thing that is odd about a record.

    Attributes:
        oddity: what is odd.
        location: location of the record.
        detail: the error of a damaged record; the location of the other record, if there is one; else "".
    """

    oddity: Oddity
    location: str
    detail: str = ""


@dataclass(frozen=True)
class Last:
    """The run whose result is in OUTPUT.

    Attributes:
        record: the record of that run.
        odd: what is odd about the records; empty if nothing is.
    """

    record: Record
    odd: list[Odd]


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
    storage.replace(run.record, as_bytes(record))


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


def as_bytes(content: Record | AnyFigures) -> bytes:
    """Return the bytes of a JSON file that a person may read: a line for each value, and one for a list of numbers."""
    text = _indented(content, "\n")
    return text.encode("utf-8", "backslashreplace") + b"\n"  # a name's bytes that are not UTF-8, as JSON's \udcff


def _indented(value: Any, line: str) -> str:
    r"""Return a value as JSON text; a confusion matrix of 1,000 classes is a third of what `json.dumps` makes of it.

    >>> print(_indented({"a": [1, 2], "b": [{"c": None}], "d": {}}, "\n"))
    {
      "a": [1, 2],
      "b": [
        {
          "c": null
        }
      ],
      "d": {}
    }
    """
    inner = line + "  "
    if isinstance(value, dict) and value:
        items = (f"{json.dumps(name, ensure_ascii=False)}: {_indented(one, inner)}" for name, one in value.items())
        return "{" + inner + f",{inner}".join(items) + line + "}"
    if isinstance(value, list | tuple) and value and isinstance(value[0], dict | list | tuple | str):
        return "[" + inner + f",{inner}".join(_indented(one, inner) for one in value) + line + "]"
    return json.dumps(value, ensure_ascii=False)


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


def last(output: str) -> Last:
    """Return the record of the run whose result is in OUTPUT, and what is odd about the records.

    That is the run that run.json tells of. If that run has not ended, it is the last complete run, whose summary,
    report and table are still there. If there is no run.json, it is the newest run in runs/.

    Raises:
        NewerFormatError: one is of a newer format.
        UsageError: there is no record, or none that can be read.
    """
    location = storage.join(output, "run.json")
    runs = names(output)
    try:
        record = read_whole(location)
    except FileNotFoundError as error:
        odd = Odd(Oddity.LAST_MISSING, location)
        if not runs:
            text = f"{output!r} is not the OUTPUT of a run: it has neither run.json nor runs/; check its name"
            raise UsageError(text) from error
    except ValueError as error:
        odd = Odd(Oddity.LAST_DAMAGED, location, str(error))
    else:
        if has_ended(record):
            return Last(record, list(_find_odd(record, output, runs)))
        complete = next((older for older in newest_first(output) if older.get("complete")), record)
        return Last(complete, [_find_odd_of_open(record, output, runs)])
    newest = location_in(output, runs[-1]) if runs else location
    try:
        record = read_whole(newest)
    except (FileNotFoundError, ValueError) as error:
        text = f"{newest!r} does not say what was run: {error}; remove it, and run the same 'nightscore score' again"
        raise UsageError(text) from error
    return Last(record, [odd if has_ended(record) else Odd(Oddity.NOT_ENDED, newest)])


def _find_odd(record: EndedRecord, output: str, runs: list[str]) -> Iterator[Odd]:
    """Yield what is odd about run.json by what runs/ says."""
    location, own = storage.join(output, "run.json"), location_in(output, record["run"])
    if record["run"] not in runs:
        yield Odd(Oddity.RECORD_MISSING, own)
    elif read_if_sound(own) != record:
        yield Odd(Oddity.RECORD_UNLIKE_LAST, own)
    if not record.get("complete"):
        yield Odd(Oddity.INCOMPLETE, location)
    if not runs or runs[-1] <= record["run"]:
        return
    newest = location_in(output, runs[-1])
    try:
        later = read_whole(newest)
    except ValueError as error:
        yield Odd(Oddity.NEWEST_DAMAGED, newest, str(error))
        return
    if not has_ended(later):
        yield Odd(Oddity.NOT_ENDED, newest)
    elif str(later.get("ended")) > str(record.get("ended")):
        yield Odd(Oddity.LAST_OUTDATED, location, newest)


def _find_odd_of_open(record: Record, output: str, runs: list[str]) -> Odd:
    """Return what is odd if run.json tells of a run that has not ended."""
    own = location_in(output, record["run"])
    if record["run"] in runs and read_if_sound(own) == record:
        return Odd(Oddity.NOT_ENDED, own)
    return Odd(Oddity.LAST_UNLIKE_ITS_RECORD, storage.join(output, "run.json"), own)
