"""The types of what a record keeps of a night, for models of labels, of a value, and of an embedding.

`pipeline.metrics.record` has those for models of classes, and all that does not depend on the task. docs/schema.md
describes every field.
"""

from __future__ import annotations

from typing import Literal, TypedDict


class LabelNight(TypedDict):
    """The figures of a run of a model of labels with which later runs are compared."""

    labelled: int
    exact_match: float | None
    exact_match_interval_95: list[float] | None
    predicted: dict[str, int]
    confidence_histogram: list[int]


class GridFigures(TypedDict):
    """Numbers counted in cells of equal width, see `pipeline.metrics.grid`."""

    limit: int
    width: int
    cells: list[list[int]]


class ValueNight(TypedDict):
    """The figures of a run of a model of a value with which later runs are compared."""

    labelled: int
    mae: float | None
    mae_interval_95: list[float] | None
    mean_prediction: float | None
    predictions: GridFigures


class EmbeddingNight(TypedDict):
    """The figures of a run of a model of an embedding with which later runs are compared."""

    norms: dict[str, int]


class Means(TypedDict):
    """The mean prediction of a run, and that of a reference."""

    mean: float | None
    reference_mean: float | None


class DriftOfValues(Means):
    """How far predictions are from those of a reference."""

    psi: float | None


class ValueDrift(TypedDict):
    """How far a run of a model of a value is from the run before."""

    against: Literal["previous"]
    values: DriftOfValues


class DriftOfNorms(TypedDict):
    """How far norms are from those of a reference."""

    psi: float | None


class EmbeddingDrift(TypedDict):
    """How far a run of a model of an embedding is from the run before."""

    against: Literal["previous"]
    norms: DriftOfNorms


class LabelQuality(TypedDict):
    """How right a run of a model of labels was."""

    exact_match: float | None
    exact_match_interval_95: list[float] | None


class ValueQuality(TypedDict):
    """How near a run of a model of a value came."""

    mae: float | None
    mae_interval_95: list[float] | None
