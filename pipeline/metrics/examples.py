"""Which images of many a person should look at: short lists, of a part and then of the whole archive.

Each list is the first of all by a rule, so that the lists of two sets of images can be told from those of either; what
is in any of them is kept once. Must not know where rows are stored.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

Example = Mapping[str, Any]
"""A scored row's COLUMNS, and `row`, its number in the part, for as long as that is of use."""

COLUMNS = ("key", "label", "label_name", "label_score", "predicted", "predicted_name", "score")


@dataclass(frozen=True)
class Limits:
    """How long the lists are.

    Attributes:
        mistakes: most confident ones.
        confused: most confident ones of the cells of the confusion matrix, of all cells together.
        cell: of one cell.
        doubtful: mistakes whose label has the lowest probability: labels that look wrong.
        uncertain: images whose winner has the lowest probability.
    """

    mistakes: int
    confused: int
    cell: int
    doubtful: int
    uncertain: int


OF_UNIT = Limits(mistakes=16, confused=24, cell=4, doubtful=8, uncertain=8)
OF_ARCHIVE = Limits(mistakes=24, confused=240, cell=4, doubtful=24, uncertain=24)
"""Exact as far as a unit's lists go; behind that, a unit may have left out what others show."""


FAILURE_EXAMPLES = 3
"""Failed images that are named, for each stage and code."""

T = TypeVar("T", bound=Mapping[str, Any])


def examples_of(rows: pa.Table) -> list[dict[str, Any]]:
    """Return the images of a part that are in one of its lists, by row."""
    numbered = rows.append_column("row", pa.array(range(len(rows)), pa.int64()))
    scored = numbered.filter(pc.equal(rows["status"], "ok"))
    wrong = scored.filter(
        pc.and_(pc.is_valid(scored["label_score"]), pc.not_equal(scored["label"], scored["predicted"]))
    )
    least = scored.slice(0, 0)
    if len(scored):  # of an empty table Arrow cannot select
        first = pc.select_k_unstable(scored, OF_UNIT.uncertain, [("score", "ascending"), ("key", "ascending")])
        least = scored.take(first)
    columns = sorted(
        (*COLUMNS, "row")
    )  # as in a receipt's file: new and kept receipts give the same summary, to the byte
    found = {row["row"]: row for table in (wrong, least) for row in table.select(columns).to_pylist()}
    return [found[row] for row in sorted(example["row"] for example in in_any_list(found.values(), OF_UNIT))]


def failures_of(rows: pa.Table) -> list[dict[str, Any]]:
    """Return the first images of a part that failed, of each stage and code, by row."""
    numbered = rows.append_column("row", pa.array(range(len(rows)), pa.int64()))
    failed = numbered.filter(pc.equal(rows["status"], "failed"))
    columns = ["error_code", "key", "error_message", "row", "error_stage"]
    named = (
        {name.removeprefix("error_"): value for name, value in row.items()}
        for row in failed.select(columns).to_pylist()
    )
    return list(first_of_each(named))


def first_of_each(failures: Iterable[T]) -> Iterator[T]:
    """Yield the first few failures of each stage and code."""
    seen: Counter[tuple[str, str]] = Counter()
    for failure in failures:
        reason = (failure["stage"], failure["code"])
        seen[reason] += 1
        if seen[reason] <= FAILURE_EXAMPLES:
            yield failure


def listed(examples: Iterable[Example], limits: Limits) -> dict[str, list[Example]]:
    """Return the lists of a set of images, by name; ties go by key."""
    every = list(examples)
    wrong = [e for e in every if e["label_score"] is not None and e["label"] != e["predicted"]]
    wrong.sort(key=_by_confidence)
    return {
        "most_confident_mistakes": wrong[: limits.mistakes],
        "confused": _spread(wrong, limits),
        "doubtful_labels": heapq.nsmallest(limits.doubtful, wrong, key=_by_label),
        "least_certain": heapq.nsmallest(limits.uncertain, every, key=_by_doubt),
    }


def in_any_list(examples: Iterable[Example], limits: Limits) -> list[Example]:
    """Return those of a set of images that are in one of its lists, each once."""
    return list({id(example): example for of in listed(examples, limits).values() for example in of}.values())


def merged(one: Sequence[Example], other: Sequence[Example]) -> list[Example]:
    """Return those of two sets of images that are in a list of both together; associative and commutative."""
    every = [*one, *other]
    if len(every) <= OF_ARCHIVE.uncertain:
        return sorted(every, key=_by_confidence)
    return sorted(in_any_list(every, OF_ARCHIVE), key=_by_confidence)


def _spread(wrong: Iterable[Example], limits: Limits) -> list[Example]:
    """Return the first mistakes, of each cell of the confusion matrix not more than so many."""
    taken: Counter[tuple[int, int]] = Counter()
    found = []
    for example in wrong:
        cell = example["label"], example["predicted"]
        taken[cell] += 1
        if taken[cell] <= limits.cell:
            found.append(example)
        if len(found) == limits.confused:
            break
    return found


def _by_confidence(example: Example) -> tuple[float, str]:
    return -example["score"], example["key"]


def _by_label(example: Example) -> tuple[float, str]:
    return example["label_score"], example["key"]


def _by_doubt(example: Example) -> tuple[float, str]:
    return example["score"], example["key"]
