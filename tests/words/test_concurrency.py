"""Working ahead: in order, bounded, and nothing left running, however the generator is left."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.concurrency import ahead, cores, pools


class Work:
    """A function that knows how many of its calls run, ran, and ever ran at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.started = self.finished = 0
        self._lock = threading.Lock()

    def __call__(self, item: int) -> int:
        with self._lock:
            self.started += 1
        time.sleep(self.seconds)
        with self._lock:
            self.finished += 1
        if item < 0:
            raise KeyError(item)
        return item * item


class Source:
    """A generator of numbers that knows how many were pulled, and whether it was closed."""

    def __init__(self, items: list[int]) -> None:
        self.pulled = 0
        self.closed = False
        self.threads: set[int] = set()
        self.items = items

    def __iter__(self) -> Iterator[int]:
        try:
            for item in self.items:
                self.pulled += 1
                self.threads.add(threading.get_ident())
                yield item
        finally:
            self.closed = True


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def drained(pool: ThreadPoolExecutor) -> None:
    """Wait until a pool has taken up everything that was submitted to it."""
    for future in [pool.submit(time.sleep, 0.001) for _ in range(8)]:
        future.result()


@given(st.lists(st.integers(0, 100), max_size=40), st.integers(0, 8), st.integers(1, 4))
def test_gives_what_map_gives(items: list[int], n: int, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        assert list(ahead(Work(), items, n, pool)) == [item * item for item in items]


def test_order_is_that_of_the_items_even_if_the_first_takes_longest(pool: ThreadPoolExecutor) -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.05 if item == 0 else 0)
        return item

    assert list(ahead(slow_first, range(10), 4, pool)) == list(range(10))


@pytest.mark.parametrize("n", [0, 1, 3])
def test_pulls_at_most_n_items_beyond_those_it_has_given(pool: ThreadPoolExecutor, n: int) -> None:
    source = Source(list(range(20)))
    excess = []
    for given_so_far, _ in enumerate(ahead(Work(), iter(source), n, pool), 1):
        excess.append(source.pulled - given_so_far)
    assert max(excess) == n
    assert len(excess) == 20


def test_works_ahead_while_the_caller_is_busy(pool: ThreadPoolExecutor) -> None:
    work = Work()
    with closing(ahead(work, range(20), 3, pool)) as results:
        next(results)
        drained(pool)
        assert work.finished == 4


def test_pulls_items_in_the_callers_thread(pool: ThreadPoolExecutor) -> None:
    source = Source(list(range(5)))
    list(ahead(Work(), iter(source), 2, pool))
    assert source.threads == {threading.get_ident()}


@pytest.mark.parametrize("leave", ["close", "error in work", "error in the source", "error in the caller"])
def test_leaving_ends_all_that_is_under_way_and_closes_the_source(pool: ThreadPoolExecutor, leave: str) -> None:
    work = Work(0.02)
    source = Source([1, -2, 3, 4, 5, 6] if leave == "error in work" else [1, 2, 3, 4, 5, 6])

    def items() -> Iterator[int]:
        with closing(iter(source)) as inner:  # type: ignore[type-var]
            for item in inner:
                if leave == "error in the source" and item == 5:
                    raise KeyError(item)
                yield item

    results = ahead(work, items(), 3, pool)
    expected = nullcontext() if leave == "close" else pytest.raises(KeyError)
    with expected, closing(results):
        for _ in results:
            if leave == "close":
                break
            if leave == "error in the caller":
                raise KeyError
    assert work.started == work.finished
    assert source.closed
    drained(pool)
    assert work.started == work.finished < 6, "what waited has run after all"


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    """Interrupts the main thread after so many seconds, as Ctrl-C would."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds) and None
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("items", [1, 5])
def test_an_interrupt_while_waiting_for_a_result_awaits_what_runs(alarm: Callable[[float], None], items: int) -> None:
    finished = []

    def interrupted(item: int) -> None:
        alarm(0.02)
        time.sleep(0.2)
        finished.append(item)

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(KeyboardInterrupt):
            next(ahead(interrupted, range(items), 2, pool))
        assert finished == [0]


def test_leaving_does_not_wait_for_what_is_stuck_behind_the_work_of_others(alarm: Callable[[float], None]) -> None:
    others_are_done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(others_are_done.wait, 20)
        try:
            alarm(0.05)
            with pytest.raises(KeyboardInterrupt):
                next(ahead(Work(), range(9), 2, pool))
            assert stuck.running()
        finally:
            others_are_done.set()


def test_the_process_has_one_set_of_pools_and_as_many_cores_as_it_may_use() -> None:
    assert pools() is pools()
    assert cores() == len(os.sched_getaffinity(0))
