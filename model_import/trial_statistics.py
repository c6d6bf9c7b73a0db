"""Which rules are worse than the best on the same images, and whether any is better than chance. Knows no images.

The loss of an image is minus the logarithm of its own class's probability. A network is often too sure, or not sure
enough, of images that it was not trained on; all rules share one temperature, that of the best, so that a rule which
only makes the network less sure gains nothing by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

RESAMPLES = 10_000
"""Bootstrap samples of the images."""

PERMUTATIONS = 2_000
"""Permuted labellings."""

LEVEL = 0.05
"""Chance of calling a rule worse that is not, over all rules of a comparison."""

MARGIN = 0.02
"""Log loss by which a rule must be behind to be called worse: less costs no accuracy."""

CHANCE_LEVEL = 0.01
"""Chance that a model which knows nothing of the classes is taken to know them."""

TEMPERATURES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""Divisors of the logits, of which all rules of a comparison share one."""

_SMALLEST = np.log(1e-9)
_SEED = 15


@dataclass(frozen=True)
class Comparison:
    """Rules compared over the same n images, in the order in which they were given.

    Attributes:
        losses: float64 [k], mean loss of each.
        accuracy: float64 [k], share of images whose class is right.
        behind: float64 [k], by how much its loss is above the best's; 0 for the best.
        error: float64 [k], standard error of that.
        p: float64 [k], chance of being so far behind without being worse, corrected by Holm; 1 for the best.
        temperature: that all share.
    """

    losses: Floats
    accuracy: Floats
    behind: Floats
    error: Floats
    p: Floats
    temperature: float

    @property
    def best(self) -> int:
        """Index of the rule with the smallest loss."""
        return int(np.argmin(self.losses))

    def is_worse(self, level: float = LEVEL, margin: float = 0.0) -> npt.NDArray[np.bool_]:
        """Return which rules are worse than the best, bool [k].

        Args:
            level: chance of calling a rule worse that is not.
            margin: loss that it must be behind, at least.
        """
        worse: npt.NDArray[np.bool_] = (self.p < level) & (self.behind >= margin)
        return worse


def compare(scores: Sequence[Floats], labels: Labels) -> Comparison:
    """Compare rules by the paired difference of their losses over the same images.

    Args:
        scores: log probabilities of k rules, each float64 [n, classes].
        labels: int64 [n].
    """
    temperature = common_temperature(scores, labels)
    losses = np.stack([image_losses(one, labels, temperature) for one in scores])
    accuracy = np.array([np.mean(one.argmax(1) == labels) for one in scores])
    means = losses.mean(1)
    best = int(means.argmin())
    differences = losses - losses[best]
    resampled = differences.astype(np.float32) @ _weights(len(labels)).T  # [k, RESAMPLES], means of bootstrap samples
    raw = (1 + (resampled <= 0).sum(1)) / (1 + RESAMPLES)
    raw[best] = 1.0
    others = np.delete(np.arange(len(scores)), best)
    p = np.ones(len(scores))
    p[others] = holm(raw[others])
    return Comparison(means, accuracy, differences.mean(1), resampled.std(1), p, temperature)


def image_losses(scores: Floats, labels: Labels, temperature: float = 1.0) -> Floats:
    """Return the loss of each image, float64 [n], at a temperature."""
    logits = np.maximum(scores, _SMALLEST) / temperature
    top = logits.max(1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(1)) + top[:, 0]
    losses: Floats = total - logits[np.arange(len(labels)), labels]
    return losses


def common_temperature(scores: Sequence[Floats], labels: Labels) -> float:
    """Return the temperature at which the best rule is best; only rules that are good as they are count."""
    plain = [image_losses(one, labels).mean() for one in scores]
    good = [scores[i] for i in np.argsort(plain)[:4]]
    smallest = [min(image_losses(one, labels, t).mean() for one in good) for t in TEMPERATURES]
    return TEMPERATURES[int(np.argmin(smallest))]


def holm(p: Floats) -> Floats:
    """Return p values corrected for their number, by Holm: float64 [k].

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def chance(scores: Sequence[Floats], labels: Labels) -> float:
    """Return how often the best of several rules would look this good, if the labels were permuted.

    Args:
        scores: log probabilities of k rules, each float64 [n, classes].
        labels: int64 [n].
    """
    random = np.random.default_rng(_SEED)
    permuted = np.stack([labels, *(random.permutation(labels) for _ in range(PERMUTATIONS))])
    rows = np.arange(len(labels))
    highest = np.full(len(permuted), -np.inf)
    for one in scores:
        floored = np.maximum(one, _SMALLEST)
        likely = np.array([floored[rows, some].mean() for some in permuted])
        spread = likely[1:].std()
        if spread > 1e-12:  # else it says the same of every image
            highest = np.maximum(highest, (likely - likely[1:].mean()) / spread)
    return float((highest[1:] >= highest[0]).mean()) if np.isfinite(highest[0]) else 1.0


def best_matching(counts: npt.NDArray[Any]) -> Sequence[int]:
    """Return the class for each folder that matches most images, no class twice.

    Kuhn's and Munkres' method with potentials, in the form that adds one row after another.

    Args:
        counts: [folders, classes], images of a folder that the model takes for a class; folders <= classes.

    >>> best_matching(np.array([[1, 9, 0], [8, 9, 0]]))
    [1, 0]
    """
    cost = counts.max() - counts.astype(float)
    n, m = cost.shape
    row_potential, column_potential = np.zeros(n), np.zeros(m + 1)
    owner = np.full(m + 1, -1)  # of each column; the last is where a new row starts
    for row in range(n):
        owner[m], column = row, m
        shortest, came_from, seen = np.full(m + 1, np.inf), np.full(m + 1, m), np.zeros(m + 1, bool)
        while owner[column] >= 0:
            seen[column] = True
            at = owner[column]
            through = cost[at] - row_potential[at] - column_potential[:m]
            closer = ~seen[:m] & (through < shortest[:m])
            shortest[:m][closer], came_from[:m][closer] = through[closer], column
            free = np.where(seen[:m], np.inf, shortest[:m])
            following = int(free.argmin())
            step = free[following]
            row_potential[owner[seen]] += step
            column_potential[seen] -= step
            shortest[:m][~seen[:m]] -= step
            column = following
        while column != m:
            owner[column] = owner[came_from[column]]
            column = int(came_from[column])
    found = [0] * n
    for column in range(m):
        if owner[column] >= 0:
            found[int(owner[column])] = column
    return found


_drawn: dict[int, npt.NDArray[np.float32]] = {}


def _weights(n: int) -> npt.NDArray[np.float32]:
    """Return how much each of n images counts in each bootstrap sample, [RESAMPLES, n]; always the same."""
    if n not in _drawn:
        if len(_drawn) > 4:  # numbers of images in a search
            _drawn.clear()
        random = np.random.default_rng(_SEED)
        picks = random.integers(0, n, (RESAMPLES, n)) + np.arange(RESAMPLES)[:, None] * n
        _drawn[n] = np.bincount(picks.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(
            np.float32
        ) / np.float32(n)
    return _drawn[n]
