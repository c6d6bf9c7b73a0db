"""This module lists what a person should look at first, so that nobody has to search the report for it.

Each rule is a function of the figures that yields what stands out; the order of the rules is the order on the page.
Must not know how the page looks, only the names of its sections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.formatting import between, count, counted, percent, why
from pipeline.metrics.accuracy import wilson
from pipeline.metrics.drift import LARGE_DRIFT
from pipeline.metrics.figures import FailureCount, Figures, PerClass, Slice
from pipeline.metrics.record import EndedRecord
from pipeline.text import brief, plain

MANY_FAILED = 0.001
"""Share of all images that must have failed for one reason, so that the reason stands out."""

BADLY_CALIBRATED = 0.05
"""Expected calibration error above which the scores stand out."""

FAR_LOWER = 0.05
"""Difference by which the recall of a class must surely be lower than the accuracy, so that the class stands out."""

DOUBTED, SURE = 0.01, 0.99
"""Probabilities by which a label looks wrong: the label has less than DOUBTED, another class more than SURE."""

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


def look_first(figures: Figures, record: EndedRecord) -> list[Pointer]:
    """Return what stands out, the gravest first; an empty list if nothing does.

    Args:
        figures: the content of summary.json.
        record: the content of run.json.
    """
    rules = (
        _no_images,
        _unfinished_units,
        _failures,
        _lower_accuracy,
        _classes,
        _slices,
        _drift,
        _calibration,
        _unknown_labels,
        _doubtful_labels,
        _makers,
    )
    return [pointer for rule in rules for pointer in rule(figures, record)]


def _no_images(figures: Figures, _: EndedRecord) -> Iterator[Pointer]:
    if not figures["images"]:
        yield Pointer("There is no image: see which inputs were asked for, and what was left out", "ran")


def _unfinished_units(_: Figures, record: EndedRecord) -> Iterator[Pointer]:
    units = record["unfinished_units"]
    if units:
        verb = "is" if units == 1 else "are"
        yield Pointer(f"{counted(units, 'work unit')} {verb} unfinished: the same command finishes them", "next")


def _failures(figures: Figures, _: EndedRecord) -> Iterator[Pointer]:
    for failure in sorted(figures["failures"], key=_by_images):
        n = failure["images"]
        if n >= MANY_FAILED * figures["images"]:
            verb = "is" if n == 1 else "are"
            text = f"{counted(n, 'image')} ({percent(n / figures['images'])}) {verb} "
            yield Pointer(text + why(failure["stage"], failure["code"]), "failures")


def _lower_accuracy(figures: Figures, record: EndedRecord) -> Iterator[Pointer]:
    """Yield a pointer if the accuracy is surely lower than in training or in the run before."""
    now, training, previous = figures["accuracy_interval_95"], record["training"], record["previous"]
    for then, name in (
        (training and training["test_accuracy_interval_95"], "on the test images of its training"),
        (previous and previous["accuracy_interval_95"], "in the run before"),
    ):
        if now and then and now[1] < then[0]:
            yield Pointer(f"The accuracy is lower than {name}: {between(now)}, it was {between(then)}", "drift")


def _classes(figures: Figures, _: EndedRecord) -> Iterator[Pointer]:
    overall = figures["accuracy"]
    if overall is None:
        return
    low = [c for c in figures["per_class"] if c["support"] and _upper_recall(c) < overall - FAR_LOWER]
    low.sort(key=lambda c: c["recall"] or 0.0)
    if low:
        worst = low[0]
        text = f"Of class {_quote(worst['class'])} only {percent(worst['recall'])} are recognized"
        text += f", of all {percent(overall)}"
        yield Pointer(text + _and_more(len(low) - 1, "class", "classes"), "classes")


def _slices(figures: Figures, _: EndedRecord) -> Iterator[Pointer]:
    interval = figures["accuracy_interval_95"]
    if interval is None:
        return
    inputs = [(s["input"], s) for s in figures["inputs"]]
    folders = [(s["folder"], s) for s in figures["folders"]["slices"]]
    for kind, slices in (("input", inputs), ("folder", folders)):
        below = [(name, s["accuracy"] or 0.0) for name, s in slices if is_below(s, interval)]
        if below:
            name, accuracy = min(below, key=_accuracy)
            text = f"In {kind} {_quote(name)} the accuracy is only {percent(accuracy)}"
            text += f", of all {percent(figures['accuracy'])}"
            yield Pointer(text + _and_more(len(below) - 1, kind, f"{kind}s"), f"{kind}s")


def is_below(part: Slice, interval: Sequence[float] | None) -> bool:
    """Return whether the accuracy of a part is surely lower: its interval ends before that of all images begins.

    Args:
        part: figures of the part.
        interval: 95 % interval of the accuracy over all images; None: no image has a label.
    """
    own = part["accuracy_interval_95"]
    return own is not None and interval is not None and bool(own[1] < interval[0])


def _drift(_: Figures, record: EndedRecord) -> Iterator[Pointer]:
    for drift in record["drift"]:
        other = "the training data" if drift["against"] == "training" else "the run before"
        for psi, words in (
            (drift["classes"]["psi"], "classes are distributed"),
            (drift["confidence"]["psi"], "scores are distributed"),
        ):
            if psi is not None and psi > LARGE_DRIFT:
                yield Pointer(f"The {words} otherwise than in {other} (stability index {psi:.2f})", "drift")


def _calibration(figures: Figures, _: EndedRecord) -> Iterator[Pointer]:
    error = figures["expected_calibration_error"]
    if error is not None and error > BADLY_CALIBRATED:
        bins = [b for b in figures["calibration"] if b["images"]]
        gap = sum(b["images"] * ((b["confidence"] or 0.0) - (b["accuracy"] or 0.0)) for b in bins)
        side = "too high" if gap > 0 else "too low"
        yield Pointer(f"The scores are {side}: they miss the accuracy by {percent(error)} on average", "scores")


def _unknown_labels(figures: Figures, _: EndedRecord) -> Iterator[Pointer]:
    n = figures["unknown_labels"]
    if n:
        verb = "has a label that is no class" if n == 1 else "have labels that are no classes"
        yield Pointer(f"{counted(n, 'image')} {verb} of the model", "classes")


def _doubtful_labels(figures: Figures, _: EndedRecord) -> Iterator[Pointer]:
    sure = [e for e in figures["doubtful_labels"] if (e["label_score"] or 0.0) < DOUBTED and e["score"] > SURE]
    if sure:
        n = f"At least {count(len(sure))}" if len(sure) == len(figures["doubtful_labels"]) > 1 else count(len(sure))
        noun = "label looks" if len(sure) == 1 else "labels look"
        yield Pointer(f"{n} {noun} wrong: the model is more than {percent(SURE, 0)} sure of another class", "doubtful")


def _upper_recall(figures: PerClass) -> float:
    """Return the upper end of the 95 % interval of a class's recall."""
    interval = wilson(round((figures["recall"] or 0.0) * figures["support"]), figures["support"])
    return interval[1] if interval else 1.0


def _by_images(failure: FailureCount) -> int:
    return -failure["images"]


def _accuracy(pair: tuple[str, float]) -> float:
    return pair[1]


def _quote(name: str) -> str:
    return f"“{brief(plain(name), LONGEST_SHOWN)}”"


def _and_more(n: int, one: str, many: str) -> str:
    return f"; {counted(n, f'more {one}', f'more {many}')} like it" if n else ""


def _makers(_: Figures, record: EndedRecord) -> Iterator[Pointer]:
    makers = len(record.get("made_by", ()))
    if makers > 1:
        text = f"The scores were made by {makers} versions of the engine or kinds of CPU: their last digits may differ"
        yield Pointer(text, "ran")
