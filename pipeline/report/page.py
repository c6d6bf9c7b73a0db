"""This module makes report.html from the figures of a run: one file, which needs no network.

It prepares what the templates in `pages/` draw. The page stays small, whatever the archive holds: lists are cut, and
each picture is embedded once, the most important ones first, up to a limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TypedDict

from pipeline.metrics.figures import Example, FailureCount, Figures, PerClass, Slice
from pipeline.metrics.record import EndedRecord, RecordedOptions
from pipeline.options import ScoreOptions
from pipeline.report import charts
from pipeline.report.confusion import Confusion, confusion
from pipeline.report.gallery import gallery
from pipeline.report.highlights import is_below, look_first
from pipeline.report.html import render
from pipeline.storage.locations import location_of
from pipeline.text import shell_command, shell_word

SHOWN_CLASSES = 1_000
"""Number of rows of the table of classes; if there are more classes, those with the most images have a row."""

FEW_CLASSES = 30
"""Number of classes up to which classes without images have a row as well."""

SHOWN_INPUTS = 200
"""Number of rows of the table of inputs."""

SHOWN_REASONS = 20
"""Number of reasons for failures that are shown with their examples."""

SHOWN_VALUES = 10
"""Number of values that are shown of an option that has many."""

LONGEST_COMMAND = 8_000
"""Number of characters of the command that made the run; a longer command is not shown."""

LEAST_REACH = 0.02
"""Difference of accuracy that a drawing of intervals spans at least."""


class ClassRow(PerClass):
    """A row of the table of classes: all images of the class, and its share of the training images."""

    all: int
    trained: float | None


class SliceRow(Slice):
    """A row of the table of inputs or of folders."""

    name: str
    is_below: bool


class SliceTable(TypedDict):
    """The table of inputs or of folders.

    Attributes:
        kind: "input" or "folder".
        rows: the rows of the table.
        low: accuracy at the left edge of the drawn intervals.
        depth: depth at which folders were cut; None: they were not.
    """

    kind: str
    rows: list[SliceRow]
    low: float
    depth: int | None


def report(figures: Figures, record: EndedRecord, pictures: Mapping[str, bytes]) -> str:
    """Return report.html.

    Args:
        figures: the content of summary.json.
        record: the content of run.json.
        pictures: key -> PNG or JPEG file of at most 64 x 64 pixels; an image that the figures name may have none.
    """
    names = [c["class"] for c in figures["per_class"]]
    matrix = confusion(figures["confusion_matrix"], figures["confused"], names) if figures["labelled"] else None
    classes, slices = _classes(figures, record), _slices(figures)
    return render(
        "report.html.j2",
        figures=figures,
        record=record,
        first=look_first(figures, record),
        sections=list(_sections(figures, record, slices)),
        names=names,
        confusion=matrix,
        classes=classes,
        largest=_largest_share(classes, figures["scored"]),
        slices=slices,
        gallery=gallery(_by_priority(figures, matrix), pictures),
        reliability=charts.reliability(figures["calibration"]),
        histogram=charts.histogram(figures["confidence_histogram"], _reference(record)),
        course=charts.course(record["time"]["course"]) if record["time"] else None,
        command=_command(record["options"]),
        output=shell_word(location_of(record["options"]["output"])),
        failures=sorted(figures["failures"], key=_failure_images, reverse=True),
        shown_classes=SHOWN_CLASSES,
        shown_inputs=SHOWN_INPUTS,
        shown_reasons=SHOWN_REASONS,
        shown_values=SHOWN_VALUES,
    )


def _sections(figures: Figures, record: EndedRecord, slices: Mapping[str, SliceTable]) -> Iterator[tuple[str, str]]:
    """Yield the name and the title of each section that has something to say; `pages/report_<name>` draws it."""
    labelled = bool(figures["labelled"])
    for name, title, is_there in (
        ("confusion", "Confusion matrix", labelled),
        ("classes", "Classes", figures["scored"] or figures["unknown_labels"]),
        ("scores", "Calibration and scores" if labelled else "Scores", figures["scored"]),
        ("mistakes", "Most confident mistakes", figures["most_confident_mistakes"]),
        ("doubtful", "Labels that look wrong", figures["doubtful_labels"]),
        ("uncertain", "Least certain images", figures["least_certain"]),
        ("failures", "Failures", figures["failures"]),
        ("inputs", "By input", "inputs" in slices),
        ("folders", "By folder", "folders" in slices),
        ("drift", "Drift", record["drift"] or record["previous"] or record["training"]),
        ("speed", "Speed", record["time"]),
        ("ran", "What ran", True),
        ("next", "What to do next", True),
    ):
        if is_there:
            yield name, title


def _by_priority(figures: Figures, matrix: Confusion[Example] | None) -> Iterator[str]:
    """Yield the keys of the images that the page shows, those first whose pictures are most important."""
    for examples in (figures["most_confident_mistakes"], figures["doubtful_labels"]):
        yield from (example["key"] for example in examples)
    for i in range(4):  # one picture for every pair before there is a second one for any
        yield from (pair.examples[i]["key"] for pair in (matrix.pairs if matrix else ()) if i < len(pair.examples))
    yield from (example["key"] for example in figures["least_certain"])
    yield from (example["key"] for example in figures["failure_examples"])


def _classes(figures: Figures, record: EndedRecord) -> list[ClassRow]:
    """Return the rows of the table of classes: the classes with images, or all if they are few."""
    training = record["training"] and record["training"]["images_per_class"]
    trained_images = sum(training.values()) if training else 0
    rows: list[ClassRow] = [
        {
            **c,
            "all": c["predicted"] + c["unlabelled"],
            "trained": training.get(c["class"], 0) / trained_images if training and trained_images else None,
        }
        for c in figures["per_class"]
        if len(figures["per_class"]) <= FEW_CLASSES or c["support"] or c["predicted"] or c["unlabelled"]
    ]
    if len(rows) > SHOWN_CLASSES:
        rows.sort(key=_row_images, reverse=True)
    return rows


def _largest_share(classes: Sequence[ClassRow], scored: int) -> float:
    """Return the greatest share of a class, in this run or in training; 1 if no class has images."""
    shares = [share for c in classes for share in (c["all"] / max(1, scored), c["trained"] or 0.0)]
    return max(shares, default=0.0) or 1.0


def _row_images(row: ClassRow) -> int:
    return row["support"] + row["all"]


def _failure_images(failure: FailureCount) -> int:
    return failure["images"]


def _slices(figures: Figures) -> dict[str, SliceTable]:
    """Return the tables "inputs" and "folders"; a table with a single row is left out."""
    tables: dict[str, SliceTable] = {}
    folders = figures["folders"]
    for kind, parts, depth in (
        ("input", [(part["input"], part) for part in figures["inputs"]], None),
        ("folder", [(part["folder"], part) for part in folders["slices"]], folders["depth"]),
    ):
        if len(parts) > 1:
            intervals = [p["accuracy_interval_95"] for _, p in parts if p["accuracy_interval_95"]]
            low = math.floor(100 * min([1 - LEAST_REACH, *(interval[0] for interval in intervals)])) / 100
            rows = [_slice_row(name, part, figures) for name, part in parts]
            tables[f"{kind}s"] = {"kind": kind, "rows": rows, "low": low, "depth": depth}
    return tables


def _slice_row(name: str, part: Slice, figures: Figures) -> SliceRow:
    return {**part, "name": name, "is_below": is_below(part, figures["accuracy_interval_95"])}


def _reference(record: EndedRecord) -> Sequence[int] | None:
    training = record["training"]
    return training["confidence_histogram"] if training else None


def _command(options: RecordedOptions) -> str | None:
    """Return the command that made this run; None if it is longer than LONGEST_COMMAND."""
    words = ["nightscore", "score"]
    for pattern in options["input"]:
        words += ["--input", location_of(pattern)]
    for option in fields(ScoreOptions):
        value = options.get(option.name, option.default)
        if option.name not in ("input", "retry_failed") and value != option.default:
            text = location_of(str(value)) if option.name in ("model", "output") else str(value)
            words += [f"--{option.name}"] if value is True else [f"--{option.name}", text]
    command = shell_command(words)
    return command if len(command) <= LONGEST_COMMAND else None
