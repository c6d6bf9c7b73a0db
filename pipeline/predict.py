"""Pixels to predictions: batched TensorFlow inference. The only module of `pipeline` that knows TensorFlow.

The model is loaded once per process, at first need, and must reproduce its golden images before it scores.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import platform
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.batches import Code, EncodedBatch, Failure, ImageColumns, PixelBatch, PredictionBatch
from pipeline.errors import GoldenMismatchError, UsageError
from pipeline.model_dir import SAVED_MODEL, ModelSpec, check_model, local_copy, read_golden
from pipeline.preprocess import preprocess
from pipeline.storage import join
from pipeline.thumbnails import thumbnail

Pixels = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]

MODEL_BATCH = 128
"""Images in one call of the model, at first: the fastest size for one thread of float32."""

GOLDEN_TOLERANCE = 1e-4
THUMBNAILS = 4
"""Most confident mistakes of a batch of which a picture is kept."""

import_context: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
"""Around the import of TensorFlow; a command line that wants no banners sets its own."""

_loading = threading.Lock()
_shrinking = threading.Lock()
_logger = logging.getLogger(__name__)


class Model:
    """A loaded model directory.

    Attributes:
        spec: of the model.
    """

    def __init__(self, model: str, spec: ModelSpec) -> None:
        """Load saved_model/ of the model at a location, if it is the one that the spec's id names.

        Raises:
            UsageError: it is another, cannot be loaded, or its signature is not that of a model directory.
            GoldenMismatchError: this machine does not reproduce the golden images.
        """
        self.spec = spec
        self._tf = _tensorflow()
        folder = local_copy(model)
        check_model(folder, spec, name=model)
        try:
            self._loaded = self._tf.saved_model.load(join(folder, SAVED_MODEL))
            function = self._loaded.signatures["serving_default"]
            (self._input,) = function.structured_input_signature[1]
            (self._output,) = function.structured_outputs
        except (OSError, KeyError, ValueError, AttributeError, self._tf.errors.OpError) as error:
            raise UsageError(f"model {model!r} cannot be loaded: {error}; train or copy it again") from error
        self._function = function
        self._batch = MODEL_BATCH
        self._replay(folder)

    def scores(self, pixels: Pixels) -> Scores:
        """Return float32 [n, classes] for uint8 [n, height, width, channels]; raises what the model raises."""
        size = self._batch
        calls = [
            self._function(**{self._input: self._tf.constant(pixels[i : i + size])})[self._output].numpy()
            for i in range(0, len(pixels), size)
        ]
        return np.concatenate(calls) if calls else np.zeros((0, len(self.spec.class_names)), np.float32)

    def try_scores(self, pixels: Pixels) -> tuple[Scores, dict[int, Failure]]:
        """Return scores and, by index, the images that make the model raise; those are found by bisection.

        Where memory did not suffice for all at once but does for fewer, calls stay that small.
        """
        size = min(self._batch, len(pixels))
        try:
            return self.scores(pixels), {}
        except (self._tf.errors.OpError, MemoryError) as error:
            failure = _failure(error)
        if len(pixels) == 1:
            return np.zeros((1, len(self.spec.class_names)), np.float32), {0: failure}
        half = len(pixels) // 2
        left, left_failures = self.try_scores(pixels[:half])
        right, right_failures = self.try_scores(pixels[half:])
        failures = {**left_failures, **{half + i: f for i, f in right_failures.items()}}
        if failure.code == "RESOURCE_EXHAUSTED" and not failures:
            self._shrink(size)
        return np.concatenate([left, right]), failures

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
        machine = f"{platform.node()} ({platform.machine()}, TensorFlow {self._tf.__version__})"
        if batch.images.failures or not np.array_equal(batch.pixels, golden.pixels):
            raise GoldenMismatchError(f"{machine} decodes the model's golden images to other pixels than training did")
        if self.scores(golden.pixels).shape != golden.scores.shape or golden.scores.shape[1] != len(
            self.spec.class_names
        ):
            raise UsageError(
                f"the model in {folder!r} does not give one score for each of its class names; train it again"
            )
        distance = float(np.abs(self.scores(golden.pixels) - golden.scores).max())
        if not distance <= GOLDEN_TOLERANCE:
            raise GoldenMismatchError(
                f"{machine} scores the model's golden images off by {distance:.2g}, allowed are {GOLDEN_TOLERANCE:g}"
            )


def _tensorflow() -> Any:
    """Import TensorFlow for many single-threaded calls at once."""
    with import_context():
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # the process has used TensorFlow before: its threads stay as they are
            tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.list_logical_devices()
    return tf


@functools.cache
def _loaded(model: str, spec_json: str) -> Model:
    return Model(model, ModelSpec.from_json(spec_json))


def acquire(model: str, spec: ModelSpec) -> Model:
    """Return the process's model at that location with that spec, loaded by whoever comes first."""
    with _loading:
        return _loaded(model, spec.to_json())


def predict(batch: PixelBatch, model: Model, top_k: int) -> PredictionBatch:
    """Score a batch; an image that makes the model raise, or gives scores that are no numbers, fails."""
    n, classes = len(batch.images), len(model.spec.class_names)
    ok = np.flatnonzero(batch.images.ok)
    scores = np.zeros((n, classes), np.float32)
    found, failures = model.try_scores(batch.pixels if len(ok) == n else batch.pixels[ok])
    scores[ok] = found
    failed = {int(ok[i]): failure for i, failure in failures.items()}
    for i in np.flatnonzero(~np.isfinite(scores).all(axis=1)).tolist():
        failed[i] = Failure("predict", "INTERNAL", "the model's scores are not finite numbers")
        scores[i] = 0
    images = batch.images.failed(failed)
    top = np.argsort(-scores, axis=1, kind="stable")[:, :top_k].astype(np.int32)
    label_scores = _label_scores(images, scores)
    return PredictionBatch(
        images, top, np.take_along_axis(scores, top, axis=1), label_scores, _mistakes(batch, top, scores, label_scores)
    )


def _label_scores(images: ImageColumns, scores: Scores) -> Scores:
    """Return the probability of each image's label; NaN where it failed or its label is not a class of the model."""
    labels = images.labels
    known = images.labelled & images.ok & (labels >= 0) & (labels < scores.shape[1])
    picked = scores[np.arange(len(labels)), np.where(known, labels, 0)]
    return np.where(known, picked, np.float32("nan")).astype(np.float32)


def _mistakes(batch: PixelBatch, top: npt.NDArray[np.int32], scores: Scores, label_scores: Scores) -> dict[int, bytes]:
    winner = top[:, 0]
    wrong = np.flatnonzero(~np.isnan(label_scores) & (winner != batch.images.labels))
    worst = wrong[np.argsort(-scores[wrong, winner[wrong]], kind="stable")][:THUMBNAILS]
    return {int(i): thumbnail(batch.pixels[i]) for i in worst}


def _failure(error: Exception) -> Failure:
    code: Code = "INTERNAL"
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError":
        code = "RESOURCE_EXHAUSTED"
    elif name == "InvalidArgumentError":
        code = "INVALID_ARGUMENT"
    return Failure("predict", code, f"the model raised {name}: {error}")
