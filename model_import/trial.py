"""Finds the input rule of a model by trying rules on labelled images. The way in: see `trial`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from model_import.candidates import Candidate, Space
from model_import.declared import Declared
from model_import.trial_conclusions import (
    doubts_of_few,
    refuse_chance,
    refuse_misled,
    refuse_other_order,
    refuse_permuted,
    take,
    verdict,
)
from model_import.trial_images import CheckImages
from model_import.trial_scores import Progress, Score, Scores, undecodable
from model_import.trial_search import Search
from model_import.trial_statistics import image_losses
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
    given: Mapping[str, Any],
    progress: Report = lambda _: None,
    *,
    declared: Declared | None = None,
) -> Verdict:
    """Find the input rule of a model by trying rules on images.

    Args:
        score: scaled images, float32 [n, h, w, c] -> log probabilities, float64 [n, classes].
        images: with their classes; without labels, or with few, rules are only shown side by side.
        base: what is neither tried nor told apart is as in this rule, its size above all.
        given: fields of the rule, and "scaling" (a `Scaling`), that are not tried.
        progress: called after each few images.
        declared: what the model tells: tried first, and taken if nothing is better.

    Raises:
        UsageError: no rule is better than chance, the classes are in another order, or the best rule is a poor one.
    """
    space = Space(base, given, _tells(declared))
    images = images.without(undecodable(images, base))
    labels = np.zeros(0, np.int64) if images.labels is None else images.labels
    search = Search(space, Scores(score, images, progress), labels)
    if why_not := images.too_few():
        return _side_by_side(search, _start(space), why_not)
    fitted = search.begin(_start(space))
    refuse_chance(search, HOPELESS)
    leader = search.finish(fitted)
    refuse_chance(search)
    taken = take(search, leader)
    refuse_other_order(search, taken)
    refuse_misled(search, taken)
    return verdict(search, leader, taken, declared)


def _tells(declared: Declared | None) -> Mapping[str, Sequence[Any]]:
    """Return the values that the model tells of each field, those first that count."""
    if declared is None:
        return {}
    first: dict[str, list[Any]] = {name: [told.value] for name, told in declared.rule.items()}
    if declared.scaling is not None:
        first["scaling"] = [declared.scaling.value]
    for name, others in declared.also.items():
        first.setdefault(name, []).extend(told.value for told in others)
    for name in ("height", "width", "class_names"):
        first.pop(name, None)
    return first


def _start(space: Space) -> Candidate:
    """Return the most plausible rule."""
    candidate = Candidate(space.base, space.scalings()[0])
    for values in (space.resizers()[0], space.fits()[0], {"color_mode": space.colors()[0]}):
        candidate = space.with_parts(candidate, values) or candidate
    return candidate


def _side_by_side(search: Search, start: Candidate, why_not: str) -> Verdict:
    """Return rules beside each other, of which none is taken: by the images that are right, else by confidence.

    Raises:
        UsageError: the images have labels, and they fit the model well in another order of the classes.
    """
    scores, space = search.scores, search.space
    stop = min(SIDE_BY_SIDE, len(scores.images))
    own = Candidate(space.base, space.scalings()[0])
    candidates = list(dict.fromkeys([own, *search.colored(start)])) if stop else []
    scores.step = "rules side by side"
    scores.compute(candidates, stop)
    search.tried.update(dict.fromkeys(candidates, stop))
    rows = {one: _beside(search, one, stop) for one in candidates}
    is_labelled = bool(stop and len(search.labels))
    if is_labelled:
        refuse_permuted(search, own)
    return Verdict(
        is_decided=False,
        why_not=why_not,
        rule=space.base,
        scaling=own.scaling,
        parts={},
        compared=[rows.pop(own), *sorted(rows.values(), key=lambda row: -row.accuracy)] if rows else [],
        images=stop,
        classes=len(np.unique(search.labels[:stop])),
        accuracy=_accuracy(search, own, stop) if is_labelled else None,
        confidence=None,
        passes=scores.passes,
        notes=[*scores.images.notes, *(doubts_of_few(search, own) if is_labelled else ())],
    )


def _accuracy(search: Search, one: Candidate, stop: int) -> float:
    """Return the share of the first images that are right under a rule."""
    return float((search.scores.first(one, stop).argmax(1) == search.labels[:stop]).mean())


def _beside(search: Search, one: Candidate, stop: int) -> Compared:
    found = search.scores.first(one, stop)
    if len(search.labels):
        loss = float(image_losses(found, search.labels[:stop]).mean())
        return Compared(one.text(), stop, _accuracy(search, one, stop), loss, 0.0, 0.0, "compared")
    return Compared(one.text(), stop, float(np.exp(found.max(1)).mean()), 0.0, 0.0, 0.0, "compared")
