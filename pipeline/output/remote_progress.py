"""This module tells how far a run has come by its receipts, on any machine that can read OUTPUT.

Must not change anything there.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from contextlib import closing

from pipeline.errors import NewerFormatError, TransientError
from pipeline.output.commit import committed, receipts
from pipeline.output.plan_file import read_index
from pipeline.output.progress import Count, tally
from pipeline.output.receipts import Receipt
from pipeline.output.run import Run

LOOK_SECONDS = 15.0
"""Seconds between two looks at the receipts; a look is a listing, and a read of each new one."""


_logger = logging.getLogger(__name__)


class Follower:
    """Looks at a run's receipts again and again, and reads each of them once."""

    def __init__(self, run: Run) -> None:
        """Begin; what is committed now is kept, what comes later is scored.

        Raises:
            TransientError: storage fails for now.
        """
        self._run = run
        self._before = committed(run)
        self._planned: frozenset[str] = frozenset()
        self._read: set[str] = set()
        self._count = Count()

    def look(self) -> Count:
        """Return how far the run has come; a total of None until its plan is pinned.

        Raises:
            TransientError: storage fails for now.
        """
        if not self._planned:
            with contextlib.suppress(FileNotFoundError):
                index = read_index(self._run)
                self._count = Count(index.totals.total)
                self._planned = frozenset(unit.id for unit in index.units)
        new = sorted((committed(self._run) & self._planned) - self._read)
        with closing(receipts(self._run, new)) as found:
            for receipt in found:
                self._read.add(receipt.unit)
                self._count = self._count.then(self._count_of(receipt))
        return self._count

    def _count_of(self, receipt: Receipt) -> Count:
        if receipt.unit in self._before:
            return Count(kept=receipt.rows)
        return Count(scored=receipt.rows, failures=receipt.metrics.failures)


@contextlib.contextmanager
def follow(run: Run) -> Iterator[None]:
    """Keep this process's tally at what the run's receipts tell, until the body ends."""
    stop = threading.Event()
    follower = Follower(run)

    def look() -> None:
        while not stop.wait(LOOK_SECONDS):
            try:
                tally().show(follower.look())
            except (TransientError, NewerFormatError, OSError) as error:
                _logger.info("progress unknown: %s", error)  # the next look may tell, or the job itself says it

    threading.Thread(target=look, name="follow", daemon=True).start()
    try:
        yield
    finally:
        stop.set()
