"""While a unit is scored, this module chooses the images that the report may show, and makes their thumbnails.

It chooses batch by batch, before all rows of the unit are there. Must not know how a thumbnail becomes a file, or who
shows it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from pipeline.batches import PixelBatch, PredictionBatch
from pipeline.metrics.examples import OF_UNIT, first_of_each, in_any_list
from pipeline.metrics.figures import Candidate, FailureReason
from pipeline.model.thumbnails import thumbnail


class _Image(Candidate):
    """An image that a list may hold, and its row: its index in the batch."""

    row: int


class _Failure(FailureReason):
    """An image that the model could not score, and its index in the batch."""

    row: int


class Shortlist:
    """The images of one unit that its lists of examples hold so far. Safe in many threads.

    An image that has left the lists never returns to them. So at the end of the unit every image in them has its
    picture, and only few other pictures were made.
    """

    def __init__(self) -> None:
        """Start without images."""
        self._examples: list[_Image] = []
        self._lock = threading.Lock()

    def pictures(self, pixels: PixelBatch, batch: PredictionBatch) -> dict[int, bytes]:
        """Return the pictures of a batch that a report may show: index in the batch -> PNG or JPEG file.

        Args:
            pixels: the batch as the model takes it.
            batch: the model's predictions of the same images.
        """
        chosen = {*self._add(list(_candidates(batch))), *_model_failures(batch)}
        return {i: thumbnail(pixels.pixels[i]) for i in sorted(chosen)}

    def _add(self, candidates: list[_Image]) -> list[int]:
        """Add candidates to the lists; return the indices of those that stay in them."""
        with self._lock:
            self._examples = in_any_list([*self._examples, *candidates], OF_UNIT)
            ids = set(map(id, self._examples))
        return [example["row"] for example in candidates if id(example) in ids]


def _candidates(batch: PredictionBatch) -> Iterator[_Image]:
    """Yield the images of a batch that a list may hold: all mistakes, and the least certain ones.

    The same rule as that of `examples_of`, from columns instead of rows.
    """
    images, winners, scores = batch.images, batch.top_labels[:, 0], batch.top_scores[:, 0]
    known = ~np.isnan(batch.label_scores)
    ok = np.flatnonzero(images.ok)
    doubt = sorted((float(scores[i]), images.keys[i], i) for i in ok.tolist())
    least = [i for _, _, i in doubt[: OF_UNIT.uncertain]]
    for i in {*np.flatnonzero(known & (winners != images.labels)).tolist(), *least}:
        yield {
            "row": i,
            "key": images.keys[i],
            "label": int(images.labels[i]),
            "label_score": float(batch.label_scores[i]) if known[i] else None,
            "predicted": int(winners[i]),
            "score": float(scores[i]),
        }


def _model_failures(batch: PredictionBatch) -> list[int]:
    """Return the indices of images that the model could not score: a few for each code."""
    failures: list[_Failure] = [
        {"row": i, "stage": failure.stage, "code": failure.code}
        for i, failure in sorted(batch.images.failures.items())
        if failure.stage == "predict"
    ]
    return [failure["row"] for failure in first_of_each(failures)]
