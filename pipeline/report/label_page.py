"""This module prepares what report.html shows of a model of labels alone."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.formatting import between, counted, percent
from pipeline.metrics.record import EndedRecord
from pipeline.metrics.task_figures import LabelFigures, PerLabel
from pipeline.report import charts, number_charts
from pipeline.report.class_page import FEW_CLASSES, SHOWN_CLASSES
from pipeline.report.headline import Headline
from pipeline.report.highlights import (
    FAR_LOWER,
    Pointer,
    and_more,
    far_from_others,
    quote,
    unknown_labels,
    upper_recall,
    weak_slices,
    worse_than_before,
)
from pipeline.report.task_part import TaskPart, Tile

MANY_EMPTY = 0.5
"""Share of the scored images without any predicted label above which they stand out."""

HEADLINE = Headline("labels")


def label_part(figures: LabelFigures, record: EndedRecord) -> TaskPart:
    """Return what the page shows of a model of labels."""
    training = record["training"]
    return TaskPart(
        sections=(
            ("labels", "Labels", bool(figures["scored"] or figures["unknown_labels"])),
            ("certainty", "Scores and number of labels", bool(figures["scored"])),
            ("mistaken", "Most mistaken images", bool(figures["most_mistaken"])),
            ("undecided", "Least certain images", bool(figures["least_certain"])),
        ),
        rules=(worse_than_before, _weak_labels, weak_slices, far_from_others, _empty, _unknown),
        keys=[example["key"] for name in ("most_mistaken", "least_certain") for example in figures[name]],
        tile=_tile(figures),
        sentence=_sentence(figures),
        content={
            "classes": _rows(figures),
            "histogram": charts.histogram(
                figures["confidence_histogram"], training["confidence_histogram"] if training else None
            ),
            "numbers": number_charts.counts(figures["names_histogram"], "predicted labels"),
            "shown_classes": SHOWN_CLASSES,
        },
    )


def _rows(figures: LabelFigures) -> list[PerLabel]:
    """Return the rows of the table of labels: the classes with images, or all if they are few."""
    every = figures["per_class"]
    rows = [c for c in every if len(every) <= FEW_CLASSES or c["support"] or c["predicted"] or c["unlabelled"]]
    return sorted(rows, key=_images, reverse=True) if len(rows) > SHOWN_CLASSES else rows


def _images(row: PerLabel) -> int:
    return row["support"] + row["predicted"] + row["unlabelled"]


def _tile(figures: LabelFigures) -> Tile | None:
    if figures["exact_match"] is None:
        return None
    interval = between(figures["exact_match_interval_95"])
    return Tile("Exact match", percent(figures["exact_match"]), f"of the labelled images; 95 % interval {interval}")


def _sentence(figures: LabelFigures) -> str:
    """Return what the summary says of how good the result is."""
    if figures["exact_match"] is None:
        return "No image has labels that are classes of the model." if figures["scored"] else ""
    micro, macro = figures["micro"], figures["macro"]
    return (
        f"Of the {counted(figures['labelled'], 'labelled image')}, {percent(figures['exact_match'])} got exactly their "
        f"labels. Over all labels, precision is {percent(micro['precision'])}, recall {percent(micro['recall'])} and "
        f"F1 {percent(micro['f1'])}; the mean F1 of the classes is {percent(macro['f1'])}."
    )


def _weak_labels(figures: LabelFigures, _: EndedRecord) -> Iterator[Pointer]:
    overall = figures["micro"]["recall"]
    if overall is None:
        return
    low = [c for c in figures["per_class"] if c["support"] and upper_recall(c) < overall - FAR_LOWER]
    if low:
        worst = min(low, key=_recall)
        text = f"Label {quote(worst['class'])} is found in only {percent(worst['recall'])} of the images that have it"
        text += f", of all labels {percent(overall)} are"
        yield Pointer(text + and_more(len(low) - 1, "label", "labels"), "labels")


def _recall(figures: PerLabel) -> float:
    return figures["recall"] or 0.0


def _empty(figures: LabelFigures, _: EndedRecord) -> Iterator[Pointer]:
    empty = figures["names_histogram"][0] if figures["names_histogram"] else 0
    if empty > MANY_EMPTY * figures["scored"]:
        text = f"{percent(empty / figures['scored'])} of the images got no label: the thresholds may be too high"
        yield Pointer(text, "certainty")


def _unknown(figures: LabelFigures, record: EndedRecord) -> Iterator[Pointer]:
    for pointer in unknown_labels(figures, record):
        yield Pointer(pointer.text, "labels")
