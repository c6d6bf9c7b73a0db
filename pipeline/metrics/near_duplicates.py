"""Images that look alike: those whose perceptual hashes differ in few bits. Must not know where hashes come from.

Two hashes that differ in at most D of 64 bits agree in at least R of D + R bands of bits (the pigeonhole principle). So
for every choice of R bands the hashes are sorted by these, and only those that agree in them are compared: with D = 4
and R = 2, 15 times by 21 bits. Ten million hashes take about 100 bytes each.

What is joined so may be a long chain, from one digit to another by small steps. So it is cut into groups of a first
image and those that are near it: two images of a group differ in at most 2 * D bits.

Hashes can crowd: digits on a black ground agree in most bands. A hash is compared with some others of its bucket at
most, the next ones by the rest of its bits, so time stays in proportion to the images. Pairs may then be missed, unless
another choice of bands finds them, and `NearDuplicates.is_complete` says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DISTANCE = 4
"""Bits, at most, in which the hashes of two images differ that count as near, by default.

Of photographs at another size or JPEG quality 97 of 100 are so near. Small pictures on a plain ground are near each
other without being copies: of MNIST's digits 14 of 100 have another one at 4 bits, and 5 of 100 at 2.
"""

LARGEST_DISTANCE = 8
"""The largest distance that may be asked for: beyond it, different pictures are as near."""

LEAST_COMPARED, MOST_COMPARED, ALL_COMPARED = 64, 4096, 1 << 28
"""Hashes of a bucket with which one is compared, at most, for one choice of bands.

It is ALL_COMPARED over the number of hashes, but not below the first of these numbers or above the second: 268 of a
million.
"""

MOST_ROUNDS = 4096
"""Groups into which one chain is cut, at most; what is left of it then is in no group."""

_BITS = 64
_JOINED = 1 << 20
"""Pairs that are collected, about, before they are joined."""

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Which images look alike.

    Attributes:
        groups: uint64 [n], of each image the place of the first one of its group; an image without a near one is a
            group of its own. `pipeline.metrics.duplicates.copies` takes it in place of hashes.
        is_complete: whether every hash was compared with all others of its buckets, and every chain cut to its end.
    """

    groups: npt.NDArray[np.uint64]
    is_complete: bool


def near_duplicates(hashes: Hashes, distance: int = DISTANCE, most_compared: int | None = None) -> NearDuplicates:
    """Return which images look alike.

    In the order of the images, one that is in no group yet begins one, and those behind it that are near it and in no
    group join it. Leave out images of one color (`contrast` tells of them): their hashes mean nothing.

    Args:
        hashes: uint64 [n], perceptual hashes.
        distance: bits, from 0 to LARGEST_DISTANCE.
        most_compared: see MOST_COMPARED; None: by the number of hashes.

    Raises:
        ValueError: the distance is out of range.

    >>> near_duplicates(np.array([0b1111, 0b1110, 1 << 40, 0b1111], np.uint64), 1).groups.tolist()
    [0, 0, 2, 0]
    """
    if not 0 <= distance <= LARGEST_DISTANCE:
        raise ValueError(f"distance {distance}: expected 0 to {LARGEST_DISTANCE} bits")
    different, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    by_place = np.argsort(first)
    different, first = different[by_place], first[by_place]  # in the order of the images
    places = np.empty_like(by_place)
    places[by_place] = np.arange(len(by_place))
    leaders, is_complete = np.arange(len(different)), True
    if distance and len(different):
        most = most_compared or min(max(ALL_COMPARED // len(different), LEAST_COMPARED), MOST_COMPARED)
        is_complete = _join_near(different, distance, most, leaders)
        is_complete &= _cut_chains(different, distance, leaders)
    return NearDuplicates(first[leaders][places[inverse]].astype(np.uint64), is_complete)


def _join_near(hashes: Hashes, distance: int, most: int, roots: Numbers) -> bool:
    """Join what is near, in `roots`: the number of the first hash of the group of each.

    Args:
        hashes: uint64 [n], each once.
        distance: bits, at least 1.
        most: others with which a hash is compared, at most.
        roots: int64 [n], at first the numbers from 0 on.

    Returns:
        Whether all pairs of all buckets were compared.
    """
    is_complete = True
    waiting: list[tuple[Numbers, Numbers]] = []
    for bands, others in _choices(distance, _agreeing(len(hashes), distance)):
        key_bits = sum(stop - start for start, stop in bands)
        moved = _moved(hashes, [*bands, *others])
        order = np.argsort(moved)
        moved = moved[order]
        shift = np.uint64(_BITS - key_bits)
        starts = np.arange(len(moved) - 1)
        for step in range(1, most + 2):
            starts = starts[starts < len(moved) - step]
            apart = moved[starts] ^ moved[starts + step]
            together = (apart >> shift) == 0
            starts, apart = starts[together], apart[together]
            if not len(starts):
                break
            if step > most:
                is_complete = False
                break
            near = starts[np.bitwise_count(apart) <= distance]
            if len(near):
                waiting.append((order[near], order[near + step]))
            if sum(len(one) for one, _ in waiting) >= _JOINED:
                _join(roots, waiting)
    _join(roots, waiting)
    return is_complete


def _agreeing(n: int, distance: int) -> int:
    """Return in how many bands hashes shall agree to be compared: the number that makes the least work of n hashes.

    >>> _agreeing(1_000, 4), _agreeing(10_000_000, 4)
    (1, 2)
    """

    def work(agreeing: int) -> float:
        bits = _BITS * agreeing // (distance + agreeing)
        return math.comb(distance + agreeing, agreeing) * (20.0 * n + n * (n / 2.0**bits))

    return min(range(1, 4), key=work)


def _choices(distance: int, agreeing: int) -> Iterator[tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
    """Yield each choice of bands in which hashes agree, and the other bands, as (first bit, bit behind)."""
    count = distance + agreeing
    edges = [_BITS * i // count for i in range(count + 1)]
    bands = list(itertools.pairwise(edges))
    for chosen in itertools.combinations(bands, agreeing):
        yield list(chosen), [band for band in bands if band not in chosen]


def _moved(hashes: Hashes, bands: Sequence[tuple[int, int]]) -> Hashes:
    """Return hashes with their bands in another order, the first one on top."""
    moved = np.zeros(len(hashes), np.uint64)
    for start, stop in bands:
        mask = np.uint64((1 << (stop - start)) - 1)
        moved = (moved << np.uint64(stop - start)) | ((hashes >> np.uint64(start)) & mask)
    return moved


def _join(roots: Numbers, pairs: list[tuple[Numbers, Numbers]]) -> None:
    """Give both of each pair, and all that is joined with them, the same root; empty the list of pairs."""
    if not pairs:
        return
    one, other = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    pairs.clear()
    while True:
        low, high = np.minimum(roots[one], roots[other]), np.maximum(roots[one], roots[other])
        differ = low != high
        if not differ.any():
            return
        one, other = one[differ], other[differ]
        np.minimum.at(roots, high[differ], low[differ])
        while (further := roots[roots] != roots).any():
            roots[further] = roots[roots[further]]


def _cut_chains(hashes: Hashes, distance: int, roots: Numbers) -> bool:
    """Cut what is joined into groups, in `roots`: the number of the hash that each is near to.

    Args:
        hashes: uint64 [n], each once.
        distance: bits.
        roots: int64 [n], of each the smallest number of what it is joined with.

    Returns:
        Whether everything is in a group that belongs into one.
    """
    left = np.flatnonzero(np.bincount(roots, minlength=len(roots))[roots] > 1)
    left = left[np.argsort(roots[left], kind="stable")]
    chains = roots[left]
    for _ in range(MOST_ROUNDS):
        if not len(left):
            return True
        starts = np.flatnonzero(np.append(True, chains[1:] != chains[:-1]))
        leaders = np.repeat(left[starts], np.diff(np.append(starts, len(left))))
        is_near = np.bitwise_count(hashes[left] ^ hashes[leaders]) <= distance
        roots[left[is_near]] = leaders[is_near]
        left, chains = left[~is_near], chains[~is_near]
    roots[left] = left
    return False
