"""The review: what a person decides in the morning, from a look at all rows after the last one is committed.

It reads the parts of a result, a few at once, and keeps sums and a few bytes an image: hashes, and which rows stand
out. A second look finds labels that look wrong, by what the first one has summed. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from pipeline.metrics import acceptance, curves, odd_images
from pipeline.metrics.duplicates import Hashed
from pipeline.metrics.headline import headline_in
from pipeline.metrics.review import Review, Unseen
from pipeline.output.review_copies import HashedImages, distance_for
from pipeline.output.review_embedding import look_at_embeddings
from pipeline.output.review_lists import Lists, list_copies, list_suspects
from pipeline.output.review_look import Known, Look, columns_of, first_look, merge_in_groups
from pipeline.output.run import Run
from pipeline.output.stored_rows import look_ahead, rows_of


@dataclass(frozen=True)
class Reviewed:
    """A review, and the files that lie beside it.

    Attributes:
        review: the content of review.json.
        files: name in OUTPUT -> content of a file.
    """

    review: Review
    files: dict[str, bytes] = field(default_factory=dict)


def review_of(run: Run, units: Sequence[str], known: Known | None, before: Review | None = None) -> Reviewed:
    """Return the review of a result.

    Args:
        run: whose result it is.
        units: ids of its units, in the plan's order; each is committed.
        known: tells which pixels the model's training had; None: nobody knows.
        before: the review that lies in OUTPUT, of the night before; None: there is none.

    Raises:
        ChangedError: a part is gone.
        DamagedPartError: a part is not as it was written.
    """
    hashes: list[Hashed] = []
    look = merge_in_groups(_looks(run, units, known, hashes), Look.merge_all)
    review: Review = {"model": run.spec.model_id}
    if run.spec.task == "classes":
        review.update(_of_classes(look, run))
    elif run.spec.task == "labels" and look.curves.labelled:
        review["curves"] = curves.compute(look.curves, run.spec.class_names, run.top_k)
    if known is not None and run.spec.task != "embedding":
        review["unseen"] = _unseen(look, run)
        if "acceptance" in review:
            review["acceptance"]["seen"] = review["unseen"]["seen_labelled"]
    lists = Lists(run, units)
    if "pixel_hash" in run.schema.names:
        review.update(_duplicates(lists, hashes))
    review["odd"] = odd_images.compute(look.odd)
    if run.spec.task == "classes" and len(look.labels.images.codes):
        seen = None if known is None else int(getattr(look.seen, "labelled", 0))
        review["label_errors"] = list_suspects(lists, look.labels, known, seen)
    if run.spec.embedding is not None and (embeddings := look_at_embeddings(lists, before)) is not None:
        review["embeddings"] = embeddings
    return Reviewed(review, lists.files)


def _looks(run: Run, units: Sequence[str], known: Known | None, hashes: list[Hashed]) -> Iterator[Look]:
    """Yield what a first look at each part shows, in order; `hashes` gets the images of each that have a hash."""
    columns = columns_of(run)

    def look(unit: str) -> tuple[Look, Hashed]:
        return first_look(rows_of(run, unit, columns).rows, run, known)

    with closing(look_ahead(look, units, run)) as found:
        for shown, images in found:
            hashes.append(images)
            yield shown


def _duplicates(lists: Lists, hashes: list[Hashed]) -> Review:
    """Write the lists of images that are there more than once, or look alike, and return the figures."""
    images = HashedImages(hashes)
    exact, rule = images.exact(), lists.run.spec.input
    found: Review = {"duplicates": list_copies(lists, "duplicates.csv", exact.copies, exact.marked, exact.compared)}
    near = images.near((rule.height, rule.width))
    if near is not None:
        listed = list_copies(lists, "near_duplicates.csv", near.copies, near.marked, near.compared)
        distance = distance_for((rule.height, rule.width))
        found["near_duplicates"] = {**listed, "distance": distance, "is_complete": near.is_complete}
    return found


def _of_classes(look: Look, run: Run) -> Review:
    """Return thresholds, what is accepted, and curves."""
    options, names = run.options, run.spec.class_names
    wanted = options.accept_accuracy or acceptance.WANTED_ACCURACY
    review: Review = {"acceptance": acceptance.compute(look.scores, names, wanted)}
    if options.accept_score is not None:
        review["accepted"] = look.accepted.figures(options.accept_score, None)
    elif options.accept_accuracy is not None:
        review["accepted"] = acceptance.accepted_from(look.scores, wanted)
    if look.curves.labelled:
        review["curves"] = curves.compute(look.curves, names, run.top_k)
    return review


def _unseen(look: Look, run: Run) -> Unseen:
    """Return the figures of images of which the model's training had no exact copy, and of the others."""
    task, empty = run.spec.task, run.metrics.empty
    unseen, seen = empty.merge(look.unseen), empty.merge(look.seen)
    figures: dict[str, Any] = dict(run.metrics.compute(unseen))
    headline, interval = headline_in(figures, task)
    return {
        "seen": seen.scored,
        "images": unseen.scored,
        "labelled": int(figures.get("labelled", 0)),
        "headline": headline,
        "headline_interval_95": interval,
        "seen_labelled": int(getattr(seen, "labelled", 0)),
        "seen_headline": headline_in(dict(run.metrics.compute(seen)), task)[0],
    }
