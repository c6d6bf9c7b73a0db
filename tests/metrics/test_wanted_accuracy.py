"""How many labels it takes to show an accuracy, against the interval that has to show it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.proportions import wilson
from pipeline.metrics.wanted_accuracy import needed_labels


@given(st.floats(0, 0.999999))
def test_so_many_right_labels_are_needed_and_one_fewer_is_too_few(wanted: float) -> None:
    n = needed_labels(wanted)
    assert n is not None
    assert (wilson(n, n) or (0.0,))[0] >= wanted
    assert n == 1 or (wilson(n - 1, n - 1) or (0.0,))[0] < wanted
