"""A generator works ahead with bounded memory, and this process's thread pools do the work.

Must not know what the work is.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(fn: Callable[[T], R], items: Iterable[T], n: int, pool: Executor) -> Generator[R, None, None]:
    """Yield `fn(item)` for each of `items`, in order, while `pool` computes at most `n` + 1 results at a time.

    When the caller leaves the generator, also by an exception, it cancels the calls that wait, awaits those that run,
    and closes `items` if that is a generator: nothing outlives it. It takes items in the caller's thread.

    >>> with ThreadPoolExecutor(2) as pool:
    ...     list(ahead(lambda x: x * x, range(5), 2, pool))
    [0, 1, 4, 9, 16]
    """
    source = iter(items)
    under_way: deque[Future[R]] = deque()
    try:
        for item in source:
            under_way.append(pool.submit(fn, item))
            if len(under_way) > n:
                under_way[0].result()  # it stays in the queue, to be awaited, until it is done
                yield under_way.popleft().result()
        while under_way:
            under_way[0].result()
            yield under_way.popleft().result()
    finally:
        wait([future for future in under_way if not future.cancel()])
        close = getattr(source, "close", None)
        if close is not None:
            close()


@dataclass(frozen=True)
class Pools:
    """The thread pools of this process, one for each step of `score`.

    Attributes:
        read: 32 threads that wait for storage.
        score: one thread more than cores; each waits for a local process that reads, decodes and scores, and the last
            one has the next request ready.
        fetch: two threads per core, used instead of `score` if the images come over a network: one process of the two
            decodes while the other waits.
        commit: threads that wait for parts to be made, and store them with their receipts.
    """

    read: Executor
    score: Executor
    fetch: Executor
    commit: Executor


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit_threads() -> int:
    """Return how many units are committed at once: making a part takes a tenth of the time of scoring its images."""
    return max(1, cores() // 4)


@functools.cache
def pools() -> Pools:
    """Return this process's thread pools, made at first need."""
    return Pools(
        read=ThreadPoolExecutor(32, "read"),
        score=ThreadPoolExecutor(cores() + 1, "score"),
        fetch=ThreadPoolExecutor(2 * cores(), "fetch"),
        commit=ThreadPoolExecutor(commit_threads(), "commit"),
    )
