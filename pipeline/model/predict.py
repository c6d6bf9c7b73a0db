"""From pixels to predictions: the loaded model, its golden images, and images on which it fails.

A process loads a model once, when it first needs it. The model must reproduce its golden images before it scores.
Must not know how a SavedModel is run.
"""

from __future__ import annotations

import functools
import logging
import math
import platform
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline import machine
from pipeline.batches import Code, EncodedBatch, Failure, ImageColumns, PixelBatch, PredictionBatch
from pipeline.errors import GoldenMismatchError, UsageError
from pipeline.machine import require_precision
from pipeline.model.directory import SAVED_MODEL, check_model, local_copy, read_golden
from pipeline.model.engines import tensorflow as engine
from pipeline.model.engines.tensorflow import Pixels, ScoreFunction, Scores
from pipeline.model.preprocess import preprocess
from pipeline.model.spec import ModelSpec
from pipeline.options import Precision
from pipeline.storage import join

MODEL_BATCH = 64
"""Images in one call of the model, at most.

Measured on two cores, as CPU time of an image with 64 as 1: in float32 it is 0.96 to 1.09 with 16 to 48, and 1.2 with
128 and 256, whose layers no longer fit the cache; in bfloat16 it is 1.0 with 48 to 128. Tails are not filled up, as
zeros cost what images cost (1.6 times as much for tails of all lengths).
"""

LEAST_BATCH = 8
"""Images in one call of the model, at least, however large they are, if a batch has so many."""

CALL_BYTES = 3 << 19
"""Bytes of pixels in one call of the model, at most, beyond LEAST_BATCH images.

The layers of a large image take a thousand times the memory of its pixels.
"""

GOLDEN_TOLERANCE: Mapping[Precision, float] = {"float32": 1e-4, "bfloat16": 5e-2}
"""Difference of a golden image's score from the score at training time, at most, by precision."""

SURE_MARGIN = 2 * GOLDEN_TOLERANCE["bfloat16"]
"""Difference of an image's two best scores in bfloat16 below which the image is scored again in float32.

While no score is off by more than the tolerance, the best one cannot have lost, nor another have gained, more than half
of it. Of 70,000 images of MNIST, with two models, the scores were off by 2.5e-2 at most; where the class changed, the
margin was 3.4e-2 at most; and 0.1 % and 0.7 % of the images had a margin below this one."""

_loading = threading.Lock()
_shrinking = threading.Lock()
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """The model's scores for n images.

    Attributes:
        scores: float32 [n, classes]; zeros where it raised.
        rescored: how many of the images were scored a second time, in float32.
        failures: index -> why the model raised.
    """

    scores: Scores
    rescored: int = 0
    failures: Mapping[int, Failure] = field(default_factory=dict)

    def then(self, other: Scored) -> Scored:
        """Return the scores of these images and of others after them."""
        later = {len(self.scores) + i: failure for i, failure in other.failures.items()}
        scores = np.concatenate([self.scores, other.scores])
        return Scored(scores, self.rescored + other.rescored, {**self.failures, **later})


def call_images(shape: tuple[int, int, int]) -> int:
    """Return how many images of a shape are best in one call of the model.

    >>> call_images((28, 28, 1)), call_images((64, 64, 3)), call_images((224, 224, 3))
    (64, 64, 10)
    """
    return max(LEAST_BATCH, min(MODEL_BATCH, CALL_BYTES // math.prod(shape)))


class Model:
    """A loaded model directory.

    Attributes:
        spec: of the model.
    """

    def __init__(self, model: str, spec: ModelSpec, precision: Precision = "float32") -> None:
        """Load saved_model/ of the model at a location, if it is the one that the spec's id names.

        Raises:
            UsageError: it is another, cannot be loaded, or its signature is not that of a model directory; or this
                machine's CPU has no such precision.
            GoldenMismatchError: this machine does not reproduce the golden images.
        """
        require_precision(precision)
        self.spec = spec
        folder = local_copy(model)
        check_model(folder, spec, name=model)
        try:
            self._exact = ScoreFunction(join(folder, SAVED_MODEL), "float32")
            self._coarse = ScoreFunction(join(folder, SAVED_MODEL), precision) if precision != "float32" else None
        except ValueError as error:
            raise UsageError(f"model {model!r} cannot be loaded: {error}; train or copy it again") from error
        self._batch = call_images(spec.input.shape)
        self._replay(folder)

    def score(self, pixels: Pixels) -> Scored:
        """Score uint8 [n, height, width, channels]; raises what the model raises.

        In bfloat16 every image of which that is not sure is scored again, so that the best class is float32's.
        """
        if self._coarse is None:
            return Scored(self._scores(pixels, self._exact))
        scores = self._scores(pixels, self._coarse)
        doubtful = np.flatnonzero(~_is_sure(scores))
        # a single one goes in twice: a matrix of one row is multiplied in another order, and its low bits differ
        again = np.repeat(doubtful, 2) if len(doubtful) == 1 else doubtful
        scores[again] = self._scores(pixels[again], self._exact)
        return Scored(scores, len(doubtful))

    def _scores(self, pixels: Pixels, function: ScoreFunction) -> Scores:
        size = self._batch
        calls = [function(pixels[i : i + size]) for i in range(0, len(pixels), size)]
        return np.concatenate(calls) if calls else np.zeros((0, len(self.spec.class_names)), np.float32)

    def try_score(self, pixels: Pixels) -> Scored:
        """Score images; find by bisection those that make the model raise.

        If memory does not suffice for all at once but does for fewer, later calls stay that small.
        """
        size = min(self._batch, len(pixels))
        try:
            return self.score(pixels)
        except engine.errors() as error:
            failure = _failure(error)
        if len(pixels) == 1:
            return Scored(np.zeros((1, len(self.spec.class_names)), np.float32), 0, {0: failure})
        half = len(pixels) // 2
        scored = self.try_score(pixels[:half]).then(self.try_score(pixels[half:]))
        if failure.code == "RESOURCE_EXHAUSTED" and not scored.failures:
            self._shrink(size)
        return scored

    def _shrink(self, size: int) -> None:
        """Halve the batch, unless another thread has done so since `size` was too large."""
        with _shrinking:
            if self._batch >= size:
                self._batch = size // 2
                _logger.warning("memory does not suffice for %d images in a call of the model: now %d", size, size // 2)

    def _replay(self, folder: str) -> None:
        golden = read_golden(folder)
        columns = ImageColumns.of([f"golden {i}" for i in range(len(golden.encoded))])
        batch = preprocess(EncodedBatch(columns, golden.encoded), self.spec.input)
        machine = f"{platform.node()} ({platform.machine()}, TensorFlow {engine.version()})"
        if batch.images.failures or not np.array_equal(batch.pixels, golden.pixels):
            raise GoldenMismatchError(f"{machine} decodes the model's golden images to other pixels than training did")
        if golden.scores.shape[1] != len(self.spec.class_names) or (
            self._scores(golden.pixels, self._exact).shape != golden.scores.shape
        ):
            raise UsageError(
                f"the model in {folder!r} does not give one score for each of its class names; train it again"
            )
        functions: dict[Precision, ScoreFunction | None] = {"float32": self._exact, "bfloat16": self._coarse}
        for precision, function in functions.items():
            if function is None:
                continue
            distance = float(np.abs(self._scores(golden.pixels, function) - golden.scores).max())
            if not distance <= GOLDEN_TOLERANCE[precision]:
                raise GoldenMismatchError(
                    f"{machine} scores the model's golden images off by {distance:.2g} in {precision}, "
                    f"allowed are {GOLDEN_TOLERANCE[precision]:g}"
                )


def _is_sure(scores: Scores) -> npt.NDArray[np.bool_]:
    """Return for each image whether its best class is so far ahead that bfloat16 cannot have got it wrong."""
    if scores.shape[1] == 1:
        return np.ones(len(scores), np.bool_)
    best = np.partition(scores, -2, axis=1)  # NaN is last, so that it makes a margin that is none
    with np.errstate(invalid="ignore"):
        margin = best[:, -1] - best[:, -2]
    sure: npt.NDArray[np.bool_] = (margin >= SURE_MARGIN) & np.isfinite(margin)
    return sure


@functools.cache
def _loaded(model: str, spec_json: str, precision: Precision) -> Model:
    loaded = Model(model, ModelSpec.from_json(spec_json), precision)
    _logger.info("scores with model %s in %s: %s", loaded.spec.model_id[:12], precision, machine.describe())
    return loaded


def acquire(model: str, spec: ModelSpec, precision: Precision = "float32") -> Model:
    """Return this process's model at a location, with that spec; the first caller loads it."""
    with _loading:
        return _loaded(model, spec.to_json(), precision)


def predict(batch: PixelBatch, model: Model, top_k: int) -> PredictionBatch:
    """Score a batch; an image that makes the model raise, or gives scores that are no numbers, fails."""
    n, classes = len(batch.images), len(model.spec.class_names)
    ok = np.flatnonzero(batch.images.ok)
    scores = np.zeros((n, classes), np.float32)
    found = model.try_score(batch.pixels if len(ok) == n else batch.pixels[ok])
    scores[ok] = found.scores
    failed = {int(ok[i]): failure for i, failure in found.failures.items()}
    for i in np.flatnonzero(~np.isfinite(scores).all(axis=1)).tolist():
        failed[i] = Failure("predict", "INTERNAL", "the model's scores are not finite numbers")
        scores[i] = 0
    images = batch.images.failed(failed)
    top = np.argsort(-scores, axis=1, kind="stable")[:, :top_k].astype(np.int32)
    label_scores = _label_scores(images, scores)
    best = np.take_along_axis(scores, top, axis=1)
    return PredictionBatch(images, top, best, label_scores, rescored=found.rescored)


def _label_scores(images: ImageColumns, scores: Scores) -> Scores:
    """Return the probability of each image's label; NaN where it failed or its label is not a class of the model."""
    labels = images.labels
    known = images.labelled & images.ok & (labels >= 0) & (labels < scores.shape[1])
    picked = scores[np.arange(len(labels)), np.where(known, labels, 0)]
    return np.where(known, picked, np.float32("nan")).astype(np.float32)


def _failure(error: Exception) -> Failure:
    code: Code = "INTERNAL"
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError":
        code = "RESOURCE_EXHAUSTED"
    elif name == "InvalidArgumentError":
        code = "INVALID_ARGUMENT"
    return Failure("predict", code, f"the model raised {name}: {error}")
