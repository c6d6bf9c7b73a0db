"""This module cuts the lists of summary.json where they may lack an image.

A receipt names only the first images of its work unit. If a list of a unit is full, the unit may have more images that
belong behind it. So a list of the whole archive is sure only up to the place where the first full list of a unit ends.
Must not know where rows are stored.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.metrics.examples import OF_UNIT, place_by_confidence, place_by_doubt
from pipeline.metrics.task_examples import RULES, AnyExample, ListRule
from pipeline.task import Task

Place = tuple[Any, ...]
"""Place of an image in a list: the smallest is the first."""

_ORDERED: Mapping[Task, Sequence[ListRule]] = {
    **RULES,
    "classes": (
        ListRule("most_confident_mistakes", place_by_confidence, OF_UNIT.mistakes),
        ListRule("least_certain", place_by_doubt, OF_UNIT.uncertain),
    ),
}
"""Task -> its lists that have one order for all images."""


def ends_of(task: Task, examples: Iterable[AnyExample]) -> dict[str, Place]:
    """Return where the full lists of a unit end: name of the list -> place of its last image.

    Args:
        task: the task of the model.
        examples: the images that the receipt of the unit names.
    """
    every, ends = list(examples), dict[str, Place]()
    for rule in _ORDERED[task]:
        places = (place for example in every if (place := rule.order(example)) is not None)
        first = heapq.nsmallest(rule.of_unit, places)
        if len(first) == rule.of_unit:
            ends[rule.name] = first[-1]
    return ends


def merge_ends(one: Mapping[str, Place], other: Mapping[str, Place]) -> dict[str, Place]:
    """Return where the lists of two sets of units together end: at the earlier place; associative and commutative.

    >>> merge_ends({"least_certain": (0.4, "b")}, {"least_certain": (0.3, "a"), "highest_values": (-2.0, "c")})
    {'least_certain': (0.3, 'a'), 'highest_values': (-2.0, 'c')}
    """
    return {name: min(ends[name] for ends in (one, other) if name in ends) for name in {**one, **other}}


def cut(task: Task, lists: Mapping[str, list[Any]], ends: Mapping[str, Place]) -> dict[str, list[Any]]:
    """Return the lists of the archive without the images behind the end of each.

    Args:
        task: the task of the model.
        lists: name of a list -> its images.
        ends: of all units, see `merge_ends`.
    """
    orders = {rule.name: rule.order for rule in _ORDERED[task] if rule.name in ends}
    return {
        name: [one for one in images if name not in orders or (orders[name](one) or ()) <= ends[name]]
        for name, images in lists.items()
    }
