"""Finds the input rule of a model by trying rules on labelled images. The way in: see `trial`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from model_import.candidates import Candidate, Space
from model_import.declared import Declared
from model_import.fact import Fact
from model_import.trial_conclusions import take, verdict
from model_import.trial_images import CheckImages
from model_import.trial_refusals import (
    doubts_of_few,
    refuse_chance,
    refuse_misled,
    refuse_other_order,
    refuse_permuted,
)
from model_import.trial_scores import Progress, Score, Scores, undecodable
from model_import.trial_search import Search
from model_import.trial_statistics import MARGIN, image_losses
from model_import.trial_values import best_values, better_values, confirmed, others
from model_import.trial_verdict import Compared, Verdict
from pipeline.model.input_rule import InputSpec

HOPELESS = 0.2
"""A search ends halfway if the best rule so far would look as good this often with permuted labels."""

SIDE_BY_SIDE = 96
"""Images that are scored, at most, where nothing can be decided."""

Report = Callable[[Progress], None]


def trial(
    score: Score,
    images: CheckImages,
    base: InputSpec,
    given: Mapping[str, Fact[Any]],
    progress: Report = lambda _: None,
    *,
    declared: Declared | None = None,
) -> Verdict:
    """Find the input rule of a model by trying rules on images.

    Args:
        score: scaled images, float32 [n, h, w, c] -> log probabilities, float64 [n, classes].
        images: with their classes; without labels, or with few, rules are only shown side by side.
        base: what is neither tried nor told apart is as in this rule, its size above all.
        given: fields of the rule, and "scaling" (a `Scaling`), that are not tried. Of a scaling or an order of channels
            that a flag gives, it is said if another one is clearly better.
        progress: called after each few images.
        declared: what the model tells: tried first, and taken if nothing is better.

    Raises:
        UsageError: no rule is better than chance, the classes are in another order, or the best rule is a poor one.
    """
    space = Space(base, {name: fact.value for name, fact in given.items()}, _tells(declared))
    images = images.without(undecodable(images, base))
    labels = np.zeros(0, np.int64) if images.labels is None else images.labels
    search = Search(space, Scores(score, images, progress), labels)
    start = _start(space)
    if why_not := images.too_few():
        return _side_by_side(search, start, why_not, given)
    better = better_values(search, start, given)
    fitted = search.begin(start)
    refuse_chance(search, given, better, HOPELESS)
    leader = search.finish(fitted)
    refuse_chance(search, given, better)
    taken = take(search, leader)
    search.score_all(taken)
    better = confirmed(search, taken, better, given)
    refuse_other_order(search, taken, better)
    refuse_misled(search, taken, given, better)
    return verdict(search, leader, taken, declared, given, better)


def _tells(declared: Declared | None) -> Mapping[str, Sequence[Any]]:
    """Return the values that the model tells of each field, those first that count."""
    if declared is None:
        return {}
    first: dict[str, list[Any]] = {name: [told.value] for name, told in declared.rule.items()}
    if declared.scaling is not None:
        first["scaling"] = [declared.scaling.value]
    for name, rest in declared.also.items():
        first.setdefault(name, []).extend(told.value for told in rest)
    for name in ("height", "width", "class_names"):
        first.pop(name, None)
    return first


def _start(space: Space) -> Candidate:
    """Return the most plausible rule."""
    candidate = Candidate(space.base, space.scalings()[0])
    for values in (space.resizers()[0], space.fits()[0], {"color_mode": space.colors()[0]}):
        candidate = space.with_parts(candidate, values) or candidate
    return candidate


def _side_by_side(search: Search, start: Candidate, why_not: str, given: Mapping[str, Fact[Any]]) -> Verdict:
    """Return rules beside each other, of which none is taken: by the images that are right, else by confidence.

    Raises:
        UsageError: the images have labels, and they fit the model well in another order of the classes.
    """
    scores, space = search.scores, search.space
    stop = min(SIDE_BY_SIDE, len(scores.images))
    own = Candidate(space.base, space.scalings()[0])
    is_labelled = bool(stop and len(search.labels))
    other_values = others(search, own, given) if is_labelled else []
    candidates = list(dict.fromkeys([own, *search.colored(start), *other_values])) if stop else []
    scores.step = "rules side by side"
    scores.compute(candidates, stop)
    search.tried.update(dict.fromkeys(candidates, stop))
    rows = {one: _beside(search, one, stop) for one in candidates}
    doubts = _doubts(search, own, other_values, given) if is_labelled else ()
    return Verdict(
        is_decided=False,
        why_not=why_not,
        rule=space.base,
        scaling=own.scaling,
        parts={},
        compared=[rows.pop(own), *sorted(rows.values(), key=lambda row: -row.accuracy)] if rows else [],
        images=stop,
        classes=len(np.unique(search.labels[:stop])),
        accuracy=search.right_and_sure(own)[0] if is_labelled else None,
        confidence=None,
        passes=scores.passes,
        notes=[*scores.images.notes, *doubts],
    )


def _doubts(
    search: Search, own: Candidate, other_values: Sequence[Candidate], given: Mapping[str, Fact[Any]]
) -> Sequence[str]:
    """Return what makes one doubt the rule, the labels, or the values that flags give, of few images.

    Raises:
        UsageError: the images fit the model well in another order of the classes.
    """
    refuse_permuted(search, own)
    beside = Search(search.space, search.scores, search.labels)
    beside.tried = dict.fromkeys([own, *other_values], search.tried[own])
    is_worse = beside.compare(list(beside.tried), search.tried[own]).is_worse(margin=MARGIN)
    left = [one for one, worse in zip(beside.tried, is_worse, strict=True) if not worse]
    return doubts_of_few(search, own, given, best_values(beside, own, sorted(left, key=beside.promise), given))


def _beside(search: Search, one: Candidate, stop: int) -> Compared:
    found = search.scores.first(one, stop)
    if len(search.labels):
        loss = float(image_losses(found, search.labels[:stop]).mean())
        return Compared(one.text(), stop, search.right_and_sure(one)[0], loss, 0.0, 0.0, "compared")
    return Compared(one.text(), stop, float(np.exp(found.max(1)).mean()), 0.0, 0.0, 0.0, "compared")
