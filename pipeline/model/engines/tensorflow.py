"""A SavedModel as a function from pixels to outputs, in one precision. The only module that knows TensorFlow.

Each function has a graph and a session of its own, because TensorFlow's options for the optimizer of graphs, of which
bfloat16 is one, otherwise belong to the thread that calls: whether an image is scored in float32 would depend on who
has set what before. A session has its options for good, whoever calls it; it also costs less a call, as it runs in the
thread that calls and hands nothing over to another.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.concurrency import cores
from pipeline.errors import UsageError
from pipeline.machine import without
from pipeline.model.engines.network import Outputs, Pixels, arranged
from pipeline.options import Engine, Precision

CALL_IMAGES = 64
"""Images in one call of the network, at most.

Measured on two cores, as CPU time of an image with 64 as 1: in float32 it is 0.96 to 1.09 with 16 to 48, and 1.2 with
128 and 256, whose layers no longer fit the cache; in bfloat16 it is 1.0 with 48 to 128. Tails are not filled up, as
zeros cost what images cost (1.6 times as much for tails of all lengths).
"""

LEAST_IMAGES = 8
"""Images in one call of the network, at least, however large they are, if there are so many."""

CALL_BYTES = 3 << 19
"""Bytes of pixels in one call of the network, at most, beyond LEAST_IMAGES images.

The layers of a large image take a thousand times the memory of its pixels.
"""

IN_THE_CALLERS_THREAD = -1
"""Number of TensorFlow's threads between operations that means: run in the thread that calls."""

_Call = Callable[[Pixels], list[npt.NDArray[np.float32]]]

import_context: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
"""Context in which TensorFlow is imported. A command that wants no banners on its screen sets its own."""


def call_images(shape: tuple[int, int, int]) -> int:
    """Return how many images of a shape are best in one call of the network.

    >>> call_images((28, 28, 1)), call_images((64, 64, 3)), call_images((224, 224, 3))
    (64, 64, 10)
    """
    return max(LEAST_IMAGES, min(CALL_IMAGES, CALL_BYTES // math.prod(shape)))


class TensorFlowNetwork:
    """A SavedModel's "serving_default": uint8 [n, height, width, channels] -> float32 [n, classes] and float32 [n, d].

    Any number of threads may call it at once. See `pipeline.model.engines.network.Network`.
    """

    engine: Engine = "tensorflow"

    def __init__(self, folder: str, shape: tuple[int, int, int], precision: Precision = "float32") -> None:
        """Load the SavedModel in a local folder.

        Args:
            folder: of the SavedModel.
            shape: height, width and channels of its images.
            precision: of its arithmetic.

        Raises:
            UsageError: TensorFlow is not installed.
            ValueError: it cannot be loaded, or its signature has other inputs or outputs than a model's.
        """
        tf = tensorflow()
        graph = tf.Graph()
        session = tf.compat.v1.Session(graph=graph, config=_config(precision))
        try:
            with graph.as_default(), session.as_default():
                signature = tf.saved_model.load(folder).signatures["serving_default"]
                ((name, spec),) = signature.structured_input_signature[1].items()
                pixels = tf.compat.v1.placeholder(spec.dtype, spec.shape)
                names, fetches = zip(*sorted(signature(**{name: pixels}).items()), strict=True)
                self._scores, self._embedding = arranged(names)
                start = [tf.compat.v1.global_variables_initializer(), tf.compat.v1.tables_initializer()]
                with import_context():  # the first session of a process has something to say, too
                    session.run(start)
        except (OSError, KeyError, AttributeError, tf.errors.OpError) as error:
            raise ValueError(str(error)) from error
        graph.finalize()
        self.version = version()
        self.device = "gpu" if has_gpu() else "cpu"
        self.threads = cores()
        self.call_images = call_images(shape)
        self.errors: tuple[type[Exception], ...] = (tf.errors.OpError,)
        self._call = _callable(session, pixels, fetches)
        weakref.finalize(self, session.close)  # at exit too, before TensorFlow's own modules are gone

    def __call__(self, pixels: Pixels) -> Outputs:
        """Return the outputs for one or more images.

        Raises:
            MemoryError: memory does not suffice for so many.
            tensorflow.errors.OpError: the network does not take these images.
        """
        try:
            found = self._call(pixels)
        except tensorflow().errors.ResourceExhaustedError as error:
            raise MemoryError(str(error)) from error
        scores = np.zeros((len(pixels), 0), np.float32) if self._scores is None else found[self._scores]
        return Outputs(scores, None if self._embedding is None else found[self._embedding])


def _callable(session: Any, feed: Any, fetches: Sequence[Any]) -> _Call:
    """Return a session's call with one tensor, without what `session.run` looks up each time: a tenth of a small call.

    TensorFlow has it for Keras' backend, under a private name; public `make_callable` goes through `run`.
    """
    options = tensorflow().compat.v1.GraphOptions  # the module of the options' messages
    names = [fetch.name for fetch in fetches]
    options = importlib.import_module(options.__module__).CallableOptions(feed=[feed.name], fetch=names)
    call: _Call = session._make_callable_from_options(options)
    return call


def _config(precision: Precision) -> Any:
    """Return a session's configuration: one thread for each call, as many threads may call at once."""
    config = tensorflow().compat.v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=IN_THE_CALLERS_THREAD, allow_soft_placement=True
    )
    if precision == "bfloat16":
        rewrites = config.graph_options.rewrite_options
        rewrites.auto_mixed_precision_onednn_bfloat16 = rewrites.ON
    return config


@functools.cache
def tensorflow() -> Any:
    """Import TensorFlow for many single-threaded calls at once.

    Raises:
        UsageError: it is not installed.
    """
    with import_context(), without("keras"):
        try:
            import tensorflow as tf
        except ImportError as error:
            raise UsageError(
                f"--engine tensorflow needs the package tensorflow, which is not installed here ({error}): install it "
                "with 'pip install tensorflow' (in a workers' image: templates/README.md), or use --engine litert"
            ) from error
        with contextlib.suppress(RuntimeError):  # the process has used TensorFlow before: its threads stay as they are
            tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.list_logical_devices()
    return tf


def is_installed() -> bool:
    """Return whether TensorFlow can be imported, without importing it."""
    from importlib.util import find_spec

    return find_spec("tensorflow") is not None


def has_gpu() -> bool:
    """Return whether TensorFlow sees a GPU; this imports it."""
    return bool(tensorflow().config.list_physical_devices("GPU"))


def version() -> str:
    """Return name and version of TensorFlow; this imports it."""
    return f"TensorFlow {tensorflow().__version__}"
