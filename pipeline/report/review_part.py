"""What report.html shows of a review: what to accept, curves, labels that look wrong, and copies.

Prepares what the templates draw. Must not know how the review came about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from pipeline.formatting import between, count, counted, number, percent
from pipeline.metrics.review import Acceptance, Accepted, LabelErrors, Review, ThresholdRow, Unseen
from pipeline.report.headline import Headline
from pipeline.report.highlights import Pointer, Rule, doubtful_labels
from pipeline.report.review_charts import acceptance_chart, curve_chart
from pipeline.report.task_part import Tile

SHOWN_SCORES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995)
"""Scores that have a row in the table of thresholds; beside that which gives the wanted accuracy."""

SHOWN_CURVES = 6
"""Number of classes whose curves are drawn, those with the smallest area."""

TRUST = {
    "good": "The model was not trained on these images, as far as exact copies tell, so the estimate means something.",
    "training unknown": "It is not known which images the model was trained on. If these are among them, the model may "
    "know wrong labels by heart, and the estimate is too low. nightscore train and nightscore import-model "
    "--trained_on keep what a model was trained on.",
    "trained on these": "Many of the labelled images are exact copies of images that the model was trained on. They "
    "are left out; look at the estimate with care, as nearly the same images may be left.",
    "too few": "There are too few labelled images for an estimate.",
    "too many": "So many labels look wrong that it is more likely the model that is wrong: do not trust the estimate.",
}
"""Whether to trust an estimate, as review.json says it -> in words."""


Section = tuple[str, str, bool]
"""Name and title of a section, and whether it has something to say."""


ODD: Mapping[str, str] = {
    "dark": "dark",
    "light": "light",
    "blank": "of one color",
    "low_information": "of little information",
    "odd_aspect": "of an odd shape: one side less than 0.35 of the other",
    "odd_size": "of an odd size: more than 10 times larger or smaller than usual, by the side",
}
"""Kind of odd images, as review.json has it -> in words."""


@dataclass(frozen=True)
class ReviewPart:
    """What the page shows of a review.

    Attributes:
        first: sections before those of the task: (name, title, whether it has something to say).
        last: sections after them.
        keys: keys of the images that these sections show, the most important first.
        pointers: what stands out.
        content: variables of the templates.
        suspects: number of labels that look wrong; None: that was not measured.
    """

    first: Sequence[Section] = ()
    last: Sequence[Section] = ()
    keys: Sequence[str] = ()
    pointers: Sequence[Pointer] = ()
    content: Mapping[str, object] = field(default_factory=dict)
    suspects: int | None = None

    def without_twins(self, rules: Sequence[Rule]) -> list[Rule]:
        """Return the rules of the task without the one that says of labels what the review says better."""
        return [rule for rule in rules if self.suspects is None or rule is not doubtful_labels]

    def with_suspects(self, sections: Sequence[Section]) -> list[Section]:
        """Return the sections of the task; that of labels which look wrong is there if the review found some."""
        found = {"doubtful"} if self.suspects else set()
        return [(name, title, is_there or name in found) for name, title, is_there in sections]


def review_part(review: Review | None) -> ReviewPart:
    """Return what the page shows of a review; None: nobody looked at all rows."""
    review = review or cast(Review, {})
    acceptance, copies = review.get("acceptance"), review.get("duplicates")
    errors, found, near = review.get("label_errors"), review.get("curves"), review.get("near_duplicates")
    odd = [kind for kind in review.get("odd", ()) if kind["images"]]
    rows = _shown_rows(acceptance) if acceptance else []
    worst = found["classes"][:SHOWN_CURVES] if found else []
    return ReviewPart(
        first=[("accept", "What to accept", bool(rows))],
        last=[
            ("curves", "Precision and recall", bool(found and found["classes"])),
            ("copies", "Images that are there more than once", bool(copies and copies["groups"])),
            ("alike", "Images that look alike", bool(near and near["groups"])),
            ("odd", "Odd images", bool(odd)),
        ],
        keys=list(_keys(review)),
        pointers=list(_pointers(review)),
        content={
            "review": review,
            "acceptance_rows": rows,
            "acceptance_chart": acceptance_chart(acceptance, rows) if acceptance and rows else None,
            "odd": [(ODD[kind["kind"]], kind) for kind in odd],
            "curve_charts": [(curve["class"], curve_chart(curve)) for curve in worst],
            "label_errors_text": _errors_text(errors) if errors else "",
            "label_errors_trust": TRUST[errors["trust"]] if errors else "",
        },
        suspects=errors["suspects"] if errors else None,
    )


def unseen_tile(unseen: Unseen, headline: Headline) -> Tile | None:
    """Return the number that a page leads with, if images are known of which the training had no exact copy."""
    if unseen["headline"] is None or not unseen["seen"]:
        return None
    title = f"{headline.word.capitalize()} where training had no exact copy"
    interval = headline.between(unseen["headline_interval_95"])
    return Tile(title, headline.text(unseen["headline"]), f"95 % interval {interval}")


def unseen_text(unseen: Unseen, headline: Headline) -> str:
    """Return what a page says of images that the training had, and of the others.

    >>> print(unseen_text({"seen": 0, "images": 9, "labelled": 9, "headline": 1.0}, Headline("classes")))
    The model's training had an exact copy of none of these images.
    """
    if not unseen["seen"]:
        return "The model's training had an exact copy of none of these images."
    text = f"The model's training had exact copies of {counted(unseen['seen'], 'of these images', 'of these images')}"
    if unseen["headline"] is None:
        return f"{text}."
    seen = f"; on those the {headline.word} is {headline.text(unseen['seen_headline'])}"
    rest = f", on the {count(unseen['labelled'])} others with a label {headline.text(unseen['headline'])}"
    return f"{text}{seen if unseen['seen_labelled'] else ''}{rest}. Images that are nearly the same are not found."


def _shown_rows(acceptance: Acceptance) -> list[ThresholdRow]:
    """Return the rows of the table of thresholds: some round scores, and the one that gives the wanted accuracy."""
    wanted = {*SHOWN_SCORES, acceptance["score"]}
    rows = [row for row in acceptance["rows"] if row["score"] in wanted]
    shown = [row for i, row in enumerate(rows) if not i or row["images"] or rows[i - 1]["images"]]
    return shown if shown and shown[0]["images"] else []


def _errors_text(errors: LabelErrors) -> str:
    """Return how many labels look wrong."""
    suspects = counted(errors["suspects"], "label looks wrong", "labels look wrong")
    looked = f"Of {counted(errors['labelled'], 'labelled image')} that were looked at, {suspects}"
    if errors["seen"]:
        looked += f"; {count(errors['seen'])} more were left out, as the model was trained on them"
    if errors["estimate"] is None:
        return f"{looked}."
    low, high = errors["estimate_interval_95"] or (0.0, 0.0)
    guess = f"{count(round(errors['estimate']))} are wrong in all ({count(round(low))} to {count(round(high))}"
    return f"{looked}. Estimated, {guess} by the sampling alone)."


def accepted_text(accepted: Accepted) -> str:
    """Return what is accepted, as a sentence."""
    left = f"{count(accepted['left'])} are left to review"
    if accepted["left_mistakes"]:
        left += f", {count(accepted['left_mistakes'])} mistakes among them"
    if accepted["score"] is None:
        wanted = percent(accepted["wanted_accuracy"])
        return f"No prediction is accepted: from no score on is the accuracy surely {wanted}; {left}."
    text = f"{counted(accepted['images'], 'prediction is', 'predictions are')} accepted, with a score of "
    text += f"{number(accepted['score'])} or more"
    if accepted["accuracy"] is not None:
        text += f"; {percent(accepted['accuracy'])} of the labelled ones are right "
        text += f"({between(accepted['accuracy_interval_95'])})"
    return f"{text}; {left}."


def _keys(review: Review) -> Iterator[str]:
    errors = review.get("label_errors")
    yield from (one["key"] for one in (errors["first"] if errors else ()))
    for copies in (review.get("duplicates"), review.get("near_duplicates")):
        for group in copies["first"] if copies else ():
            yield from (one["key"] for one in group["first"])
    yield from (key for kind in review.get("odd", ()) for key in kind["examples"])


def _pointers(review: Review) -> Iterator[Pointer]:
    errors, copies = review.get("label_errors"), review.get("duplicates")
    if errors and errors["suspects"] and errors["trust"] != "too many":
        estimate = errors["estimate"]
        guess = f"; estimated, {count(round(estimate))} are" if estimate is not None else ""
        yield Pointer(f"{counted(errors['suspects'], 'label looks', 'labels look')} wrong{guess}", "doubtful")
    if copies and copies["conflicts"]:
        verb = "is" if copies["conflicts"] == 1 else "are"
        text = f"{counted(copies['conflicts'], 'image')} {verb} there more than once with different labels"
        yield Pointer(text, "copies")
    for words, kind in ((ODD[kind["kind"]], kind) for kind in review.get("odd", ())):
        if kind["images"] and not kind["is_usual"]:
            verb = "is" if kind["images"] == 1 else "are"
            yield Pointer(f"{counted(kind['images'], 'image')} {verb} {words.partition(':')[0]}", "odd")
