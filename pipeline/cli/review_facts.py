"""What a run says of its review: how good it is on unseen images, what is accepted, what to look at. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.cli.one_screen import WIDTH, Fact, columns
from pipeline.cli.task_facts import quality
from pipeline.formatting import counted, percent
from pipeline.metrics.headline import HEADLINES, WORDS
from pipeline.metrics.record import EndedRecord
from pipeline.metrics.review import Acceptance, Accepted, Review, Unseen
from pipeline.metrics.wanted_accuracy import shortfall, surely
from pipeline.task import Task
from pipeline.text import shell_path

ALMOST = 0.9999
"""What is not all right never reads 1.0000."""

COUNT_LABELS = ("worst", "confused", "all labels", "errors")
"""Names of facts that say how often a prediction is right, or how far it is off."""


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


def also_seen(found: Unseen | None, others: Sequence[Fact]) -> Iterator[Fact]:
    """Yield how many of the labelled images were seen in training, and which facts count these, too.

    Args:
        found: the images of which the training had no exact copy, and the others; None: that is not known.
        others: what else is said of the figures.
    """
    if found is None or not found["seen_labelled"]:
        return
    names = [name for name in dict.fromkeys(name for name, _ in others) if name in COUNT_LABELS]
    text = f"{found['seen_labelled']:,} of them seen in training"
    if names:
        verb = "count" if len(names) > 1 or names[0].endswith("s") else "counts"
        text += f"; {' and '.join(names)} {verb} these, too"
    yield "", text


def accepted(record: EndedRecord, review: Review) -> Iterator[Fact]:
    """Yield how many predictions are accepted, and how many are left to review.

    Args:
        record: of the run.
        review: of its rows; empty: it is not known.
    """
    found = record.get("accepted")
    if found is None:
        if record.get("decisions_removed"):
            yield "accepted", "not asked for: decisions/ of an earlier run is removed"
        return
    all_of_them = found["images"] + found["left"]
    unseen_only = bool(record.get("unseen", {}).get("seen"))
    if found["score"] is None:
        why = _why_none(review["acceptance"]) if "acceptance" in review else ""
        yield "accepted", f"none{why and ': '}{why}"
    else:
        text = f"{_with_share(found['images'], all_of_them)} from score {found['score']:g} on"
        yield "accepted", text + _right(found, unseen_only)
    among = "the unseen ones" if unseen_only else "them"
    mistakes = f", {counted(found['left_mistakes'], 'mistake')} among {among}" if found["left_mistakes"] else ""
    yield "to review", _with_share(found["left"], all_of_them) + mistakes


def _why_none(acceptance: Acceptance) -> str:
    """Return why no score gives the wanted accuracy."""
    labelled, needed, best = shortfall(acceptance)
    share, unseen_ = f"{100 * acceptance['wanted_accuracy']:.6g} %", "unseen " if acceptance["seen"] else ""
    if best is None:
        return f"no {unseen_}image has a label of the model's classes"
    if needed is not None:
        verb = "is" if labelled == 1 else "are"
        return f"{share} takes {needed:,} {unseen_}labels or more, there {verb} {labelled:,}"
    most = percent(surely(best)).replace("\xa0", " ")
    where = f"from {best['score']:g} on" if best["score"] else "of all images"
    return f"no score surely gives {share}, the most is {most}, {where}"


def _right(found: Accepted, unseen_only: bool) -> str:
    """Return how many of those that are accepted are right, by their labels."""
    share, which = found["accuracy"], "unseen" if unseen_only else "labelled"
    if share is None:
        return ""
    return f", {share if share in (0, 1) else min(share, ALMOST):.4f} of {found['labelled']:,} {which} right"


def _with_share(n: int, of: int) -> str:
    return f"{n:,} ({percent(n / of, 0)})".replace("\xa0", " ") if of else f"{n:,}"


def to_look_at(review: Review, output: str) -> Iterator[Fact]:
    """Yield what to look at: labels that look wrong, and copies whose labels contradict each other.

    Args:
        review: of the rows.
        output: the folder with the lists of them, as a person named it.
    """
    yield from _labels(review, output)
    copies = review.get("duplicates")
    if copies is not None and copies["conflict_images"]:
        text = f"{copies['conflict_images']:,} images have copies with other labels"
        yield "copies", _with_list(text, output, "duplicates.csv")


def _with_list(text: str, output: str, name: str) -> str:
    """Return a text with the path of the file that lists the images; if that is too long, OUTPUT stands for the folder.

    >>> _with_list("12 labels look wrong", "night", "label_errors.csv")
    '12 labels look wrong (night/label_errors.csv)'
    """
    in_full = f"{text} ({shell_path(f'{output}/{name}')})"
    return in_full if columns(in_full) <= WIDTH else f"{text} (OUTPUT/{name})"


def _labels(review: Review, output: str) -> Iterator[Fact]:
    """Yield how many labels look wrong, and how many were not checked, as the training had their images."""
    found, of_training = review.get("label_errors"), review.get("unseen")
    if found is None:
        if of_training and of_training["seen_labelled"] and "acceptance" in review:
            yield "labels", f"none checked: all {of_training['seen_labelled']:,} labelled images were seen in training"
        return
    n, seen = found["suspects"], found["seen"] or 0
    unseen_ = "unseen " if seen else ""
    if not n and not seen:
        return
    text = f"{n:,}" if n else "none"
    text += f" of {counted(found['labelled'], f'{unseen_}label')} {'look' if n > 1 else 'looks'} wrong"
    unchecked = f"{seen:,} seen in training not checked" if seen else ""
    text = _with_list(text, output, "label_errors.csv") if n else text
    if unchecked and columns(f"{text}; {unchecked}") <= WIDTH:
        text, unchecked = f"{text}; {unchecked}", ""
    yield "labels", text
    if n and found.get("trust") == "too many":
        yield "", "so many that it is more likely the model that is wrong"
    if unchecked:
        yield "", unchecked
