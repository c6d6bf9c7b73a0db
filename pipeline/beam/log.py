"""What a worker writes to its log while it scores: which units have failed images, now and then.

Names and messages are anybody's: they go through `pipeline.text` here, as a worker's log has no formatter of ours.
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

LEAST_SECONDS = 1.0
MOST_LINES = 50
"""About failed images: at most one line in so long, and so many of a process."""

_logger = logging.getLogger(__name__)


@dataclass
class FailedUnits:
    """Says which units have failed images; safe in many threads.

    Attributes:
        lines: said so far.
        unsaid: units that were passed over since the last line.
    """

    lines: int = 0
    unsaid: int = 0
    _last: float = -LEAST_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, receipt: Receipt, now: float | None = None) -> None:
        """Log a unit that was scored just now, if images of it failed and it is time for another line."""
        if not receipt.failures or receipt.kept == receipt.rows:
            return
        now = time.monotonic() if now is None else now
        with self._lock:
            if self.lines >= MOST_LINES or now - self._last < LEAST_SECONDS:
                self.unsaid += 1
                return
            unsaid, self.unsaid = self.unsaid, 0
            self._last = now
            self.lines += 1
            is_last = self.lines == MOST_LINES
        _logger.warning("%s", line(_told(receipt, unsaid) + (_THE_LAST if is_last else "")))


_THE_LAST = "; this process says no more of such units: `nightscore status` tells of all of them"


def _told(receipt: Receipt, unsaid: int) -> str:
    first = receipt.failures[0]
    others = f" ({unsaid:,} units with failed images before it were passed over)" if unsaid else ""
    return (
        f"unit {receipt.unit}: {receipt.metrics.failed:,} of {receipt.rows:,} images failed "
        f"({reasons(receipt.metrics.failures)}), such as {brief(first['key'])}: {brief(first['message'])}{others}"
    )


@functools.cache
def failed_units() -> FailedUnits:
    """Return the process's."""
    return FailedUnits()
