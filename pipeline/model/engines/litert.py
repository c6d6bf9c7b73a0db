"""model.tflite as a function from pixels to outputs. The only module that knows LiteRT.

LiteRT (package `ai-edge-litert`) loads in well under a second, with tens of megabytes. A network gives the same bits
for any number of images in a call, so calls need not be filled up.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.errors import UsageError
from pipeline.model.engines.network import Outputs, Pixels, Scores, Vectors, arranged
from pipeline.options import Engine

CALL_IMAGES = 16
"""Images in one call of the network, at most.

CPU time of an image of 28 x 28, with 16 as 1: 1.0 to 1.1 with 4 to 32, and 1.4 with 64, whose layers no longer fit the
cache.
"""

CALL_BYTES = 640_000
"""Bytes of pixels in one call of the network, at most, beyond the first image: 4 images of 224 x 224 in color."""


class Operator(NamedTuple):
    """An operator of a .tflite file.

    Attributes:
        name: as LiteRT calls it, such as "CONV_2D".
        inputs: numbers of the tensors that it reads, the main one first.
        outputs: of those that it makes.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class LoadedFile:
    """A .tflite file that LiteRT has loaded; only one of a single input can be run. For one thread.

    Attributes:
        interpreter: of LiteRT; None after an error, until it is loaded anew.
        inputs: details of each input, as LiteRT tells them.
        outputs: of each output, likewise.
    """

    def __init__(self, path: str) -> None:
        """Load a file.

        Raises:
            UsageError: LiteRT is not installed.
            ValueError: the file cannot be loaded.
        """
        self._path = path
        try:
            self.interpreter = self._load()
            self.inputs = self.interpreter.get_input_details()
            self.outputs = self.interpreter.get_output_details()
        except RuntimeError as error:  # an operation that this version of LiteRT does not have
            raise ValueError(str(error)) from error
        self._allocated: tuple[int, ...] = ()

    def operators(self) -> Sequence[Operator]:
        """Return the operators in the order in which they run; only before the first run, which may replace them."""
        details = self.interpreter._get_ops_details()  # LiteRT has no public way to them
        return [Operator(one["op_name"], _places(one["inputs"]), _places(one["outputs"])) for one in details]

    def constant(self, tensor: int) -> npt.NDArray[np.float64] | None:
        """Return the numbers of a tensor that has them in the file, dequantized; None if it has none there."""
        details = {int(one["index"]): one for one in self.interpreter.get_tensor_details()}.get(tensor)
        if details is None:
            return None
        try:
            values = np.asarray(self.interpreter.get_tensor(tensor), np.float64)
        except ValueError:  # it is made when the network runs
            return None
        told = details["quantization_parameters"]
        if not len(told["scales"]):
            return values
        shape = [-1 if axis == told["quantized_dimension"] else 1 for axis in range(values.ndim)]
        steps, zeros = (np.asarray(told[name], np.float64) for name in ("scales", "zero_points"))
        if len(steps) == 1:
            return (values - zeros) * steps
        return (values - zeros.reshape(shape)) * steps.reshape(shape)

    def _load(self) -> Any:
        return interpreter()(model_path=self._path, num_threads=1)

    def run(self, values: Any, wanted: Sequence[int]) -> list[Any]:
        """Return tensors that the network gives for some images.

        Args:
            values: of the input's type and shape, with any number of images, in C order.
            wanted: numbers of the tensors.

        Raises:
            MemoryError: memory does not suffice for so many; later calls may succeed.
            RuntimeError: the network does not take these images.
            ValueError: they are of another shape.
        """
        try:
            if self._allocated != values.shape:
                self._allocate(values.shape)
            self.interpreter.set_tensor(self.inputs[0]["index"], values)
            self.interpreter.invoke()
            return [self.interpreter.get_tensor(tensor) for tensor in wanted]
        except (RuntimeError, ValueError, MemoryError):
            self.interpreter, self._allocated = None, ()  # after an error, it may end the process
            raise

    def _allocate(self, shape: tuple[int, ...]) -> None:
        """Make room for images of a shape; a shape that is not larger than one before takes no new memory."""
        self.interpreter = self.interpreter or self._load()
        if tuple(self.inputs[0]["shape"]) != shape or self._allocated:
            self.interpreter.resize_tensor_input(self.inputs[0]["index"], shape, strict=True)
        try:
            self.interpreter.allocate_tensors()
        except RuntimeError as error:
            text = " ".join(str(error).split())
            raise MemoryError(f"no memory for {shape[0]} images in a call: {text}") from error
        self._allocated = shape


def _places(numbers: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers)


class LiteRTNetwork:
    """A model.tflite: uint8 [n, height, width, channels] -> float32 [n, classes] and float32 [n, d]. For one thread.

    See `pipeline.model.engines.network.Network`.
    """

    engine: Engine = "litert"
    device = "cpu"
    threads = 1
    errors: tuple[type[Exception], ...] = (RuntimeError, ValueError)

    def __init__(self, path: str, shape: tuple[int, int, int]) -> None:
        """Load a file; whoever calls has checked that it is the one that is meant.

        Args:
            path: of model.tflite on this machine.
            shape: height, width and channels of its images.

        Raises:
            UsageError: LiteRT is not installed.
            ValueError: the file cannot be loaded, or its network has other inputs or outputs than a model's.
        """
        self.version = version()
        self.call_images = max(1, min(CALL_IMAGES, CALL_BYTES // math.prod(shape)))
        self._file = LoadedFile(path)
        (feed,), fetches = self._file.inputs, self._file.outputs
        if feed["dtype"] is not np.uint8 or any(fetch["dtype"] is not np.float32 for fetch in fetches):
            gives = " and ".join(fetch["dtype"].__name__ for fetch in fetches)
            raise ValueError(f"it takes {feed['dtype'].__name__} and gives {gives}")
        places = _fetches(self._file.interpreter, [fetch["index"] for fetch in fetches])
        self._scores, self._embedding = places
        self._wanted = [place for place in places if place is not None]

    def __call__(self, pixels: Pixels) -> Outputs:
        """Return the outputs for one or more images.

        Raises:
            MemoryError: memory does not suffice for so many; later calls may succeed.
            RuntimeError: the network does not take these images.
            ValueError: they are of another shape.
        """
        found = self._file.run(pixels, self._wanted)
        scores: Scores = np.zeros((len(pixels), 0), np.float32) if self._scores is None else found[0]
        embedding: Vectors | None = None if self._embedding is None else found[-1]
        return Outputs(scores, embedding)


def _fetches(interpreter: Any, tensors: Sequence[int]) -> tuple[int | None, int | None]:
    """Return the numbers of the tensors with the scores and with the embedding.

    The network's signature names its outputs; a network without one has an output alone, which is the scores.
    """
    signatures = list(interpreter.get_signature_list().items())
    if len(signatures) != 1:
        scores, embedding = arranged([f"output {tensor}" for tensor in tensors])
        return None if scores is None else tensors[scores], None if embedding is None else tensors[embedding]
    ((signature, names),) = signatures
    scores, embedding = arranged(names["outputs"])
    if len(tensors) == 1:
        return (None, tensors[0]) if scores is None else (tensors[0], None)
    details = interpreter.get_signature_runner(signature).get_output_details()  # gone at once: it must not be kept
    number = {name: detail["index"] for name, detail in details.items()}
    by_name = [number[name] for name in names["outputs"]]
    return None if scores is None else by_name[scores], None if embedding is None else by_name[embedding]


@functools.cache
def interpreter() -> Callable[..., Any]:
    """Import LiteRT and return its class of interpreters.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UsageError(
            f"--engine litert needs the package ai-edge-litert, which is not installed here ({error}): install it with "
            "'pip install ai-edge-litert', or score with --engine tensorflow"
        ) from error
    return Interpreter  # type: ignore[no-any-return]


def is_installed() -> bool:
    """Return whether LiteRT can be imported, without importing it."""
    from importlib.util import find_spec

    return find_spec("ai_edge_litert") is not None


@functools.cache
def version() -> str:
    """Return name and version of LiteRT, which is installed."""
    import ai_edge_litert

    return f"LiteRT {ai_edge_litert.__version__}"
