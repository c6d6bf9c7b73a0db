"""Where vectors lie, how far that is from others, and which lie far out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.metrics.vectors import distance, facts_of, farthest


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 10**6))
def test_distance_is_that_of_normal_distributions(n: int, size: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    one, other = chance.normal(0, 1, (n, size)), chance.normal(1, 3, (n + 3, size))
    here, there = facts_of(one), facts_of(other)
    assert distance(here, here) == 0.0
    squares = ((one.mean(0) - other.mean(0)) ** 2 + (one.std(0) - other.std(0)) ** 2).sum()
    assert distance(here, there) == pytest.approx(np.sqrt(squares / other.var(0).sum()), rel=1e-3, abs=1e-3)


def test_others_that_cannot_be_compared_have_no_distance() -> None:
    flat = facts_of(np.ones((3, 2)))
    assert distance(facts_of(np.eye(2)), flat) is None, "the reference has no spread"
    assert distance(facts_of(np.eye(3)), facts_of(np.eye(2))) is None


def test_farthest_counts_each_dimension_by_its_deviation() -> None:
    vectors = np.array([[0.0, 0.0, 5.0], [100.0, 0.0, 5.0], [0.0, 1.0, 5.0], [0.0, 0.1, 5.0]])
    facts = facts_of(np.array([[-100.0, -0.1, 5.0], [100.0, 0.1, 5.0]]))
    assert farthest(vectors, facts) == [2, 1, 3, 0]
    assert farthest(vectors, facts, 1) == [2]
