"""A .tflite file from elsewhere as a function from pixels to scores: LiteRT runs it as it is.

What its graph does not do, `pipeline.model.feed` does before and behind it. A file whose input is fixed to one image
is called once for each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline.model.engines.litert import CALL_BYTES, CALL_IMAGES, LoadedFile, version
from pipeline.model.engines.network import Outputs, Pixels
from pipeline.model.feed import Feed, Rows, Values, quantization_of, rows_of, tables, values_of, with_head
from pipeline.options import Engine


class FedLiteRTNetwork:
    """A .tflite file and its feed: uint8 [n, height, width, channels] -> float32 [n, k] and float32 [n, d].

    For one thread. See `pipeline.model.engines.network.Network`.

    Attributes:
        steps: of the scores and of the embedding, between two of their values; 0: they are not quantized.
    """

    engine: Engine = "litert"
    device = "cpu"
    threads = 1
    errors: tuple[type[Exception], ...] = (RuntimeError, ValueError)

    def __init__(self, path: str, shape: tuple[int, int, int], feed: Feed) -> None:
        """Load a file; whoever calls has checked that it is the one that is meant.

        Args:
            path: of the file on this machine.
            shape: height, width and channels of its images.
            feed: how pixels enter it.

        Raises:
            UsageError: LiteRT is not installed.
            ValueError: the file cannot be loaded, or has no such output.
        """
        self.version = version()
        self.call_images = max(1, min(CALL_IMAGES, CALL_BYTES // math.prod(shape)))
        self._feed = feed
        self._raw = RawLiteRT(path)
        self._levels = tables(feed, self._raw.dtype, self._raw.quantization)
        places = [place for place in (feed.output, feed.embedding) if place is not None]
        if max(places) >= len(self._raw.outputs):
            raise ValueError(f"it has {len(self._raw.outputs)} outputs, and number {max(places)} is asked for")
        self.steps = (self._step(feed.output), self._step(feed.embedding))

    def _step(self, place: int | None) -> float:
        quantization = None if place is None else quantization_of(self._raw.outputs[place])
        return 0.0 if quantization is None else quantization.step

    def settled(self, outputs: Outputs, expected: Outputs) -> Outputs:
        """Return outputs in which a number that is one step of its quantization off is the expected one.

        Other CPUs may round otherwise, and the step of a small probability would look like a large difference.
        """
        (scores, vectors), (step, vector_step) = outputs, self.steps
        if expected.embedding is not None and vectors is not None:
            vectors = _settled(vectors, expected.embedding, vector_step)
        return Outputs(_settled(scores, expected.scores, step if self._feed.head == "none" else 0.0), vectors)

    def __call__(self, pixels: Pixels) -> Outputs:
        """Return the outputs for one or more images.

        Raises:
            MemoryError: memory does not suffice for so many; later calls may succeed.
            RuntimeError: the network does not take these images.
            ValueError: they are of another shape.
        """
        feed = self._feed
        rows = self._raw(values_of(pixels, self._levels, feed.order))
        none = np.zeros((len(pixels), 0), np.float32)
        scores = none if feed.output is None else with_head(rows[feed.output], feed.head)
        return Outputs(scores, None if feed.embedding is None else rows[feed.embedding])


def _settled(rows: Rows, expected: Rows, step: float) -> Rows:
    if not step or rows.shape != expected.shape:
        return rows
    return np.where(np.abs(rows - expected) < 1.5 * step, expected, rows)


class RawLiteRT:
    """A .tflite file: its own input -> all its outputs as rows, dequantized. For one thread.

    Attributes:
        details: of the input, as LiteRT tells them.
        outputs: of each output, likewise.
        dtype: of the input.
        quantization: of the input; None: it is not quantized.
        is_single: whether it takes one image at a time.
    """

    def __init__(self, path: str) -> None:
        """Load a file.

        Raises:
            UsageError: LiteRT is not installed.
            ValueError: the file cannot be loaded, or has several inputs.
        """
        self._file = LoadedFile(path)
        if len(self._file.inputs) != 1:
            raise ValueError(f"it has {len(self._file.inputs)} inputs")
        (self.details,), self.outputs = self._file.inputs, self._file.outputs
        self.dtype = np.dtype(self.details["dtype"])
        self.quantization = quantization_of(self.details)
        signature = self.details.get("shape_signature", ())
        self.is_single = not (len(signature) and signature[0] == -1)

    def is_quantized(self) -> bool:
        """Return whether any of its tensors is quantized: then other CPUs may round otherwise.

        Weights may be quantized with a step for each channel, of which "quantization" does not tell.
        """
        tensors = self._file.interpreter.get_tensor_details()
        return any(len(details["quantization_parameters"]["scales"]) > 0 for details in tensors)

    def __call__(self, values: Values) -> list[Rows]:
        """Return all outputs of one or more images, float32 [n, k] each.

        Raises:
            MemoryError: memory does not suffice for so many; later calls may succeed.
            RuntimeError: the network does not take these images.
            ValueError: they are of another shape.
        """
        step = 1 if self.is_single else len(values)
        calls = [self._call(values[i : i + step]) for i in range(0, len(values), step)]
        return [np.concatenate(parts) for parts in zip(*calls, strict=True)]

    def _call(self, values: Values) -> list[Rows]:
        wanted = [details["index"] for details in self.outputs]
        found = self._file.run(np.ascontiguousarray(values), wanted)
        return [_rows(output, details, len(values)) for output, details in zip(found, self.outputs, strict=True)]


def _rows(output: Values, details: Any, images: int) -> Rows:
    if output.ndim == 0 or (len(output) != images and images == 1):  # an output without the axis of the images
        output = output.reshape(1, -1)
    return rows_of(output, quantization_of(details))
