"""Statistics of pairs: against sums of fractions, against SciPy where it is installed, and by their laws."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.paired import _EXACT, holm, interval_of_difference, mcnemar, p_of_mean_difference

COUNTS = st.integers(0, 400)


@given(COUNTS, COUNTS)
def test_mcnemar_is_the_sum_of_both_tails_of_the_binomial(lost: int, gained: int) -> None:
    n = lost + gained
    own = math.comb(n, lost)
    both = sum(math.comb(n, k) for k in range(n + 1) if math.comb(n, k) <= own)
    assert mcnemar(lost, gained) == pytest.approx(float(Fraction(both, 2**n)), rel=1e-12)


@pytest.mark.heavy
@pytest.mark.parametrize("n", [_EXACT, _EXACT + 1, 1_003, 5_000, 100_000, 2_000_003])
def test_mcnemar_of_many_images_is_as_exact_as_scipy(n: int) -> None:
    scipy = pytest.importorskip("scipy.stats")
    root = math.isqrt(n)
    for k in (n // 2, n // 2 - 1, n // 2 - root, n // 2 - 3 * root, n // 2 - 10 * root, n // 3, 1, 0):
        expected = scipy.binomtest(k, n, 0.5).pvalue
        assert mcnemar(k, n - k) == pytest.approx(expected, rel=1e-9, abs=1e-300), k


@pytest.mark.parametrize("fewer", [0, 1, 400, 450, 499, 500])
def test_both_ways_to_compute_it_meet(fewer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = mcnemar(fewer, _EXACT - fewer)
    monkeypatch.setattr("pipeline.metrics.paired._EXACT", 0)
    assert mcnemar(fewer, _EXACT - fewer) == pytest.approx(exact, rel=1e-10)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_mcnemar_is_a_probability_and_knows_no_side(lost: int, gained: int) -> None:
    if min(lost, gained) > 10**6:  # the sum has as many terms as matter; it stays quick
        lost, gained = lost % 10**6, gained % 10**6
    p = mcnemar(lost, gained)
    assert 0 <= p <= 1
    assert p == mcnemar(gained, lost)


def test_interval_of_a_difference_is_that_of_the_paper() -> None:
    """Newcombe 1998, table II, method 10: 36 and 12, 2 and 0 images."""
    found = interval_of_difference(right=36, lost=2, gained=12, n=50)
    assert found == pytest.approx([0.0569, 0.3404], abs=5e-5)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_interval_holds_the_difference_and_mirrors(right: int, lost: int, gained: int, wrong: int) -> None:
    n = right + lost + gained + wrong
    found, mirrored = interval_of_difference(right, lost, gained, n), interval_of_difference(right, gained, lost, n)
    if found is None or mirrored is None:
        assert n == 0
        return
    assert -1 <= found[0] <= (gained - lost) / n <= found[1] <= 1
    assert found == pytest.approx([-mirrored[1], -mirrored[0]], abs=1e-12)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_is_the_definition(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for own, p in zip(corrected, p_values, strict=True):
        smaller = [other for other in p_values if other <= p]
        ordered = sorted(p_values)
        steps = [min(1.0, ordered[i] * (len(ordered) - i)) for i in range(len(smaller))]
        assert own == max(steps)


def test_p_of_a_mean_is_that_of_the_normal_distribution() -> None:
    differences = [3, -1, 4, 1, -5, 9, 2, 6]
    n, mean = len(differences), sum(differences) / len(differences)
    deviation = math.sqrt(sum((d - mean) ** 2 for d in differences) / (n - 1))
    expected = math.erfc(abs(mean) / (deviation / math.sqrt(n)) / math.sqrt(2))
    found = p_of_mean_difference(sum(differences), sum(d * d for d in differences), n)
    assert found == pytest.approx(expected, rel=1e-12)
    assert p_of_mean_difference(8, 16, 4) == 0.0
    assert p_of_mean_difference(0, 0, 4) == 1.0
    assert p_of_mean_difference(3, 9, 1) is None
