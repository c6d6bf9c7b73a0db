"""Find the run whose result is in OUTPUT, and what is odd about the records there.

`pipeline.output.verify` words what is odd. Changes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.metrics.record import EndedRecord, Record
from pipeline.output import records
from pipeline.output.interrupted import interruption_of


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
    INTERRUPTED = "a signal ended a run"
    INCOMPLETE = "the run has ended, but not with all its units"


class Odd(NamedTuple):
    """One thing that is odd about a record.

    Attributes:
        oddity: what is odd.
        location: location of the record.
        detail: the error of a damaged record; the location of the other record, if there is one;
            the name of the signal that ended a run; else "".
    """

    oddity: Oddity
    location: str
    detail: str = ""


@dataclass(frozen=True)
class LastRun:
    """The run whose result is in OUTPUT.

    Attributes:
        record: the record of that run.
        odd: what is odd about the records; empty if nothing is.
    """

    record: Record
    odd: list[Odd]


def last_run(output: str) -> LastRun:
    """Return the record of the run whose result is in OUTPUT, and what is odd about the records.

    That is the run that run.json tells of. If that run has not ended, it is the last complete run, whose summary,
    report and table are still there. If there is no run.json, it is the newest run in runs/.

    Raises:
        NewerFormatError: one is of a newer format.
        UsageError: there is no record, or none that can be read.
    """
    location = storage.join(output, "run.json")
    runs = records.names(output)
    try:
        record = records.read_whole(location)
    except FileNotFoundError as error:
        odd = Odd(Oddity.LAST_MISSING, location)
        if not runs:
            text = f"{output!r} is not the OUTPUT of a run: it has neither run.json nor runs/; check its name"
            raise UsageError(text) from error
    except ValueError as error:
        odd = Odd(Oddity.LAST_DAMAGED, location, str(error))
    else:
        if records.has_ended(record):
            return LastRun(record, list(_find_odd(record, output, runs)))
        complete = next((older for older in records.newest_first(output) if older.get("complete")), record)
        return LastRun(complete, [_find_odd_of_open(record, output, runs)])
    newest = records.location_in(output, runs[-1]) if runs else location
    try:
        record = records.read_whole(newest)
    except (FileNotFoundError, ValueError) as error:
        text = f"{newest!r} does not say what was run: {error}; remove it, and run the same 'nightscore score' again"
        raise UsageError(text) from error
    return LastRun(record, [odd if records.has_ended(record) else _odd_of_open(record, newest)])


def _find_odd(record: EndedRecord, output: str, runs: list[str]) -> Iterator[Odd]:
    """Yield what is odd about run.json by what runs/ says."""
    location, own = storage.join(output, "run.json"), records.location_in(output, record["run"])
    if record["run"] not in runs:
        yield Odd(Oddity.RECORD_MISSING, own)
    elif records.read_if_sound(own) != record:
        yield Odd(Oddity.RECORD_UNLIKE_LAST, own)
    if not record.get("complete"):
        yield Odd(Oddity.INCOMPLETE, location)
    if not runs or runs[-1] <= record["run"]:
        return
    newest = records.location_in(output, runs[-1])
    try:
        later = records.read_whole(newest)
    except ValueError as error:
        yield Odd(Oddity.NEWEST_DAMAGED, newest, str(error))
        return
    if not records.has_ended(later):
        yield _odd_of_open(later, newest)
    elif str(later.get("ended")) > str(record.get("ended")):
        yield Odd(Oddity.LAST_OUTDATED, location, newest)


def _find_odd_of_open(record: Record, output: str, runs: list[str]) -> Odd:
    """Return what is odd if run.json tells of a run that has not ended."""
    location = records.location_in(output, record["run"])
    own = records.read_if_sound(location) if record["run"] in runs else None
    if own is not None and {**own, "interrupted": None} == {**record, "interrupted": None}:
        return _odd_of_open(own, location)
    return Odd(Oddity.LAST_UNLIKE_ITS_RECORD, storage.join(output, "run.json"), location)


def _odd_of_open(record: Record, location: str) -> Odd:
    """Return what the record of a run that has not ended tells of it."""
    interrupted = interruption_of(record)
    if interrupted is None:
        return Odd(Oddity.NOT_ENDED, location)
    return Odd(Oddity.INTERRUPTED, location, interrupted["signal"])
