"""How far a run has come, told from its receipts: what anybody sees who can read OUTPUT, wherever the work is done.

Must not change anything there.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from pipeline import storage
from pipeline.commit import Receipt, committed
from pipeline.concurrency import ahead, pools
from pipeline.errors import DamagedPartError, NewerFormatError, TransientError
from pipeline.pinned import read_index
from pipeline.progress import Count, tally
from pipeline.run import Run

LOOK_SECONDS = 15.0
"""Between two looks at the receipts: a listing, and a read of each new one."""

READS_AHEAD = 31

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
                self._count = self._count.then(self._told(receipt))
        return self._count

    def _told(self, receipt: Receipt) -> Count:
        if receipt.unit in self._before:
            return Count(kept=receipt.rows)
        return Count(scored=receipt.rows, failures=receipt.metrics.failures)


def receipts(run: Run, units: Iterable[str]) -> Generator[Receipt, None, None]:
    """Yield the receipts of units, by their ids and in this order, many of them read at once; none that is damaged.

    Raises:
        NewerFormatError: one is of a newer format.
        TransientError: storage fails for now.
    """

    def read(unit: str) -> Receipt | None:
        with contextlib.suppress(FileNotFoundError, DamagedPartError):  # whoever does the work mends it
            location = run.receipt(unit)
            return Receipt.from_json(storage.read(location), location)
        return None

    with closing(ahead(read, units, READS_AHEAD, pools().read)) as found:
        yield from (receipt for receipt in found if receipt is not None)


@contextlib.contextmanager
def followed(run: Run) -> Iterator[None]:
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
