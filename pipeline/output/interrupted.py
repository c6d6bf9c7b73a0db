"""A run that a signal ends notes this in its own record, so that nobody has to guess later whether it is still alive.

Only runs/<run>.json has the note, which no other run writes: run.json belongs to all runs into OUTPUT, and stays. So
two runs at once cannot speak for each other, and the next run, which has a record of its own, comes after the note.
What is killed at once, or dies, leaves no note.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pipeline import storage
from pipeline.errors import NoSpaceError, StoreDownError, TransientError
from pipeline.interruption import INTERRUPTION
from pipeline.metrics.record import Interrupted, InterruptedRecord, Record
from pipeline.output import records
from pipeline.output.readable_json import readable_json
from pipeline.output.run import Run

_logger = logging.getLogger(__name__)


@contextlib.contextmanager
def interruption_noted(run: Run) -> Iterator[None]:
    """Note in the record of a run, which the body does in this process, that a signal has ended the body."""
    try:
        yield
    except KeyboardInterrupt:
        try:
            _note(run)
        except (OSError, TransientError, StoreDownError, NoSpaceError) as error:
            _logger.warning("%s cannot say that the run was interrupted: %s", storage.key_of(run.record), error)
        raise


def _note(run: Run) -> None:
    record = records.read(run.record)
    if records.has_ended(record):
        return
    name = signal.Signals(INTERRUPTION.signal or signal.SIGINT).name
    noted = cast(InterruptedRecord, {**record, "interrupted": {"signal": name, "at": records.now()}})
    storage.replace(run.record, readable_json(noted))


def interruption_of(record: Record) -> Interrupted | None:
    """Return which signal ended a run, and when; None if none did, or nobody could note it, or the run was over."""
    return None if records.has_ended(record) else cast(Mapping[str, Any], record).get("interrupted")


def exit_code(interrupted: Interrupted) -> int:
    """Return the exit code of a run that a signal ended.

    >>> exit_code({"signal": "SIGTERM", "at": "2026-11-30T11:48:58.123+00:00"})
    143
    """
    return 128 + signal.Signals[interrupted["signal"]]
