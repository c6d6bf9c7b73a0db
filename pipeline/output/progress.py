"""This module counts how far this process has come: `score` adds, a progress bar reads. Decides nothing."""

from __future__ import annotations

import functools
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

WINDOW_SECONDS = 30.0
"""Seconds over which the rate is measured, so that it follows a store that gets slower."""

WINDOW_STEPS = 5
"""Number of steps over which it is measured at least: receipts come in big steps, minutes apart."""

LEAST_SECONDS = 1.0
"""Seconds over which it is measured at least."""

Reason = tuple[str, str]
"""Stage and code of a failed image."""


@dataclass(frozen=True)
class Count:
    """Numbers of images.

    Attributes:
        total: in the plan; None while it is made, or where only reading can tell.
        scored: by this process, failed ones included.
        kept: with a receipt from before.
        failures: reason -> those of the scored ones that failed.
    """

    total: int | None = None
    scored: int = 0
    kept: int = 0
    failures: Mapping[Reason, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Scored images without a prediction."""
        return sum(self.failures.values())

    @property
    def done(self) -> int:
        """Images that have a row or will have one with the next commits."""
        return self.scored + self.kept

    def then(self, more: Count) -> Count:
        """Return the same with the images of another count; the total stays."""
        failures = Counter(self.failures)
        failures.update(more.failures)
        return replace(self, scored=self.scored + more.scored, kept=self.kept + more.kept, failures=failures)


@dataclass
class Tally:
    """Counts that any thread may add to."""

    _count: Count = field(default_factory=Count)
    _notes: tuple[str, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, total: int | None) -> None:
        """Begin a run of so many images."""
        with self._lock:
            self._count = Count(total)

    def add(self, scored: int = 0, kept: int = 0, failures: Mapping[Reason, int] | None = None) -> None:
        """Add images."""
        with self._lock:
            self._count = self._count.then(Count(None, scored, kept, failures or {}))

    def show(self, count: Count) -> None:
        """Take numbers that somebody else has counted."""
        with self._lock:
            self._count = count

    def note(self, lines: Sequence[str]) -> None:
        """Take lines for a person; those of before that nobody has taken are gone."""
        with self._lock:
            self._notes = tuple(lines)

    def take_notes(self) -> tuple[str, ...]:
        """Return the lines for a person, and forget them."""
        with self._lock:
            notes, self._notes = self._notes, ()
        return notes

    def count(self) -> Count:
        """Return the numbers of this moment."""
        return self._count


@functools.cache
def tally() -> Tally:
    """Return this process's tally."""
    return Tally()


class Meter:
    """Images scored per second lately, from counts looked at now and then.

    What comes before the first of them, and that itself, is start-up and tells nothing of what is to come.
    """

    def __init__(self, window: float = WINDOW_SECONDS) -> None:
        """Begin at a count of nothing; the rate is that of so many seconds."""
        self._window = window
        self._steps: deque[tuple[float, int]] = deque()

    def rate(self, count: Count, now: float) -> float:
        """Take a count and its time, in seconds; return the rate, 0 while there is none."""
        if self._steps and count.scored < self._steps[-1][1]:
            self._steps.clear()  # another run
        if count.scored and (not self._steps or count.scored > self._steps[-1][1]):
            self._steps.append((now, count.scored))
        while len(self._steps) > WINDOW_STEPS and self._steps[1][0] <= now - self._window:
            self._steps.popleft()
        if not self._steps or now - self._steps[0][0] < LEAST_SECONDS:
            return 0.0
        since, before = self._steps[0]
        return (count.scored - before) / (now - since)
