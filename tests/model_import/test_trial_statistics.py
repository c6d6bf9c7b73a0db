"""The statistics of a trial, against what they must do on scores that are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_import.trial_statistics import best_matching, chance, compare, holm, image_losses


def scores_of(n: int, skill: float, seed: int, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    logits = random.normal(size=(n, classes))
    logits[np.arange(n), labels] += skill
    return logits - np.log(np.exp(logits).sum(1, keepdims=True)), labels


def test_rule_that_sees_less_is_worse_and_one_that_sees_as_much_is_not() -> None:
    good, labels = scores_of(200, 3.0, 0)
    noise = np.random.default_rng(1).normal(scale=0.05, size=good.shape)
    poor, _ = scores_of(200, 1.0, 2)
    found = compare([good, good + noise, poor], labels)
    assert found.is_worse().tolist() == [False, False, True]
    assert found.accuracy[0] > found.accuracy[2] + 0.2
    assert found.p[found.best] == 1


def test_same_rule_twice_is_never_worse() -> None:
    good, labels = scores_of(100, 2.0, 3)
    found = compare([good, good.copy()], labels)
    assert not found.is_worse().any()
    assert found.behind.tolist() == [0.0, 0.0]


def test_rule_that_only_makes_the_network_less_sure_gains_nothing() -> None:
    scores, labels = scores_of(400, 2.5, 4)
    too_sure = scores * 6
    blurred = too_sure / 3 + np.random.default_rng(5).normal(scale=0.8, size=scores.shape)
    too_sure -= np.log(np.exp(too_sure).sum(1, keepdims=True))
    blurred -= np.log(np.exp(blurred).sum(1, keepdims=True))
    assert image_losses(blurred, labels).mean() < image_losses(too_sure, labels).mean()
    assert compare([too_sure, blurred], labels).best == 0


def test_one_comparison_in_twenty_at_most_calls_an_equal_rule_worse() -> None:
    wrong = 0
    for seed in range(60):
        rules = [scores_of(100, 2.0, 1000 + seed * 10 + i) for i in range(6)]
        wrong += bool(compare([scores for scores, _ in rules], rules[0][1]).is_worse()[0])
    assert wrong <= 6  # of 60; 5 % of them is 3


def test_knowledge_is_told_from_chance() -> None:
    good, labels = scores_of(100, 1.0, 6)
    none, _ = scores_of(100, 0.0, 7)
    assert chance([none, good], labels) < 0.001
    assert chance([none], labels) > 0.01
    assert chance([np.full_like(none, -np.log(5))], labels) == 1
    assert chance([good], (labels + 1) % 5) > 0.5  # the classes in another order


@pytest.mark.heavy
def test_best_of_many_that_know_nothing_is_chance() -> None:
    lucky = 0
    for seed in range(40):
        none = [scores_of(100, 0.0, 500 + seed * 20 + i)[0] for i in range(20)]
        lucky += chance(none, np.arange(100) % 5) < 0.05
    assert lucky <= 6  # of 40; 5 % of them is 2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_the_value_and_bonferroni(values: list[float]) -> None:
    p = np.array(values)
    corrected = holm(p)
    assert (corrected >= p - 1e-12).all()
    assert (corrected <= np.minimum(p * len(p), 1) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= -1e-12).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2), st.integers(0, 10_000))
def test_matching_is_the_best_of_all(folders: int, more: int, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 9, (folders, folders + more))
    found = best_matching(counts)
    assert len(set(found)) == folders
    best = max(
        sum(counts[i, j] for i, j in enumerate(columns))
        for columns in itertools.permutations(range(folders + more), folders)
    )
    assert sum(counts[i, j] for i, j in enumerate(found)) == best


def test_matching_of_a_thousand_classes_is_found() -> None:
    order = np.random.default_rng(8).permutation(300)
    counts = np.random.default_rng(9).integers(0, 3, (300, 300))
    counts[np.arange(300), order] += 10
    assert list(best_matching(counts)) == pytest.approx(order)
