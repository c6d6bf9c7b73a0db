"""`CodeCounts` counts whole numbers that stand for cells of a large table of which most are empty.

They form an algebra like `pipeline.metrics.sums`: empty, counted, merged. Must not know what a code means.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class CodeCounts:
    """How often each of some codes came.

    Attributes:
        codes: int64, rising, each once.
        counts: int64, how often each of them came, at least once.

    >>> CodeCounts.of(np.array([7, 2, 7])).merge(CodeCounts.of(np.array([2]))).dense(8).tolist()
    [0, 0, 2, 0, 0, 0, 0, 2]
    """

    codes: npt.NDArray[np.int64] = field(default_factory=lambda: _NONE)
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: _NONE)

    @classmethod
    def of(cls, codes: npt.NDArray[np.int64]) -> CodeCounts:
        """Return the counts of codes, int64 [n], 0 or more."""
        found, counts = np.unique(codes, return_counts=True)
        return cls(found.astype(np.int64), counts.astype(np.int64))

    def merge(self, other: CodeCounts) -> CodeCounts:
        """Return the counts of both; exact, associative and commutative."""
        return self.merge_all([self, other])

    @classmethod
    def merge_all(cls, every: Iterable[CodeCounts]) -> CodeCounts:
        """Return the counts of all."""
        parts = list(every)
        codes = np.concatenate([_NONE, *(part.codes for part in parts)])
        counts = np.concatenate([_NONE, *(part.counts for part in parts)])
        found, places = np.unique(codes, return_inverse=True)
        sums = np.zeros(len(found), np.int64)
        np.add.at(sums, places, counts)
        return cls(found, sums)

    def add(self, codes: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> CodeCounts:
        """Return the same with more of some codes, which may repeat."""
        return self.merge_all([self, CodeCounts(codes, counts)])

    def dense(self, size: int) -> npt.NDArray[np.int64]:
        """Return the count of each code below `size`, int64 [size]."""
        table = np.zeros(size, np.int64)
        inside = self.codes < size
        table[self.codes[inside]] = self.counts[inside]
        return table

    def part(self, first: int, stop: int) -> npt.NDArray[np.int64]:
        """Return the count of each code from `first` on and below `stop`, int64 [stop - first]."""
        a, b = np.searchsorted(self.codes, (first, stop))
        table = np.zeros(stop - first, np.int64)
        table[self.codes[a:b] - first] = self.counts[a:b]
        return table
