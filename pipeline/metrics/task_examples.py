"""This module chooses the images that a person should look at, of models of labels, of a value, and of an embedding.

`pipeline.metrics.examples` does so of models of classes. Here, too, each list has the first images by a rule, so that
the lists of two sets of images together follow from the lists of each. Must not know where rows are stored.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.embedding import norms_of
from pipeline.metrics.figures import Candidate
from pipeline.metrics.labels import compare_names, highest_scores
from pipeline.metrics.value import is_number
from pipeline.task import Task

ENLARGED = 3
"""Number of images of each list of one unit that have a larger picture."""

AnyExample = Mapping[str, Any]
"""An image that a person should look at, as a receipt or summary.json has it: its type follows from the task."""

AnyCandidate = Candidate | AnyExample
"""What decides whether an image is one that a person should look at, of a model of any task."""

Order = Callable[[AnyExample], tuple[Any, ...] | None]
"""Function of an image that returns its place in a list: the smallest first; None: it does not belong there."""


@dataclass(frozen=True)
class ListRule:
    """One list of images.

    Attributes:
        name: name of the list in summary.json.
        order: which images belong into it, and in what order.
        of_unit: number of images in the list of one unit, at most.
        of_archive: number of images in the list of the whole archive, at most.
    """

    name: str
    order: Order
    of_unit: int
    of_archive: int = 24


def _by_mistakes(example: AnyExample) -> tuple[Any, ...] | None:
    if not example["mistakes"]:
        return None
    return -example["mistakes"], -example["score"], example["key"]


def _by_margin(example: AnyExample) -> tuple[Any, ...]:
    return example["margin"], example["key"]


def _by_residual(example: AnyExample) -> tuple[Any, ...] | None:
    if example["label_value"] is None:
        return None
    return -abs(example["predicted_value"] - example["label_value"]), example["key"]


def _by_height(example: AnyExample) -> tuple[Any, ...]:
    return -example["predicted_value"], example["key"]


def _by_depth(example: AnyExample) -> tuple[Any, ...]:
    return example["predicted_value"], example["key"]


def _by_length(example: AnyExample) -> tuple[Any, ...]:
    return -example["norm"], example["key"]


def _by_shortness(example: AnyExample) -> tuple[Any, ...]:
    return example["norm"], example["key"]


RULES: Mapping[Task, Sequence[ListRule]] = {
    "labels": (ListRule("most_mistaken", _by_mistakes, 24), ListRule("least_certain", _by_margin, 8)),
    "value": (
        ListRule("largest_residuals", _by_residual, 24),
        ListRule("highest_values", _by_height, 8),
        ListRule("lowest_values", _by_depth, 8),
    ),
    "embedding": (ListRule("largest_norms", _by_length, 8), ListRule("smallest_norms", _by_shortness, 8)),
}
"""Task -> its lists, in the order of summary.json."""


def lists_by_task(task: Task, examples: Iterable[AnyExample], is_unit: bool = False) -> dict[str, list[AnyExample]]:
    """Return name of the list -> its images, the first ones first; of equal images the first by key.

    Args:
        task: the task of the model.
        examples: the images.
        is_unit: True: the lists are as long as those of one unit; False: as those of the archive.
    """
    every = list(examples)
    lists = {}
    for rule in RULES[task]:
        placed = ((place, i) for i, example in enumerate(every) if (place := rule.order(example)) is not None)
        first = heapq.nsmallest(rule.of_unit if is_unit else rule.of_archive, placed)
        lists[rule.name] = [every[i] for _, i in first]
    return lists


def enlarged(task: Task, examples: Iterable[AnyExample]) -> list[AnyExample]:
    """Return the first images of each list of one unit: those that have a larger picture."""
    return [example for one in lists_by_task(task, examples, is_unit=True).values() for example in one[:ENLARGED]]


def listed(task: Task, examples: Iterable[AnyExample], is_unit: bool = False) -> list[AnyExample]:
    """Return the images that one of the lists holds, each once, sorted by key; arguments as of `lists_by_task`."""
    lists = lists_by_task(task, examples, is_unit)
    every = {id(example): example for one in lists.values() for example in one}
    return sorted(every.values(), key=lambda example: (example["key"], example.get("row", 0)))


def examples_of_labels(rows: pa.Table, class_names: Sequence[str], thresholds: Sequence[float]) -> list[dict[str, Any]]:
    """Return the images of a part that one of its lists holds, in the order of their rows.

    Args:
        rows: rows of a model of labels.
        class_names: names of the model's classes, in the order of its output.
        thresholds: for each class the probability from which on it is predicted; (): 0.5 for each.
    """
    named, scores, margins = compare_names(rows, class_names), highest_scores(rows), _margins(rows, thresholds)
    mistakes, wrong = named.mistakes, np.flatnonzero(named.labelled & (named.mistakes > 0))
    first, second = (rule.of_unit for rule in RULES["labels"])
    chosen = np.union1d(
        lowest(wrong, -mistakes - scores / 2, first), lowest(np.flatnonzero(named.scored), margins, second)
    )
    table = rows.select(["key", "label_names", "predicted_names"]).take(chosen).to_pylist()
    candidates = [
        {
            **row,
            "mistakes": int(mistakes[i]) if named.labelled[i] else None,
            "score": float(scores[i]),
            "margin": float(margins[i]),
            "row": i,
        }
        for i, row in zip(chosen.tolist(), table, strict=True)
    ]
    return _finish("labels", candidates)


def examples_of_values(rows: pa.Table) -> list[dict[str, Any]]:
    """Return the images of a part that one of its lists holds, in the order of their rows."""
    scored = np.flatnonzero(np.asarray(pc.equal(rows["status"], "ok"), np.bool_))
    label, predicted = (
        np.asarray(pc.fill_null(rows[name], math.nan), np.float64) for name in ("label_value", "predicted_value")
    )
    residuals = np.abs(predicted - label)
    has_number = is_number(label)
    labelled = scored[has_number[scored]]
    first, second, third = (rule.of_unit for rule in RULES["value"])
    chosen = {
        *lowest(labelled, -residuals, first).tolist(),
        *lowest(scored, -predicted, second).tolist(),
        *lowest(scored, predicted, third).tolist(),
    }
    keys = rows["key"]
    candidates = [
        {
            "key": keys[i].as_py(),
            "label_value": float(label[i]) if has_number[i] else None,
            "predicted_value": float(predicted[i]),
            "row": i,
        }
        for i in sorted(chosen)
    ]
    return _finish("value", candidates)


def examples_of_embeddings(rows: pa.Table) -> list[dict[str, Any]]:
    """Return the images of a part that one of its lists holds, in the order of their rows."""
    norms, keys = norms_of(rows), rows["key"]
    scored = np.flatnonzero(np.isfinite(norms))
    first, second = (rule.of_unit for rule in RULES["embedding"])
    chosen = {*lowest(scored, -norms, first).tolist(), *lowest(scored, norms, second).tolist()}
    return _finish("embedding", [{"key": keys[i].as_py(), "norm": float(norms[i]), "row": i} for i in sorted(chosen)])


def _finish(task: Task, candidates: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the candidates that a list of the unit holds, by row, their fields sorted as in a receipt's file."""
    rows = {example["row"] for example in listed(task, candidates, is_unit=True)}
    return [dict(sorted(example.items())) for example in candidates if example["row"] in rows]


def lowest(rows: npt.NDArray[np.intp], ranks: npt.NDArray[np.floating[Any]], n: int) -> npt.NDArray[np.intp]:
    """Return those of the rows among which the n with the lowest ranks are: ties are included."""
    if len(rows) <= n:
        return rows
    own = ranks[rows]
    found: npt.NDArray[np.intp] = rows[own <= np.partition(own, n - 1)[n - 1]]
    return found


def _margins(rows: pa.Table, thresholds: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return for each row the smallest distance of a probability in its top k from its threshold; inf: it has none."""
    lists = rows["top_k"].combine_chunks()
    parents = np.asarray(pc.list_parent_indices(lists), np.int64)
    flat = pc.list_flatten(lists)
    numbers, scores = np.asarray(flat.field("label"), np.int64), np.asarray(flat.field("score"), np.float64)
    limits = np.array(thresholds) if thresholds else None
    distances = np.abs(scores - (0.5 if limits is None else limits[numbers]))
    margins = np.full(len(rows), math.inf)
    np.minimum.at(margins, parents, distances)
    return margins
