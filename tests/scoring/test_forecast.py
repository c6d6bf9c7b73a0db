"""From costs to a range and a recommendation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.forecast import ROW_COST, Costs, recommend

COSTS = Costs(start=3.0, read=0.0, readers=1, decode=2e-3, decoders=2, predict={"float32": 1e-3}, cores=2)


def test_shortest_time_is_that_of_the_slowest_step_or_of_all_cores_at_work() -> None:
    assert COSTS.seconds(1_000, "float32")[0] == pytest.approx(3 + 1 + 1 + 500 * ROW_COST)
    one = replace(COSTS, decoders=1, decode=5e-3)
    assert one.seconds(1_000, "float32")[0] == pytest.approx(3 + 5)
    slow = replace(COSTS, read=0.1, readers=10)
    assert slow.seconds(1_000, "float32")[0] == pytest.approx(3 + 10)


def test_longest_time_is_that_of_all_steps_one_after_the_other() -> None:
    costs = replace(COSTS, read=0.1, readers=10)
    assert costs.seconds(1_000, "float32")[1] == pytest.approx(3 + 10 + 1 + 1 + 1_000 * ROW_COST)


positive = st.floats(1e-7, 10.0)


@given(positive, positive, positive, st.integers(1, 64), st.integers(1, 64), st.integers(0, 10**9))
def test_shortest_is_never_longer_than_longest_and_more_images_never_take_less(
    read: float, decode: float, predict: float, decoders: int, more: int, images: int
) -> None:
    costs = Costs(1.0, read, 4, decode, decoders, {"float32": predict}, cores=decoders + more)
    shortest, longest = costs.seconds(images, "float32")
    assert 1.0 <= shortest <= longest
    assert costs.seconds(images + 1, "float32") >= (shortest, longest)


@pytest.mark.parametrize(
    ("coarse", "line"),
    [
        (None, "--precision float32"),
        (1.4e-3, "--precision float32: with bfloat16 the model is 0.7 times as fast here"),
        (1e-3, "--precision float32: with bfloat16 the model is 1.0 times as fast here"),
        (0.5e-3, "--precision bfloat16: the same classes, and the model is 2.0 times as fast here"),
    ],
)
def test_bfloat16_is_recommended_where_it_is_there_and_worth_it(coarse: float | None, line: str) -> None:
    assert recommend(COSTS if coarse is None else replace(COSTS, predict={**COSTS.predict, "bfloat16": coarse})) == line
