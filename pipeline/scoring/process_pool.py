"""The local processes of a run: at most so many work at once, and idle ones wait for the next request.

They end with this process. Must not know what is asked, or why.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import threading
from collections.abc import Iterator

from pipeline import storage
from pipeline.concurrency import cores
from pipeline.errors import TransientError
from pipeline.scoring.core_slots import CoreSlots
from pipeline.scoring.local_process import LocalProcess

_WAIT = 0.5
"""Seconds after which whoever waits for a process looks whether the run is being interrupted."""


class ProcessPool:
    """The local processes of this process: idle ones wait for the next request. Safe in many threads.

    Scorers are processes that have loaded the model, or may. The others read and decode. Without decoders, scorers do
    all the work.

    Attributes:
        scorers: number of scorers, at most.
        decoders: number of other processes, at most.
    """

    def __init__(self) -> None:
        """Start without processes."""
        self._changed = threading.Condition()
        self._all: set[LocalProcess] = set()
        self._idle: list[LocalProcess] = []
        self._is_alone = False
        self._wait_alone = self._wait_first = 0
        self._slots: CoreSlots | None = None
        self.scorers, self.decoders = 1, max(1, cores() - 1)

    def share(self) -> None:
        """Share the cores of this machine with other workers that do the same: start no process without a slot.

        The first process is started in any case, so that every worker gets on.
        """
        with self._changed:
            self._slots = self._slots or CoreSlots(cores())

    def make_room(self) -> None:
        """End all idle processes but one, if another worker waits for a slot."""
        if self._slots is None or not self._slots.others_wait():
            return
        with self._changed:
            surplus, self._idle = self._idle[1:], self._idle[:1]
            self._all.difference_update(surplus)
        for process in surplus:
            process.close()

    @property
    def size(self) -> int:
        """Number of processes, at most."""
        return self.scorers + self.decoders

    def arrange(self, scorers: int, decoders: int) -> None:
        """Set how many processes there are, at most."""
        with self._changed:
            self.scorers, self.decoders = scorers, decoders
            self._drop_useless()
            self._changed.notify_all()

    @contextlib.contextmanager
    def borrow(self, scores: bool = False, alone: bool = False, first: bool = False) -> Iterator[LocalProcess]:
        """Yield a process that no other thread uses meanwhile: an idle one, or a new one.

        If the caller leaves before the process has answered, the process is ended.

        Args:
            scores: whether it is to be a scorer.
            alone: whether no other process may work meanwhile.
            first: whether the caller comes before others that wait.

        Raises:
            TransientError: the run is being interrupted.
        """
        process = self._take(scores, alone, first)
        try:
            yield process
        finally:
            self._give_back(process, alone)

    def _take(self, scores: bool, alone: bool, first: bool) -> LocalProcess:
        with self._changed:
            self._wait_alone += alone
            self._wait_first += first
            try:
                while self._comes_later(first, alone) or (process := self._choose(scores, alone)) is None:
                    if storage.patience().is_ended:
                        raise TransientError("interrupted")
                    self._changed.wait(_WAIT)
            finally:
                self._wait_alone -= alone
                self._wait_first -= first
                self._changed.notify_all()
            process.is_scorer = process.is_scorer or scores
            self._is_alone = process.was_alone = alone
            return process

    def _comes_later(self, first: bool, alone: bool) -> bool:
        """Return whether somebody else comes before a caller: above all, who waits until nobody else works."""
        return not alone and not first and self._wait_first > 0

    def _choose(self, scores: bool, alone: bool) -> LocalProcess | None:
        """Take an idle process or start one, as far as both are allowed now; None if the caller has to wait."""
        self._drop_useless()
        if self._is_alone or (len(self._idle) < len(self._all) if alone else self._wait_alone):
            return None
        same = [process for process in self._idle if process.is_scorer == scores]
        others = [process for process in self._idle if process.is_scorer != scores]
        scorers = sum(process.is_scorer for process in self._all)
        if same:
            return self._take_idle(same[-1])
        if scores and scorers >= self.scorers:
            return None
        if not scores and self.decoders and len(self._all) - scorers >= self.decoders:
            return None
        if others and (scores or not self.decoders):
            return self._take_idle(others[-1])
        if len(self._all) >= self.size:
            return None
        slot = self._slots.take() if self._slots is not None else None
        is_there = scorers > 0 if scores else len(self._all) > (scorers if self.decoders else 0)
        if self._slots is not None and slot is None and is_there:
            return None
        process = LocalProcess(slot)
        self._all.add(process)
        return process

    def _take_idle(self, process: LocalProcess) -> LocalProcess:
        self._idle.remove(process)
        return process

    def _drop_useless(self) -> None:
        """Free idle processes that were killed meanwhile, or that are more than there may be."""
        for process in list(self._idle):
            if not process.is_alive or self._is_surplus(process):
                self._idle.remove(process)
                self._all.discard(process)
                process.close()

    def _is_surplus(self, process: LocalProcess) -> bool:
        """Return whether there are more processes, or more of this kind, than there may be."""
        scorers = sum(other.is_scorer for other in self._all)
        return len(self._all) > self.size or (process.is_scorer and scorers > self.scorers)

    def _give_back(self, process: LocalProcess, alone: bool) -> None:
        with self._changed:
            self._is_alone = self._is_alone and not alone
            is_of_use = not process.is_busy and not self._is_surplus(process)
            (self._idle.append if is_of_use else self._all.discard)(process)
            self._changed.notify_all()
        if not is_of_use:
            process.close()

    def lower(self) -> None:
        """Let one process fewer work, but at least one: memory did not suffice for all."""
        with self._changed:
            if self.decoders > (0 if self.scorers else 1):
                self.decoders -= 1
            elif self.scorers > 1:
                self.scorers -= 1

    def kill(self) -> None:
        """End all processes; threads that wait for one learn that it is dead."""
        for process in list(self._all):  # without the lock: this may run in a signal's handler
            process.kill()

    def close(self) -> None:
        """End the idle processes."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._all.difference_update(idle)
        for process in idle:
            process.close()


@functools.cache
def processes() -> ProcessPool:
    """Return this process's pool of local processes, made at first need."""
    pool = ProcessPool()
    atexit.register(pool.close)
    return pool
