"""This module compares a night with the model's training and with the night before: are the images still the same?

It compares how classes and scores are distributed. Must not know how a record is written.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pipeline.metrics.accuracy import HISTOGRAM_BINS, Metrics
from pipeline.metrics.embedding import EmbeddingSums
from pipeline.metrics.grid import Grid
from pipeline.metrics.labels import LabelSums, predicted_of
from pipeline.metrics.proportions import interval_of_share, ratio
from pipeline.metrics.record import AnyDrift, ClassChange, Drift, NightFigures, Training
from pipeline.metrics.task_record import (
    EmbeddingDrift,
    EmbeddingNight,
    GridFigures,
    LabelNight,
    Means,
    ValueDrift,
    ValueNight,
)
from pipeline.metrics.value import ValueSums, mean_interval, mean_of

LARGE_DRIFT = 0.25
"""Population stability index, in nats, above which a change is usually called large."""

LARGEST_NOISE = 0.05
"""Population stability index, in nats, that chance alone may cause; if chance may cause more, there is no index."""

MOST_CHANGED = 10
"""Number of classes that are named because their share has changed most."""


def night_of(metrics: Metrics, class_names: Sequence[str]) -> NightFigures:
    """Return the figures of a night of a model of classes with which later nights are compared.

    `predicted` is class -> images; `confidence_histogram` has the images of each bin of the winner's probability.
    """
    predicted = dict.fromkeys(range(len(class_names)), 0)
    for (_, guess), count in metrics.confusion.items():
        predicted[guess] += count
    for guess, count in metrics.unlabelled.items():
        predicted[guess] += count
    return {
        "labelled": metrics.labelled,
        "accuracy": ratio(metrics.correct, metrics.labelled),
        "accuracy_interval_95": interval_of_share(metrics.correct, metrics.labelled),
        "predicted": {class_names[c]: n for c, n in predicted.items() if n},
        "confidence_histogram": [metrics.confidence.get(i, 0) for i in range(HISTOGRAM_BINS)],
    }


def night_of_labels(sums: LabelSums, class_names: Sequence[str]) -> LabelNight:
    """Return the same of a model of labels: `predicted` is class -> images that were predicted to have the label."""
    predicted = Counter(predicted_of(sums))
    predicted.update(sums.unlabelled)
    return {
        "labelled": sums.labelled,
        "exact_match": ratio(sums.correct, sums.labelled),
        "exact_match_interval_95": interval_of_share(sums.correct, sums.labelled),
        "predicted": {class_names[c]: n for c, n in sorted(predicted.items())},
        "confidence_histogram": [sums.confidence.get(i, 0) for i in range(HISTOGRAM_BINS)],
    }


def night_of_values(sums: ValueSums, unit: float) -> ValueNight:
    """Return the same of a model of a value: `predictions` are those of all images, in units."""
    n = sums.labelled
    return {
        "labelled": n,
        "mae": mean_of(sums.absolute_error, n, unit),
        "mae_interval_95": mean_interval(sums.absolute_error, sums.squared_error, n, unit, least=0.0),
        "mean_prediction": mean_of(sums.predicted, sums.scored, unit),
        "predictions": cast(GridFigures, sums.predictions.to_json()),
    }


def night_of_embeddings(sums: EmbeddingSums) -> EmbeddingNight:
    """Return the same of a model of an embedding: `norms` is bin of the norm -> images."""
    return {"norms": {str(i): n for i, n in sorted(sums.norms.items())}}


def compare(
    night: NightFigures | LabelNight, training: Training | None, before: NightFigures | LabelNight | None
) -> list[Drift]:
    """Return how far a night is from the model's training and from the night before; the model is of classes or labels.

    Args:
        night: figures of the night, as `night_of` returns them.
        training: figures of the model's training, as a record has them; None: the model has none.
        before: figures of the night before; None: there was none.
    """
    references: dict[Literal["training", "previous"], tuple[Mapping[str, int] | None, Sequence[int] | None]] = {}
    if training is not None:
        references["training"] = training["images_per_class"], training["confidence_histogram"]
    if before is not None:
        references["previous"] = before["predicted"], before["confidence_histogram"]
    return [
        {
            "against": name,
            "classes": {
                "psi": psi(night["predicted"], classes or {}),
                "most_changed": _most_changed(night["predicted"], classes or {}),
            },
            "confidence": {"psi": psi(_by_bin(night["confidence_histogram"]), _by_bin(histogram or []))},
        }
        for name, (classes, histogram) in references.items()
        if classes or histogram
    ]


def compare_values(night: ValueNight, before: ValueNight | None) -> list[ValueDrift]:
    """Return how far a night of a model of a value is from the night before; None: there was none."""
    if before is None:
        return []
    index = psi(*_in_same_bins(night["predictions"], before["predictions"]))
    means = {"mean": night["mean_prediction"], "reference_mean": before["mean_prediction"]}
    return [{"against": "previous", "values": {"psi": index, **cast(Means, means)}}]


def compare_embeddings(night: EmbeddingNight, before: EmbeddingNight | None) -> list[EmbeddingDrift]:
    """Return how far a night of a model of an embedding is from the night before; None: there was none."""
    if before is None:
        return []
    return [{"against": "previous", "norms": {"psi": psi(night["norms"], before["norms"])}}]


_INDICES = {"classes": "classes", "confidence": "scores", "values": "values", "norms": "norms"}
"""What is compared, as a record has it -> the same in words."""


def indices_of(drift: AnyDrift) -> list[tuple[str, float | None]]:
    """Return what is compared with one reference, in words, and the population stability index of each."""
    return [(words, cast(Any, drift)[name]["psi"]) for name, words in _INDICES.items() if name in drift]


def _in_same_bins(one: GridFigures, other: GridFigures) -> tuple[dict[str, int], dict[str, int]]:
    """Return the images of each bin of two grids, in bins that both share, of which not many hold images."""
    grids = [Grid.from_json(cast(Mapping[str, Any], each)) for each in (one, other)]
    width = max(grid.width for grid in grids)
    while len(set().union(*(grid.widen(width).cells for grid in grids))) > HISTOGRAM_BINS:
        width *= 2
    first, second = ({str(cell): n for cell, n in grid.widen(width).cells.items()} for grid in grids)
    return first, second


def psi(counts: Mapping[str, int], reference: Mapping[str, int]) -> float | None:
    """Return the population stability index of two counts by class: sum of (p - q) ln(p / q), in nats.

    Less than 0.1 is usually read as no change, more than 0.25 as a large one (Siddiqi, "Credit Risk Scorecards", 2006).
    Half an image is added to each count, so that none is zero. None where chance alone gives about LARGEST_NOISE or
    more: (classes - 1) (1 / n + 1 / m) for n and m images (Yurdakul and Naranjo, J. Risk Model Validation 14, 2020).

    >>> psi({"a": 500, "b": 500}, {"a": 5_000, "b": 5_000}), psi({"a": 900, "b": 100}, {"a": 500, "b": 500})
    (0.0, 0.8762)
    """
    names = [name for name in sorted(counts.keys() | reference.keys()) if counts.get(name) or reference.get(name)]
    n, m = sum(counts.values()), sum(reference.values())
    if not n or not m or (len(names) - 1) * (1 / n + 1 / m) > LARGEST_NOISE:
        return None
    total = 0.0
    for name in names:
        p = (counts.get(name, 0) + 0.5) / (n + 0.5 * len(names))
        q = (reference.get(name, 0) + 0.5) / (m + 0.5 * len(names))
        total += (p - q) * math.log(p / q)
    return round(total, 4)


def _by_bin(histogram: Sequence[int]) -> dict[str, int]:
    return {f"{i:02d}": n for i, n in enumerate(histogram)}


def _most_changed(counts: Mapping[str, int], reference: Mapping[str, int]) -> list[ClassChange]:
    """Return the classes whose share has changed most, those first."""
    n, m = sum(counts.values()), sum(reference.values())
    if not n or not m:
        return []
    shares = [(name, counts.get(name, 0) / n, reference.get(name, 0) / m) for name in counts.keys() | reference.keys()]
    shares.sort(key=lambda row: (-abs(row[1] - row[2]), row[0]))
    return [{"class": name, "share": p, "reference_share": q} for name, p, q in shares[:MOST_CHANGED] if p != q]
