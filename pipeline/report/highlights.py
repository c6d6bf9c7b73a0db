"""This module lists what a person should look at first, so that nobody has to search the report for it.

Each rule is a function of the figures that yields what stands out; the order of the rules is the order on the page.
Must not know how the page looks, only the names of its sections.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pipeline.formatting import count, counted, percent, why
from pipeline.metrics.drift import LARGE_DRIFT, indices_of
from pipeline.metrics.figures import FailureCount, Figures, PerClass
from pipeline.metrics.headline import headline_in, headline_of_training, task_in
from pipeline.metrics.proportions import wilson
from pipeline.metrics.record import EndedRecord
from pipeline.metrics.task_figures import AnyFigures, LabelFigures, PerLabel
from pipeline.report.headline import Headline
from pipeline.report.places import places_of
from pipeline.text import brief, plain

MANY_FAILED = 0.001
"""Share of all images that must have failed for one reason, so that the reason stands out."""

BADLY_CALIBRATED = 0.05
"""Expected calibration error above which the scores stand out."""

FAR_LOWER = 0.05
"""Difference by which the recall of a class must surely be lower than the accuracy, so that the class stands out."""

SHOWN_LABELS = 5
"""Number of unknown labels that are shown, at most."""

LONGEST_SHOWN = 60
"""Number of characters of a name that a line shows."""


@dataclass(frozen=True)
class Pointer:
    """One thing to look at.

    Attributes:
        text: what stands out, as a sentence without its full stop.
        section: name of the page's section that shows it.
    """

    text: str
    section: str


_LAST_NAME = re.compile("[^/!]+$")
"""Name of a folder, without those that it lies in."""

Rule = Callable[[Any, EndedRecord], Iterator[Pointer]]
"""What yields the things of one kind that stand out, of the content of summary.json and of run.json."""


def look_first(figures: AnyFigures, record: EndedRecord, rules: Sequence[Rule]) -> list[Pointer]:
    """Return what stands out, the gravest first; an empty list if nothing does.

    Args:
        figures: the content of summary.json.
        record: the content of run.json.
        rules: what else may stand out, for the model's task; `CLASSES` are those of a model of classes.
    """
    every = (_no_images, _unfinished_units, _failures, *rules, _makers)
    return [pointer for rule in every for pointer in rule(figures, record)]


def _no_images(figures: AnyFigures, _: EndedRecord) -> Iterator[Pointer]:
    if not figures["images"]:
        yield Pointer("There is no image: see which inputs were asked for, and which files were skipped", "ran")


def _unfinished_units(_: AnyFigures, record: EndedRecord) -> Iterator[Pointer]:
    units = record["unfinished_units"]
    if units:
        verb = "is" if units == 1 else "are"
        yield Pointer(f"{counted(units, 'work unit')} {verb} unfinished: the same command finishes them", "next")


def _failures(figures: AnyFigures, _: EndedRecord) -> Iterator[Pointer]:
    for failure in sorted(figures["failures"], key=_by_images):
        n = failure["images"]
        if n >= MANY_FAILED * figures["images"]:
            verb = "is" if n == 1 else "are"
            text = f"{counted(n, 'image')} ({percent(n / figures['images'])}) {verb} "
            yield Pointer(text + why(failure["stage"], failure["code"]), "failures")


def _low_classes(figures: Figures) -> list[PerClass]:
    """Return the classes that are surely recognized much less often than all images, the worst first."""
    least = (figures["accuracy"] or 0.0) - FAR_LOWER
    low = [c for c in figures["per_class"] if c["support"] and upper_recall(c) < least]
    return sorted(low, key=lambda c: c["recall"] or 0.0)


def _classes(figures: Figures, _: EndedRecord) -> Iterator[Pointer]:
    overall = figures["accuracy"]
    if overall is None:
        return
    low = _low_classes(figures)
    if low:
        worst = low[0]
        text = f"Of class {quote(worst['class'])} only {percent(worst['recall'])} are recognized"
        text += f", of all {percent(overall)}"
        yield Pointer(text + and_more(len(low) - 1, "class", "classes"), "classes")


def worse_than_before(figures: Mapping[str, Any], record: EndedRecord) -> Iterator[Pointer]:
    """Yield a pointer if the headline of the task is surely worse than in training, or than in the run before.

    The test images of a training are unseen, so unseen images are compared with them, if these are known.
    """
    headline, training, before = Headline(task_in(figures)), record["training"], record["previous"]
    of_all = headline_in(figures, headline.task)[1]
    unseen = record.get("unseen")
    new = unseen["headline_interval_95"] if unseen and unseen["seen_labelled"] else of_all
    for now, then, name in (
        (new, headline_of_training(training or {}, headline.task)[1], "on the test images of its training"),
        (of_all, headline_in(before or {}, headline.task)[1], "in the run before"),
    ):
        if headline.is_interval_worse(now, then):
            texts = f"{headline.between(now)}, it was {headline.between(then)}"
            on = " on unseen images" if now is not of_all else ""
            yield Pointer(f"The {headline.word}{on} is {headline.worse} than {name}: {texts}", "drift")


def weak_slices(figures: Mapping[str, Any], _: EndedRecord) -> Iterator[Pointer]:
    """Yield a pointer to the input and to the folder that are surely worse than all images together.

    What is the folder of a class that is pointed to already, or an input that is, is not pointed to once more: these
    are the same images.
    """
    headline = Headline(task_in(figures))
    low = _low_classes(cast(Figures, figures)) if headline.task == "classes" else []
    named = {c["class"]: c["support"] for c in low}
    seen: set[str] = set()
    inputs = [(part["input"], part) for part in figures["inputs"]]
    folders = [(part["folder"], part) for part in figures["folders"]["slices"]]
    places = places_of(name for name, _ in inputs)
    for kind, parts in (("input", inputs), ("folder", folders)):
        weak = [
            (name, headline_in(part, headline.task)[0] or 0.0)
            for name, part in parts
            if headline.is_worse(part, figures) and name.rstrip("/") not in seen and not _is_of_class(name, part, named)
        ]
        seen.update(name.rstrip("/") for name, _ in weak)
        if weak:
            name, value = max(weak, key=_value) if headline.is_error else min(weak, key=_value)
            shown = places.name(name) if kind == "folder" else name
            text = f"In {kind} {quote(shown)} the {headline.word} is {'' if headline.is_error else 'only '}"
            text += f"{headline.text(value)}, of all {headline.text(headline_in(figures, headline.task)[0])}"
            yield Pointer(text + and_more(len(weak) - 1, kind, f"{kind}s"), f"{kind}s")


def _is_of_class(name: str, part: Mapping[str, Any], named: Mapping[str, int]) -> bool:
    """Return whether a part of the archive is the folder of a class, or of some images of it.

    Args:
        name: location of the part.
        part: its figures.
        named: name of a class -> number of its labelled images.
    """
    last = _LAST_NAME.search(name.rstrip("/"))
    return last is not None and part["labelled"] <= named.get(last[0], 0)


def far_from_others(_: AnyFigures, record: EndedRecord) -> Iterator[Pointer]:
    """Yield a pointer to what is distributed otherwise than in training or in the run before."""
    for drift in record["drift"]:
        other = "the training data" if drift["against"] == "training" else "the run before"
        for words, psi in indices_of(drift):
            if psi is not None and psi > LARGE_DRIFT:
                yield Pointer(
                    f"The {words} are distributed otherwise than in {other} (stability index {psi:.2f})", "drift"
                )


def _calibration(figures: Figures, _: EndedRecord) -> Iterator[Pointer]:
    error = figures["expected_calibration_error"]
    if error is not None and error > BADLY_CALIBRATED:
        bins = [b for b in figures["calibration"] if b["images"]]
        gap = sum(b["images"] * ((b["confidence"] or 0.0) - (b["accuracy"] or 0.0)) for b in bins)
        mean = sum(b["images"] * (b["confidence"] or 0.0) for b in bins) / max(1, sum(b["images"] for b in bins))
        low, high = figures["accuracy_interval_95"] or (0.0, 0.0)
        if low <= mean <= high:
            return  # so few images do not tell
        side = "too high" if gap > 0 else "too low"
        yield Pointer(f"The scores are {side}: they miss the accuracy by {percent(error)} on average", "scores")


def unknown_labels(figures: Figures | LabelFigures, _: EndedRecord) -> Iterator[Pointer]:
    """Yield a pointer if labels are no classes of the model."""
    n = figures["unknown_labels"]
    if n:
        verb = "has a label that is no class" if n == 1 else "have labels that are no classes"
        known = figures.get("unknown_label_examples") or []
        shown = ", ".join(f"{quote(one['label'])} ({count(one['images'])})" for one in known[:SHOWN_LABELS])
        yield Pointer(f"{counted(n, 'image')} {verb} of the model{': ' if shown else ''}{shown}", "classes")


def upper_recall(figures: PerClass | PerLabel) -> float:
    """Return the upper end of the 95 % interval of a class's recall."""
    interval = wilson(round((figures["recall"] or 0.0) * figures["support"]), figures["support"])
    return interval[1] if interval else 1.0


def _by_images(failure: FailureCount) -> int:
    return -failure["images"]


def _value(pair: tuple[str, float]) -> float:
    return pair[1]


def quote(name: str) -> str:
    """Return a name in quotation marks, short and safe to show."""
    return f"“{brief(plain(name), LONGEST_SHOWN)}”"


def and_more(n: int, one: str, many: str) -> str:
    """Return that there are n more things like one that is named; "" if there are none."""
    return f"; {counted(n, f'more {one}', f'more {many}')} like it" if n else ""


def _makers(_: AnyFigures, record: EndedRecord) -> Iterator[Pointer]:
    makers = len(record.get("made_by", ()))
    if makers > 1:
        text = f"The scores were made by {makers} versions of the engine or kinds of CPU: their last digits may differ"
        yield Pointer(text, "ran")


CLASSES: Sequence[Rule] = (
    worse_than_before,
    _classes,
    weak_slices,
    far_from_others,
    _calibration,
    unknown_labels,
)
"""What may stand out, for a model of classes."""
