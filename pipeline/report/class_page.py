"""This module prepares what report.html shows of a model of classes alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.formatting import between, counted, decimals, percent
from pipeline.metrics.figures import Candidate, Example, Figures, PerClass
from pipeline.metrics.record import EndedRecord
from pipeline.report import charts
from pipeline.report.confusion import Confusion, confusion
from pipeline.report.highlights import CLASSES
from pipeline.report.task_part import TaskPart, Tile

SHOWN_CLASSES = 1_000
"""Number of rows of the table of classes; if there are more classes, those with the most images have a row."""

FEW_CLASSES = 30
"""Number of classes up to which classes without images have a row as well."""


class ClassRow(PerClass):
    """A row of the table of classes: all images of the class, and its share of the training images."""

    all: int
    trained: float | None


def class_part(figures: Figures, record: EndedRecord, cells: Sequence[Candidate]) -> TaskPart:
    """Return what the page shows of a model of classes.

    Args:
        figures: the content of summary.json.
        record: the content of run.json.
        cells: mistakes of each cell of the confusion matrix; (): those of summary.json are shown.
    """
    names = [c["class"] for c in figures["per_class"]]
    confused = [_named_example(one, names) for one in cells] or figures["confused"]
    matrix = confusion(figures["confusion_matrix"], confused, names) if figures["labelled"] else None
    classes = _classes(figures, record)
    labelled = bool(figures["labelled"])
    return TaskPart(
        sections=(
            ("confusion", "Confusion matrix", labelled),
            ("classes", "Classes", bool(figures["scored"] or figures["unknown_labels"])),
            ("scores", "Calibration and scores" if labelled else "Scores", bool(figures["scored"])),
            ("mistakes", "Most confident mistakes", bool(figures["most_confident_mistakes"])),
            ("doubtful", "Labels that look wrong", False),
            ("uncertain", "Least certain images", bool(figures["least_certain"])),
        ),
        rules=CLASSES,
        keys=list(_by_priority(figures, matrix)),
        tile=_tile(figures),
        sentence=_sentence(figures),
        content={
            "names": names,
            "confusion": matrix,
            "classes": classes,
            "mistakes": figures["labelled"] - round(figures["labelled"] * (figures["accuracy"] or 0.0)),
            "named": list(_named(figures)),
            "largest": _largest_share(classes, figures["scored"]),
            "reliability": charts.reliability(figures["calibration"]),
            "histogram": charts.histogram(figures["confidence_histogram"], _reference(record)),
            "shown_classes": SHOWN_CLASSES,
        },
    )


def _tile(figures: Figures) -> Tile | None:
    """Return the number that says best how good the result is."""
    if figures["accuracy"] is not None:
        interval = between(figures["accuracy_interval_95"])
        return Tile("Accuracy", percent(figures["accuracy"]), f"95 % interval {interval}")
    if figures["scored"]:
        sure = percent(figures["confidence_histogram"][-1] / figures["scored"], 1)
        return Tile("Scored with 95 % or more", sure, "of the images; none has a label to check it by")
    return None


def _sentence(figures: Figures) -> str:
    """Return what the summary says of how good the result is."""
    if figures["accuracy"] is None:
        text = "No image has a label that is a class of the model, so there is no accuracy."
        return text if figures["scored"] else ""
    n, accuracy = figures["labelled"], percent(figures["accuracy"])
    low, high = figures["accuracy_interval_95"] or (0.0, 1.0)
    return (
        f"Of the {counted(n, 'labelled image')}, {accuracy} {'is' if n == 1 else 'are'} predicted as "
        f"labelled; with 95 % confidence the accuracy on such images lies between {percent(low)} and {percent(high)}."
    )


def _named(figures: Figures) -> Iterator[tuple[str, str]]:
    """Yield name and text of the figures that people look for by name; of an earlier version, those that are there."""
    shares = {"macro_f1": "Macro F1", "weighted_f1": "Weighted F1", "balanced_accuracy": "Balanced accuracy"}
    yield from ((name, percent(figures[key])) for key, name in shares.items() if key in figures)  # type: ignore[literal-required]
    correlations = {"cohen_kappa": "Cohen\u2019s kappa", "mcc": "MCC"}
    yield from ((name, decimals(figures[key])) for key, name in correlations.items() if key in figures)  # type: ignore[literal-required]
    yield f"Top-{figures['top_k']} accuracy", percent(figures["top_k_accuracy"])
    yield "Mean log loss", decimals(figures["log_loss"])


def _by_priority(figures: Figures, matrix: Confusion[Example] | None) -> Iterator[str]:
    """Yield the keys of the images that the page shows, those first whose pictures are most important."""
    yield from (example["key"] for example in figures["most_confident_mistakes"])
    longest = max((len(pair.examples) for pair in matrix.pairs), default=0) if matrix else 0
    for i in range(longest):  # one picture for every pair before there is a second one for any
        yield from (pair.examples[i]["key"] for pair in (matrix.pairs if matrix else ()) if i < len(pair.examples))
    yield from (example["key"] for example in figures["least_certain"])


def _named_example(one: Candidate, names: Sequence[str]) -> Example:
    """Return a mistake with the names of its classes."""
    label = one["label"]
    assert label is not None
    return {**one, "label_name": names[label], "predicted_name": names[one["predicted"]]}


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


def _reference(record: EndedRecord) -> Sequence[int] | None:
    training = record["training"]
    return training["confidence_histogram"] if training else None
