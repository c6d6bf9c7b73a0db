"""Whether another scaling, or order of channels, than a flag gives does better on the labelled images.

What a flag gives stays, whatever is found here: it is said, and a refusal names it as the cause. Must not know how
other rules are searched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from model_import.candidates import Candidate
from model_import.fact import Fact
from model_import.trial_search import OTHER_VALUES, Search
from model_import.trial_statistics import CHANCE_LEVEL, LEVEL, MARGIN, chance

VALUES = ("scaling", "color_mode")
"""What decides the values that the network gets for the pixels."""


NEARLY = 0.9
"""Share of the right images of other values, at least, that are right with values that change fewer flags."""


@dataclass(frozen=True)
class Better:
    """Values that do better than those that flags give.

    Attributes:
        own: the flags that give the worse ones, as a person types them.
        other: flags that would give the better ones.
        own_right: number of images that are right with the worse ones.
        right: number of images that are right with the better ones.
        images: number of all.
        is_known: whether the better ones are better than chance.
        rule: with the better ones.
        also: flags of other values that are as good as the best.
    """

    own: str
    other: str
    own_right: int
    right: int
    images: int
    is_known: bool
    rule: Candidate
    also: Sequence[str] = ()

    def text(self) -> str:
        """Return it as a sentence without an end."""
        right = f"with {self.other} {self.right} of {self.images} images are right, with {self.own} {self.own_right}"
        if self.right <= self.own_right:
            right = f"the scores with {self.other} fit the labels clearly better ({right})"
        also = f"; as good or better: {', '.join(self.also)}" if self.also else ""
        return f"{self.own} seems to be wrong: {right}{also}"


def doubtful(given: Mapping[str, Fact[Any]]) -> Sequence[str]:
    """Return which values a flag gives: these may be wrong, and others can be tried."""
    return [name for name in VALUES if name in given and given[name].how == "given"]


def others(search: Search, start: Candidate, given: Mapping[str, Fact[Any]]) -> Sequence[Candidate]:
    """Return the rule with other values than flags give; none if no flag gives any."""
    names = doubtful(given)
    if not names:
        return []
    space = replace(search.space, given={name: one for name, one in search.space.given.items() if name not in names})
    choices = [{"scaling": scaling, "color_mode": color} for scaling in space.scalings() for color in space.colors()]
    found = dict.fromkeys(space.with_parts(start, values) for values in choices)
    return [one for one in found if one is not None and any(one.value(name) != start.value(name) for name in names)]


def better_values(search: Search, start: Candidate, given: Mapping[str, Fact[Any]]) -> Better | None:
    """Return values that are clearly better than those that flags give, at the rule that a trial begins with.

    Args:
        search: that has run nothing yet.
        start: the rule that it begins with.
        given: what is not tried.
    """
    candidates = others(search, start, given)
    if not candidates:
        return None
    beside = Search(search.space, search.scores, search.labels)
    left = beside.race(OTHER_VALUES, [start, *candidates])
    return best_values(beside, start, left, given)


def best_values(
    search: Search, own: Candidate, left: Sequence[Candidate], given: Mapping[str, Fact[Any]]
) -> Better | None:
    """Return better values than those that flags give; None if none is clearly better.

    Those that change fewer flags are taken if nearly as many images are right: one wrong flag is likelier than two.

    Args:
        search: that has scored them, and nothing else.
        own: the rule with the values that flags give.
        left: rules that are as good as the best, the best first.
        given: what is not tried.
    """
    if not left or own in left:
        return None
    alone = [one for one in search.tried if _changes(one, own) == 1]
    options = [*([min(alone, key=search.promise)] if alone else []), left[0]]
    found = [one for one in (compare_values(search, own, option, given) for option in options) if one is not None]
    if not found:
        return None
    most = max(one.right for one in found)
    taken = next(one for one in found if one.right >= NEARLY * most)
    return replace(taken, also=[_flags(one, own, given)[1] for one in left if one != taken.rule])


def _changes(one: Candidate, own: Candidate) -> int:
    return sum(one.value(name) != own.value(name) for name in VALUES)


def confirmed(search: Search, taken: Candidate, better: Better | None, given: Mapping[str, Fact[Any]]) -> Better | None:
    """Return better values if they are better at the rule that is taken, too."""
    if better is None:
        return None
    space = replace(search.space, given={})
    best = better.rule
    same = space.with_parts(taken, {"scaling": best.scaling, "color_mode": best.rule.color_mode})
    beside = Search(search.space, search.scores, search.labels)
    found = None if same is None else compare_values(beside, taken, same, given)
    return None if found is None else replace(found, also=better.also)


def compare_values(search: Search, own: Candidate, other: Candidate, given: Mapping[str, Fact[Any]]) -> Better | None:
    """Return what is better in another rule, compared over all images; None if it is not clearly better."""
    for one in (own, other):
        search.score_all(one)
    stop = min(search.tried.get(own, 0), search.tried.get(other, 0))
    if own == other or not stop or not search.compare([own, other], stop).is_worse(LEVEL, MARGIN)[0]:
        return None
    labels = search.labels[:stop]
    own_right, right = (int((search.scores.first(one, stop).argmax(1) == labels).sum()) for one in (own, other))
    is_known = chance([search.scores.first(other, stop)], labels) < CHANCE_LEVEL
    return Better(*_flags(other, own, given), own_right, right, stop, is_known, other)


def _flags(other: Candidate, own: Candidate, given: Mapping[str, Fact[Any]]) -> tuple[str, str]:
    """Return the flags that give the values of two rules, of the given one first."""
    names = [name for name in VALUES if other.value(name) != own.value(name)]
    worse = " ".join(given[name].why.removeprefix("by ") for name in names if name in given)
    words = {"scaling": other.scaling.flag, "color_mode": other.rule.color_mode}
    return worse, " ".join(f"--{name} {words[name]}" for name in names)
