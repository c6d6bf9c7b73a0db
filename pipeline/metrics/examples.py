"""This module chooses the images that a person should look at: mistakes and uncertain images.

It makes short lists, first of a part and then of the whole archive. Each list has the first images by a rule, so that
the lists of two sets of images together follow from the lists of each; an image in several lists is stored once. Must
not know where rows are stored.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.metrics.figures import Candidate, ExampleRow, FailureReason, FailureRow

COLUMNS = ("key", "label", "label_name", "label_score", "predicted", "predicted_name", "score")
"""Names of the columns of a row that an example has."""


@dataclass(frozen=True)
class Limits:
    """The greatest number of images in each list.

    Attributes:
        mistakes: the mistakes of which the model is most confident.
        confused: the same, from all cells of the confusion matrix together.
        cell: the images that `confused` takes from one cell.
        doubtful: the mistakes whose label has the lowest probability, of which a report may need a picture.
        uncertain: the images whose winner has the lowest probability.
    """

    mistakes: int
    confused: int
    cell: int
    doubtful: int
    uncertain: int


OF_UNIT = Limits(mistakes=16, confused=24, cell=4, doubtful=8, uncertain=8)
"""Limits of the lists of one unit, which its receipt keeps."""

OF_ARCHIVE = Limits(mistakes=24, confused=240, cell=4, doubtful=24, uncertain=24)
"""Limits of the lists of the whole archive.

Behind the length of a unit's list, a unit may have left out an image that belongs there: see
`pipeline.metrics.complete_lists`.
"""

ENLARGED = Limits(mistakes=5, confused=0, cell=0, doubtful=3, uncertain=2)
"""Limits of the lists of one unit whose images have a larger picture, which takes as much as ten small ones."""

FAILURE_EXAMPLES = 3
"""Number of failed images that are named, for each stage and code."""

F = TypeVar("F", bound=FailureReason)
E = TypeVar("E", bound=Candidate)


def examples_of(rows: pa.Table) -> list[ExampleRow]:
    """Return the images of a part that one of its lists holds, in the order of their rows."""
    # sorted as in a receipt's file, so that new and kept receipts give the same summary, to the byte
    columns = sorted((*COLUMNS, "row"))
    scored = _numbered(rows).select(columns).filter(pc.equal(rows["status"], "ok"))
    wrong = scored.filter(
        pc.and_(pc.is_valid(scored["label_score"]), pc.not_equal(scored["label"], scored["predicted"]))
    )
    least = scored.slice(0, 0)
    if len(scored):  # of an empty table Arrow cannot select
        first = pc.select_k_unstable(scored, OF_UNIT.uncertain, [("score", "ascending"), ("key", "ascending")])
        least = scored.take(first)
    candidates = {row["row"]: row for table in (wrong, least) for row in table.to_pylist()}
    return [candidates[row] for row in sorted(example["row"] for example in in_any_list(candidates.values(), OF_UNIT))]


def failures_of(rows: pa.Table) -> list[FailureRow]:
    """Return the first failed images of a part, for each stage and code, in the order of their rows."""
    columns = ["error_code", "key", "error_message", "row", "error_stage"]
    table = _numbered(rows).select(columns).filter(pc.equal(rows["status"], "failed"))
    failures: list[FailureRow] = table.rename_columns([name.removeprefix("error_") for name in columns]).to_pylist()
    return list(first_of_each(failures))


def _numbered(rows: pa.Table) -> pa.Table:
    return rows.append_column("row", pa.array(np.arange(len(rows))))


def first_of_each(failures: Iterable[F]) -> Iterator[F]:
    """Yield the first few failures of each stage and code."""
    counts: Counter[tuple[str, str]] = Counter()
    for failure in failures:
        reason = (failure["stage"], failure["code"])
        counts[reason] += 1
        if counts[reason] <= FAILURE_EXAMPLES:
            yield failure


def lists_of(examples: Iterable[E], limits: Limits) -> dict[str, list[E]]:
    """Return name of the list -> its images, the first ones first; of equal images the first by key."""
    every = list(examples)
    wrong = [e for e in every if e["label_score"] is not None and e["label"] != e["predicted"]]
    wrong.sort(key=_by_confidence)
    return {
        "most_confident_mistakes": wrong[: limits.mistakes],
        "confused": _spread(wrong, limits),
        "doubtful_labels": heapq.nsmallest(limits.doubtful, wrong, key=_by_label),
        "least_certain": heapq.nsmallest(limits.uncertain, every, key=place_by_doubt),
    }


def in_any_list(examples: Iterable[E], limits: Limits) -> list[E]:
    """Return the images that one of the lists holds, each once."""
    return list({id(example): example for one in lists_of(examples, limits).values() for example in one}.values())


def merge(one: Sequence[E], other: Sequence[E]) -> list[E]:
    """Return the images of two sets that a list of both sets together holds; associative and commutative."""
    every = [*one, *other]
    if len(every) <= OF_ARCHIVE.uncertain:
        return sorted(every, key=_by_confidence)
    return sorted(in_any_list(every, OF_ARCHIVE), key=_by_confidence)


def _spread(wrong: Iterable[E], limits: Limits) -> list[E]:
    """Return the first mistakes, at most `limits.cell` from each cell of the confusion matrix."""
    counts: Counter[tuple[int | None, int]] = Counter()
    examples: list[E] = []
    for example in wrong:
        cell = example["label"], example["predicted"]
        counts[cell] += 1
        if counts[cell] <= limits.cell:
            examples.append(example)
        if len(examples) == limits.confused:
            break
    return examples


def place_by_confidence(example: Mapping[str, Any]) -> tuple[float, str] | None:
    """Return the place of an image among the most confident mistakes; None: it is no mistake."""
    is_mistake = example["label_score"] is not None and example["label"] != example["predicted"]
    return (-example["score"], example["key"]) if is_mistake else None


def place_by_doubt(example: Mapping[str, Any]) -> tuple[float, str]:
    """Return the place of an image among the least certain ones."""
    return example["score"], example["key"]


def _by_confidence(example: Candidate) -> tuple[float, str]:
    return -example["score"], example["key"]


def _by_label(example: Candidate) -> tuple[float, str]:
    return example["label_score"] or 0.0, example["key"]
