"""Working ahead with bounded memory: one generator, and the thread pools that belong to the process.

Must not know what is worked on.
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
    """Map `fn` over `items` in order, with at most `n` + 1 of them under way in `pool`.

    Leaving the generator, also by an exception, cancels what waits, awaits what runs, and closes `items` if that
    is a generator: nothing outlives it. Items are pulled in the caller's thread.

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
    """The process's threads, one pool for each step of `score`.

    Attributes:
        read: waits for storage; many threads, nearly idle.
        decode: one thread per core, each waiting for a process that reads and decodes.
        fetch: the same where reading is waiting for a network: two per core, so that one decodes meanwhile.
        predict: one thread per core, each running a single-threaded TensorFlow call.
        commit: writes the last units' parts and receipts.
    """

    read: Executor
    decode: Executor
    fetch: Executor
    predict: Executor
    commit: Executor


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def pools() -> Pools:
    """Return the process's pools, made at first need."""
    return Pools(
        read=ThreadPoolExecutor(32, "read"),
        decode=ThreadPoolExecutor(cores(), "decode"),
        fetch=ThreadPoolExecutor(2 * cores(), "fetch"),
        predict=ThreadPoolExecutor(cores(), "predict"),
        commit=ThreadPoolExecutor(1, "commit"),
    )
