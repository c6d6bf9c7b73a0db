"""A SavedModel as a function from pixels to scores, in one precision. The only module that knows TensorFlow.

Each function has a graph and a session of its own, because TensorFlow's options for the optimizer of graphs, of which
bfloat16 is one, otherwise belong to the thread that calls: whether an image is scored in float32 would depend on who
has set what before. A session has its options for good, whoever calls it; it also costs less a call, as it runs in the
thread that calls and hands nothing over to another.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.machine import without
from pipeline.options import Precision

Pixels = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]

IN_THE_CALLERS_THREAD = -1
"""Number of TensorFlow's threads between operations that means: run in the thread that calls."""

import_context: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
"""Context in which TensorFlow is imported. A command that wants no banners on its screen sets its own."""


class ScoreFunction:
    """A SavedModel's signature "serving_default": uint8 [n, height, width, channels] -> float32 [n, classes].

    Any number of threads may call it at once. It raises what the model raises, see `errors`.
    """

    def __init__(self, folder: str, precision: Precision) -> None:
        """Load the SavedModel in a local folder.

        Raises:
            ValueError: it cannot be loaded, or its signature is not of one input and one output.
        """
        tf = tensorflow()
        graph = tf.Graph()
        session = tf.compat.v1.Session(graph=graph, config=_config(precision))
        try:
            with graph.as_default(), session.as_default():
                signature = tf.saved_model.load(folder).signatures["serving_default"]
                ((name, spec),) = signature.structured_input_signature[1].items()
                pixels = tf.compat.v1.placeholder(spec.dtype, spec.shape)
                (scores,) = signature(**{name: pixels}).values()
                start = [tf.compat.v1.global_variables_initializer(), tf.compat.v1.tables_initializer()]
                with import_context():  # the first session of a process has something to say, too
                    session.run(start)
        except (OSError, KeyError, AttributeError, tf.errors.OpError) as error:
            raise ValueError(str(error)) from error
        graph.finalize()
        self._call = _callable(session, pixels, scores)
        weakref.finalize(self, session.close)  # at exit too, before TensorFlow's own modules are gone

    def __call__(self, pixels: Pixels) -> Scores:
        """Return the scores of one or more images."""
        return self._call(pixels)[0]


def _callable(session: Any, feed: Any, fetch: Any) -> Callable[[Pixels], list[Scores]]:
    """Return a session's call of one tensor, without what `session.run` looks up each time: a tenth of a small call.

    TensorFlow has it for Keras' backend, under a private name; public `make_callable` goes through `run`.
    """
    options = tensorflow().compat.v1.GraphOptions  # the module of the options' messages
    options = importlib.import_module(options.__module__).CallableOptions(feed=[feed.name], fetch=[fetch.name])
    call: Callable[[Pixels], list[Scores]] = session._make_callable_from_options(options)
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
    """Import TensorFlow for many single-threaded calls at once."""
    with import_context(), without("keras"):
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # the process has used TensorFlow before: its threads stay as they are
            tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.list_logical_devices()
    return tf


def errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that a call of a ScoreFunction may raise."""
    return (tensorflow().errors.OpError, MemoryError)


def version() -> str:
    """Return TensorFlow's version."""
    return str(tensorflow().__version__)
