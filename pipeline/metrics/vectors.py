"""Embeddings of a sample of images: where they lie, how far that is from another night's, and which lie far out.

Vectors are taken as a normal distribution whose dimensions are independent: a mean and a deviation of each. Must not
know where rows are stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.metrics.review import EmbeddingFacts

DIGITS = 6
"""Significant digits of a mean or a deviation that are kept."""

FARTHEST = 24
"""Number of images that are named as unlike the others, at most."""

_Vectors = npt.NDArray[np.floating]


def facts_of(vectors: _Vectors) -> EmbeddingFacts:
    """Return where vectors lie.

    Args:
        vectors: float [n, d], at least one; those with a number that is not finite are left out by whoever calls.

    >>> facts_of(np.array([[0.0, 2.0], [2.0, 2.0]]))
    {'images': 2, 'mean': [1.0, 2.0], 'deviation': [1.0, 0.0]}
    """
    wide = vectors.astype(np.float64)
    return {"images": len(wide), "mean": _rounded(wide.mean(axis=0)), "deviation": _rounded(wide.std(axis=0))}


def distance(one: EmbeddingFacts, other: EmbeddingFacts) -> float | None:
    """Return how far vectors are from a reference: 0 where they lie alike, 1 as far as the reference's are spread.

    It is the Frechet distance of two normal distributions (Dowson and Landau, 1982; "FID" for one network's vectors),
    here with independent dimensions, divided by the spread of the reference: the square root of the sum of its
    variances. None: the vectors are of another length, or the reference has no spread.

    Args:
        one: of the vectors.
        other: of the reference.

    >>> here, there = facts_of(np.array([[0.0], [2.0]])), facts_of(np.array([[4.0], [6.0]]))
    >>> distance(here, here), distance(there, here)
    (0.0, 4.0)
    """
    mean, deviation = np.array(one["mean"]), np.array(one["deviation"])
    reference, spread = np.array(other["mean"]), np.array(other["deviation"])
    whole = float((spread**2).sum())
    if mean.shape != reference.shape or whole == 0:
        return None
    return round(float(np.sqrt((((mean - reference) ** 2) + (deviation - spread) ** 2).sum() / whole)), 4)


def farthest(vectors: _Vectors, facts: EmbeddingFacts, n: int = FARTHEST) -> list[int]:
    """Return the places of the vectors that are most unlike a reference, the farthest first.

    Each dimension counts in units of its deviation; one without any is left out.

    Args:
        vectors: float [m, d].
        facts: of the reference.
        n: number of places, at most.
    """
    deviation = np.array(facts["deviation"])
    used = deviation > 0
    away = (vectors[:, used].astype(np.float64) - np.array(facts["mean"])[used]) / deviation[used]
    far = (away**2).sum(axis=1)
    order: list[int] = np.lexsort((np.arange(len(far)), -far))[:n].tolist()
    return order


def _rounded(values: Sequence[float] | npt.NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
