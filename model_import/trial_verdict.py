"""What a trial found, as data and as lines for a screen of 80 columns. Compares nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any, Literal

from model_import.scaling import Scaling
from pipeline.model.input_rule import InputSpec

How = Literal["given", "declared", "tried", "usual", "untried"]
"""Why a part of the rule is as it is: asked for, told by the model, the best of those tried, the most usual of those
that are as good as the best, or not tried."""

State = Literal["taken", "not distinguished", "worse", "compared"]
"""What became of a rule that was tried; "compared": nothing was decided."""

WIDTH = 66


@dataclass(frozen=True)
class Compared:
    """A rule that was tried.

    Attributes:
        rule: in words.
        images: over which it was compared with the rule that was taken.
        accuracy: share of those images that it gets right; mean confidence instead where there are no labels.
        loss: mean log loss of them; 0 where there are no labels.
        behind: by how much the loss is above that of the best.
        points: accuracy of the rule that was taken minus its accuracy, in percentage points.
        state: what became of it.
    """

    rule: str
    images: int
    accuracy: float
    loss: float
    behind: float
    points: float
    state: State


@dataclass(frozen=True)
class Part:
    """A part of the rule, and why it is as it is.

    Attributes:
        value: in words.
        how: why.
        source: from where, where it was declared; "" elsewhere.
        not_distinguished: other values that are as good on these images.
        points: largest difference of accuracy between it and those, in percentage points.
        worse: how many values were found to be worse.
        against: what the model tells, where the trial found that to be worse; "" elsewhere.
    """

    value: str
    how: How
    source: str = ""
    not_distinguished: Sequence[str] = ()
    points: float = 0.0
    worse: int = 0
    against: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a trial found.

    Attributes:
        is_decided: whether rules were told apart; else the rule is the one that the trial began with.
        why_not: why nothing was decided; "" elsewhere.
        rule: of the pixels.
        scaling: of pixels to values.
        parts: name of a part, see `candidates.PARTS` -> what was found of it.
        compared: every rule that was tried, the best first.
        images: that were looked at.
        classes: of the model that these images have.
        accuracy: of the rule over all of them; None where nothing was decided.
        confidence: mean of the largest probability.
        passes: images that the network scored, each rule apart.
        notes: lines for a person.
    """

    is_decided: bool
    why_not: str
    rule: InputSpec
    scaling: Scaling
    parts: Mapping[str, Part]
    compared: Sequence[Compared]
    images: int
    classes: int
    accuracy: float | None
    confidence: float | None
    passes: int
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        values = {name: value for name, value in vars(self).items() if name not in ("rule", "scaling")}
        return {
            **values,
            "rule": self.rule.to_json(),
            "scaling": asdict(self.scaling) | {"scale": list(self.scaling.scale), "offset": list(self.scaling.offset)},
            "parts": {
                name: asdict(part) | {"not_distinguished": list(part.not_distinguished)}
                for name, part in self.parts.items()
            },
            "compared": [asdict(one) for one in self.compared],
            "notes": list(self.notes),
        }

    def lines(self) -> Sequence[str]:
        """Return it as lines of at most 80 columns: the rule part by part, what is as good, and what is unsure."""
        if not self.is_decided:
            head = [f"nothing is decided: {self.why_not}"]
        else:
            head = [
                f"{self.accuracy or 0:.1%} of {self.images} images of {self.classes} classes are right under this rule "
                f"({self.passes:,} passes)"
            ]
        body = [] if not self.is_decided else [_part_line(name, part) for name, part in self.parts.items()]
        table = [] if self.is_decided else [_compared_line(one) for one in self.compared]
        return [
            piece
            for text in (*head, *body, *table, *self.notes)
            for piece in wrap(text, WIDTH, subsequent_indent="    ")
        ]


def _part_line(name: str, part: Part) -> str:
    why = {
        "given": "as asked for",
        "declared": part.source,
        "tried": "found by trial",
        "usual": "the most usual of those that are as good",
        "untried": "not tried",
    }[part.how]
    text = f"{name}: {part.value}, {why}"
    if part.worse:
        text += f"; {part.worse} worse"
    if part.not_distinguished:
        text += f"; not distinguished: {', '.join(part.not_distinguished)}"
        text += f" (largest difference on your images {part.points:.1f} points)"
    if part.against:
        text += f"; the model says {part.against}, which is worse on your images"
    return text


def _compared_line(one: Compared) -> str:
    return f"  {one.rule}: mean confidence {one.accuracy:.3f}" + ("" if one.loss == 0 else f", log loss {one.loss:.3f}")
