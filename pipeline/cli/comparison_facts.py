"""What a comparison comes to, as a person reads it on a terminal of 80 columns. Pure: knows no terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from pipeline.cli.one_screen import NAME_WIDTH, WIDTH, Fact, columns, fitted
from pipeline.formatting import NOTHING, count, counted, number, percent
from pipeline.metrics.comparison_figures import ClassChange, ComparedRun, Comparison, OneFailed, PartChange, Quality
from pipeline.metrics.headline import WORDS
from pipeline.text import brief, line, plain, shell_command, shell_path

CELL = 31
"""Characters of a cell of the table of A and B."""

PARTS = 2
"""Folders and other parts that are named at most, of those better and of those worse."""

SHOWN_NAME = 16


def verdict_lines(figures: Comparison) -> Iterator[str]:
    """Yield the verdict, broken behind a comma where it does not fit a line."""
    shown, *clauses = re.split("(?<=,) ", line(figures["verdict"]))
    for clause in clauses:
        if columns(f"{shown} {clause}") > NAME_WIDTH + 1 + WIDTH:
            yield shown
            shown = clause
        else:
            shown = f"{shown} {clause}"
    yield shown


def sides_table(figures: Comparison) -> Iterator[tuple[str, str, str]]:
    """Yield what is told of A and of B side by side."""
    runs = (figures["a"], figures["b"])
    yield _row("output", *(brief(run["output"], CELL) for run in runs))
    yield _row("model", *(run["model"][:12] for run in runs))
    yield _row("images", *(_images(run) for run in runs))
    if figures["shared"] < max(run["images"] for run in runs):
        yield _row("shared", *(_plain_percent(run["shared"]) for run in runs))
    a, b = figures["quality_a"], figures["quality_b"]
    if a is None or b is None:
        return
    yield _row(WORDS[figures["headline"]], *(_quality(one, figures) for one in (a, b)))
    if a["log_loss"] is not None and b["log_loss"] is not None:
        yield _row("log loss", *(f"{one['log_loss']:.4f}" for one in (a, b)))
        errors = (one["expected_calibration_error"] for one in (a, b))
        yield _row("calibration", *(f"off by {_plain_percent(error)}" for error in errors))


def _row(name: str, a: str, b: str) -> tuple[str, str, str]:
    return name, a, b


def _images(run: ComparedRun) -> str:
    return count(run["images"]) + (f", {count(run['failed'])} failed" if run["failed"] else "")


def _quality(quality: Quality, figures: Comparison) -> str:
    bounds = quality["interval_95"]
    if figures["task"] == "value":
        return number(quality["value"]) + (f" ({number(bounds[0])} to {number(bounds[1])})" if bounds else "")
    between = f" ({100 * bounds[0]:.2f} to {100 * bounds[1]:.2f})" if bounds else ""
    return _plain_percent(quality["value"]) + between


def facts(figures: Comparison, a: str, b: str, page: str | None) -> Iterator[Fact]:
    """Yield what matters of a comparison.

    Args:
        figures: the comparison.
        a: the first OUTPUT, as a person named it.
        b: the second one.
        page: where the page was written; None: it was not.
    """
    for remark in figures["remarks"]:
        yield from _wrapped("note", remark)
    yield "images", _shared(figures)
    yield from _seen(figures)
    yield from _changes(figures)
    yield from _classes(figures)
    yield from _of_their_own(figures)
    for kind, parts in (("input", figures["inputs"]), ("folder", figures["folders"])):
        yield from _parts(kind, parts)
    for column in figures["columns"]:
        yield from _parts(brief(column["column"], 12), column["values"])
    yield from _left_out(figures)
    if page is not None:
        yield "page", shell_path(page)
        return
    if figures["changed"] != 0 and figures["task"] != "embedding":
        command = shell_command(["nightscore", "compare", a, b, "--to", "comparison.html"])
        yield "next", command


def _shared(figures: Comparison) -> str:
    n, scored = figures["shared"], figures["scored"]
    text = f"{count(n)} in both, {count(scored)} scored"
    if figures["task"] != "embedding":
        text += f", {count(figures['labelled'])} labelled"
        text += " and unseen" if figures["counted"] == "unseen" else ""
    return text


def _seen(figures: Comparison) -> Iterator[Fact]:
    """Yield which labelled images do not count as a model has seen them in training, and what they would change."""
    every = figures["including_seen"]
    if every is None:
        return
    by = [(name, n) for name, n in (("A", figures["a"]["seen"]), ("B", figures["b"]["seen"])) if n is not None]
    seen = count(every["labelled"] - figures["labelled"])
    text = f"{seen} of {count(every['labelled'])} labelled images were seen in training"
    each = " and ".join(f"{count(n)} by the model of {name}" for name, n in by)
    yield from _wrapped("seen", f"{text} and do not count: {each}")
    yield from _wrapped("with them", every["verdict"])


def _wrapped(name: str, text: str) -> Iterator[Fact]:
    """Yield a fact whose text may take several lines; names in it stay whole."""
    lines = textwrap.wrap(plain(text), WIDTH, break_long_words=False, break_on_hyphens=False)
    yield from zip((name, *[""] * (len(lines) - 1)), lines, strict=True)


def _changes(figures: Comparison) -> Iterator[Fact]:
    changed = figures["changed"]
    if changed is None:
        return
    share = changed / figures["scored"] if figures["scored"] else None
    yield "changed", f"{counted(changed, 'prediction')}, {_plain_percent(share)} of those scored in both"
    difference = figures["difference"]
    if changed and difference is not None and difference["gained"] is not None and difference["lost"] is not None:
        gained, lost = difference["gained"], difference["lost"]
        of = " among the unseen ones" if figures["counted"] == "unseen" else ""
        yield "", f"{count(lost)} right to wrong, {count(gained)} wrong to right{of}"


def _classes(figures: Comparison) -> Iterator[Fact]:
    """Yield the classes that got better or worse beyond chance; of none, how many moved at all."""
    for outcome in ("worse", "better"):
        found = [c for c in figures["classes"] if c["outcome"] == outcome]
        if found:
            yield outcome, fitted([_class(c) for c in found])
    moved = [c for c in figures["classes"] if c["gained"] != c["lost"]]
    if moved and all(c["outcome"] == "no_difference" for c in moved):
        yield "classes", "none is better or worse beyond chance (Holm's correction)"


def _class(change: ClassChange) -> str:
    name = repr(brief(plain(change["class"]), SHOWN_NAME))
    return f"{name} +{change['gained']:,} -{change['lost']:,}"


def _of_their_own(figures: Comparison) -> Iterator[Fact]:
    for name in ("a", "b"):
        own = figures[name]["classes_of_its_own"]
        if own:
            text = f"{counted(len(own), 'class', 'classes')}: "
            yield f"only in {name.upper()}", fitted([repr(brief(plain(one), SHOWN_NAME)) for one in own], text)


def _parts(kind: str, parts: Sequence[PartChange]) -> Iterator[Fact]:
    """Yield the parts of the archive that got better or worse beyond chance."""
    if len(parts) < 2:
        return
    for outcome in ("worse", "better"):
        found = [part for part in parts if part["outcome"] == outcome]
        found.sort(key=_moved, reverse=True)
        for part in found[:PARTS]:
            name = brief(plain("none" if part["name"] is None else part["name"]), 32)
            yield kind, f"{outcome} in {name}: {_of_part(part)}"
        if len(found) > PARTS:
            yield kind, f"{outcome} in {len(found) - PARTS:,} more: see the page"


def _moved(part: PartChange) -> float:
    return abs(part["difference"] or 0.0) * part["labelled"]


def _of_part(part: PartChange) -> str:
    if part["changed"] is None:
        return f"{number(part['a'])} to {number(part['b'])}"
    return f"{_plain_percent(part['a'])} to {_plain_percent(part['b'])}"


def _left_out(figures: Comparison) -> Iterator[Fact]:
    """Yield what does not count for the accuracy, and what failed in one of the two."""
    for name, other in (("a", "B"), ("b", "A")):
        n: int = figures[f"failed_in_{name}"]  # type: ignore[literal-required]
        examples: list[OneFailed] = figures[f"failed_in_{name}_examples"]  # type: ignore[literal-required]
        if n:
            yield "failed", f"{counted(n, 'image')} in {name.upper()} only, scored in {other}; such as"
            yield "", brief(f"{plain(examples[0]['key'])}: {examples[0]['reason']}", WIDTH)
    if figures["labels_differ"]:
        first = figures["labels_differ_examples"][0]
        labels = " and ".join(repr(brief(plain(first[name]), SHOWN_NAME)) for name in ("label_a", "label_b"))
        yield "labels", f"{counted(figures['labels_differ'], 'image')} left out: A and B have other labels, such as"
        yield "", f"{labels} of {brief(plain(first['key']), 30)}"
    for n, text in (
        (figures["labelled_in_one"], "labelled in one of the two only"),
        (figures["label_known_to_one"], "with a label that only one of the models knows"),
    ):
        if n:
            yield "labels", f"{counted(n, 'image')} left out: {text}"


def _plain_percent(share: float | None) -> str:
    return NOTHING if share is None else percent(share).replace("\xa0", " ")
