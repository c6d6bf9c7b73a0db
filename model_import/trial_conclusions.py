"""What is concluded from a search: which rule is taken, and what is as good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model_import.candidates import PARTS, Candidate, apart
from model_import.declared import Declared
from model_import.fact import Fact
from model_import.scaling import Scaling
from model_import.trial_search import Search
from model_import.trial_statistics import MARGIN
from model_import.trial_values import Better
from model_import.trial_verdict import LOOK, Compared, How, Part, State, Verdict

NEAR = 1.0
"""Standard errors by which the loss of a rule may be behind where the more usual rule is taken.

The rule of one standard error: Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984, 3.4.3.
"""

TOO_SURE = 0.2
"""A network whose confidence is this much above its accuracy is said to be too sure."""


def take(search: Search, leader: Candidate) -> Candidate:
    """Return the rule to take of those that are not distinguished from the best.

    That is one which contradicts least of what the model tells; among equals, what a loader in use does counts more
    than a mixture of loaders; then it is the most usual of those whose loss is within one standard error of the
    smallest.
    """
    stop = search.tried[leader]
    left = [leader, *(one for one, _ in rivals(search, leader) if search.tried[one] >= stop)]
    tier = min(map(search.space.tier, left))
    pool = [one for one in left if search.space.tier(one) == tier]
    comparison = search.compare(pool, stop)
    near = [one for i, one in enumerate(pool) if comparison.behind[i] <= NEAR * comparison.error[i] + 1e-9]
    return min(near, key=search.space.rank)


def rivals(search: Search, taken: Candidate) -> Sequence[tuple[Candidate, Compared]]:
    """Return the rules that are not distinguished from the best, but for the one that is taken."""
    return [(one, words) for one, words in compared(search, taken) if words.state == "not distinguished"]


def compared(search: Search, taken: Candidate) -> Sequence[tuple[Candidate, Compared]]:
    """Return every rule that was tried, compared over as many images as it and the taken one have scored."""
    by_images: dict[int, list[Candidate]] = {search.tried[taken]: []}
    for one, stop in search.tried.items():
        by_images.setdefault(min(stop, search.tried[taken]), []).append(one)
    rows = []
    for stop, group in by_images.items():
        together = [taken, *(one for one in group if one != taken)]
        found = search.compare(together, stop)
        is_worse = found.is_worse(margin=MARGIN)
        for i, one in enumerate(together):
            if one == taken and stop != search.tried[taken]:
                continue
            state: State = "taken" if one == taken else "worse" if is_worse[i] else "not distinguished"
            points = 100 * float(found.accuracy[0] - found.accuracy[i])
            numbers = (float(found.accuracy[i]), float(found.losses[i]), float(found.behind[i]), points)
            rows.append((one, Compared(one.text(), stop, *numbers, state)))
    return sorted(rows, key=lambda row: (-row[1].images, row[1].loss))


def verdict(
    search: Search,
    leader: Candidate,
    taken: Candidate,
    declared: Declared | None,
    given: Mapping[str, Fact[Any]],
    better: Better | None,
) -> Verdict:
    """Return what was found, as data.

    Args:
        search: that was run.
        leader: what it ended with: every other value of each part was tried beside it.
        taken: the rule that is taken, see `take`.
        declared: what the model tells.
        given: what was not tried.
        better: values that do better than those that flags give; None: none do.
    """
    rows = compared(search, taken)
    as_good = {one: words for one, words in rows if words.state == "not distinguished"}
    accuracy, confidence = search.right_and_sure(taken)
    names = [name for name in PARTS if name != "gray_from" or taken.rule.channels == 1]
    return Verdict(
        is_decided=True,
        why_not="",
        rule=taken.rule,
        scaling=taken.scaling,
        parts={name: _part(search, name, (taken, leader), as_good, declared, given) for name in names},
        compared=[words for _, words in rows],
        images=search.tried[taken],
        classes=len(np.unique(search.labels)),
        accuracy=accuracy,
        confidence=confidence,
        passes=search.scores.passes,
        notes=[*search.scores.images.notes, *_doubts(search, accuracy, confidence, better)],
    )


def _part(
    search: Search,
    name: str,
    around: tuple[Candidate, Candidate],
    as_good: Mapping[Candidate, Compared],
    declared: Declared | None,
    given: Mapping[str, Fact[Any]],
) -> Part:
    """Return what was found of one part.

    It is told from the rules that differ in this part alone from the taken one or the leader, and from the loaders in
    use that are as good, which may differ in several.
    """
    taken = around[0]
    names = search.space.open_fields(name, taken.rule)
    if not names:
        return Part(taken.words(name), "given", given[PARTS[name][0]].why if PARTS[name][0] in given else "")
    beside = [
        one
        for one in search.tried
        if any(apart(one, other) == {name} for other in around)
        or (one in as_good and search.space.tier(one) <= search.space.tier(taken))
    ]
    beside = [one for one in beside if one.words(name) != taken.words(name)]
    others = list(dict.fromkeys(one.words(name) for one in beside if one in as_good))
    points = max((abs(as_good[one].points) for one in beside if one in as_good), default=0.0)
    worse = len({one.words(name) for one in beside} - set(others))
    how: How = "usual" if others else "tried" if worse else "untried"
    source = against = ""
    told = None if declared is None else declared.scaling if names[0] == "scaling" else declared.rule.get(names[0])
    if told is not None:
        value = told.value.name if isinstance(told.value, Scaling) else told.value
        is_as_told = value == taken.value(names[0])
        how, source = ("declared", told.source) if is_as_told else ("tried", "")
        against = "" if is_as_told else f"{value} {told.source}"
    return Part(taken.words(name), how, source, others, points, worse, against, names)


def _doubts(search: Search, accuracy: float, confidence: float, better: Better | None) -> Sequence[str]:
    notes = [] if better is None else [f"{LOOK}{better.text()}"]
    if confidence - accuracy >= TOO_SURE:
        notes.append(
            f"the model's mean score is {confidence:.0%}, but it is right on {accuracy:.0%}: the rule that it was "
            "trained with may not be among those tried"
        )
    if search.left_out:
        notes.append(f"{len(search.left_out)} rules were not tried: the limit of passes was reached")
    return notes
