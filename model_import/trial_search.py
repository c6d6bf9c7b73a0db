"""The search for an input rule: races between rules, each of which drops what is worse on the same images.

    1  scaling and color, at two fits
    2  fit, at two resizers, and as loaders in use pair them
    3  resizer, at the fits that are left
    4  once more around: every other value of each part beside the best rule, and all loaders in use, until none of them
       is better than it
    5  where the best is a mixture of loaders, or not what is declared: those that are likelier, on as many images

In a race all rules score the first images, what is worse is dropped, and the rest score as many again. The differences
of a race are tested together, so that a rule is seldom dropped by chance. Concludes nothing for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from model_import.candidates import Candidate, Space, apart, other_decoding
from model_import.trial_scores import MOST_PASSES, Scores
from model_import.trial_statistics import LEVEL, MARGIN, Comparison, Labels, compare, image_losses
from pipeline.model.input_rule import ANTIALIASED, InputSpec

FIRST_IMAGES = 48
"""Images that each rule of a race scores at first; each further round has twice as many."""

ROUNDS = 4
"""Rounds of a race, about: the level of the tests is shared between them."""

TIMES_AROUND = 4
"""Times that the last step is repeated, at most."""

MOST_FITS = 2
"""Fits at which resizers are tried, at most."""

OTHER_VALUES = "scalings beside the one that is given"
"""The step that `model_import.trial_values` adds."""

SHARES: Mapping[str, float] = {
    OTHER_VALUES: 0.12,
    "scaling and color": 0.15,
    "fit": 0.35,
    "resizer": 0.7,
    "what is left, once more": 0.85,
    "loaders in use": 1.0,
}
"""Step -> share of all passes that may be spent when it ends."""


class Search:
    """The races of one trial.

    Attributes:
        space: the rules that may be tried.
        scores: what the network says of the images under each.
        labels: int64 [n], of the images.
        tried: rule -> how many images it has scored.
        left_out: rules that the limit of passes left untried.
    """

    def __init__(self, space: Space, scores: Scores, labels: Labels) -> None:
        """Begin with no race run."""
        self.space, self.scores, self.labels = space, scores, labels
        self.tried: dict[Candidate, int] = {}
        self.left_out: set[Candidate] = set()

    def begin(self, start: Candidate) -> Sequence[Candidate]:
        """Run the first half: scaling, color and fit; return the rules that are left, the best first."""
        leaders = self.race("scaling and color", self.colored(start))
        return self.race("fit", self._fitted(leaders[0]))

    def finish(self, fitted: Sequence[Candidate]) -> Candidate:
        """Run the second half; return a rule that no other which differs in one part is better than."""
        by_fit = _first_of_each(fitted, lambda one: _like_fits(one.rule))[:MOST_FITS]
        leader = self.race("resizer", self._with(by_fit, self.space.resizers()))[0]
        for _ in range(TIMES_AROUND):
            left = self.race("what is left, once more", [leader, *self._around(leader)])
            if leader in left:
                break
            leader = left[0]
        likelier = [one for one in self.tried if self.space.tier(one) < self.space.tier(leader)]
        if likelier:  # they are taken where they are as good, so they have to be seen on as many images
            self.race("loaders in use", [leader, *sorted(likelier, key=self.promise)])
        return leader

    def compare(self, candidates: Sequence[Candidate], stop: int) -> Comparison:
        """Compare candidates over the first `stop` images."""
        return compare([self.scores.first(one, stop) for one in candidates], self.labels[:stop])

    def score_all(self, candidate: Candidate) -> None:
        """Score all images under a rule, to count the right ones of all; not beyond the limit of passes."""
        n = len(self.labels)
        if self.scores.passes + self.scores.cost([candidate], n) <= MOST_PASSES:
            self.scores.compute([candidate], n)
            self.tried[candidate] = n

    def right_and_sure(self, candidate: Candidate) -> tuple[float, float]:
        """Return the share of images that are right under a rule, and the mean of their largest probability."""
        scores = self.scores.first(candidate, self.tried[candidate])
        is_right = scores.argmax(1) == self.labels[: len(scores)]
        return float(is_right.mean()), float(np.exp(scores.max(1)).mean())

    def colored(self, start: Candidate) -> Sequence[Candidate]:
        """Return the first candidates: all scalings and colors, at two fits."""
        fits = [start, *self._with([start], self.space.fits())]
        two = _first_of_each(fits, lambda one: one.rule.fit)[:2]
        choices = [
            {"scaling": scaling, "color_mode": color}
            for scaling in self.space.scalings()
            for color in self.space.colors()
        ]
        return self._with(two, choices)

    def promise(self, candidate: Candidate) -> tuple[Any, ...]:
        """Return what orders candidates of which not all may be affordable: known losses first, then plausibility."""
        known = self.tried.get(candidate, 0)
        loss = float(image_losses(self.scores.first(candidate, known), self.labels[:known]).mean()) if known else 0.0
        return (known == 0, loss, self.space.rank(candidate))

    def race(self, step: str, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Score candidates on more and more images, drop what is worse; return those that are left, best first."""
        self.scores.step = step
        limit, n = int(MOST_PASSES * SHARES[step]), len(self.labels)
        alive, stop = list(dict.fromkeys(candidates)), min(FIRST_IMAGES, n)
        while True:
            alive = self._affordable(alive, stop, limit)
            self.scores.compute(alive, stop)
            self.tried.update({one: max(stop, self.tried.get(one, 0)) for one in alive})
            comparison = self.compare(alive, stop)
            is_worse = comparison.is_worse(LEVEL / ROUNDS, MARGIN)
            alive = [alive[i] for i in np.argsort(comparison.losses, kind="stable") if not is_worse[i]]
            following = min(2 * stop, n)
            cannot_go_on = self.scores.passes + self.scores.cost(alive[:2], following) > limit
            if len(alive) == 1 or stop == n or cannot_go_on:
                return alive
            stop = following

    def _affordable(self, candidates: Sequence[Candidate], stop: int, limit: int) -> list[Candidate]:
        """Return as many of the candidates as the limit of passes allows, at least two."""
        kept = list(candidates)
        while len(kept) > 2 and self.scores.passes + self.scores.cost(kept, stop) > limit:
            last = kept.pop()
            if last not in self.tried:
                self.left_out.add(last)
        self.left_out -= set(kept)
        return kept

    def _fitted(self, leader: Candidate) -> Sequence[Candidate]:
        resized = self._with([leader], self.space.resizers())
        two = _first_of_each([leader, *resized], lambda one: _weighs_every_pixel(one.rule))[:2]
        return [*self._with(two, self.space.fits()), *self._with([leader], self.space.loaders())]

    def _around(self, leader: Candidate) -> Sequence[Candidate]:
        """Return the rules that differ from a rule in one part, and those of all loaders in use."""
        choices: list[Mapping[str, Any]] = [
            *self.space.loaders(),
            *self.space.resizers(),
            *self.space.fits(),
            *({"scaling": scaling} for scaling in self.space.scalings()),
            *({"color_mode": color} for color in self.space.colors()),
        ]
        beside = [*other_decoding(self.space, leader), *self._with([leader], choices)]
        known = [one for one in self.tried if len(apart(one, leader)) == 1]
        return sorted({*beside, *known} - {leader}, key=self.promise)

    def _with(self, candidates: Sequence[Candidate], choices: Sequence[Mapping[str, Any]]) -> Sequence[Candidate]:
        """Return each candidate with each choice, where such a rule can be; where none can, the candidates."""
        found = [self.space.with_parts(one, values) for one in candidates for values in choices]
        return list(dict.fromkeys(one for one in found if one is not None)) or candidates


def _like_fits(rule: InputSpec) -> tuple[str, float]:
    """Return the same for fits which differ by a pixel or less: resizers are tried at one of them."""
    middle = ("keras_crop", "pil_crop", "teachable_machine", "torch_shorter_side")
    if rule.fit in middle and rule.crop == 1:
        return "middle", 1.0
    return rule.fit.replace("keras_hub_pad", "tf_pad"), rule.crop


def _weighs_every_pixel(rule: InputSpec) -> bool:
    """Return whether a rule's resizer makes a small image of all pixels, not of some of them."""
    return rule.antialias or rule.resize in ANTIALIASED or rule.resize in ("tf.area", "cv2.area")


def _first_of_each(candidates: Sequence[Candidate], kind: Callable[[Candidate], Any]) -> list[Candidate]:
    found: dict[Any, Candidate] = {}
    for one in candidates:
        found.setdefault(kind(one), one)
    return list(found.values())
