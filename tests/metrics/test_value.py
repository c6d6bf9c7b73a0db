"""Models of a value: the laws of their sums, and their figures against scikit-learn's."""

from __future__ import annotations

import itertools
import json
import math
import statistics

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from task_rows import random_values, table, value_row

from pipeline.metrics.sums import Sums
from pipeline.metrics.task_metrics import ValueMetrics
from pipeline.metrics.tasks import read_sums
from pipeline.metrics.value import LARGEST, ValueSums, measure_values

UNIT = 2.0**-16
METRICS = ValueMetrics(UNIT)

label = st.none() | st.floats(width=64) | st.sampled_from([0.0, 1.5, -2.25])
predicted = st.none() | st.floats(-LARGEST, LARGEST, width=32) | st.sampled_from([0.0, 1.5, -2.25])


@st.composite
def any_rows(draw: st.DrawFn) -> pa.Table:
    """Rows with whatever labels and predictions, also those that are no numbers or beyond all measure."""
    images = draw(st.lists(st.tuples(label, predicted), max_size=10))
    return table("value", [value_row(f"/{i % 2}/{i}.png", *image) for i, image in enumerate(images)])


@given(any_rows(), st.lists(st.integers(0, 10), min_size=2, max_size=2))
def test_sums_are_exact_however_rows_are_cut(rows: pa.Table, cuts: list[int]) -> None:
    ends = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [rows.slice(start, stop - start) for start, stop in itertools.pairwise(ends)]
    a, b, c = (measure_values(part, UNIT) for part in parts)
    whole = measure_values(rows, UNIT)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(b.merge(a)) == whole
    assert a.merge(ValueSums()) == Sums().merge(a) == a
    first, second, third = map(METRICS.folders, parts)
    assert first.merge(second).merge(third) == first.merge(second.merge(third)) == METRICS.folders(rows)


@given(any_rows())
def test_json_names_the_task_and_gives_back_what_was_written(rows: pa.Table) -> None:
    sums = measure_values(rows, UNIT)
    content = json.loads(json.dumps(sums.to_json(), allow_nan=False))
    assert content["task"] == "value"
    assert read_sums(content) == sums
    json.dumps(METRICS.compute(sums), allow_nan=False)


@given(any_rows())
def test_every_row_is_counted_once_in_each_breakdown(rows: pa.Table) -> None:
    sums = measure_values(rows, UNIT)
    numbers = [row["label_value"] for row in rows.to_pylist() if row["label_value"] is not None]
    assert sums.unknown_labels == sum(not abs(number) <= LARGEST for number in numbers)
    unknown = [row["key"] for row in rows.to_pylist() if row["label_value"] is not None]
    unknown = [key for key, number in zip(unknown, numbers, strict=True) if not abs(number) <= LARGEST]
    assert METRICS.compute(sums)["unknown_label_keys"] == sorted(unknown)
    assert sum(sums.predictions.cells.values()) == sums.scored == sums.images - sum(sums.failures.values())
    assert sum(sums.residuals.cells.values()) == sum(sums.pairs.cells.values()) == sums.labelled
    assert sums.squared_error >= 0 <= sums.absolute_error >= abs(sums.error)


def test_figures_are_those_of_scikit_learn() -> None:
    rows, labels, guesses = random_values(500)
    figures = METRICS.compute(METRICS.measure(rows))
    near = {"abs": UNIT, "rel": 0}
    assert figures["mae"] == pytest.approx(sklearn.metrics.mean_absolute_error(labels, guesses), **near)
    assert figures["rmse"] == pytest.approx(sklearn.metrics.root_mean_squared_error(labels, guesses), **near)
    assert figures["r2"] == pytest.approx(sklearn.metrics.r2_score(labels, guesses), abs=1e-6)
    errors = guesses - labels
    assert figures["mean_error"] == pytest.approx(errors.mean(), **near)
    reach = 1.959964 * statistics.stdev(np.abs(errors).tolist()) / math.sqrt(500)
    assert figures["mae_interval_95"] == pytest.approx([figures["mae"] - reach, figures["mae"] + reach], abs=1e-4)
    assert figures["mean_label"] == pytest.approx(labels.mean(), **near)
    assert figures["label_deviation"] == pytest.approx(labels.std(), **near)
    assert figures["prediction_deviation"] == pytest.approx(guesses.std(), **near)


def test_histogram_holds_each_residual_in_its_bin() -> None:
    rows, labels, guesses = random_values(300)
    bins = METRICS.compute(METRICS.measure(rows))["residual_histogram"]
    assert len(bins) <= 64
    for b in bins:
        inside = (guesses - labels >= b["from"] - UNIT) & (guesses - labels < b["to"] + UNIT)
        assert b["images"] <= inside.sum()
    assert sum(b["images"] for b in bins) == 300


def test_figures_that_cannot_be_are_null() -> None:
    one = METRICS.compute(METRICS.measure(table("value", [value_row("a", 3.0, 5.0)])))
    assert (one["mae"], one["mae_interval_95"], one["r2"], one["rmse"]) == (2.0, None, None, 2.0)
    alike = METRICS.compute(METRICS.measure(table("value", [value_row("a", 3.0, 5.0), value_row("b", 3.0, 3.0)])))
    assert alike["r2"] is None
    nothing = METRICS.compute(METRICS.measure(table("value", [])))
    assert (nothing["mae"], nothing["rmse"], nothing["mean_prediction"]) == (None, None, None)


def test_large_and_small_labels_are_summed_exactly() -> None:
    rows = [value_row("a", LARGEST, 1.0), value_row("b", -LARGEST, 1.0), value_row("c", UNIT, 0.0)]
    sums = measure_values(table("value", rows), UNIT)
    assert (sums.label, sums.predicted, sums.labelled) == (1, 2 * round(1 / UNIT), 3)


@pytest.mark.parametrize("number", [math.nan, math.inf, -1e300])
def test_label_that_no_prediction_can_be_is_unknown(number: float) -> None:
    sums = measure_values(table("value", [value_row("a", number, 1.0)]), UNIT)
    assert (sums.labelled, sums.unknown_labels, sums.scored) == (0, 1, 1)


def test_what_an_earlier_version_did_not_keep_is_not_known() -> None:
    content = measure_values(table("value", [value_row("a", math.nan, 1.0)]), UNIT).to_json()
    older = {name: value for name, value in content.items() if name != "unknown_keys"}
    assert older != content
    sums = read_sums(older)
    assert METRICS.compute(sums)["unknown_label_keys"] is None
    assert METRICS.compute(sums.merge(read_sums(content)))["unknown_label_keys"] is None
