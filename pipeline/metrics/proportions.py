"""Shares and means of counted images, and how sure they are: 95 % intervals."""

from __future__ import annotations

import math
from fractions import Fraction

Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution, in standard deviations."""


def ratio(part: int, whole: int) -> float | None:
    """Return a share; None of nothing."""
    return part / whole if whole else None


def wilson(successes: int, n: int) -> tuple[float, float] | None:
    """Return the 95 % score interval of a proportion (Wilson, JASA 22, 1927); None where n is 0.

    >>> [round(bound, 4) for bound in wilson(9_900, 10_000)]
    [0.9879, 0.9918]
    """
    if n == 0:
        return None
    share = successes / n
    center = share + Z95**2 / (2 * n)
    reach = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    return max(0.0, (center - reach) / (1 + Z95**2 / n)), min(1.0, (center + reach) / (1 + Z95**2 / n))


def interval_of_share(successes: int, n: int) -> list[float] | None:
    """Return the same as `wilson`, as JSON has it."""
    bounds = wilson(successes, n)
    return list(bounds) if bounds else None


def interval_of_mean(total: int, squares: int, n: int) -> list[float] | None:
    """Return the 95 % interval of a mean, by the normal distribution; None of fewer than two values.

    Args:
        total: sum of the values.
        squares: sum of their squares.
        n: number of values.

    >>> [round(bound, 3) for bound in interval_of_mean(30, 100, 10)]
    [2.347, 3.653]
    """
    if n < 2:
        return None
    variance = Fraction(n * squares - total * total, n * (n - 1))
    reach = Z95 * math.sqrt(variance / n)
    return [total / n - reach, total / n + reach]
