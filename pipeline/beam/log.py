"""The lines that a worker writes to its log while it scores: units with failed images, at most one line a second.

Keys and messages come from strangers. They go through `pipeline.text` here, because a worker's log has no formatter of
ours.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from dataclasses import dataclass, field

from pipeline.formatting import reasons
from pipeline.output.receipts import Receipt
from pipeline.text import brief, line

LINE_SECONDS = 1.0
"""Seconds between two lines about failed images, at least."""

MOST_LINES = 50
"""Lines about failed images that a process writes, at most."""

_logger = logging.getLogger(__name__)


@dataclass
class FailedUnits:
    """Logs units with failed images; safe in many threads.

    Attributes:
        lines: number of lines that were logged.
        skipped: number of units with failed images since the last line, which got none.
    """

    lines: int = 0
    skipped: int = 0
    _last: float = -LINE_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, receipt: Receipt, now: float | None = None) -> None:
        """Log a unit, if images of it failed in this run and another line is due.

        Args:
            receipt: the unit's receipt.
            now: seconds of a monotonic clock; None reads the clock.
        """
        if not receipt.failures or receipt.kept == receipt.rows:
            return
        now = time.monotonic() if now is None else now
        with self._lock:
            if self.lines >= MOST_LINES or now - self._last < LINE_SECONDS:
                self.skipped += 1
                return
            skipped, self.skipped = self.skipped, 0
            self._last = now
            self.lines += 1
            is_last = self.lines == MOST_LINES
        _logger.warning("%s", line(_describe(receipt, skipped) + (_LAST_LINE_ENDS if is_last else "")))


_LAST_LINE_ENDS = "; this process says no more of such units: `nightscore status` tells of all of them"


def _describe(receipt: Receipt, skipped: int) -> str:
    first = receipt.failures[0]
    others = f" ({skipped:,} units with failed images before it were passed over)" if skipped else ""
    return (
        f"unit {receipt.unit}: {receipt.metrics.failed:,} of {receipt.rows:,} images failed "
        f"({reasons(receipt.metrics.failures)}), such as {brief(first['key'])}: {brief(first['message'])}{others}"
    )


@functools.cache
def failed_units() -> FailedUnits:
    """Return this process's FailedUnits logger."""
    return FailedUnits()
