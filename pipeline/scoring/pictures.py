"""While a unit is scored, this module chooses the images that the report may show, and makes their thumbnails.

It chooses piece by piece, before all rows of the unit are there. Must not know how a thumbnail becomes a file, or who
shows it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.batches import EncodedBatch, ImageColumns, PixelBatch, PredictionBatch
from pipeline.metrics.examples import OF_UNIT, first_of_each
from pipeline.metrics.figures import Candidate, FailureReason
from pipeline.metrics.task_examples import AnyCandidate, lowest
from pipeline.metrics.task_metrics import TaskMetrics
from pipeline.metrics.tasks import pick_enlarged, pick_examples
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.model.thumbnails import enlarged, thumbnail
from pipeline.task import Task


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
        self._examples: list[AnyCandidate] = []
        self._lock = threading.Lock()

    def examples(self) -> list[AnyCandidate]:
        """Return the images in the lists."""
        with self._lock:
            return self._examples

    def add(self, entered: Sequence[AnyCandidate], task: Task = "classes") -> None:
        """Add images that `choose` or `choose_rows` has returned, of a model of a task."""
        if entered:
            with self._lock:
                self._examples = pick_examples(task, [*self._examples, *entered])


class Chosen(NamedTuple):
    """What is chosen of a batch.

    Attributes:
        entered: the images that enter the lists of their unit.
        pictured: indices of all that get a picture.
        enlarged: indices of those that also get a larger one.
    """

    entered: list[AnyCandidate]
    pictured: list[int]
    enlarged: frozenset[int]


class Pictures(NamedTuple):
    """Pictures of images of a batch, as PNG or JPEG files, by index.

    Attributes:
        small: the thumbnails.
        large: the larger ones, of those that are chosen for it and whose pixels a thumbnail does not hold.
    """

    small: dict[int, bytes]
    large: dict[int, bytes]


def choose(batch: PredictionBatch, examples: Sequence[AnyCandidate]) -> Chosen:
    """Return which images of a batch enter the lists of their unit, and which get a picture.

    Args:
        batch: the predictions of a model of classes.
        examples: the images that the lists hold so far.
    """
    return _enter("classes", batch, dict(_candidates(batch)), examples)


def choose_rows(
    rows: pa.Table, metrics: TaskMetrics[Any], batch: PredictionBatch, examples: Sequence[AnyCandidate]
) -> Chosen:
    """Return the same of a model of any other task.

    Args:
        rows: the rows of the batch.
        metrics: what is measured of the rows.
        batch: the predictions.
        examples: the images that the lists hold so far.
    """
    candidates = {one.pop("row"): one for one in metrics.examples(rows)}
    return _enter(metrics.task, batch, candidates, examples)


def _enter(
    task: Task, batch: PredictionBatch, candidates: Mapping[int, AnyCandidate], examples: Sequence[AnyCandidate]
) -> Chosen:
    every = pick_examples(task, [*examples, *candidates.values()])
    largest = set(map(id, pick_enlarged(task, every)))
    ids = set(map(id, every))
    entered = {i: candidate for i, candidate in candidates.items() if id(candidate) in ids}
    pictured = sorted({*entered, *_model_failures(batch)})
    return Chosen(list(entered.values()), pictured, frozenset(i for i, one in entered.items() if id(one) in largest))


def draw(
    batch: PixelBatch,
    chosen: Sequence[int],
    rule: InputSpec,
    begin: Callable[[int, int], None] = lambda first, stop: None,
    large: Container[int] = (),
) -> Pictures:
    """Return the pictures of some images.

    If the model takes encoded files, they are decoded here; those that Pillow cannot decode get no picture.

    Args:
        batch: the images, as the model takes them.
        chosen: indices of those that get a picture.
        rule: of the pictures, if the model takes encoded files.
        begin: called before a file is decoded here with its range, and after the last one with an empty range.
        large: indices of those that also get a larger picture.
    """
    if batch.encoded is None:
        return _pictures({i: batch.pixels[i] for i in chosen}, large)
    decoded_pixels: dict[int, npt.NDArray[np.uint8]] = {}
    for i in (i for i in chosen if i not in batch.images.failures):  # a process may have died of one that has failed
        begin(i, i + 1)
        file = EncodedBatch(ImageColumns.of([batch.images.keys[i]]), [batch.encoded[i]])
        decoded = preprocess(file, rule, one_by_one=True)
        if not decoded.images.failures:
            decoded_pixels[i] = decoded.pixels[0]
    begin(len(batch.images), len(batch.images))
    return _pictures(decoded_pixels, large)


def _pictures(pixels: Mapping[int, npt.NDArray[np.uint8]], large: Container[int]) -> Pictures:
    small = {i: thumbnail(one) for i, one in pixels.items()}
    larger = {i: data for i, one in pixels.items() if i in large and (data := enlarged(one)) is not None}
    return Pictures(small, larger)


def _candidates(batch: PredictionBatch) -> Iterator[tuple[int, Candidate]]:
    """Yield the images of a batch that a list may hold, by index: all mistakes, and the least certain ones.

    The same rule as that of `examples_of`, from columns instead of rows.
    """
    images, winners, scores = batch.images, batch.top_labels[:, 0], batch.top_scores[:, 0]
    known = ~np.isnan(batch.label_scores)
    ok = np.flatnonzero(images.ok)
    doubt = sorted((float(scores[i]), images.keys[i], i) for i in lowest(ok, scores, OF_UNIT.uncertain).tolist())
    least = [i for _, _, i in doubt[: OF_UNIT.uncertain]]
    for i in {*np.flatnonzero(known & (winners != images.labels)).tolist(), *least}:
        yield (
            i,
            {
                "key": images.keys[i],
                "label": int(images.labels[i]),
                "label_score": float(batch.label_scores[i]) if known[i] else None,
                "predicted": int(winners[i]),
                "score": float(scores[i]),
            },
        )


def _model_failures(batch: PredictionBatch) -> list[int]:
    """Return the indices of images that the model could not score: a few for each code."""
    failures: list[_Failure] = [
        {"row": i, "stage": failure.stage, "code": failure.code}
        for i, failure in sorted(batch.images.failures.items())
        if failure.stage == "predict"
    ]
    return [failure["row"] for failure in first_of_each(failures)]
