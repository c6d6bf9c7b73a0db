"""A model that this process has loaded: by one engine, checked by its golden images.

A process loads a model once, when it first needs it. The model must reproduce its golden images before it scores. Must
not know how an engine runs a network, or which images it will get.
"""

from __future__ import annotations

import functools
import logging
import platform
import threading
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.batches import EncodedBatch
from pipeline.errors import GoldenMismatchError, UsageError
from pipeline.machine import require_precision
from pipeline.model import agreement
from pipeline.model.directory import SAVED_MODEL, TFLITE, Golden, check_model, check_tflite, read_golden
from pipeline.model.engines.fed_litert import FedLiteRTNetwork
from pipeline.model.engines.litert import LiteRTNetwork
from pipeline.model.engines.network import Network, Outputs, Pixels, Scores, in_calls
from pipeline.model.engines.tensorflow import TensorFlowNetwork
from pipeline.model.input_rule import InputSpec
from pipeline.model.outputs import why_no_bfloat16
from pipeline.model.preprocess import preprocess
from pipeline.model.spec import ModelSpec
from pipeline.options import Engine, Precision
from pipeline.storage import join

BFLOAT16_TOLERANCE = 5e-2
"""Difference of golden outputs in bfloat16, at most, as `pipeline.model.agreement` measures it."""

SURE_MARGIN = 0.1
"""Difference of an image's two best scores in bfloat16 below which the image is scored again in float32.

While no score is off by more than half of it, the best one cannot have lost, nor another have gained, more than that.
Of 70,000 images of MNIST, with two models, the scores were off by 2.5e-2 at most; where the class changed, the margin
was 3.4e-2 at most; and 0.1 % and 0.7 % of the images had a margin below this one.
"""

_OTHER_MACHINE = 'use another machine, or the library versions that model_spec.json has under "versions"'
"""What to do if a machine does not reproduce the golden images."""

_loading = threading.Lock()
_logger = logging.getLogger(__name__)


class Model:
    """A loaded model directory.

    Attributes:
        spec: of the model.
        engine: name of the engine that runs it.
        version: name and version of the engine's library.
        device: "cpu" or "gpu".
        threads: number of calls that are best made at once.
        call_images: number of images in one call, at most; `shrink` makes it smaller.
        slowest_call: seconds that the slowest of the calls with golden images took.
        errors: exceptions that a call may raise if the network cannot take these images.
    """

    def __init__(self, folder: str, spec: ModelSpec, engine: Engine, precision: Precision = "float32") -> None:
        """Load the model in a folder on this machine, if it is the one that the spec tells of.

        Raises:
            UsageError: it is another, cannot be loaded, or its signature is not that of a model directory; or this
                machine's CPU has no such precision.
            GoldenMismatchError: this machine does not reproduce the golden images.
        """
        require_precision(precision)
        why_not = why_no_bfloat16(spec.task, spec.embedding) if precision != "float32" else ""
        if why_not:
            raise UsageError(f"the model in {folder!r} cannot be scored in {precision}: {why_not}")
        self.spec, self.engine = spec, engine
        self._exact = _network(folder, spec, engine, "float32")
        self._coarse = _network(folder, spec, engine, precision) if precision != "float32" else None
        self.version, self.device = self._exact.version, self._exact.device
        self.threads, self.call_images = self._exact.threads, self._exact.call_images
        self.errors: tuple[type[Exception], ...] = (*self._exact.errors, MemoryError)
        self._shrinking = threading.Lock()
        self.slowest_call = 0.0
        self._replay(folder)

    def score(self, pixels: Pixels) -> tuple[Outputs, int]:
        """Return the outputs for at most `call_images` images, and how many of these were scored a second time.

        In bfloat16 every image of which that is not sure is scored again, so that classes and labels are float32's.

        Args:
            pixels: uint8 [n, height, width, channels], at least one image.

        Raises:
            Exception: one of `errors`.
        """
        if self._coarse is None:
            return self._exact(pixels), 0
        scores = self._coarse(pixels).scores.copy()
        if self.spec.task == "labels":
            doubtful = np.flatnonzero(~is_sure_of_labels(scores, self.spec.label_thresholds))
        else:
            doubtful = np.flatnonzero(~is_sure(scores))
        if len(doubtful):
            # a single one goes in twice: a matrix of one row is multiplied in another order, and its low bits differ
            again = np.repeat(doubtful, 2) if len(doubtful) == 1 else doubtful
            scores[again] = self._exact(pixels[again]).scores
        return Outputs(scores), len(doubtful)

    def shrink(self, images: int) -> None:
        """Let later calls have half as many images as one for which memory did not suffice.

        If another thread has done so meanwhile, do nothing.
        """
        with self._shrinking:
            if images > 1 and self.call_images >= images:
                self.call_images = images // 2
                _logger.warning(
                    "memory does not suffice for %d images in a call of the model: now %d", images, images // 2
                )

    def _replay(self, folder: str) -> None:
        """Check that this machine decodes and scores the golden images as it was when the model was made.

        Each precision is first called with as many images as it will ever get at once, so that what it needs of memory
        is there, and known, before the first image.
        """
        golden = read_golden(folder)
        place = f"{platform.node()} ({platform.machine()}, {self.version})"
        check_golden_pixels(golden, self.spec.input, place)
        expected = golden.outputs(self.engine)
        if expected is None:
            raise UsageError(f"the model in {folder!r} has no golden scores of {self.engine}; make it again")
        networks: dict[Precision, tuple[Network | None, float]] = {
            "float32": (self._exact, self.spec.golden_tolerance),
            "bfloat16": (self._coarse, BFLOAT16_TOLERANCE),
        }
        for precision, (network, tolerance) in networks.items():
            if network is not None:
                outputs = self._call_golden(network, golden.inputs(self.spec.takes))
                _check_shapes(outputs, expected, self.spec, folder)
                if isinstance(network, FedLiteRTNetwork):
                    outputs = network.settled(outputs, expected)
                _check_golden(outputs, expected, self.spec, tolerance, f"{place} in {precision}")

    def _call_golden(self, network: Network, pixels: Pixels) -> Outputs:
        self._call_largest(network, pixels)
        return in_calls(network, pixels, self.call_images)

    def _call_largest(self, network: Network, pixels: Pixels) -> None:
        """Call a network with as many images as it will ever get; where memory does not suffice, that is fewer."""
        while True:
            images, started = self.call_images, time.monotonic()
            try:
                network(np.resize(pixels, (images, *pixels.shape[1:])))
            except MemoryError as error:
                if images == 1:
                    text = f"memory does not suffice for one image in model {self.spec.model_id[:12]}: {error}"
                    raise UsageError(f"{text}; give the run more memory") from error
                self.shrink(images)
            else:
                self.slowest_call = max(self.slowest_call, time.monotonic() - started)
                return


def check_golden_pixels(golden: Golden, rule: InputSpec, place: str) -> None:
    """Check that golden images have the same pixels here as where the model was made.

    Args:
        golden: of the model.
        rule: its input rule.
        place: what a person calls this machine, for the error's text.

    Raises:
        GoldenMismatchError: one has other pixels, or cannot be decoded.
    """
    batch = preprocess(EncodedBatch.of(golden.encoded), rule)
    if batch.images.failures or not np.array_equal(batch.pixels, golden.pixels):
        raise GoldenMismatchError(
            f"{place} decodes the model's golden images (its test pictures) to pixels that differ from those stored "
            f"with the model: {_OTHER_MACHINE}"
        )


def _check_shapes(outputs: Outputs, expected: Outputs, spec: ModelSpec, folder: str) -> None:
    """Check that a network gives what the spec and the golden images make one expect.

    Raises:
        UsageError: it does not.
    """
    n = len(expected.scores)
    shape = (n, width_of(spec))
    if outputs.scores.shape != shape or expected.scores.shape != shape:
        what = "score for each of its class names" if spec.class_names else f"output for its task {spec.task!r}"
        raise UsageError(f"the model in {folder!r} does not give one {what}; train it again")
    vectors = None if spec.embedding is None else (n, spec.embedding.size)
    for given in (outputs, expected):
        if (None if given.embedding is None else given.embedding.shape) != vectors:
            size = "no embedding" if spec.embedding is None else f"an embedding of {spec.embedding.size} numbers"
            raise UsageError(f"the model in {folder!r} does not give {size}, as its spec says; make it again")


def width_of(spec: ModelSpec) -> int:
    """Return how many scores a model gives for an image: one a class, one value, or none."""
    return len(spec.class_names) or int(spec.task == "value")


def _check_golden(outputs: Outputs, expected: Outputs, spec: ModelSpec, tolerance: float, place: str) -> None:
    difference = agreement.difference_of_outputs(outputs, expected, spec.task)
    if not difference <= tolerance:
        raise GoldenMismatchError(
            f"{place} gives the model's golden images (its test pictures) scores that differ from those stored with "
            f"the model: by {difference:.2g} of the spread of its outputs, more than the {tolerance:g} allowed; "
            f"{_OTHER_MACHINE}"
        )
    changed = 0
    if spec.task == "classes":
        changed = agreement.changed_classes(outputs.scores, expected.scores, tolerance)
    elif spec.task == "labels":
        changed = agreement.changed_labels(outputs.scores, expected.scores, tolerance, spec.label_thresholds)
    if changed:
        what = "another class" if spec.task == "classes" else "other labels"
        raise GoldenMismatchError(
            f"{place} gives {changed} of the model's golden images (its test pictures) {what} than is stored with the "
            f"model: {_OTHER_MACHINE}"
        )


def _network(folder: str, spec: ModelSpec, engine: Engine, precision: Precision) -> Network:
    """Load a network from its file, if that is the one that the spec tells of."""
    try:
        if engine == "litert":
            check_tflite(folder, spec)
            if spec.feed is not None:
                check_model(folder, spec)
                return FedLiteRTNetwork(join(folder, TFLITE), spec.input.shape, spec.feed)
            return LiteRTNetwork(join(folder, TFLITE), spec.input.shape)
        check_model(folder, spec)
        return TensorFlowNetwork(join(folder, SAVED_MODEL), spec.input.shape, precision)
    except ValueError as error:
        raise UsageError(
            f"model {folder!r} cannot be loaded by {engine}: {' '.join(str(error).split())}; train or copy it again"
        ) from error


def is_sure(scores: Scores) -> npt.NDArray[np.bool_]:
    """Return for each image whether its best class is so far ahead that bfloat16 cannot have got it wrong."""
    if scores.shape[1] == 1:
        return np.ones(len(scores), np.bool_)
    best = np.partition(scores, -2, axis=1)  # NaN is last, so that it makes a margin that is none
    with np.errstate(invalid="ignore"):
        margin = best[:, -1] - best[:, -2]
    sure: npt.NDArray[np.bool_] = (margin >= SURE_MARGIN) & np.isfinite(margin)
    return sure


def is_sure_of_labels(scores: Scores, thresholds: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Return for each image whether no label is so near its threshold that bfloat16 may have got it wrong."""
    with np.errstate(invalid="ignore"):
        distance = np.abs(scores - np.asarray(thresholds, np.float32)).min(axis=1)
    sure: npt.NDArray[np.bool_] = (distance >= SURE_MARGIN / 2) & np.isfinite(distance)
    return sure


@functools.cache
def _loaded(folder: str, spec_json: str, engine: Engine, precision: Precision) -> Model:
    return Model(folder, ModelSpec.from_json(spec_json), engine, precision)


def acquire(folder: str, spec: ModelSpec, engine: Engine, precision: Precision = "float32") -> Model:
    """Return this process's model of a folder, by one engine, in one precision; the first caller loads it.

    Args:
        folder: of the model directory, on this machine (`pipeline.model.directory.local_copy`).
        spec: of the model.
        engine: that runs it.
        precision: of its arithmetic; LiteRT has float32 alone.

    Raises:
        UsageError: it cannot be loaded, or is not the model that the spec tells of.
        GoldenMismatchError: this machine does not reproduce the golden images.
    """
    with _loading:
        return _loaded(folder, spec.to_json(), engine, precision)
