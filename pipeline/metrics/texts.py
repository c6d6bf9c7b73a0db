"""`Texts` counts texts of which it keeps a few, so that it stays small however many there are and merges exactly."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from pipeline.text import brief

MOST = 16
"""Number of texts that are kept, at most."""

LONGEST = 100
"""Characters of a text that are kept, at most."""


@dataclass(frozen=True)
class Texts:
    """Counts of a few texts: of all that came, the ones with the smallest hash.

    Which ones these are follows from the texts alone, and each that is among them for all is among them for every part:
    so `merge` is exact, associative and commutative, with no texts as identity.

    Attributes:
        counts: text -> how often it came.

    >>> Texts.of(["cow", "hen", "cow"]).merge(Texts.of(["hen"])).most_frequent()
    [('cow', 2), ('hen', 2)]
    """

    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Return the counts of texts."""
        counts: Counter[str] = Counter()
        for text, n in Counter(texts).items():
            counts[brief(text, LONGEST)] += n
        return cls._fit(counts)

    def merge(self, other: Texts) -> Texts:
        """Return the counts of the texts of both."""
        return self._fit(Counter(self.counts) + Counter(other.counts))

    def most_frequent(self) -> list[tuple[str, int]]:
        """Return the texts that are kept with their counts, the most frequent first."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))

    @classmethod
    def _fit(cls, counts: Mapping[str, int]) -> Texts:
        kept = heapq.nsmallest(MOST, counts, key=_hash) if len(counts) > MOST else counts
        return cls({text: counts[text] for text in kept})

    def to_json(self) -> dict[str, Any]:
        """Return a sorted list of [text, count]."""
        return {"texts": [[text, count] for text, count in sorted(self.counts.items())]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Texts:
        """Return the counts that `to_json` wrote."""
        return cls(dict(content["texts"]))


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
