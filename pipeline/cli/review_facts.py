"""What a run says of its review: how good it is on unseen images, what is accepted, what to look at. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.cli.one_screen import Fact
from pipeline.cli.task_facts import quality
from pipeline.formatting import counted, percent
from pipeline.metrics.headline import HEADLINES, WORDS
from pipeline.metrics.record import EndedRecord
from pipeline.metrics.review import Accepted, Review, Unseen
from pipeline.task import Task

ALMOST = 0.9999
"""What is not all right never reads 1.0000."""


def unseen(found: Unseen | None, task: Task) -> Iterator[Fact]:
    """Yield how good the result is where the model's training had no exact copy of an image."""
    if found is None or not found["seen"]:
        return
    if not found["images"]:
        yield "unseen", "none: training had an exact copy of every image"
        return
    if found["headline"] is None:
        yield "unseen", f"{counted(found['images'], 'image')} with no exact copy in training, none labelled"
        return
    _, text = quality(task, found["headline"], found["headline_interval_95"], found["labelled"])
    figure, _, _ = text.rpartition(" of ")
    yield "unseen", f"{WORDS[HEADLINES[task]]} {figure}"
    yield "", f"of {counted(found['labelled'], 'labelled image')} with no exact copy in training"


def accepted(record: EndedRecord) -> Iterator[Fact]:
    """Yield how many predictions are accepted, and how many are left to review."""
    found = record.get("accepted")
    if found is None:
        return
    all_of_them = found["images"] + found["left"]
    if found["score"] is None:
        yield "accepted", "none"
    else:
        text = f"{_with_share(found['images'], all_of_them)} from score {found['score']:g} on"
        yield "accepted", text + _right(found)
    among = "the unseen ones" if record.get("unseen", {}).get("seen") else "them"
    mistakes = f", {counted(found['left_mistakes'], 'mistake')} among {among}" if found["left_mistakes"] else ""
    yield "to review", _with_share(found["left"], all_of_them) + mistakes


def _right(found: Accepted) -> str:
    """Return how many of those that are accepted are right, by their labels."""
    share = found["accuracy"]
    if share is None:
        return ""
    return f", {share if share in (0, 1) else min(share, ALMOST):.4f} of {found['labelled']:,} labelled right"


def _with_share(n: int, of: int) -> str:
    return f"{n:,} ({percent(n / of, 0)})".replace("\xa0", " ") if of else f"{n:,}"


def to_look_at(review: Review) -> Iterator[Fact]:
    """Yield what to look at: labels that look wrong, and copies whose labels contradict each other."""
    labels = review.get("label_errors")
    if labels is not None and labels["suspects"]:
        yield "labels", f"{labels['suspects']:,} look wrong (label_errors.csv)"
    copies = review.get("duplicates")
    if copies is not None and copies["conflict_images"]:
        yield "copies", f"{copies['conflict_images']:,} images have copies with other labels (duplicates.csv)"
