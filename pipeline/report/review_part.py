"""What report.html shows of a review: what to accept, curves, labels that look wrong, and copies.

Prepares what the templates draw. Must not know how the review came about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from pipeline.formatting import count, counted
from pipeline.metrics.review import CopyGroup, Duplicates, Review, Unseen
from pipeline.report.acceptance_part import acceptance_part
from pipeline.report.headline import Headline
from pipeline.report.highlights import Pointer
from pipeline.report.label_errors_text import errors_guess, errors_text, errors_trust, not_checked
from pipeline.report.review_charts import curve_chart
from pipeline.report.task_part import Tile

SHOWN_CURVES = 6
"""Number of classes whose curves are drawn, those with the smallest area."""

SHOWN_GROUPS = 6
"""Number of groups of images with the same label, or with none, that are shown, at most."""

MANY_COPIES = 0.05
"""Share of the images that must be copies of others, so that they stand out."""

Section = tuple[str, str, bool]
"""Name and title of a section, and whether it has something to say."""


FAR_EMBEDDINGS = 0.5
"""Distance of the embeddings from those of the night before, as a share of their spread, beyond which it stands out."""

ODD: Mapping[str, str] = {
    "dark": "dark",
    "light": "light",
    "blank": "of one color",
    "low_information": "of little detail (low entropy)",
    "odd_aspect": "of an odd shape: one side less than 0.35 of the other",
    "odd_size": "of an odd size: more than 10 times as large as usual, or less than a tenth, by the side",
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
        has_label_errors: whether something is to be said of labels that look wrong.
        tile: what the summary says of the predictions to accept; None: nothing.
    """

    first: Sequence[Section] = ()
    last: Sequence[Section] = ()
    keys: Sequence[str] = ()
    pointers: Sequence[Pointer] = ()
    content: Mapping[str, object] = field(default_factory=dict)
    has_label_errors: bool = False
    tile: Tile | None = None

    def with_label_errors(self, sections: Sequence[Section]) -> list[Section]:
        """Return the sections of the task, that of labels which look wrong among them."""
        own = {"doubtful"} if self.has_label_errors else set()
        return [(name, title, is_there or name in own) for name, title, is_there in sections]


def review_part(review: Review | None) -> ReviewPart:
    """Return what the page shows of a review; None: nobody looked at all rows."""
    review = review or cast(Review, {})
    acceptance, copies = review.get("acceptance"), review.get("duplicates")
    errors, found, near = review.get("label_errors"), review.get("curves"), review.get("near_duplicates")
    odd = [kind for kind in review.get("odd", ()) if kind["images"]]
    accept = acceptance_part(acceptance, review.get("accepted"), errors) if acceptance else None
    worst = found["classes"][:SHOWN_CURVES] if found else []
    embeddings, labels_text = review.get("embeddings"), _labels_text(review)
    return ReviewPart(
        first=[("accept", "What to accept", accept is not None)],
        last=[
            ("curves", "Precision and recall", bool(found and found["classes"])),
            ("copies", "Images that are there more than once", bool(copies and copies["groups"])),
            ("alike", "Images that look alike", bool(near and near["groups"])),
            ("odd", "Odd images", bool(odd)),
            ("unlike", "Images unlike the others", bool(embeddings and embeddings["unlike"])),
        ],
        keys=list(_keys(review)),
        pointers=list(_pointers(review)),
        content={
            "review": review,
            "accept": accept,
            "copies": _shown_groups(copies) if copies else [],
            "alike": _shown_groups(near) if near else [],
            "embeddings": embeddings,
            "odd": [(ODD[kind["kind"]], kind) for kind in odd],
            "curve_charts": [(curve["class"], curve_chart(curve)) for curve in worst],
            "label_errors_text": labels_text,
            "label_errors_trust": errors_trust(errors) if errors else "",
        },
        has_label_errors=bool(labels_text),
        tile=accept.tile if accept else None,
    )


def _labels_text(review: Review) -> str:
    """Return how many labels look wrong, or that none was checked; "": nobody looked."""
    errors, unseen = review.get("label_errors"), review.get("unseen")
    if errors:
        return errors_text(errors)
    return not_checked(unseen["seen_labelled"]) if "acceptance" in review and unseen and unseen["seen_labelled"] else ""


def unseen_tile(unseen: Unseen, headline: Headline) -> Tile | None:
    """Return the number that a page leads with, if images are known of which the training had no exact copy."""
    if unseen["headline"] is None or not unseen["seen"]:
        return None
    interval = headline.between(unseen["headline_interval_95"])
    return Tile(
        f"{headline.word.capitalize()} on unseen images",
        headline.text(unseen["headline"]),
        f"those with no exact copy in training; 95 % interval {interval}",
    )


def counted_too(unseen: Unseen | None) -> str:
    """Return that figures count images that were seen in training, too; "": they do not, or nobody knows.

    >>> print(counted_too({"seen_labelled": 1, "labelled": 9}))
    1 of the 10 labelled images was seen in training. It counts here, too, so the model may look better than it is.
    """
    if not unseen or not unseen["seen_labelled"]:
        return ""
    seen, every = unseen["seen_labelled"], unseen["seen_labelled"] + unseen["labelled"]
    if seen == every:
        text = "All labelled images were seen in training"
        return f"{text}, so this does not tell how good the model is on others."
    text = f"{count(seen)} of the {count(every)} labelled images {'was' if seen == 1 else 'were'} seen in training."
    return f"{text} {'It counts' if seen == 1 else 'They count'} here, too, so the model may look better than it is."


def unseen_text(unseen: Unseen, headline: Headline) -> str:
    """Return what a page says of images that the training had, and of the others.

    >>> print(unseen_text({"seen": 0, "images": 9, "labelled": 9, "headline": 1.0}, Headline("classes")))
    The model's training had an exact copy of none of these images.
    """
    if not unseen["seen"]:
        return "The model's training had an exact copy of none of these images."
    text = f"The model's training had exact copies of {count(unseen['seen'])} of these images"
    if not unseen["seen_labelled"]:
        return f"{text}; none of them has a label."
    text += f". On those the {headline.word} is {headline.text(unseen['seen_headline'])}, which proves nothing."
    if unseen["headline"] is None:
        return f"{text} No other image has a label, so the {headline.word} on new images is not known."
    return (
        f"{text} On the {counted(unseen['labelled'], 'other labelled image')} it is "
        f"{headline.text(unseen['headline'])}: believe this figure, though some of them may be nearly the same as "
        "images of the training."
    )


def _shown_groups(copies: Duplicates) -> list[CopyGroup]:
    """Return the groups that are shown: those whose labels differ, and a few others."""
    conflicts = [group for group in copies["first"] if group["is_conflict"]]
    return [*conflicts, *[group for group in copies["first"] if not group["is_conflict"]][:SHOWN_GROUPS]]


def _keys(review: Review) -> Iterator[str]:
    errors = review.get("label_errors")
    yield from (one["key"] for one in (errors["first"] if errors else ()))
    for copies in (review.get("duplicates"), review.get("near_duplicates")):
        for group in _shown_groups(copies) if copies else ():
            yield from (one["key"] for one in group["first"])
    yield from (key for kind in review.get("odd", ()) for key in kind["examples"])
    embeddings = review.get("embeddings")
    yield from embeddings["unlike"] if embeddings else ()


def _pointers(review: Review) -> Iterator[Pointer]:
    errors, copies = review.get("label_errors"), review.get("duplicates")
    if errors and errors["suspects"]:
        yield Pointer(
            f"{counted(errors['suspects'], 'label looks', 'labels look')} wrong{errors_guess(errors)}", "doubtful"
        )
    if copies and copies["conflicts"]:
        verb = "is" if copies["conflicts"] == 1 else "are"
        text = f"{counted(copies['conflicts'], 'image')} {verb} there more than once with different labels"
        yield Pointer(text, "copies")
    extra = copies["images"] - copies["groups"] if copies else 0
    if copies and extra > MANY_COPIES * copies["hashed"]:
        text = f"{count(extra)} of {count(copies['hashed'])} images are copies of other ones, and each copy counts"
        yield Pointer(f"{text} in the figures", "copies")
    embeddings = review.get("embeddings")
    if embeddings and (embeddings["from_before"] or 0.0) > FAR_EMBEDDINGS:
        yield Pointer("The embeddings lie elsewhere than in the run before", "unlike")
    for words, kind in ((ODD[kind["kind"]], kind) for kind in review.get("odd", ())):
        if kind["images"] and not kind["is_usual"]:
            verb = "is" if kind["images"] == 1 else "are"
            yield Pointer(f"{counted(kind['images'], 'image')} {verb} {words.partition(':')[0]}", "odd")
