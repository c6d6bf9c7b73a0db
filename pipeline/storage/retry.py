"""Try a store again while it fails for now, for a limited time. Knows no store.

The deadline counts from when a place began to fail, not from the request: the thousandth image under a prefix that
is down does not wait for another quarter of an hour. A place is a folder, each folder above it, and the bucket; any
answer from below it shows that it is up.
"""

from __future__ import annotations

import contextlib
import functools
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from pipeline.errors import TransientError, UsageError
from pipeline.storage.base import Store, StoredObject
from pipeline.storage.elsewhere import list_elsewhere
from pipeline.storage.locations import is_remote

T = TypeVar("T")

DEADLINE = 900.0
"""Seconds for which a failing place is tried again; the default of `--retry_deadline`."""

FIRST_WAIT = 0.5
"""Seconds, at most, before the second try. The limit doubles with each try."""

LONGEST_WAIT = 30.0
"""Seconds, at most, before any later try."""

LEAST_TRIES = 3
"""Number of tries that each request gets, even if its place has failed for longer than the deadline.

A store that fails one request in ten is not down.
"""


class Patience:
    """Tries again, with exponential backoff and full jitter, until a place has failed for the deadline.

    See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ for why the jitter is full.

    Attributes:
        deadline: seconds for which a failing place is tried again.
    """

    def __init__(self, deadline: float = DEADLINE, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with every place up."""
        self.deadline = deadline
        self._clock = clock
        self._failing_since: dict[str, float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def attempt(self, location: str, verb: Callable[[], T]) -> T:
        """Return what the verb returns on a location; it is called again while it raises TransientError.

        Raises:
            TransientError: the last one, after the deadline or `end`.
        """
        tries = 0
        while True:
            try:
                result = verb()
            except TransientError:
                tries += 1
                if not self._may_try_again(location, tries):
                    raise
                continue
            except Exception:
                self._answered(location)
                raise
            self._answered(location)
            return result

    def iterate(self, location: str, listing: Callable[[], Iterator[StoredObject]]) -> Iterator[StoredObject]:
        """Yield what a sorted listing yields; where it breaks off it is made again and goes on behind the last one."""
        tries, last = 0, ""
        while True:
            try:
                for found in listing():
                    if found.location > last:
                        tries, last = 0, found.location
                        self._answered(location)
                        yield found
            except TransientError:
                tries += 1
                if not self._may_try_again(location, tries):
                    raise
                continue
            self._answered(location)
            return

    def start(self, deadline: float) -> None:
        """Try again from now on, for so many seconds after a place began to fail."""
        self.deadline = deadline
        self._ended.clear()

    def end(self) -> None:
        """Stop all waiting, in this thread and in others, because somebody wants to stop."""
        self._ended.set()

    @property
    def is_ended(self) -> bool:
        """Whether somebody wants to stop."""
        return self._ended.is_set()

    @property
    def is_calm(self) -> bool:
        """Whether no place is failing."""
        return not self._failing_since

    def _may_try_again(self, location: str, tries: int) -> bool:
        """Note a failure; wait, and return whether another try is due."""
        now = self._clock()
        with self._lock:
            since = min(self._failing_since.setdefault(place, now) for place in _places(location))
        left = since + self.deadline - now
        if self._ended.is_set() or (left <= 0 and tries >= LEAST_TRIES):
            return False
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries - 1, 30))
        return not self._ended.wait(min(random.uniform(0, longest), max(left, FIRST_WAIT)))

    def _answered(self, location: str) -> None:
        if self._failing_since:  # read without the lock: nearly always there is nothing to note
            with self._lock:
                for place in _places(location):
                    self._failing_since.pop(place, None)


class PatientStore:
    """The five verbs of another store, each tried again where that fails for now."""

    def __init__(self, store: Store) -> None:
        """Wrap a store."""
        self._store = store
        self.parallel_reads = store.parallel_reads

    def list(self, pattern: str) -> Iterator[StoredObject]:
        """See `Store.list`."""
        return patience().iterate(pattern, lambda: self._store.list(pattern))

    def list_elsewhere(self, pattern: str, make: Callable[[str], Iterator[StoredObject]]) -> Iterator[StoredObject]:
        """Yield what a listing of this store's yields; see `pipeline.storage.elsewhere`."""
        return patience().iterate(pattern, lambda: list_elsewhere(lambda: make(pattern)))

    def read(self, location: str, start: int = 0, stop: int | None = None, version: int | None = None) -> bytes:
        """See `Store.read`."""
        if patience().is_calm:  # so nothing is to be noted: an archive has millions of files
            with contextlib.suppress(TransientError):
                return self._store.read(location, start, stop, version)
        return patience().attempt(location, lambda: self._store.read(location, start, stop, version))

    def create(self, location: str, data: bytes) -> bool:
        """See `Store.create`; False also where a try that seemed to fail had stored the object."""
        return patience().attempt(location, lambda: self._store.create(location, data))

    def replace(self, location: str, data: bytes) -> None:
        """See `Store.replace`."""
        patience().attempt(location, lambda: self._store.replace(location, data))

    def delete(self, location: str, version: int | None = None) -> None:
        """See `Store.delete`."""
        patience().attempt(location, lambda: self._store.delete(location, version))

    def answers(self, location: str) -> bool:
        """Return whether the store answers any request, also if it answers that an object is not there.

        It is tried LEAST_TRIES times.
        """
        *_, root = _places(location)
        for _ in range(LEAST_TRIES):
            with contextlib.suppress(TransientError):
                with contextlib.suppress(OSError, UsageError):
                    next(self._store.list(f"{root}/.nightscore-is-anybody-there"), None)
                return True
            time.sleep(FIRST_WAIT)
        return False


def _places(location: str) -> Iterator[str]:
    """Yield the folder of a location and all above it, down to "gs://bucket" or "".

    >>> list(_places("gs://b/x/y.png")), list(_places("/x/y.png"))
    (['gs://b/x', 'gs://b'], ['/x', ''])
    """
    bucket = is_remote(location)
    place = location.rpartition("/")[0]
    yield place
    while place.count("/") > 2 if bucket else place:
        place = place.rpartition("/")[0]
        yield place


@functools.cache
def patience() -> Patience:
    """Return this process's `Patience`, which all its threads share."""
    return Patience()
