"""Sums over shared labelled images by class: who is right of which, and what has changed. Knows no storage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.comparison.join import Pairs
from pipeline.comparison.judge import Judged, column_of
from pipeline.comparison.side import BETWEEN, Vocabulary
from pipeline.metrics.comparison_figures import ClassChange, Outcome
from pipeline.metrics.paired import SURE, holm, mcnemar
from pipeline.task import Task

_IMAGES, _WRONG_A, _WRONG_B, _GAINED, _LOST = range(5)


@dataclass
class ClassSums:
    """Sums by class.

    Of a model of classes they are over the images labelled so. Of a model of labels each labelled image asks of each
    class whether it has that label: A and B are right or wrong about it.

    Attributes:
        labelled: number of labelled images.
        counts: name of a class -> images labelled so, those of which A is wrong, B is wrong, only B is right, only A.
    """

    labelled: int = 0
    counts: dict[str, list[int]] = field(default_factory=dict)

    def add(self, pairs: Pairs, judged: Judged, task: Task, words: Vocabulary) -> None:
        """Add shared images."""
        self.labelled += int(judged.labelled.sum())
        label = column_of(pairs.a, "label")[judged.labelled].astype(np.int64)
        if task == "classes":
            right_a, right_b = judged.right_a[judged.labelled], judged.right_b[judged.labelled]
            columns = (np.ones(len(label)), ~right_a, ~right_b, right_b & ~right_a, right_a & ~right_b)
            sums = np.stack([np.bincount(label, column, len(words.texts)) for column in columns], axis=1)
            for number in np.flatnonzero(sums[:, _IMAGES]).tolist():
                self._count(words.texts[number], sums[number].astype(np.int64).tolist())
            return
        a, b = (column_of(rows, "predicted")[judged.labelled].astype(np.int64) for rows in (pairs.a, pairs.b))
        for sets, n in _different(label, a, b):
            own, of_a, of_b = (_names(words.texts[number]) for number in sets)
            self._count_sets(own, of_a, of_b, n)

    def _count_sets(self, own: frozenset[str], a: frozenset[str], b: frozenset[str], n: int) -> None:
        wrong_a, wrong_b = own ^ a, own ^ b
        for name in own | a | b:
            one, other = name in wrong_a, name in wrong_b
            flags = (name in own, one, other, one and not other, other and not one)
            self._count(name, [n * flag for flag in flags])

    def merge(self, other: ClassSums) -> ClassSums:
        """Return the sums over the images of both."""
        both = ClassSums(self.labelled + other.labelled, {name: list(sums) for name, sums in self.counts.items()})
        for name, sums in other.counts.items():
            both._count(name, sums)
        return both

    def _count(self, name: str, more: Sequence[int]) -> None:
        sums = self.counts.setdefault(name, [0] * 5)
        for place, n in enumerate(more):
            sums[place] += n

    def changes(self, task: Task) -> list[ClassChange]:
        """Return how each class fares: what got worse beyond chance first, then what got better, then all others.

        P-values are corrected for the number of classes of which something has changed (Holm): a class of which nothing
        has changed can never seem better or worse, so that it needs no correction.
        """
        p_values = self.p_values()
        changes = []
        for name, (images, wrong_a, wrong_b, gained, lost) in self.counts.items():
            whole = images if task == "classes" else self.labelled
            p = p_values.get(name, 1.0)
            outcome = outcome_of(gained - lost, p)
            change: ClassChange = {
                "class": name,
                "images": images,
                "right_a": whole - wrong_a,
                "right_b": whole - wrong_b,
                "gained": gained,
                "lost": lost,
                "p": p,
                "outcome": outcome,
            }
            changes.append(change)
        order = {"worse": 0, "better": 1}
        return sorted(changes, key=lambda c: (order.get(c["outcome"], 2), -abs(c["gained"] - c["lost"]), c["class"]))

    def p_values(self) -> dict[str, float]:
        """Return class -> corrected p-value, of those of which something has changed."""
        names = [name for name, sums in self.counts.items() if sums[_GAINED] + sums[_LOST]]
        plain = [mcnemar(self.counts[name][_LOST], self.counts[name][_GAINED]) for name in names]
        return dict(zip(names, holm(plain), strict=True))


def outcome_of(better_by: float, p: float) -> Outcome:
    """Return what B is beside A, beyond chance.

    >>> outcome_of(-3, 0.01), outcome_of(3, 0.2)
    ('worse', 'no_difference')
    """
    if p >= SURE or not better_by:
        return "no_difference"
    return "better" if better_by > 0 else "worse"


def _different(
    label: npt.NDArray[np.int64], a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]
) -> Iterator[tuple[list[int], int]]:
    """Yield each combination of label and predictions, and how many images have it."""
    if len(label):
        sets, counts = np.unique(np.stack([label, a, b]), axis=1, return_counts=True)
        yield from zip(sets.T.tolist(), counts.tolist(), strict=True)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split(BETWEEN)) if text else frozenset()
