"""What the first operations in a SavedModel's graph do with the images: they show whether it scales pixels itself.

A SavedModel does not name its layers, but a Rescaling layer leaves a multiplication by a constant in its graph. Runs
nothing: the graph and the constants are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_import.foreign import GRAPH, Layer
from model_import.start import tf

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
"""Operations that run another function of the graph."""

PASSED_BY = (
    *("Identity", "Cast", "Transpose", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "PlaceholderWithDefault"),
    *("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea", "ScaleAndTranslate"),
    *("CropAndResize", "StridedSlice", "Slice", "ReverseV2", "Pad", "PadV2", "EnsureShape", "CheckNumerics"),
)
"""Operations that change no value, or mix values of one range: what scales may follow them."""

LOOKS = ("Shape", "Rank", "Size", "ShapeN")
"""Operations that ask for the size of an image and read no pixel."""

MOST_OPERATIONS = 64
"""Operations that are followed from the images on, at most."""

Value = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Place:
    """A tensor in a graph, and what the arguments of that graph's function are.

    Attributes:
        tensor: of TensorFlow.
        arguments: name of an argument's operation -> where its value comes from, or the value.
    """

    tensor: Any
    arguments: Mapping[str, Any]


def first_operations(function: Any, spec: Any) -> Sequence[Layer]:
    """Return what a function's graph does first with its images, as a layer; () if it scales nothing there.

    Args:
        function: a concrete function of TensorFlow.
        spec: tf.TensorSpec of its images.

    Returns:
        One layer of the kind `GRAPH` with "scale" and "offset" of all operations together; with neither of them if
        the numbers are variables, which are not read.
    """
    place = _images(function, spec)
    scale, offset = np.ones(1), np.zeros(1)
    names: list[str] = []
    for _ in range(MOST_OPERATIONS):
        if place is None:
            break
        following = [one for one in place.tensor.consumers() if one.type not in LOOKS]
        if len(following) != 1:
            break
        operation = following[0]
        if operation.type in CALLS:
            place = _inside(operation, place)
        elif operation.type in PASSED_BY and operation.inputs[0] is place.tensor:
            place = _Place(operation.outputs[0], place.arguments)
        elif operation.type in _SCALES and len(operation.inputs) == 2:
            numbers = _numbers(operation, place)
            if numbers is None:
                return [Layer(GRAPH, operation.name)] if not names and operation.type in ("Sub", "RealDiv") else ()
            scale, offset = scale * numbers[0], offset * numbers[0] + numbers[1]
            names.append(operation.name)
            place = _Place(operation.outputs[0], place.arguments)
        else:
            break
    if not names or ((scale == 1).all() and (offset == 0).all()):
        return ()
    return [Layer(GRAPH, ", ".join(names[:3]), {"scale": scale.tolist(), "offset": offset.tolist()})]


def _images(function: Any, spec: Any) -> _Place | None:
    """Return where the images enter; None if that is not clear."""
    captured = list(function.captured_inputs)
    inputs = list(function.inputs)
    own, rest = inputs[: len(inputs) - len(captured)], inputs[len(inputs) - len(captured) :]
    like = [one for one in own if one.dtype == spec.dtype and one.shape.rank == spec.shape.rank]
    named = [one for one in like if one.op.name == spec.name]
    found = named or like
    arguments = {one.op.name: value for one, value in zip(rest, captured, strict=True)}
    return _Place(found[0], arguments) if len(found) == 1 else None


def _inside(call: Any, place: _Place) -> _Place | None:
    """Return the same images within the function that an operation calls."""
    graph = _called(call)
    number = next(i for i, one in enumerate(call.inputs) if one is place.tensor)
    if graph is None or number >= len(graph.inputs):
        return None
    arguments = {
        inner.op.name: _Place(outer, place.arguments) for inner, outer in zip(graph.inputs, call.inputs, strict=False)
    }
    return _Place(graph.inputs[number], arguments)


def _called(call: Any) -> Any:
    """Return the graph of the function that an operation calls; None if TensorFlow does not have it."""
    try:
        function = call.get_attr("f")
        name = function.name if hasattr(function, "name") else function
        name = name.decode() if isinstance(name, bytes) else name
        return call.graph._get_function(name).graph  # TensorFlow has no public way to it
    except (AttributeError, ValueError, KeyError, TypeError):
        return None


def _numbers(operation: Any, place: _Place) -> tuple[Value, Value] | None:
    """Return factor and offset of an operation; None if a number in it is not known before it runs."""
    is_first = operation.inputs[0] is place.tensor
    other = _value(_Place(operation.inputs[1 if is_first else 0], place.arguments))
    if other is None or other.size not in (1, 3) or not np.isfinite(other).all():
        return None
    one, zero = np.ones(1), np.zeros(1)
    kind = operation.type
    if kind == "Mul":
        return other, zero
    if kind in ("Add", "AddV2", "BiasAdd"):
        return one, other
    if kind == "Sub":
        return (one, -other) if is_first else (-one, other)
    return (1 / other, zero) if is_first and (other != 0).all() else None


_SCALES = ("Mul", "Add", "AddV2", "BiasAdd", "Sub", "RealDiv", "Div")


def _value(place: _Place) -> Value | None:
    """Return the value of a tensor that depends on no image, as one row; None if it is not known."""
    operation = place.tensor.op
    if operation.type == "Const":
        return np.asarray(tf().make_ndarray(operation.get_attr("value")), np.float64).ravel()
    if operation.type == "Placeholder":
        source = place.arguments.get(operation.name)
        if isinstance(source, _Place):
            return _value(source)
        if source is None or not hasattr(source, "numpy") or not source.dtype.is_floating:
            return None
        return np.asarray(source.numpy(), np.float64).ravel()
    if operation.type not in _ARITHMETIC:
        return None
    needed = operation.inputs[: 2 if operation.type in _OF_TWO else 1]
    values = [_value(_Place(one, place.arguments)) for one in needed]
    known = [one for one in values if one is not None]
    return np.asarray(_ARITHMETIC[operation.type](*known)) if len(known) == len(values) else None


_OF_TWO = ("Maximum", "Mul", "AddV2", "Sub", "RealDiv")
_ARITHMETIC: Mapping[str, Any] = {
    "Identity": np.positive,
    "Cast": np.positive,
    "Reshape": np.positive,
    "Sqrt": np.sqrt,
    "Rsqrt": lambda value: 1 / np.sqrt(value),
    "Maximum": np.maximum,
    "Mul": np.multiply,
    "AddV2": np.add,
    "Sub": np.subtract,
    "RealDiv": np.divide,
}
