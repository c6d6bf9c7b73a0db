"""What a comparison comes to, in one sentence, and the exit code by the limits that a person set. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from pipeline.errors import UsageError
from pipeline.formatting import counted, number, percent
from pipeline.metrics.comparison_figures import Comparison, Counted, Difference, Outcome
from pipeline.metrics.paired import SURE
from pipeline.task import Task

BELOW_LIMIT = 4
"""Exit code if a limit is not kept."""

_ON: Mapping[Counted, str] = {"all": "", "unseen": "on unseen images, ", "seen": "on images seen in training, "}
"""Which labelled images count -> how a sentence about them begins."""


@dataclass(frozen=True)
class Limits:
    """What makes the exit code 4.

    Attributes:
        fail_if_worse: B is worse than A beyond chance.
        max_flips: greatest share of the images scored in both whose prediction may differ; None: any.
    """

    fail_if_worse: bool = False
    max_flips: float | None = None

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return self.fail_if_worse or self.max_flips is not None

    def check(self, task: Task) -> None:
        """Refuse a limit that has no meaning for a task.

        Raises:
            UsageError: the task has nothing that it could limit.
        """
        if self.max_flips is not None and not 0 <= self.max_flips <= 1:
            raise UsageError(f"--max_flips {self.max_flips:g} is no share: expected 0 to 1")
        if task == "embedding" and self:
            raise UsageError("--fail_if_worse and --max_flips have no meaning for models of an embedding")
        if task == "value" and self.max_flips is not None:
            raise UsageError("--max_flips has no meaning for models of a value: nearly every number differs")


def apply(figures: Comparison, limits: Limits) -> Comparison:
    """Return the same figures with the exit code and its reasons."""
    reasons = []
    if limits.fail_if_worse and figures["counted"] == "seen":
        reasons.append("--fail_if_worse cannot be decided: every shared labelled image was seen in training")
    elif limits.fail_if_worse and figures["difference"] is None:
        reasons.append("--fail_if_worse cannot be decided: no shared image has a label that counts")
    elif limits.fail_if_worse and figures["outcome"] == "worse":
        reasons.append(figures["verdict"])
    if limits.max_flips is not None:
        changed, scored = figures["changed"] or 0, figures["scored"]
        if not scored:
            reasons.append("--max_flips cannot be decided: no image is scored in both")
        elif changed > limits.max_flips * scored:
            share = text_of_share(changed / scored)
            reasons.append(f"{share} of the predictions differ, more than --max_flips {limits.max_flips:g} allows")
    return cast(Comparison, {**figures, "exit_code": BELOW_LIMIT if reasons else 0, "reasons": reasons})


def outcome_of_all(difference: Difference | None, task: Task) -> Outcome:
    """Return what B is beside A: beyond chance better or worse, or not."""
    if difference is None:
        return "not_measured"
    better_by = -difference["value"] if task == "value" else difference["value"]
    if difference["p"] is None or difference["p"] >= SURE or not better_by:
        return "no_difference"
    return "better" if better_by > 0 else "worse"


def sentence(figures: Comparison) -> str:
    """Return the verdict in one sentence."""
    difference, a, b = figures["difference"], figures["quality_a"], figures["quality_b"]
    n = counted(figures["scored"], "image")
    if figures["changed"] == 0 and figures["scored"]:
        return f"no difference: the predictions for all {n} are the same"
    if difference is None or a is None or b is None:
        if figures["changed"] is None:
            return f"{n} scored in both; embeddings do not tell which model is better"
        return f"{_agreement(figures)}; no label that counts tells which is better"
    said = {"better": "B is better: ", "worse": "B is worse: ", "no_difference": "no difference can be seen: "}
    start = _ON[figures["counted"]] + said[figures["outcome"]]
    of = {"mae": "mean error ", "exact_match": "exact match "}.get(figures["headline"], "")
    if figures["task"] == "value":
        values = f"{number(b['value'])} against {number(a['value'])}, {signed(difference['value'])}"
    else:
        shares = f"{text_of_share(b['value'])} against {text_of_share(a['value'])}"
        values = f"{shares}, {points(difference['value'])}"
    return f"{start}{of}{values}{_interval(difference, figures['task'])}, {text_of_p(difference['p'])}"


def _agreement(figures: Comparison) -> str:
    if not figures["scored"]:
        return "no image is scored in both"
    share = text_of_share(figures["agreement"])
    return f"{share} of {counted(figures['scored'], 'image')} have the same prediction"


def _interval(difference: Difference, task: Task) -> str:
    bounds = difference["interval_95"]
    if bounds is None:
        return ""
    texts = [number(bound) if task == "value" else f"{100 * bound:.2f}" for bound in bounds]
    return f" ({texts[0]} to {texts[1]})"


def points(share: float) -> str:
    """Return a difference of shares in points.

    >>> points(0.005), points(-0.0123)
    ('+0.50 points', '-1.23 points')
    """
    return f"{100 * share:+.2f} points"


def signed(value: float) -> str:
    """Return a difference of numbers with its sign."""
    return f"{value:+.4g}"


def text_of_share(share: float | None) -> str:
    """Return a share in percent, with a plain space.

    >>> text_of_share(0.981)
    '98.10 %'
    """
    return percent(share).replace("\xa0", " ")


def text_of_p(p: float | None) -> str:
    """Return a p-value as a person reads it.

    >>> text_of_p(0.03125), text_of_p(0.7361), text_of_p(1e-30), text_of_p(None)
    ('p = 0.031', 'p = 0.74', 'p < 0.0001', 'p unknown')
    """
    if p is None:
        return "p unknown"
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
