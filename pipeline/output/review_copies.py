"""Images of a result that are there more than once, or look alike, from the hashes that a first look has found.

Changes nothing, and knows no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.metrics.duplicates import Copies, Hashed, copies
from pipeline.metrics.near_duplicates import DISTANCE, near_duplicates
from pipeline.output.review_lists import Marked
from pipeline.output.review_look import NO_HASHES

SMALL_SIDE = 64
"""Pixels of a side of the model's input below which images on a plain ground look alike more easily."""

SMALL_DISTANCE = 2
"""Bits in which perceptual hashes of such images may differ."""


class Group(NamedTuple):
    """Images that are there more than once, in groups.

    Attributes:
        copies: the groups.
        marked: rows of `copies.places`.
        compared: number of images that were compared.
        is_complete: whether all of them were compared with each other.
    """

    copies: Copies
    marked: Marked
    compared: int
    is_complete: bool = True


class HashedImages:
    """The hashed images of all parts, behind each other; made of those of each part, which are let go."""

    def __init__(self, parts: list[Hashed]) -> None:
        """Take the images of each part, in order; the list is emptied, as it is as large as all that is made of it."""
        self._ends = np.cumsum([len(one.rows) for one in parts])
        self._rows = np.concatenate([NO_HASHES.rows, *(one.rows for one in parts)])
        self._hashes = np.concatenate([NO_HASHES.hashes, *(one.hashes for one in parts)])
        self._labels = np.concatenate([NO_HASHES.labels, *(one.labels for one in parts)])
        self._looks = np.concatenate([NO_HASHES.looks, *(one.looks for one in parts)])
        self._has_look = np.concatenate([NO_HASHES.has_look, *(one.has_look for one in parts)])
        parts.clear()

    def exact(self) -> Group:
        """Return the images with the same pixels."""
        return self._group(copies(self._hashes, self._labels), len(self._hashes))

    def near(self, sides: Sequence[int]) -> Group | None:
        """Return the images that look alike, of copies one each; None: the rows have no perceptual hashes.

        Args:
            sides: height and width of the model's input.
        """
        if len(self._looks) != len(self._hashes) or not len(self._hashes):
            return None
        _, first = np.unique(self._hashes, return_index=True)
        chosen = np.sort(first[self._has_look[first]])
        found = near_duplicates(self._looks[chosen], distance_for(sides))
        groups = copies(found.groups, self._labels[chosen])
        whole = Copies(chosen[groups.places], groups.starts, groups.conflicts)
        return self._group(whole, len(chosen), found.is_complete)

    def _group(self, found: Copies, compared: int, is_complete: bool = True) -> Group:
        units = np.searchsorted(self._ends, found.places, side="right").astype(np.int64)
        rows: npt.NDArray[np.int64] = self._rows[found.places].astype(np.int64)
        return Group(found, Marked(units, rows), compared, is_complete)


def distance_for(sides: Sequence[int]) -> int:
    """Return the bits in which the hashes of images may differ that look alike.

    >>> distance_for((28, 28)), distance_for((224, 224))
    (2, 4)
    """
    return SMALL_DISTANCE if min(sides) < SMALL_SIDE else DISTANCE
