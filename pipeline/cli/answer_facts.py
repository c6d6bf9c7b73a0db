"""What a model says of one image, as lines for a person and as JSON. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.batches import PredictionBatch
from pipeline.cli.one_screen import Fact
from pipeline.formatting import counted, percent
from pipeline.model.spec import ModelSpec
from pipeline.text import brief, line

NAME = "model says"

TOP = 3
"""Classes that are listed, at most."""

MOST_LABELS = 10
"""Labels that are listed, at most."""

NAME_WIDTH = 48
"""Columns of a class name, at most, so that a line has 80."""


def answer_facts(batch: PredictionBatch, spec: ModelSpec) -> Iterator[Fact]:
    """Yield what a model says of the only image of a batch; each line has 80 columns at most."""
    failure = batch.images.failures.get(0)
    if failure is not None:
        yield NAME, f"nothing: {brief(line(failure.message), 55)}"
        return
    texts = list(_texts(batch, spec))
    yield from zip([NAME] + [""] * len(texts), texts, strict=False)


def _texts(batch: PredictionBatch, spec: ModelSpec) -> Iterator[str]:
    if batch.values is not None:
        yield f"{batch.values[0]:.6g}"
    if spec.task == "classes":
        yield from _scores(batch, spec, range(min(TOP, len(spec.class_names))))
    if spec.task == "labels":
        yield from _labels(batch, spec)
    if batch.embedding is not None:
        beside = "" if spec.task == "embedding" else "beside it, "
        yield f"{beside}an embedding of {counted(batch.embedding.shape[1], 'number')}"


def _labels(batch: PredictionBatch, spec: ModelSpec) -> Iterator[str]:
    right = _chosen(batch)
    if not right:
        yield "no label: none reaches its threshold; the nearest by score is"
        yield from _scores(batch, spec, range(1))
    yield from _scores(batch, spec, right[:MOST_LABELS])
    if len(right) > MOST_LABELS:
        yield f"and {counted(len(right) - MOST_LABELS, 'more label')}"


def _chosen(batch: PredictionBatch) -> list[int]:
    """Return the places, in the order of scores, of the labels that reach their thresholds."""
    assert batch.chosen is not None
    return [place for place, number in enumerate(batch.top_labels[0].tolist()) if batch.chosen[0, number]]


def _scores(batch: PredictionBatch, spec: ModelSpec, places: range | list[int]) -> Iterator[str]:
    names = [brief(line(spec.class_names[batch.top_labels[0, place]]), NAME_WIDTH) for place in places]
    width = max(map(len, names), default=0)
    for name, place in zip(names, places, strict=True):
        yield f"{name:<{width}}  {percent(float(batch.top_scores[0, place]), 1):>7}"


def answer_json(batch: PredictionBatch, spec: ModelSpec) -> Mapping[str, Any]:
    """Return the same as JSON values."""
    failure = batch.images.failures.get(0)
    if failure is not None:
        return {"error": line(failure.message)}
    found: dict[str, Any] = {}
    if batch.values is not None:
        found["value"] = float(batch.values[0])
    if spec.task == "classes":
        found["classes"] = [_entry(batch, spec, place) for place in range(min(TOP, len(spec.class_names)))]
    if spec.task == "labels":
        found["labels"] = [_entry(batch, spec, place) for place in _chosen(batch)]
    if batch.embedding is not None:
        found["embedding"] = batch.embedding.shape[1]
    return found


def _entry(batch: PredictionBatch, spec: ModelSpec, place: int) -> dict[str, Any]:
    number = int(batch.top_labels[0, place])
    return {"label": number, "name": spec.class_names[number], "score": float(batch.top_scores[0, place])}
