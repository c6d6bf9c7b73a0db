"""What a run says when it is over: a few facts for a person, one object for a program. Pure: knows no terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pipeline.cli.task_facts import FACTS, Fact, numbers, such_as
from pipeline.formatting import duration, rate, reasons
from pipeline.metrics.drift import LARGE_DRIFT, indices_of
from pipeline.metrics.figures import FailureExample, FailureText, Figures, PerClass
from pipeline.metrics.headline import HEADLINES, WORDS, headline_in, task_in
from pipeline.metrics.left_out import LeftOut, left_out
from pipeline.metrics.proportions import wilson
from pipeline.metrics.record import AnyDrift, EndedRecord
from pipeline.metrics.task_figures import AnyFigures
from pipeline.task import Task
from pipeline.text import brief, shell_path

EXAMPLES = 2
INPUTS = 3
CLASSES = 3
SKIPPED = 2
SHORT = 3
"""Failed images, inputs, classes, kinds of files not read with what to do, and without, that are shown at most: all of
it fits a screen."""

SHOWN_NAME = 24
SHOWN_SKIPPED = 60
SHOWN_KEY = 110
SHOWN_LINE = 146
"""Characters of a class's name, of the key of a file not read, of another, and of a text of up to two lines."""


def facts(record: EndedRecord, figures: AnyFigures | None, output: str) -> Iterator[Fact]:
    """Yield what matters of a run.

    Args:
        record: of the run.
        figures: of its result; None where units are unfinished and there is no new one.
        output: where it lies, as a person named it: not as `storage.key_of` writes it.
    """
    yield from _work(record, f"{figures['images']:,}" if figures else _of_planned(record))
    yield from not_scored(left_out(record))
    if figures is None:
        yield "failed", f"{record['failed']:,}"
        yield "unfinished", f"{record['unfinished_units']:,} of {record['plan']['units']:,} units"
        yield "next", f"the same command finishes them; nightscore status {shell_path(output)} tells more"
        return
    yield from _engine(record)
    if figures["precision"] != "float32":
        again = f", {record['rescored']:,} of {record['scored']:,} images scored again in float32"
        yield "precision", figures["precision"] + (again if record["scored"] else "")
    yield from _failed(figures)
    yield from _unseen(record, task_in(figures))
    yield from of_task(figures)
    yield from _accepted(record)
    if cast(Mapping[str, Any], figures).get("labelled"):
        spec = record.get("model_spec")
        yield from numbers(record.get("options", {}), spec["class_names"] if spec else ())
    drift = "; ".join(_drift(record.get("drift") or ()))
    if drift:
        yield "drift", drift
    yield from _inputs(figures["inputs"], task_in(figures))
    yield "predictions", shell_path(f"{output}/predictions")
    yield "report", shell_path(f"{output}/report.html")
    yield "next", f"nightscore verify {shell_path(output)}"


def not_scored(found: LeftOut) -> Iterator[Fact]:
    """Yield what of the inputs was not scored; a reason with a colon says what to do, and has a line of its own."""
    ordered = sorted(found.counts.items(), key=lambda item: (-item[1], item[0]))
    told = [(reason, n) for reason, n in ordered if ":" in reason]
    for reason, n in told[:SKIPPED]:
        yield "not read", skipped(n, reason, found.examples.get(reason))
    rest = [(reason.partition(":")[0], n) for reason, n in told[SKIPPED:]]
    rest += [(reason, n) for reason, n in ordered if ":" not in reason]
    if rest:
        more = sum(n for _, n in rest[SHORT:])
        left = f", {more:,} others (run.json)" if more else ""
        yield "skipped", ", ".join(f"{n:,} {reason}" for reason, n in rest[:SHORT]) + left


def skipped(n: int, reason: str, key: str | None) -> str:
    """Return how many files were not scored, why, and one of them if that is known.

    >>> skipped(30, "HEIC images: convert them", "/photos/1/IMG_0001.HEIC")
    '30 HEIC images: convert them (/photos/1/IMG_0001.HEIC)'
    """
    return f"{n:,} {reason}" + ("" if key is None else f" ({brief(key, SHOWN_SKIPPED)})")


def as_json(record: EndedRecord, figures: AnyFigures | None, output: str) -> dict[str, Any]:
    """Return the same as JSON values; what only a complete run has is null in another. Paths are as they are."""
    time, task = record["time"], task_in(record.get("model_spec", {}))
    headline = HEADLINES[task] or "accuracy"
    return {
        "exit_code": record["verdict"]["exit_code"],
        "reasons": record["verdict"]["reasons"],
        "run": record["run"],
        "output": output,
        "complete": record["complete"],
        "images": record["images"],
        "scored": record["scored"],
        "kept": record["kept"],
        "failed": record["failed"],
        "unfinished_units": record["unfinished_units"],
        "seconds": record["seconds"],
        "images_per_second": record["images_per_second"],
        "decides": time and time["decides"],
        "failures": figures and figures["failures"],
        **dict(zip((headline, f"{headline}_interval_95"), headline_in(figures or {}, task), strict=True)),
        "labelled": cast(Mapping[str, Any], figures or {}).get("labelled"),
        "report": f"{output}/report.html" if figures else None,
    }


def example(failure: FailureText, indent: str = "") -> str:
    """Return a failed image and why, on two lines of a screen at most."""
    key = indent + brief(failure["key"], SHOWN_KEY)
    return f"{key}: {brief(failure['message'], SHOWN_LINE - len(key) - 2)}"


def _unseen(record: EndedRecord, task: Task) -> Iterator[Fact]:
    """Yield how good the result is where the model's training had no exact copy of an image."""
    unseen = record.get("unseen")
    if unseen is None or not unseen["seen"]:
        return
    if unseen["headline"] is None:
        yield "unseen", f"training had an exact copy of all but {unseen['images']:,} images, none of them labelled"
        return
    name, text = quality(task, unseen["headline"], unseen["headline_interval_95"], unseen["labelled"])
    yield "unseen", f"{name} {text}: those with no exact copy in training"


def _accepted(record: EndedRecord) -> Iterator[Fact]:
    """Yield how many predictions are accepted."""
    accepted = record.get("accepted")
    if accepted is None:
        return
    mistakes = f", {accepted['left_mistakes']:,} mistakes among them" if accepted["left_mistakes"] else ""
    if accepted["score"] is None:
        yield "accepted", f"none; {accepted['left']:,} left to review{mistakes}"
        return
    right = "" if accepted["accuracy"] is None else f", {accepted['accuracy']:.4f} of the labelled ones right"
    yield "accepted", f"{accepted['images']:,} from score {accepted['score']:g} on{right}"
    yield "to review", f"{accepted['left']:,}{mistakes}"


def _engine(record: EndedRecord) -> Iterator[Fact]:
    """Yield which engine made the scores, and why it was this one."""
    makers = [one["maker"] for one in record.get("made_by", ()) if one["maker"]]
    if makers:
        more = f", and {len(makers) - 1} more" if len(makers) > 1 else ""
        why = f" ({record['why_engine']})" if record.get("why_engine") else ""
        yield "engine", f"{makers[0].partition(', ')[0]}{more}{why}"


def _of_planned(record: EndedRecord) -> str:
    return f"{record['images']:,} of {record['plan']['images']:,}"


def _work(record: EndedRecord, images: str) -> Iterator[Fact]:
    kept = f", {record['kept']:,} kept from earlier runs" if record["kept"] else ""
    how_fast = f", {rate(record['images_per_second'])} with start-up" if record["scored"] else ""
    yield "images", f"{images} in {duration(record['seconds'])}{how_fast}{kept}"
    if record["time"]:
        spent = {step: share for step, share in record["time"]["shares"].items() if step != "waiting"}
        yield "time", ", ".join(f"{step} {share:.0%}" for step, share in spent.items())
        yield "decides", record["time"]["advice"]


def _failed(figures: AnyFigures) -> Iterator[Fact]:
    counted = {(failure["stage"], failure["code"]): failure["images"] for failure in figures["failures"]}
    yield "failed", f"{figures['failed']:,}" + (f" ({reasons(counted)})" if counted else "")
    for failure in _of_different_reasons(figures["failure_examples"]):
        yield "example", example(failure)
    if counted:
        yield "again", "the same command with --retry_failed scores those that failed again"


def _of_different_reasons(examples: Sequence[FailureExample]) -> list[FailureExample]:
    """Return the first few examples, of as many reasons as there are."""
    seen: Counter[tuple[str, str]] = Counter()
    turns = []
    for place, example in enumerate(examples):
        reason = (example["stage"], example["code"])
        turns.append((seen[reason], place, example))
        seen[reason] += 1
    return [example for _, _, example in sorted(turns, key=lambda turn: turn[:2])[:EXAMPLES]]


def of_task(figures: AnyFigures) -> Iterator[Fact]:
    """Yield what matters of the figures of the model's task, its headline first."""
    task = task_in(figures)
    if task == "classes":
        yield from _classes(cast(Figures, figures))
        return
    labelled = cast(Mapping[str, Any], figures).get("labelled")
    if labelled:
        yield quality(task, *headline_in(figures, task), labelled)
    yield from FACTS[task](figures)


def _classes(figures: Figures) -> Iterator[Fact]:
    if figures["unlabelled"]:
        top = sorted(figures["unlabelled_predicted"].items(), key=lambda item: -item[1])[:CLASSES]
        shown = ", ".join(f"{n:,} as {brief(name, SHOWN_NAME)!r}" for name, n in top)
        yield "unlabelled", f"{figures['unlabelled']:,}, predicted mostly {shown}"
    if figures["unknown_labels"]:
        yield "unknown", f"{figures['unknown_labels']:,} labels are not classes of the model{such_as(figures)}"
    if not figures["labelled"]:
        return
    yield quality("classes", figures["accuracy"], figures["accuracy_interval_95"], figures["labelled"])
    worst = worst_classes(figures["per_class"])
    if worst:
        yield "worst", ", ".join(f"recall {c['recall']:.4f} of {brief(c['class'], SHOWN_NAME)!r}" for c in worst)
    confused = _confused(figures)
    if confused:
        yield "confused", ", ".join(confused)


def quality(task: Task, value: float | None, interval: Sequence[float] | None, labelled: int) -> Fact:
    """Return how good a result is: the headline of its task, see `pipeline.metrics.headline.HEADLINES`.

    >>> quality("value", 1.25, None, 1)
    ('mean error', '1.25 of 1 labelled')
    """
    form = quality_format(task)
    low, high = (form.format(bound) for bound in interval or (0.0, 1.0))
    bounds = f" (95 % interval {low} to {high})" if interval else ""
    return WORDS[HEADLINES[task]], f"{form.format(value)}{bounds} of {labelled:,} labelled"


def quality_format(task: Task) -> str:
    """Return how the headline of a task is written, for `str.format`: shares with four places, values as they come."""
    return "{:.4g}" if task == "value" else "{:.4f}"


def worst_classes(per_class: Sequence[PerClass]) -> list[PerClass]:
    """Return the classes that are surely the worst: by the upper end of their recall's interval."""
    bounded = []
    for number, c in enumerate(per_class):
        bounds = wilson(round((c["recall"] or 0) * c["support"]), c["support"])
        if bounds is not None and (c["recall"] or 0) < 1:
            bounded.append((bounds[1], number, c))
    return [c for _, _, c in sorted(bounded, key=lambda item: item[:2])[:CLASSES]]


def _confused(figures: Figures) -> list[str]:
    """Return the most frequent confusions, if the figures have a matrix."""
    names = [brief(c["class"], SHOWN_NAME) for c in figures["per_class"]]
    cells = [
        (n, label, guess)
        for label, row in enumerate(figures["confusion_matrix"] or ())
        for guess, n in enumerate(row)
        if n and label != guess
    ]
    most = sorted(cells, key=lambda cell: (-cell[0], *cell[1:]))[:CLASSES]
    return [f"{n:,} of {names[label]!r} as {names[guess]!r}" for n, label, guess in most]


def _drift(found: Sequence[AnyDrift]) -> Iterator[str]:
    """Yield in what this night is not at all like others, by the population stability index."""
    whose = {"training": "in training", "previous": "the night before"}
    for reference in found:
        for name, index in indices_of(reference):
            if index is not None and index > LARGE_DRIFT:
                yield f"{name} unlike those {whose[reference['against']]} (PSI {index:.2f})"


def _inputs(inputs: Sequence[Any], task: Task) -> Iterator[Fact]:
    if len(inputs) < 2:
        return
    for part in inputs[:INPUTS]:
        value = headline_in(part, task)[0]
        how_good = "" if value is None else f", {WORDS[HEADLINES[task]]} {quality_format(task).format(value)}"
        yield (
            "input",
            f"{brief(part['input'], SHOWN_KEY)}: {part['images']:,} images, {part['failed']:,} failed{how_good}",
        )
    if len(inputs) > INPUTS:
        yield "input", f"and {len(inputs) - INPUTS:,} more, see the report"
