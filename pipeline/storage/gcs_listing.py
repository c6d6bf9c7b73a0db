"""A long listing in order, read in many ranges at once. Knows names, not requests.

A listing comes in pages, each of which tells where the next one begins: ten million names are ten thousand requests,
one after the other. So after the first pages the rest is cut where names may begin otherwise than those seen so far,
and each of these ranges is read by itself; one that turns out to be long is cut again. Any cut is right, as ranges
leave nothing out; a good one is of ranges that are not empty, and about as long as each other.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from string import ascii_lowercase, ascii_uppercase, digits
from typing import NamedTuple

from pipeline.storage.base import StoredObject

PAGES = 16
"""Pages that are read of one range, at most, before the rest of the range is cut into more ranges."""

RANGES = 8
"""Number of ranges that are read at the same time. Of each, as many pages wait in memory at most."""


_WORD = re.compile("[0-9A-Za-z]*")


class Range(NamedTuple):
    """Names from `start` on that are before `stop`; "" is no end. With `is_seen`, `start` itself is left out."""

    start: str
    stop: str
    is_seen: bool = False


Named = Sequence[tuple[str, StoredObject]]
Read = Callable[[Range], tuple[Named, bool]]
"""A function that returns the first objects of a range, by name, and whether these are all of them."""


def cut(seen: Sequence[str], prefix: str, stop: str) -> list[Range]:
    """Return ranges from the last name seen to `stop`, in order.

    They begin at names that are like the last one up to some character and then have a greater one: after IMG_0015
    those with IMG_002, ..., IMG_009, IMG_01, ..., IMG_1, ...

    >>> [part.start for part in cut(["a/105", "a/113"], "a/", "a/3")]
    ['a/113', 'a/12', 'a/13', 'a/14', 'a/15', 'a/16', 'a/17', 'a/18', 'a/19', 'a/2']
    >>> cut(["cat/x"], "", "d")
    [Range(start='cat/x', stop='cat/y', is_seen=True), Range(start='cat/y', stop='cat/z', is_seen=False), \
Range(start='cat/z', stop='d', is_seen=False)]
    """
    last = seen[-1]
    differing = (place for place, (one, other) in enumerate(zip(seen[0], last, strict=False)) if one != other)
    shared = next(differing, len(last) - 1)
    found = {letter for name in seen for word in _WORD.findall(name, shared)[:1] for letter in word}
    starts = [
        last[:place] + letter
        for place in range(shared, len(prefix) - 1, -1)
        for letter in _letters(last, place, frozenset(found))
        if letter > last[place]
    ]
    bounds = [last, *(start for start in starts if not stop or start < stop), stop]
    return [Range(start, end, start == last) for start, end in pairwise(bounds)]


def _letters(name: str, place: int, found: frozenset[str]) -> list[str]:
    """Return what may stand at a place: in a number digits, and what makes it a hexadecimal one; first in a word any.

    Within a word hardly anything may, and to look for each letter at each place would be many requests for nothing.
    """
    here = name[place]
    if here in digits or (here in found and not found.isdisjoint(digits)):
        return sorted(found.union(digits))
    if place == 0 or not name[place - 1].isalnum():
        return list(ascii_lowercase if here in ascii_lowercase else ascii_uppercase if here in ascii_uppercase else "")
    return []


def in_order(read: Read, prefix: str, seen: Sequence[str]) -> Iterator[StoredObject]:
    """Yield all objects with a prefix behind those seen, sorted by name; few ranges are held at once.

    Raises:
        Exception: what `read` raises.
    """
    pending: deque[tuple[Range, Future[tuple[Named, bool]] | None]] = deque()
    pending.extend((part, None) for part in cut(seen, prefix, ""))
    pool = ThreadPoolExecutor(RANGES, "list")
    try:
        while pending:
            for i in range(min(RANGES, len(pending))):
                part, future = pending[i]
                pending[i] = part, future or pool.submit(read, part)
            part, future = pending.popleft()
            assert future is not None
            found, is_all = future.result()
            yield from (stored for name, stored in found if not (part.is_seen and name == part.start))
            if not is_all:
                seen = [name for name, _ in found]
                pending.extendleft((rest, None) for rest in reversed(cut(seen, prefix, part.stop)))
    finally:
        pool.shutdown(cancel_futures=True)
