"""F1, balanced accuracy, kappa and MCC of a confusion matrix are scikit-learn's."""

from __future__ import annotations

import math
import warnings
from collections import Counter

import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.accuracy import LARGEST_MATRIX, Metrics, compute
from pipeline.metrics.agreement import agreement

a_class = st.integers(0, 5)


@given(st.lists(st.tuples(a_class, a_class), min_size=1, max_size=60))
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, guesses = zip(*pairs, strict=True)
    with warnings.catch_warnings():  # of classes that are never predicted, and of kappa where it is not defined
        warnings.simplefilter("ignore")
        kappa = sklearn.metrics.cohen_kappa_score(labels, guesses)
        expected = {
            "macro_f1": sklearn.metrics.f1_score(labels, guesses, average="macro"),
            "weighted_f1": sklearn.metrics.f1_score(labels, guesses, average="weighted"),
            "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(labels, guesses),
            "cohen_kappa": None if math.isnan(kappa) else kappa,
            "mcc": sklearn.metrics.matthews_corrcoef(labels, guesses),
        }
    assert agreement(Counter(pairs)) == pytest.approx(expected, abs=1e-12)


def test_cell_without_images_is_as_if_it_were_not_there() -> None:
    cells = {(0, 0): 6, (0, 1): 2, (1, 1): 2}
    assert agreement({**cells, (2, 2): 0, (3, 0): 0}) == agreement(cells)


def test_of_no_images_there_are_no_figures() -> None:
    assert set(agreement({}).values()) == {None}


def test_counts_beyond_what_a_float_holds_are_exact() -> None:
    one = {(0, 0): 3, (0, 1): 1, (1, 0): 1, (1, 1): 2}
    assert agreement({cell: n * 10**80 for cell, n in one.items()}) == pytest.approx(agreement(one), abs=1e-12)


def test_figures_are_there_for_more_classes_than_a_matrix_holds() -> None:
    metrics = Metrics(images=3, scored=3, labelled=3, correct=2, confusion={(0, 0): 2, (LARGEST_MATRIX, 1): 1})
    figures = compute(metrics, [str(c) for c in range(LARGEST_MATRIX + 1)], 1)
    assert figures["confusion_matrix"] is None
    assert figures["macro_f1"] == pytest.approx(1 / 3)
    assert figures["balanced_accuracy"] == 0.5
