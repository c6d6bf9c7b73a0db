"""What is concluded from a search: which rule is taken, what is as good, and whether any rule fits at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model_import.candidates import PARTS, Candidate, apart
from model_import.declared import Declared
from model_import.scaling import Scaling
from model_import.trial_search import Search
from model_import.trial_statistics import CHANCE_LEVEL, LEVEL, MARGIN, Labels, best_matching, chance
from model_import.trial_verdict import Compared, How, Part, State, Verdict
from pipeline.errors import UsageError

MOST_COMPARED_WITH_CHANCE = 32
"""Rules, the best ones, of which one must be better than chance."""

NEAR = 1.0
"""Standard errors by which the loss of a rule may be behind where the more usual rule is taken.

The rule of one standard error: Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984, 3.4.3.
"""

TOO_SURE = 0.2
"""A network whose confidence is this much above its accuracy is said to be too sure."""

CLEARLY = 3.0
"""Standard errors by which other classes must be right on more images than a folder's own to be taken for these."""

MISLED = 0.6
"""A network whose accuracy is less than this share of its confidence is taken to have been given a wrong rule."""

FEWEST_PERMUTED = 10
"""With fewer labelled images in all, no order of the classes is called wrong."""

FEWEST_MOVED = 3
"""With fewer labelled images of a class, it is not said that it is another."""

FITS_WELL = 0.75
"""Share of few images, at least, that must be right in another order of the classes."""

MOST_NAMES = 12
"""Names of classes that a line lists, at most."""

_SHOWN = 6


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


def verdict(search: Search, leader: Candidate, taken: Candidate, declared: Declared | None) -> Verdict:
    """Return what was found, as data.

    Args:
        search: that was run.
        leader: what it ended with: every other value of each part was tried beside it.
        taken: the rule that is taken, see `take`.
        declared: what the model tells.
    """
    rows = compared(search, taken)
    as_good = {one: words for one, words in rows if words.state == "not distinguished"}
    accuracy, confidence = _right_and_sure(search, taken)
    names = [name for name in PARTS if name != "grey" or taken.rule.channels == 1]
    return Verdict(
        is_decided=True,
        why_not="",
        rule=taken.rule,
        scaling=taken.scaling,
        parts={name: _part(search, name, (taken, leader), as_good, declared) for name in names},
        compared=[words for _, words in rows],
        images=search.tried[taken],
        classes=len(np.unique(search.labels)),
        accuracy=accuracy,
        confidence=confidence,
        passes=search.scores.passes,
        notes=[*search.scores.images.notes, *_doubts(search, accuracy, confidence)],
    )


def _part(
    search: Search,
    name: str,
    around: tuple[Candidate, Candidate],
    as_good: Mapping[Candidate, Compared],
    declared: Declared | None,
) -> Part:
    """Return what was found of one part.

    It is told from the rules that differ in this part alone from the taken one or the leader, and from the loaders in
    use that are as good, which may differ in several.
    """
    taken = around[0]
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
    field = PARTS[name][0]
    how: How = "usual" if others else "tried" if worse else "untried"
    source = against = ""
    told = None if declared is None else declared.scaling if field == "scaling" else declared.rule.get(field)
    if field in search.space.given:
        how = "given"
    elif told is not None:
        value = told.value.name if isinstance(told.value, Scaling) else told.value
        is_as_told = value == taken.value(field)
        how, source = ("declared", told.source) if is_as_told else ("tried", "")
        against = "" if is_as_told else f"{value} {told.source}"
    return Part(taken.words(name), how, source, others, points, worse, against)


def _doubts(search: Search, accuracy: float, confidence: float) -> Sequence[str]:
    notes = []
    if confidence - accuracy >= TOO_SURE:
        notes.append(
            f"the model's mean score is {confidence:.0%}, but it is right on {accuracy:.0%}: the rule that it was "
            "trained with may not be among those tried"
        )
    if search.left_out:
        notes.append(f"{len(search.left_out)} rules were not tried: the limit of passes was reached")
    return notes


def refuse_chance(search: Search, level: float = CHANCE_LEVEL) -> None:
    """Stop where no rule is better than a permuted labelling.

    Args:
        search: that has tried some.
        level: how often the best rule may look as good as it does with permuted labels.

    Raises:
        UsageError: none is; the text has the best matching of folders and classes, if there is a good one.
    """
    best = sorted(search.tried, key=search.promise)[:MOST_COMPARED_WITH_CHANCE]
    stop = min(search.tried[one] for one in best)
    if chance([search.scores.first(one, stop) for one in best], search.labels[:stop]) < level:
        return
    hint = _hint(search) or "under none of the rules tried does the model tell the folders apart"
    raise UsageError(f"no rule fits: the class order or the folders are wrong; {hint}")


def refuse_misled(search: Search, taken: Candidate) -> None:
    """Stop where the model is much more often wrong than it is unsure, under the best rule.

    Better than chance is not enough: a network still sees something through a rule that it was not trained with.

    Raises:
        UsageError: it is.
    """
    accuracy, confidence = _right_and_sure(search, taken)
    if accuracy < MISLED * confidence:
        raise UsageError(
            f"no rule fits: under the best one tried ({taken.text()}) the model's mean score is {confidence:.0%}, but "
            f"it is right on {accuracy:.0%}; the class order or the folders are wrong, or its own rule was not tried"
            + (f"; {hint}" if (hint := _hint(search)) else "; to import it all the same, give its rule without --check")
        )


def refuse_other_order(search: Search, taken: Candidate) -> None:
    """Stop where some folders hold, for the most part, what the model takes for another of these folders' classes.

    A weak model confuses classes that are alike: other classes count only where they are right on clearly more images
    of these folders, by McNemar's statistic (https://doi.org/10.1007/BF02295996).

    Raises:
        UsageError: there are such folders.
    """
    matching = _matching(search, taken)
    moved = [folder for folder, (number, share) in matching.classes.items() if share > 0.5 and number != folder]
    if _clearly_better(search, taken, {folder: matching.classes[folder][0] for folder in moved}):
        names = matching.named(search.scores.images.class_names, moved)
        raise UsageError(
            f"no rule fits: the class order or the folders are wrong; most images are right with {names}; "
            f"{_order(search, matching)}"
        )


def refuse_permuted(search: Search, taken: Candidate) -> None:
    """Stop where few images have labels, and they fit the model well in another order of the classes.

    Raises:
        UsageError: they do.
    """
    matching, (accuracy, _) = _matching(search, taken), _right_and_sure(search, taken)
    labels = search.labels[: search.tried[taken]]
    moved = [folder for folder, (number, _) in matching.classes.items() if number != folder]
    is_seen = all(int((labels == folder).sum()) >= FEWEST_MOVED for folder in moved)
    if len(labels) < FEWEST_PERMUTED or len(moved) < 2 or not is_seen:
        return
    if matching.share >= FITS_WELL and accuracy < matching.share / 2:
        names = matching.named(search.scores.images.class_names, moved)
        raise UsageError(
            f"the class order or the folders are wrong: {_count(accuracy, labels)} are right, and "
            f"{_count(matching.share, labels)} would be right with {names}; {_order(search, matching)}"
        )


def _order(search: Search, matching: _Matching) -> str:
    """Return the names in the order that would fit, for --labels."""
    names = list(search.scores.images.class_names)
    fitting = list(names)
    for folder, (number, _) in matching.classes.items():
        fitting[number] = names[folder]
    if sorted(fitting) != sorted(names):
        return "give --labels in the order of the model's output"
    more = ", ..." if len(fitting) > MOST_NAMES else ""
    return f"give --labels with the names in this order: {', '.join(fitting[:MOST_NAMES])}{more}"


def _count(share: float, labels: Labels) -> str:
    return f"{round(share * len(labels))} of {len(labels)} images"


def doubts_of_few(search: Search, taken: Candidate) -> Sequence[str]:
    """Return what makes one doubt the rule or the labels where these are too few to decide anything."""
    labels = search.labels[: search.tried[taken]]
    accuracy, confidence = _right_and_sure(search, taken)
    if len(np.unique(labels)) > 1 and chance([search.scores.first(taken, len(labels))], labels) >= LEVEL:
        return [
            f"LOOK: {_count(accuracy, labels)} right is no better than chance: the order of the class names, the "
            "folders or the input rule may be wrong"
        ]
    if accuracy < MISLED * confidence:
        return [f"LOOK: the model's mean score is {confidence:.0%}, but it is right on {accuracy:.0%} of the images"]
    return []


def _clearly_better(search: Search, taken: Candidate, classes: Mapping[int, int]) -> bool:
    """Return whether folders exchange their classes, and other classes than their own are right on clearly more images.

    Args:
        search: that was run.
        taken: the rule under which images are looked at.
        classes: folder -> the class that it may be instead.
    """
    if not set(classes) & set(classes.values()):
        return False
    found = search.scores.first(taken, search.tried[taken]).argmax(1)
    labels = search.labels[: len(found)]
    is_moved = np.isin(labels, list(classes))
    own = int((found == labels)[is_moved].sum())
    other = int((found == np.array([classes.get(int(label), -1) for label in labels]))[is_moved].sum())
    return bool(other - own > CLEARLY * np.sqrt(other + own))


def _right_and_sure(search: Search, taken: Candidate) -> tuple[float, float]:
    """Return the share of images that are right under a rule, and the mean of their largest probability."""
    scores = search.scores.first(taken, search.tried[taken])
    is_right = scores.argmax(1) == search.labels[: len(scores)]
    return float(is_right.mean()), float(np.exp(scores.max(1)).mean())


def _hint(search: Search) -> str:
    """Return which classes the folders would have to be, "" if no order of them is right on most images."""
    matching = max((_matching(search, one) for one in search.tried), key=lambda found: found.share)
    moved = [folder for folder, (number, _) in matching.classes.items() if number != folder]
    if not moved or matching.share <= max(0.5, 1.5 / len(matching.classes)):
        return ""
    names = matching.named(search.scores.images.class_names, moved)
    return f"{matching.share:.0%} would be right with {names}; {_order(search, matching)}"


@dataclass(frozen=True)
class _Matching:
    """Folders matched to classes such that most images are right.

    Attributes:
        share: of images that are right then.
        classes: class of a folder -> the class that it matches, and the share of its images that are taken for that.
    """

    share: float
    classes: Mapping[int, tuple[int, float]]

    def named(self, names: Sequence[str], folders: Sequence[int] | Mapping[int, tuple[int, float]]) -> str:
        pairs = [f"{names[folder]!r} for {names[self.classes[folder][0]]!r}" for folder in folders]
        more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
        return f"folder {', '.join(pairs[:_SHOWN])}{more}"


def _matching(search: Search, candidate: Candidate) -> _Matching:
    found = search.scores.first(candidate, search.tried[candidate])
    labels = search.labels[: len(found)]
    folders = np.unique(labels)
    counts = np.zeros((len(folders), found.shape[1]), int)
    np.add.at(counts, (np.searchsorted(folders, labels), found.argmax(1)), 1)
    best = best_matching(counts)
    right = sum(int(counts[i, j]) for i, j in enumerate(best))
    shares = {int(folders[i]): (j, float(counts[i, j] / counts[i].sum())) for i, j in enumerate(best)}
    return _Matching(right / len(labels), shares)
