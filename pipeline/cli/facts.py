"""What a run says when it is over: a few facts for a person, one object for a program. Pure: knows no terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pipeline.cli.failure_facts import failed, not_scored
from pipeline.cli.one_screen import WIDTH, Fact, fitted
from pipeline.cli.review_facts import accepted, also_seen, to_look_at, unseen
from pipeline.cli.task_facts import FACTS, numbers, quality, quality_format, with_examples
from pipeline.formatting import counted, duration, rate
from pipeline.metrics.drift import LARGE_DRIFT, indices_of
from pipeline.metrics.figures import Figures, PerClass
from pipeline.metrics.headline import HEADLINES, WORDS, headline_in, task_in
from pipeline.metrics.left_out import left_out
from pipeline.metrics.proportions import wilson
from pipeline.metrics.record import AnyDrift, EndedRecord
from pipeline.metrics.review import Review
from pipeline.metrics.task_figures import AnyFigures
from pipeline.task import Task
from pipeline.text import brief, shell_path

INPUTS = 3
CLASSES = 3
"""Inputs and classes that are shown at most: all of it fits a screen."""

SHOWN_NAME = 16
LEAST_KEY = 12
"""Characters of a class's name at most, and of an input at least."""


def facts(record: EndedRecord, figures: AnyFigures | None, output: str, review: Review | None = None) -> Iterator[Fact]:
    """Yield what matters of a run: how good it is, what is left to do, what was slow, and where it lies.

    Args:
        record: of the run.
        figures: of its result; None where units are unfinished and there is no new one.
        output: where it lies, as a person named it: not as `storage.key_of` writes it.
        review: of its rows; None where it is not known.
    """
    if figures is None:
        yield from _unfinished(record, output)
        return
    inputs = record.get("options", {}).get("input", ())
    labelled = bool(cast(Mapping[str, Any], figures).get("labelled"))
    of_images = (*_details(figures), *_drift(record.get("drift") or ()))
    yield from unseen(record.get("unseen"), task_in(figures))
    yield from _headline(figures)
    yield from also_seen(record.get("unseen"), of_images)
    yield from accepted(record, review or {})
    yield from () if labelled else of_images
    yield from failed(figures, inputs)
    yield from not_scored(left_out(record), inputs)
    yield from to_look_at(review or {}, output)
    if labelled:
        yield from of_images
        spec = record.get("model_spec")
        yield from numbers(record.get("options", {}), spec["class_names"] if spec else ())
    yield from _inputs(figures["inputs"], task_in(figures))
    yield from _work(record, f"{figures['images']:,}")
    yield from _engine(record)
    if figures["precision"] != "float32":
        again = f", {record['rescored']:,} of {record['scored']:,} images scored again in float32"
        yield "precision", figures["precision"] + (again if record["scored"] else "")
    yield "predictions", shell_path(f"{output}/predictions")
    yield "report", shell_path(f"{output}/report.html")
    yield "next", f"nightscore verify {shell_path(output)}"


def _unfinished(record: EndedRecord, output: str) -> Iterator[Fact]:
    """Yield what matters of a run that is not finished: how much is left, and how to go on."""
    yield "unfinished", f"{record['unfinished_units']:,} of {counted(record['plan']['units'], 'work unit')}"
    yield "failed", f"{record['failed']:,}"
    yield from not_scored(left_out(record), record.get("options", {}).get("input", ()))
    yield from _work(record, f"{record['images']:,} of {record['plan']['images']:,}")
    yield "next", f"the same command finishes them; nightscore status {shell_path(output)} tells more"


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
        "unseen": record.get("unseen"),
        "accepted": record.get("accepted"),
        "report": f"{output}/report.html" if figures else None,
    }


def _engine(record: EndedRecord) -> Iterator[Fact]:
    """Yield which engine made the scores, and why it was this one."""
    makers = [one["maker"] for one in record.get("made_by", ()) if one["maker"]]
    if makers:
        more = f", and {len(makers) - 1} more" if len(makers) > 1 else ""
        why = f" ({record['why_engine']})" if record.get("why_engine") else ""
        yield "engine", f"{makers[0].partition(', ')[0]}{more}{why}"


def _work(record: EndedRecord, images: str) -> Iterator[Fact]:
    previous = record.get("previous")
    is_asked = record.get("options", {}).get("retry_failed")
    before = 0 if is_asked or previous is None else previous["images"]
    changed = tuple(scored_again(record["kept"], before, record["scored"]))
    kept = f"{record['kept']:,} kept from earlier runs" if record["kept"] and not changed else ""
    how_fast = f", {rate(record['images_per_second'])} with start-up" if record["scored"] else ""
    text = f"{images} in {duration(record['seconds'])}{how_fast}"
    in_one = f"{text}, {kept}" if kept else text
    if len(in_one) <= WIDTH:
        yield "images", in_one
    else:
        yield "images", text
        yield "", kept
    yield from changed
    if record["time"]:
        spent = {step: share for step, share in record["time"]["shares"].items() if step != "waiting"}
        yield "time", ", ".join(f"{step} {share:.0%}" for step, share in spent.items()) + " of all cores"
        yield "advice", record["time"]["advice"]


def scored_again(kept: int, before: int, scored: int) -> Iterator[Fact]:
    """Yield that images are scored again which the run before had scored, if so: all those of work units that changed.

    Args:
        kept: number of images whose results stay.
        before: number of images of the last complete run; 0: there was none.
        scored: number of images that are scored now.
    """
    if scored and kept < before:
        yield "kept", f"{kept:,} of {counted(before, 'row')}: a work unit is scored again as a whole"
        yield "", "if one of its images is new, changed or gone, or a flag changed"


def of_task(figures: AnyFigures) -> Iterator[Fact]:
    """Yield what matters of the figures of the model's task, its headline first."""
    yield from _headline(figures)
    yield from _details(figures)


def _headline(figures: AnyFigures) -> Iterator[Fact]:
    """Yield how good a result is, if there are labels."""
    task, labelled = task_in(figures), cast(Mapping[str, Any], figures).get("labelled")
    if labelled and HEADLINES[task]:
        yield quality(task, *headline_in(figures, task), labelled)


def _details(figures: AnyFigures) -> Iterator[Fact]:
    """Yield what else matters of the figures of the model's task."""
    task = task_in(figures)
    yield from _classes(cast(Figures, figures)) if task == "classes" else FACTS[task](figures)


def _classes(figures: Figures) -> Iterator[Fact]:
    if figures["unlabelled"]:
        top = sorted(figures["unlabelled_predicted"].items(), key=lambda item: -item[1])[:CLASSES]
        shown = [f"{n:,} as {brief(name, SHOWN_NAME)!r}" for name, n in top]
        n = f"{figures['unlabelled']:,}"
        yield "unlabelled", fitted(shown, f"{n}, predicted mostly ", "") if shown else n
    if figures["unknown_labels"]:
        text = counted(
            figures["unknown_labels"], "label is no class of the model", "labels are no classes of the model"
        )
        yield "unknown", with_examples(text, figures)
    if not figures["labelled"]:
        return
    worst = worst_classes(figures["per_class"])
    if worst:
        shown = [f"{c['recall']:.4f} of {brief(c['class'], SHOWN_NAME)!r}" for c in worst]
        yield "worst", fitted(shown, "recall ", "")
    confused = _confused(figures)
    if confused:
        yield "confused", fitted(confused, more="")


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


def _drift(found: Sequence[AnyDrift]) -> Iterator[Fact]:
    """Yield in what this night is not at all like others, by the population stability index."""
    whose = {"training": "those in training", "previous": "those of the night before"}
    for reference in found:
        large = [(name, psi) for name, psi in indices_of(reference) if psi is not None and psi > LARGE_DRIFT]
        if large:
            shown = [f"{name} (PSI {psi:.2f})" for name, psi in large]
            yield "drift", fitted(shown, f"unlike {whose[reference['against']]}: ")


def _inputs(inputs: Sequence[Any], task: Task) -> Iterator[Fact]:
    if len(inputs) < 2:
        return
    for part in inputs[:INPUTS]:
        value = headline_in(part, task)[0]
        how_good = "" if value is None else f", {WORDS[HEADLINES[task]]} {quality_format(task).format(value)}"
        counts = f": {counted(part['images'], 'image')}, {part['failed']:,} failed{how_good}"
        yield "input", brief(part["input"], max(LEAST_KEY, WIDTH - len(counts))) + counts
    if len(inputs) > INPUTS:
        yield "input", f"and {len(inputs) - INPUTS:,} more, see the report"
