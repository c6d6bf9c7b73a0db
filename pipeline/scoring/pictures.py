"""Which images of a unit need a picture: told while it is scored, batch by batch, before its rows are whole.

Must not know how a picture is made into a file, or who shows it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.batches import PixelBatch, PredictionBatch
from pipeline.metrics.examples import OF_UNIT, Example, first_of_each, in_any_list
from pipeline.model.thumbnails import thumbnail


class Shortlist:
    """The images of a unit that are in one of its lists so far; safe in many threads.

    What leaves the lists never comes back, so that in the end every image in them has its picture, and only few others
    were made.
    """

    def __init__(self) -> None:
        """Start without any."""
        self._examples: list[Example] = []
        self._lock = threading.Lock()

    def pictures(self, pixels: PixelBatch, batch: PredictionBatch) -> dict[int, bytes]:
        """Return pictures of those images of a batch that may need one: index in the batch -> PNG or JPEG file.

        Args:
            pixels: of the images, as the model took them.
            batch: what it said of them.
        """
        chosen = {*self._listed(list(_candidates(batch))), *_unscored(batch)}
        return {i: thumbnail(pixels.pixels[i]) for i in sorted(chosen)}

    def _listed(self, candidates: list[Example]) -> list[int]:
        with self._lock:
            self._examples = in_any_list([*self._examples, *candidates], OF_UNIT)
            kept = set(map(id, self._examples))
        return [example["row"] for example in candidates if id(example) in kept]


def _candidates(batch: PredictionBatch) -> Iterator[Example]:
    """Yield what may be in a list: all mistakes, and the least certain images; as `examples_of`, from columns."""
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


def _unscored(batch: PredictionBatch) -> list[int]:
    """Return images that the model could not score: a few for each code."""
    failures: list[dict[str, Any]] = [
        {"row": i, "stage": why.stage, "code": why.code} for i, why in sorted(batch.images.failures.items())
    ]
    return [found["row"] for found in first_of_each(found for found in failures if found["stage"] == "predict")]
