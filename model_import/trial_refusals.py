"""Where a trial ends with one line: no rule fits, or the folders are in another order. Names the causes that are left.

A wrong scaling, a wrong loader and a wrong order of the class names look alike in the figures. One of them is called
the cause only where another scaling or another order of the classes would be right; else all of them are named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_import.candidates import SCALING_ORDER, Candidate
from model_import.fact import Fact
from model_import.trial_search import Search
from model_import.trial_statistics import CHANCE_LEVEL, LEVEL, Labels, best_matching, chance
from model_import.trial_values import VALUES, Better
from model_import.trial_verdict import LOOK
from pipeline.errors import UsageError

MOST_COMPARED_WITH_CHANCE = 32
"""Rules, the best ones, of which one must be better than chance."""

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

Given = Mapping[str, Fact[Any]]
"""What is not tried: field of the input rule, or "scaling" -> its value and how it became known."""


def refuse_chance(search: Search, given: Given, better: Better | None, level: float = CHANCE_LEVEL) -> None:
    """Stop where no rule is better than a permuted labelling.

    Args:
        search: that has tried some.
        given: what is not tried.
        better: values that do better than those that flags give; None: none do.
        level: how often the best rule may look as good as it does with permuted labels.

    Raises:
        UsageError: none is; the text has the cause if that is clear, else those that are left.
    """
    best = sorted(search.tried, key=search.promise)[:MOST_COMPARED_WITH_CHANCE]
    stop = min(search.tried[one] for one in best)
    if chance([search.scores.first(one, stop) for one in best], search.labels[:stop]) < level:
        return
    if better is not None and better.is_known:
        raise UsageError(f"no rule fits: {better.text()}")
    if hint := _hint(search):
        raise UsageError(f"no rule fits: the class order or the folders are wrong; {hint}")
    raise UsageError(
        "no rule fits: under none of the rules tried does the model tell the folders apart; "
        f"possible causes: {causes(given)}"
    )


def refuse_misled(search: Search, taken: Candidate, given: Given, better: Better | None) -> None:
    """Stop where the model is much more often wrong than it is unsure, under the best rule.

    Better than chance is not enough: a network still sees something through a rule that it was not trained with.

    Raises:
        UsageError: it is.
    """
    accuracy, confidence = search.right_and_sure(taken)
    if accuracy >= MISLED * confidence:
        return
    hint = "" if better is not None else _hint(search)
    cause = f"possible causes: {causes(given)}; to import it all the same, give its rule without --check"
    if better is not None:
        cause = better.text()
    elif hint:
        cause = f"the class order or the folders are wrong; {hint}"
    raise UsageError(
        f"no rule fits: under the best one tried ({taken.text()}) the model's mean score is {confidence:.0%}, but "
        f"it is right on {accuracy:.0%}; {cause}"
    )


def refuse_other_order(search: Search, taken: Candidate, better: Better | None) -> None:
    """Stop where some folders hold, for the most part, what the model takes for another of these folders' classes.

    A weak model confuses classes that are alike: other classes count only where they are right on clearly more images
    of these folders, by McNemar's statistic (https://doi.org/10.1007/BF02295996).

    Raises:
        UsageError: there are such folders.
    """
    matching = _matching(search, taken)
    moved = [folder for folder, (number, share) in matching.classes.items() if share > 0.5 and number != folder]
    if not _clearly_better(search, taken, {folder: matching.classes[folder][0] for folder in moved}):
        return
    if better is not None and better.right >= matching.share * better.images:
        raise UsageError(f"no rule fits: {better.text()}")
    names = matching.named(search.scores.images.class_names, moved)
    raise UsageError(
        f"no rule fits: the class order or the folders are wrong; most images are right with {names}; "
        f"{_order(search, matching)}"
    )


def refuse_permuted(search: Search, taken: Candidate) -> None:
    """Stop where few images have labels, and they fit the model well in another order of the classes.

    If they fit as well under another of the rules that were tried, that may be the cause: then nothing is refused.

    Raises:
        UsageError: they do.
    """
    matching, (accuracy, _) = _matching(search, taken), search.right_and_sure(taken)
    labels = search.labels[: search.tried[taken]]
    moved = [folder for folder, (number, _) in matching.classes.items() if number != folder]
    is_seen = all(int((labels == folder).sum()) >= FEWEST_MOVED for folder in moved)
    if len(labels) < FEWEST_PERMUTED or len(moved) < 2 or not is_seen:
        return
    if max(search.right_and_sure(one)[0] for one in search.tried) >= matching.share:
        return
    if matching.share >= FITS_WELL and accuracy < matching.share / 2:
        names = matching.named(search.scores.images.class_names, moved)
        raise UsageError(
            f"the class order or the folders are wrong: {_count(accuracy, labels)} are right, and "
            f"{_count(matching.share, labels)} would be right with {names}; {_order(search, matching)}"
        )


def doubts_of_few(search: Search, taken: Candidate, given: Given, better: Better | None) -> Sequence[str]:
    """Return what makes one doubt the rule or the labels where these are too few to decide anything."""
    if better is not None:
        return [f"{LOOK}{better.text()}"]
    labels = search.labels[: search.tried[taken]]
    accuracy, confidence = search.right_and_sure(taken)
    if len(np.unique(labels)) > 1 and chance([search.scores.first(taken, len(labels))], labels) >= LEVEL:
        right = f"{_count(accuracy, labels)} right is no better than chance"
        return [f"{LOOK}{right}; possible causes: {causes(given)}"]
    if accuracy < MISLED * confidence:
        wrong = f"the model's mean score is {confidence:.0%}, but it is right on {accuracy:.0%} of the images"
        return [f"{LOOK}{wrong}; possible causes: {causes(given)}"]
    return []


def causes(given: Given) -> str:
    """Return what may be wrong where no rule fits, as a phrase: what was tried is no cause.

    >>> causes({"fit": Fact("stretch", "given", "by --like timm")})
    'the order of the class names, the folders, a scaling other than sign, unit, raw, torch and caffe, --like timm, or \
another model'
    """
    found = ["the order of the class names", "the folders"]
    if "scaling" not in given or given["scaling"].how == "given":
        *names, last = SCALING_ORDER
        found.append(f"a scaling other than {', '.join(names)} and {last}")
    flags = [fact.why.removeprefix("by ") for name, fact in given.items() if fact.how == "given" and name not in VALUES]
    found += list(dict.fromkeys(flags)) or ["an input rule that was not tried"]
    return f"{', '.join(found)}, or another model"


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
