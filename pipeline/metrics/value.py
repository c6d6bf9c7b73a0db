"""`ValueSums` are sums over the rows of a model that gives an image a number.

From them follow the mean absolute error, RMSE, R2 and the residuals. Numbers are added as whole multiples of a unit, a
power of two that model_spec.json fixes: so every sum is an exact integer. Must not know where rows are stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.grid import Grid
from pipeline.metrics.proportions import interval_of_mean, ratio
from pipeline.metrics.sums import Sums, failures_in
from pipeline.metrics.task_figures import Bin, PairBin, ValueComputed
from pipeline.metrics.texts import Texts

MOST_BINS = 64
"""Number of bins of a histogram of residuals or predictions that hold images, at most."""

MOST_PAIRS = 512
"""Number of cells of the grid of labels and predictions that hold images, at most."""

LARGEST = float(np.finfo(np.float32).max)
"""The largest number that a prediction can be; a label beyond it is no number."""

_FARTHEST = 1 << 62
"""Number of units beyond which grids no longer tell values apart; the sums do."""

Steps = list[int]
"""Numbers as whole multiples of the unit."""


def _bins() -> Grid:
    return Grid(MOST_BINS)


def _pairs() -> Grid:
    return Grid(MOST_PAIRS)


@dataclass(frozen=True)
class ValueSums(Sums):
    """Integer sums over the prediction rows of a model of a value.

    An image counts as labelled if it was scored and its label is a number of at most LARGEST. A residual is the
    prediction minus the label.

    Attributes:
        labelled: number of labelled rows.
        unknown_labels: number of rows whose label is no such number.
        error: sum of the residuals, in units.
        absolute_error: sum of their absolute values, in units.
        squared_error: sum of their squares, in squared units.
        label: sum of the labels of labelled rows, in units.
        squared_label: sum of their squares, in squared units.
        predicted: sum of the predictions of scored rows, in units.
        squared_predicted: sum of their squares, in squared units.
        residuals: the residuals, in units.
        predictions: the predictions of scored rows, in units.
        pairs: (label, prediction) of labelled rows, in units.
        unknown_keys: some rows whose label is no number, by key -> 1; None: an earlier version did not keep them.
    """

    task = "value"
    later = frozenset({"unknown_keys"})

    labelled: int = 0
    unknown_labels: int = 0
    error: int = 0
    absolute_error: int = 0
    squared_error: int = 0
    label: int = 0
    squared_label: int = 0
    predicted: int = 0
    squared_predicted: int = 0
    residuals: Grid = field(default_factory=_bins)
    predictions: Grid = field(default_factory=_bins)
    pairs: Grid = field(default_factory=_pairs)
    unknown_keys: Texts | None = field(default_factory=Texts)


@dataclass(frozen=True)
class Compared:
    """The labels of rows and their predictions, side by side.

    Attributes:
        scored: bool, one for each row: whether it has a prediction.
        labelled: bool, one for each row: whether it counts as labelled, as in `ValueSums`.
        unknown: bool, one for each row: whether its label is no such number.
        predicted: predictions of the scored rows, in units.
        label: labels of the labelled rows, in units.
        error: residuals of the labelled rows, in units.
    """

    scored: npt.NDArray[np.bool_]
    labelled: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.bool_]
    predicted: Steps
    label: Steps
    error: Steps


def compare_values(rows: pa.Table, unit: float) -> Compared:
    """Return the labels of rows and their predictions, side by side, in a unit."""
    scored = np.asarray(pc.equal(rows["status"], "ok"), np.bool_)
    label, predicted = (_floats(rows[name]) for name in ("label_value", "predicted_value"))
    has_label = np.asarray(pc.is_valid(rows["label_value"]), np.bool_)
    labelled = scored & is_number(label)
    return Compared(
        scored,
        labelled,
        has_label & ~is_number(label),
        to_steps(predicted[scored], unit),
        to_steps(label[labelled], unit),
        to_steps(predicted[labelled] - label[labelled], unit),
    )


def is_number(labels: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which labels are numbers of at most LARGEST, and not NaN."""
    are_numbers: npt.NDArray[np.bool_] = np.abs(labels) <= LARGEST
    return are_numbers


def to_steps(values: npt.NDArray[np.float64], unit: float) -> Steps:
    """Return numbers as whole multiples of a unit, rounded half to even.

    >>> to_steps(np.array([1.0, -0.3]), 0.25)
    [4, -1]
    """
    return [int(step) for step in np.rint(values / unit).tolist()]


def measure_values(rows: pa.Table, unit: float) -> ValueSums:
    """Return the sums of prediction rows (`pipeline.output.rows.row_schema`).

    Args:
        rows: rows of a model of a value.
        unit: the unit of the sums, a power of two.
    """
    both = compare_values(rows, unit)
    return ValueSums(
        images=len(rows),
        scored=int(both.scored.sum()),
        failures=failures_in(rows),
        labelled=len(both.label),
        unknown_labels=int(both.unknown.sum()),
        error=sum(both.error),
        absolute_error=sum(map(abs, both.error)),
        squared_error=sum(e * e for e in both.error),
        label=sum(both.label),
        squared_label=sum(v * v for v in both.label),
        predicted=sum(both.predicted),
        squared_predicted=sum(v * v for v in both.predicted),
        residuals=Grid.of(_points(both.error), MOST_BINS),
        predictions=Grid.of(_points(both.predicted), MOST_BINS),
        pairs=Grid.of(_points(both.label, _of_labelled(both)), MOST_PAIRS),
        unknown_keys=Texts.of(rows["key"].filter(pa.array(both.unknown)).to_pylist())
        if both.unknown.any()
        else Texts(),
    )


def compute_values(sums: ValueSums, unit: float) -> ValueComputed:
    """Return the figures that a person reads; a mean without images is None.

    Args:
        sums: the sums over all rows.
        unit: the unit of the sums.
    """
    n = sums.labelled
    return {
        "task": "value",
        "images": sums.images,
        "scored": sums.scored,
        "failed": sums.failed,
        "failures": sums.failure_counts(),
        "labelled": n,
        "unlabelled": sums.scored - n,
        "unknown_labels": sums.unknown_labels,
        "unknown_label_keys": None if sums.unknown_keys is None else sorted(sums.unknown_keys.counts),
        "mae": mean_of(sums.absolute_error, n, unit),
        "mae_interval_95": mean_interval(sums.absolute_error, sums.squared_error, n, unit, least=0.0),
        "rmse": _scale(_root(sums.squared_error, n), unit),
        "r2": _r2(sums),
        "mean_error": mean_of(sums.error, n, unit),
        "mean_error_interval_95": mean_interval(sums.error, sums.squared_error, n, unit),
        "mean_label": mean_of(sums.label, n, unit),
        "label_deviation": _scale(_deviation(sums.label, sums.squared_label, n), unit),
        "mean_prediction": mean_of(sums.predicted, sums.scored, unit),
        "prediction_deviation": _scale(_deviation(sums.predicted, sums.squared_predicted, sums.scored), unit),
        "residual_histogram": histogram_of(sums.residuals, unit),
        "prediction_histogram": histogram_of(sums.predictions, unit),
        "label_and_prediction": pair_bins(sums.pairs, unit),
    }


def mean_of(total: int, n: int, unit: float) -> float | None:
    """Return a mean; None of no values.

    Args:
        total: sum of the values, in units.
        n: number of values.
        unit: the unit of the sum.
    """
    return _scale(ratio(total, n), unit)


def mean_interval(total: int, squares: int, n: int, unit: float, least: float = -math.inf) -> list[float] | None:
    """Return the 95 % interval of a mean, which is at least a number; None of fewer than two values."""
    bounds = interval_of_mean(total, squares, n)
    return [max(least, bound * unit) for bound in bounds] if bounds else None


def histogram_of(grid: Grid, unit: float) -> list[Bin]:
    """Return the bins that hold images, the lowest first."""
    width = grid.width * unit
    return [
        {"from": cell * width, "to": (cell + 1) * width, "images": count}
        for (cell,), count in sorted(grid.cells.items())
    ]


def pair_bins(grid: Grid, unit: float) -> list[PairBin]:
    """Return the cells that hold images, sorted."""
    width = grid.width * unit
    return [
        {"label": label * width, "prediction": predicted * width, "width": width, "images": count}
        for (label, predicted), count in sorted(grid.cells.items())
    ]


def _r2(sums: ValueSums) -> float | None:
    """Return 1 - sum of squared residuals / sum of squared distances of the labels from their mean, exactly."""
    spread = sums.labelled * sums.squared_label - sums.label**2
    return float(1 - Fraction(sums.labelled * sums.squared_error, spread)) if spread else None


def _root(squares: int, n: int) -> float | None:
    return math.sqrt(Fraction(squares, n)) if n else None


def _deviation(total: int, squares: int, n: int) -> float | None:
    """Return the standard deviation of n values from their sum and the sum of their squares."""
    return math.sqrt(Fraction(n * squares - total * total, n * n)) if n else None


def _scale(value: float | None, unit: float) -> float | None:
    return None if value is None else value * unit


def _of_labelled(both: Compared) -> Steps:
    """Return the predictions of the labelled rows."""
    return [step for step, is_labelled in zip(both.predicted, both.labelled[both.scored], strict=True) if is_labelled]


def _points(*columns: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the points of a grid, int64 [n, columns]."""
    near = [[max(-_FARTHEST, min(_FARTHEST, step)) for step in column] for column in columns]
    points: npt.NDArray[np.int64] = np.array(near, np.int64).reshape(len(columns), -1).T
    return points


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(pc.fill_null(column, float("nan")), np.float64)
