"""Two models on the same images: whether one is better beyond chance, and by how much.

Every function here takes counts, or sums of integers. Must not know what the images are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from pipeline.metrics.proportions import wilson

SURE = 0.05
"""Probability below which a difference is called beyond chance."""

_EXACT = 1_000
"""Number of discordant images up to which the test is computed with whole numbers."""

_NEGLIGIBLE = 1e-18
"""Share of a sum below which further terms no longer change it."""


def mcnemar(lost: int, gained: int) -> float:
    """Return the two-sided p-value of the exact McNemar test.

    Only images count of which one model is right and the other is wrong. If the models are equally good, each of these
    falls to either side like a coin: the p-value is that of a two-sided binomial test with a share of 1/2 (McNemar,
    Psychometrika 12, 1947; in its exact form Agresti, Categorical Data Analysis, 2nd ed., section 10.1.4).

    Up to 1,000 such images it is computed with whole numbers; with more by logarithms, whose relative error stays below
    1e-9 (Loader, Fast and Accurate Computation of Binomial Probabilities, 2000). A p-value too small for a number is 0.

    Args:
        lost: number of images of which only the first model is right.
        gained: number of images of which only the second model is right.

    >>> mcnemar(0, 0), mcnemar(1, 9), round(mcnemar(1_000_000, 1_003_000), 6)
    (1.0, 0.021484375, 0.034088)
    """
    fewer, n = min(lost, gained), lost + gained
    if 2 * fewer >= n:
        return 1.0
    if n <= _EXACT:
        tail = sum(math.comb(n, k) for k in range(fewer + 1))
        return float(min(Fraction(1), Fraction(2 * tail, 2**n)))
    total, term, k = 1.0, 1.0, fewer
    while k > 0 and term > _NEGLIGIBLE * total:
        term *= k / (n - k + 1)
        total += term
        k -= 1
    return min(1.0, 2 * math.exp(_log_of_half(fewer, n)) * total)


def _log_of_half(k: int, n: int) -> float:
    """Return the logarithm of the probability of k heads in n tosses, n being large and k at most n / 2."""
    if k == 0:
        return -n * math.log(2)
    apart = (n - 2 * k) / n
    deviance = n / 2 * ((1 - apart) * math.log1p(-apart) + (1 + apart) * math.log1p(apart))
    errors = _stirling_error(n) - _stirling_error(k) - _stirling_error(n - k)
    return errors - deviance + 0.5 * (math.log(n / k) - math.log(2 * math.pi * (n - k)))


def _stirling_error(n: int) -> float:
    """Return ln(n!) minus Stirling's approximation of it."""
    if n < 16:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2 * math.pi)
    square = float(n) * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / square) / square) / square) / n


def interval_of_difference(right: int, lost: int, gained: int, n: int) -> list[float] | None:
    """Return the 95 % interval of the difference of two shares of the same images, second minus first.

    Method 10 of Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired
    data, Statistics in Medicine 17, 1998: Wilson's intervals of both shares, put together by their correlation.

    Args:
        right: number of images of which both models are right.
        lost: number of images of which only the first model is right.
        gained: number of images of which only the second model is right.
        n: number of all images; None is returned of 0.

    >>> [round(bound, 4) for bound in interval_of_difference(36, 2, 12, 50)]
    [0.0569, 0.3404]
    """
    first, second = wilson(right + lost, n), wilson(right + gained, n)
    if first is None or second is None:
        return None
    one, other = (right + lost) / n, (right + gained) / n
    below = (other - second[0], first[1] - one)
    above = (second[1] - other, one - first[0])
    phi = _correlation(right, lost, gained, n - right - lost - gained)
    low, high = (math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y)) for x, y in (below, above))
    difference = (gained - lost) / n
    return [max(-1.0, difference - low), min(1.0, difference + high)]


def _correlation(right: int, lost: int, gained: int, wrong: int) -> float:
    """Return the correlation phi of a table of four counts, made smaller by Newcombe's correction if it is positive."""
    margins = (right + lost) * (gained + wrong) * (right + gained) * (lost + wrong)
    if not margins:
        return 0.0
    product = right * wrong - lost * gained
    if product > 0:
        product = max(0, 2 * product - (right + lost + gained + wrong))
        return product / 2 / math.sqrt(margins)
    return product / math.sqrt(margins)


def p_of_mean_difference(total: int, squares: int, n: int) -> float | None:
    """Return the two-sided p-value of a mean of differences, as if its true value were 0, by the normal distribution.

    Args:
        total: sum of the differences, one for each image.
        squares: sum of their squares.
        n: number of images; of fewer than two, None is returned.
    """
    if n < 2:
        return None
    variance = Fraction(n * squares - total * total, n * (n - 1))
    if variance == 0:
        return 0.0 if total else 1.0
    return math.erfc(abs(total / n) / math.sqrt(variance / n) / math.sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many there are (Holm, Scandinavian Journal of Statistics 6, 1979).

    If no difference is real, the chance that any of the corrected values is below 0.05 is at most 5 %.

    >>> [round(p, 4) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for place, number in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, p_values[number] * (len(p_values) - place)))
        corrected[number] = highest
    return corrected
