"""What report.html says of the predictions to accept: sentences, the rows of the table, and a number of the summary.

Must not know how the counts came about, or how the page looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.formatting import between, count, counted, number, percent
from pipeline.metrics.acceptance import SHOWN_CLASSES
from pipeline.metrics.review import Acceptance, Accepted, ClassThreshold, LabelErrors, ThresholdRow
from pipeline.metrics.wanted_accuracy import needed_labels, shortfall, surely
from pipeline.report.review_charts import acceptance_chart
from pipeline.report.task_part import Tile

SHOWN_SCORES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995)
"""Scores that have a row in the table of thresholds; beside that which gives the wanted accuracy."""

SHOWN_LEFT = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Without labels: shares of the images left to review, whose scores have a row in the table."""

CHANCE = "The score was chosen by these images: on other images the accuracy may be a little lower."


@dataclass(frozen=True)
class AcceptancePart:
    """What the page shows of the predictions to accept.

    Attributes:
        texts: paragraphs, the most important first.
        rows: of the table of thresholds.
        chart: of all thresholds.
        has_labels: whether labels tell how many of the accepted predictions are right.
        marked: score whose row is marked; None: no row is.
        mark: what the marked row is.
        wanted: accuracy that is wanted, as text.
        classes: rows of the table of classes; (): none has a score of its own.
        classes_text: what is said of the classes where there are no rows; "": nothing.
        are_all: whether `classes` has every class.
        tile: the number for the summary; None: there is none.
    """

    texts: Sequence[str]
    rows: Sequence[ThresholdRow]
    chart: Markup
    has_labels: bool
    marked: float | None
    mark: str
    wanted: str
    classes: Sequence[ClassThreshold]
    classes_text: str
    are_all: bool
    tile: Tile | None


def acceptance_part(
    acceptance: Acceptance, accepted: Accepted | None, errors: LabelErrors | None
) -> AcceptancePart | None:
    """Return what the page shows of the predictions to accept; None: there is no prediction.

    Args:
        acceptance: the table of thresholds.
        accepted: which predictions are accepted; None: nobody asked.
        errors: labels that look wrong, which count as mistakes; None: nobody looked.
    """
    every = acceptance["rows"][0]
    if not every["images"]:
        return None
    score = accepted["score"] if accepted else acceptance["score"]
    rows = shown_rows(acceptance, score)
    classes = acceptance["per_class"] if every["labelled"] and len(acceptance["per_class"]) > 1 else []
    have_score = any(row["score"] is not None for row in classes)
    return AcceptancePart(
        texts=list(_texts(acceptance, accepted, errors)),
        rows=rows,
        chart=acceptance_chart(acceptance, rows),
        has_labels=bool(every["labelled"]),
        marked=score if any(row["score"] == score for row in rows) else None,
        mark="accepted from here on" if accepted else f"the lowest score that gives {_share(acceptance)}",
        wanted=_share(acceptance),
        classes=classes if have_score else [],
        classes_text="" if have_score or not classes else _no_class(acceptance),
        are_all=len(classes) < SHOWN_CLASSES,
        tile=_tile(acceptance, accepted),
    )


def shown_rows(acceptance: Acceptance, score: float | None) -> list[ThresholdRow]:
    """Return the rows of the table of thresholds that a page shows: each leaves more images to review than the last.

    With labels these are round scores; without, the scores that leave round shares of the images to review.

    Args:
        acceptance: the table.
        score: has a row in any case, if the table has it.
    """
    rows = [row for row in acceptance["rows"] if row["images"]]
    if rows and not rows[0]["labelled"]:
        wanted = {min(rows, key=lambda row: abs(1 - (row["share"] or 0.0) - left))["score"] for left in SHOWN_LEFT}
    else:
        wanted = set(SHOWN_SCORES)
    shown: list[ThresholdRow] = []
    for row in (row for row in rows if row["score"] in wanted or row["score"] == score):
        if shown and shown[-1]["images"] == row["images"]:
            if row["score"] != score:
                continue
            shown.pop()
        shown.append(row)
    return shown


def _texts(acceptance: Acceptance, accepted: Accepted | None, errors: LabelErrors | None) -> list[str]:
    every = acceptance["rows"][0]
    texts = []
    if accepted and accepted["score"] is not None:
        texts.append(_accepted(acceptance, accepted))
    elif accepted:
        texts.append(f"No prediction is accepted: all {count(every['images'])} are left to review.")
    if not every["labelled"]:
        texts.append(_no_labels(acceptance))
    elif acceptance["score"] is None:
        texts.append(_not_reached(acceptance, errors))
    elif not (accepted and accepted["wanted_accuracy"]):
        texts.append(_suggestion(acceptance))
    if every["labelled"] and acceptance["score"] is not None and not (accepted and accepted["wanted_accuracy"] is None):
        texts.append(CHANCE)
    if acceptance["seen"] and every["labelled"]:
        texts.append(
            f"{counted(acceptance['seen'], 'labelled image was', 'labelled images were')} seen in training, to learn "
            "from or to choose the best epoch. That the model is right on those proves nothing, so accuracy and "
            f"mistakes are here of the {count(every['labelled'])} unseen ones alone."
        )
    return texts


def _accepted(acceptance: Acceptance, accepted: Accepted) -> str:
    """Return what is accepted, and what is left to review."""
    n, left = accepted["images"], accepted["left"]
    if not left:
        text = f"All {counted(n, 'prediction')} are accepted" if n != 1 else "The prediction is accepted"
    else:
        text = f"{count(n)} of {counted(n + left, 'prediction is', 'predictions are')} accepted "
        text += f"({percent(n / (n + left))})"
    text += f": those with a score of {number(accepted['score'])} or more." if accepted["score"] else "."
    if accepted["accuracy"] is not None:
        which = "accepted unseen image" if acceptance["seen"] else "accepted image"
        text += f" Of the {counted(accepted['labelled'], which)} with a label, {percent(accepted['accuracy'])} "
        text += "is right" if accepted["labelled"] == 1 else "are right"
        text += f" (95 % interval {between(accepted['accuracy_interval_95'])})."
    return text + _left(acceptance, left, accepted["left_mistakes"])


def _suggestion(acceptance: Acceptance) -> str:
    """Return which predictions could be accepted."""
    best = next(row for row in acceptance["rows"] if row["score"] == acceptance["score"])
    wanted = f"their accuracy is at least {_share(acceptance)}, with 95 % confidence"
    if not best["left"]:
        return f"All {counted(best['images'], 'prediction')} can be accepted: {wanted}."
    which = "the unseen ones" if acceptance["seen"] else "those"
    text = f"Predictions with a score of {number(best['score'])} or more can be accepted: {wanted}. These are "
    text += f"{count(best['images'])} of {count(best['images'] + best['left'])} ({percent(best['share'])}), and of "
    text += f"{which} with a label {percent(best['accuracy'])} are right."
    return text + _left(acceptance, best["left"], best["left_mistakes"])


def _left(acceptance: Acceptance, left: int, mistakes: int) -> str:
    """Return what is left to review."""
    if not left:
        return " Nothing is left to review."
    text = f" {counted(left, 'is', 'are')} left to review"
    every = acceptance["rows"][0]
    known = known_mistakes(every)
    return f"{text}, with {count(mistakes)} of the {counted(known, 'known mistake')}." if known else f"{text}."


def known_mistakes(every: ThresholdRow) -> int:
    """Return the number of mistakes among all labelled images, by the row that accepts all."""
    return every["labelled"] - round((every["accuracy"] or 0.0) * every["labelled"])


def _no_labels(acceptance: Acceptance) -> str:
    unseen = "unseen " if acceptance["seen"] else ""
    return (
        f"No {unseen}image has a label of the model\u2019s classes, so how many predictions are right is not known. "
        "Choose by how many images can be reviewed: the table tells from which score on the others are accepted."
    )


def _not_reached(acceptance: Acceptance, errors: LabelErrors | None) -> str:
    """Return why no score gives the wanted accuracy."""
    wanted, (n, needed, best) = _share(acceptance), shortfall(acceptance)
    if needed is not None:
        unseen = "unseen " if acceptance["seen"] else ""
        labelled = counted(n, f"{unseen}labelled image is", f"{unseen}labelled images are")
        return (
            f"{labelled} too few to show an accuracy of {wanted}: that takes at least {count(needed)}, "
            "and more if there is a mistake among them."
        )
    text = f"No score gives an accuracy of {wanted} with 95 % confidence."
    if best is not None:
        text += f" The most is {percent(surely(best))}, "
        text += f"from a score of {number(best['score'])} on." if best["score"] else "of all images."
    if errors and errors["suspects"]:
        text += f" {counted(errors['suspects'], 'label looks', 'labels look')} wrong, and may count as mistakes here."
    return text


def _no_class(acceptance: Acceptance) -> str:
    needed = needed_labels(acceptance["wanted_accuracy"])
    unseen = "unseen " if acceptance["seen"] else ""
    text = f"No class has a score of its own that gives {_share(acceptance)} with 95 % confidence."
    if needed is None:
        return text
    labelled = counted(needed, f"{unseen}labelled image that is", f"{unseen}labelled images that are")
    return f"{text} That takes at least {labelled} predicted as the class."


def _share(acceptance: Acceptance) -> str:
    return f"{100 * acceptance['wanted_accuracy']:.6g}\u00a0%"


def _tile(acceptance: Acceptance, accepted: Accepted | None) -> Tile | None:
    if accepted:
        n = accepted["images"]
        text = f"{counted(n, 'image')}, {_scores(accepted['score'] or 0.0)}"
        if accepted["score"] is None:
            text = f"no score is known to give {_share(acceptance)}"
        return Tile("Accepted", percent(n / (n + accepted["left"])), text)
    if acceptance["score"] is None:
        return None
    best = next(row for row in acceptance["rows"] if row["score"] == acceptance["score"])
    return Tile("Can be accepted", percent(best["share"]), f"at {_share(acceptance)} right: {_scores(best['score'])}")


def _scores(lowest: float) -> str:
    return f"score {number(lowest)} or more" if lowest else "whatever the score"
