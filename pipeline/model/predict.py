"""From pixels to predictions: in calls of the model, without the images on which it fails.

Must not know what runs the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.batches import Code, Failure, ImageColumns, PixelBatch, PredictionBatch
from pipeline.model.engines.network import Outputs, Pixels, Scores, Vectors
from pipeline.model.loaded import Model, width_of
from pipeline.model.spec import ModelSpec
from pipeline.task import Embedding

Range = tuple[int, int]
"""Images of a batch by index: from the first to before the second."""

Indices = npt.NDArray[np.intp]


@dataclass
class _Scoring:
    """The calls of the model with the images of a batch, and what they gave.

    Attributes:
        pixels: of the batch.
        model: that scores them.
        scores: float32 [n, classes]; zeros where the model raised, and where it was not called.
        vectors: the same, of the embeddings: float32 [n, d]; None: the model gives none.
        failures: index -> why the model raised.
        rescored: how many of the images were scored a second time, in float32.
    """

    pixels: Pixels
    model: Model
    scores: Scores
    vectors: Vectors | None
    failures: dict[int, Failure] = field(default_factory=dict)
    rescored: int = 0

    def score(self, call: Indices) -> int:
        """Score the images of one call; halve it where the model raises, down to the image that causes it.

        Returns:
            The number of images that were scored a second time.
        """
        images = self.pixels if len(call) == len(self.pixels) else self.pixels[call]
        try:
            outputs, rescored = self.model.score(images)
            self.scores[call] = outputs.scores
            if self.vectors is not None:
                self.vectors[call] = outputs.embedding
            return rescored
        except self.model.errors as error:
            failure = _failure(error)
        if len(call) == 1:
            self.failures[int(call[0])] = failure
            return 0
        half = len(call) // 2
        rescored = self.score(call[:half]) + self.score(call[half:])
        if failure.code == "RESOURCE_EXHAUSTED" and self.failures.keys().isdisjoint(call.tolist()):
            self.model.shrink(len(call))
        return rescored


def predict(
    batch: PixelBatch,
    model: Model,
    top_k: int,
    begin: Callable[[int, int], None] = lambda first, stop: None,
    alone: Sequence[Range] = (),
) -> PredictionBatch:
    """Score a batch; an image that makes the model raise, or gives outputs that are no numbers, fails.

    Args:
        batch: the images, as the model takes them.
        model: that scores them.
        top_k: number of classes that a prediction lists.
        begin: called before each call of the model with the range of its images, and after the last one with an empty
            range. If calls are made at once, it is called once, with the range of all.
        alone: images in these ranges are scored one by one, one call after the other.
    """
    n, spec = len(batch.images), model.spec
    ok = np.flatnonzero(batch.images.ok)
    scored = _score(batch.inputs, ok, model, begin, alone)
    begin(n, n)
    return as_predictions(
        batch.images, Outputs(scored.scores, scored.vectors), spec, top_k, scored.failures, scored.rescored
    )


def as_predictions(
    images: ImageColumns,
    outputs: Outputs,
    spec: ModelSpec,
    top_k: int,
    failures: Mapping[int, Failure] = MappingProxyType({}),
    rescored: int = 0,
) -> PredictionBatch:
    """Return what the outputs of a network for images say; an image whose outputs are no numbers fails.

    Args:
        images: who they are.
        outputs: of the network, one row an image; those that are no numbers become 0.
        spec: of the model; its id does not matter.
        top_k: number of classes that a prediction lists.
        failures: index -> why the network raised.
        rescored: how many of the images were scored a second time.
    """
    n, scores = len(images), outputs.scores
    failed = dict(failures)
    for i in np.flatnonzero(~np.isfinite(scores).all(axis=1)).tolist():
        failed[i] = Failure("predict", "INTERNAL", "the model's scores are not finite numbers")
        scores[i] = 0
    embedding = None if outputs.embedding is None else _stored(outputs.embedding, spec.embedding, failed)
    images = images.failed(failed)
    assert scores.shape == (n, width_of(spec))
    if not spec.class_names:
        none, values = np.zeros((n, 0)), scores[:, 0] if spec.task == "value" else None
        columns = (none.astype(np.int32), none.astype(np.float32), np.full(n, np.nan, np.float32))
        return PredictionBatch(images, *columns, rescored=rescored, values=values, embedding=embedding)
    top = np.argsort(-scores, axis=1, kind="stable")[:, :top_k].astype(np.int32)
    best = np.take_along_axis(scores, top, axis=1)
    label_scores, chosen = np.full(n, np.nan, np.float32), None
    if spec.task == "classes":
        label_scores = _label_scores(images, scores)
    else:
        chosen = (scores >= np.asarray(spec.label_thresholds, np.float32)) & images.ok[:, None]
    return PredictionBatch(images, top, best, label_scores, rescored=rescored, chosen=chosen, embedding=embedding)


def _stored(
    vectors: Vectors, kind: Embedding | None, failed: dict[int, Failure]
) -> npt.NDArray[np.floating[Any]] | None:
    """Return embeddings as rows hold them, and note the images of which they are no numbers."""
    if kind is None:
        return None
    with np.errstate(over="ignore"):
        stored = vectors.astype(kind.dtype, copy=False)
    for i in np.flatnonzero(~np.isfinite(stored).all(axis=1)).tolist():
        beyond = f", or none that {kind.dtype} can hold" if kind.dtype == "float16" else ""
        failed.setdefault(i, Failure("predict", "INTERNAL", f"the model's embedding has no finite numbers{beyond}"))
        stored[i] = 0
    return stored


def _score(
    pixels: Pixels, ok: Indices, model: Model, begin: Callable[[int, int], None], alone: Sequence[Range]
) -> _Scoring:
    n, embedding = len(pixels), model.spec.embedding
    vectors = None if embedding is None else np.zeros((n, embedding.size), np.float32)
    scoring = _Scoring(pixels, model, np.zeros((n, width_of(model.spec)), np.float32), vectors)
    calls = calls_of(ok, model.call_images, alone)
    if model.threads > 1 and len(calls) > 1 and not alone:
        begin(int(ok[0]), int(ok[-1]) + 1)
        with ThreadPoolExecutor(min(model.threads, len(calls)), "predict") as pool:
            scoring.rescored = sum(pool.map(scoring.score, calls))
        return scoring
    for call in calls:
        begin(int(call[0]), int(call[-1]) + 1)
        scoring.rescored += scoring.score(call)
    return scoring


def calls_of(images: Indices, size: int, alone: Sequence[Range] = ()) -> list[Indices]:
    """Return images in calls of at most `size`; those in the ranges of `alone` each in a call of its own.

    >>> [call.tolist() for call in calls_of(np.arange(7), 3, [(2, 4)])]
    [[0, 1], [2], [3], [4, 5, 6]]
    """
    is_alone = np.zeros(len(images), np.bool_)
    for first, stop in alone:
        is_alone |= (images >= first) & (images < stop)
    calls: list[Indices] = []
    start = 0
    for i in [*np.flatnonzero(is_alone).tolist(), len(images)]:
        calls += [images[j : min(j + size, i)] for j in range(start, i, size)]
        if i < len(images):
            calls.append(images[i : i + 1])
        start = i + 1
    return calls


def _label_scores(images: ImageColumns, scores: Scores) -> Scores:
    """Return the probability of each image's label; NaN where it failed or its label is not a class of the model."""
    labels = images.labels
    known = images.labelled & images.ok & (labels >= 0) & (labels < scores.shape[1])
    picked = scores[np.arange(len(labels)), np.where(known, labels, 0)]
    return np.where(known, picked, np.float32("nan")).astype(np.float32)


def _failure(error: Exception) -> Failure:
    code: Code = "INTERNAL"
    if isinstance(error, MemoryError):
        code = "RESOURCE_EXHAUSTED"
    elif type(error).__name__ == "InvalidArgumentError":
        code = "INVALID_ARGUMENT"
    return Failure("predict", code, f"the model raised {type(error).__name__}: {error}")
