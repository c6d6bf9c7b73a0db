"""Marks of what was begun: OUTPUT/attempts/<name>.<n>, left before a unit's first batch and removed at its end.

A process that dies takes nothing back. Who finds the marks of two attempts that ended so decodes with care: some
image may have killed them. Must not know what care is.
"""

from __future__ import annotations

from pipeline import storage
from pipeline.run import Run

CAREFUL = 2
"""So many attempts that died, or are still under way somewhere, make the next one careful."""

CANARY = "canary"


def begin(name: str, run: Run) -> int:
    """Leave a mark and return how many are there from attempts before, at most CAREFUL."""
    for earlier in range(CAREFUL):
        if storage.create(_mark(name, earlier, run), f"{run.id}\n".encode("ascii")):
            return earlier
    return CAREFUL


def end(name: str, run: Run, earlier: int) -> None:
    """Take back the mark of an attempt, and those of the ones before it, which it has made up for."""
    for number in range(min(earlier + 1, CAREFUL)):
        storage.delete(_mark(name, number, run))


def left(run: Run) -> bool:
    """Return whether any mark is there: an attempt at something died, or is under way elsewhere."""
    return next(iter(storage.list_objects(run.result("attempts"))), None) is not None


def _mark(name: str, number: int, run: Run) -> str:
    return run.result("attempts", f"{name}.{number}")
