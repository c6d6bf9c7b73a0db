"""How far this process has come: a tally that `score` keeps and a progress bar reads. Decides nothing."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Count:
    """Numbers of images.

    Attributes:
        total: in the plan; None while it is made, or where only reading can tell.
        scored: by this process, failed ones included.
        failed: of those.
        kept: with a receipt from before.
    """

    total: int | None = None
    scored: int = 0
    failed: int = 0
    kept: int = 0

    @property
    def done(self) -> int:
        """Images that have a row or will have one with the next commits."""
        return self.scored + self.kept

    def then(self, more: Count) -> Count:
        """Return the same with the images of another count; the total stays."""
        return replace(
            self, scored=self.scored + more.scored, failed=self.failed + more.failed, kept=self.kept + more.kept
        )


@dataclass
class Tally:
    """Counts that any thread may add to."""

    _count: Count = field(default_factory=Count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, total: int | None) -> None:
        """Begin a run of so many images."""
        with self._lock:
            self._count = Count(total)

    def add(self, scored: int = 0, failed: int = 0, kept: int = 0) -> None:
        """Add images."""
        with self._lock:
            self._count = self._count.then(Count(None, scored, failed, kept))

    def show(self, count: Count) -> None:
        """Take numbers that somebody else has counted."""
        with self._lock:
            self._count = count

    def count(self) -> Count:
        """Return the numbers of this moment."""
        return self._count


@functools.cache
def tally() -> Tally:
    """Return the process's tally."""
    return Tally()
