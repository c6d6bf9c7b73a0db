"""What a trial found, as data and as lines for a screen of 80 columns. Compares nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any, Literal

from model_import.scaling import Scaling
from model_import.trial_images import LEFT_OUT
from pipeline.formatting import counted
from pipeline.model.input_rule import InputSpec

How = Literal["given", "declared", "tried", "usual", "untried"]
"""Why a part of the rule is as it is: asked for, told by the model, the best of those tried, the most usual of those
that are as good as the best, or not tried."""

State = Literal["taken", "not distinguished", "worse", "compared"]
"""What became of a rule that was tried; "compared": nothing was decided."""

WIDTH = 66

LOOK = "LOOK: "
"""Beginning of the notes that a person must not miss."""


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
        source: from where, if it was given or declared; "" elsewhere.
        not_distinguished: other values that are as good on these images.
        points: largest difference of accuracy between it and those, in percentage points.
        worse: how many values were found to be worse.
        against: what the model tells, where the trial found that to be worse; "" elsewhere.
        fields: of the input rule that the trial is about; (): all fields of this part are given.
    """

    value: str
    how: How
    source: str = ""
    not_distinguished: Sequence[str] = ()
    points: float = 0.0
    worse: int = 0
    against: str = ""
    fields: Sequence[str] = ()

    @property
    def is_settled(self) -> bool:
        """Whether it is known: asked for, told, or better than all others that were tried."""
        return self.how in ("given", "declared") or (self.how == "tried" and not self.not_distinguished)


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
        accuracy: of the rule over all of them; None where they have no labels.
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
                name: asdict(part) | {"not_distinguished": list(part.not_distinguished), "fields": list(part.fields)}
                for name, part in self.parts.items()
            },
            "compared": [asdict(one) for one in self.compared],
            "notes": list(self.notes),
        }

    @property
    def unsettled(self) -> Sequence[str]:
        """The fields of which several values are as good on these images."""
        open_parts = [part for part in self.parts.values() if not part.is_settled and part.how != "untried"]
        return [name for part in open_parts for name in part.fields]

    @property
    def warnings(self) -> Sequence[str]:
        """The notes that a person must not miss."""
        return [note for note in self.notes if note.startswith(LOOK)]

    def lines(self) -> Sequence[str]:
        """Return it as lines of at most 80 columns, see `paragraphs`."""
        return [piece for one in self.paragraphs() for piece in wrap(one, WIDTH, subsequent_indent="    ")]

    def paragraphs(self) -> Sequence[str]:
        """Return it as sentences: what was compared and found, each part that was compared, and what is unsure."""
        text = self._decided() if self.is_decided else self._undecided()
        first = [note for note in self.notes if note.startswith(LEFT_OUT)]
        last = [note for note in self.notes if note not in (*first, *self.warnings)]
        return [*self.warnings, *first, *text, *last]

    def _decided(self) -> Sequence[str]:
        right = f"{round((self.accuracy or 0) * self.images)} of {counted(self.images, 'image')}"
        text = f"{right} of {counted(self.classes, 'class', 'classes')} are right under this rule"
        parts = [_part_line(name, part) for name, part in self.parts.items() if part.fields]
        if not parts:
            text += "; that is no proof of the rule: with another one as many may be right"
        return [self.sentence(), *self._not_compared(), f"{text}.", *parts]

    def sentence(self) -> str:
        """Return what was compared, and what came of it, in a sentence or two."""
        compared = [
            name for part in self.parts.values() if part.how not in ("given", "untried") for name in part.fields
        ]
        if not compared:
            return "--check compared no rules, as every part is given; it only counted how many images are right."
        parts = [part for part in self.parts.values() if part.is_settled]
        found = [name for part in parts if part.how == "tried" for name in part.fields]
        kept = [name for part in parts if part.how == "declared" for name in part.fields]
        text = f"Compared: {', '.join(compared)}. Found: {', '.join(found) or 'nothing'}."
        text += f" Nothing better than what the model says: {', '.join(kept)}." if kept else ""
        if self.unsettled:
            points = max(part.points for part in self.parts.values() if not part.is_settled)
            between = f"up to {points:.1f} points of accuracy between the choices" if points else "no image differs"
            flags = "--like and --scaling" if "scaling" in self.unsettled else "--like"
            text += f" Not settled: {', '.join(self.unsettled)} ({between}): say {flags} if you know them."
        return text

    def _not_compared(self) -> Sequence[str]:
        """Return which parts were not compared, and why, as one sentence or none."""
        why: dict[str, list[str]] = {}
        for name, part in self.parts.items():
            if not part.fields:
                why.setdefault(part.source or "given", []).append(name)
            elif part.how == "untried":
                why.setdefault("nothing else was tried", []).extend(part.fields)
        groups = "; ".join(f"{', '.join(names)} ({source})" for source, names in why.items())
        return [f"Not compared: {groups}."] if groups else []

    def _undecided(self) -> Sequence[str]:
        head = [f"nothing is decided: {self.why_not}"]
        if not self.compared:
            return head
        own, *others = self.compared
        if self.accuracy is None:
            best = sorted(self.compared, key=lambda row: -row.accuracy)[:MOST_SHOWN]
            told = [f"  {one.rule}: {one.accuracy:.3f}" for one in best]
            return [
                *head,
                "mean confidence, which does not choose: a wrong rule may be surer than the right one",
                *told,
            ]
        right = [f"{_right(own)} are right under this rule: {own.rule}"]
        better = [one for one in others if one.accuracy > own.accuracy][:MOST_SHOWN]
        return [*head, *right, *(f"  {_right(one)} under {one.rule}" for one in better)]


MOST_SHOWN = 3
"""Rules, or values of a part, that are listed on the screen, at most."""


def _right(one: Compared) -> str:
    return f"{round(one.accuracy * one.images)} of {one.images}"


def _part_line(name: str, part: Part) -> str:
    why = {
        "given": part.source,
        "declared": part.source,
        "tried": "found by trial",
        "usual": "the most usual of those that are as good",
        "untried": "not tried",
    }[part.how]
    text = f"{', '.join(part.fields) or name}: {part.value}, {why}"
    if part.worse:
        text += f"; {part.worse} worse"
    if part.not_distinguished:
        more = len(part.not_distinguished) - MOST_SHOWN
        others = ", ".join(part.not_distinguished[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
        text += f"; as good on your images: {others} (differ by up to {part.points:.1f} points)"
    if part.against:
        text += f"; the model says {part.against}, which is worse on your images"
    return text
