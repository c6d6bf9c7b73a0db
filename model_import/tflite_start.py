"""What the first operators of a .tflite file do with the images: they show whether it scales pixels itself.

A Rescaling layer leaves a multiplication by a constant, or it is folded into the weights of the first layer, which are
then small. Runs nothing. Must not know what becomes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model_import.foreign import FIRST_WEIGHTS, GRAPH, Layer
from pipeline.model.engines.litert import LoadedFile, Operator

PASSED_BY = frozenset(
    [
        *("RESHAPE", "TRANSPOSE", "CAST", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE", "DEQUANTIZE", "PAD", "PADV2"),
        *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "STRIDED_SLICE", "SLICE", "REVERSE_V2", "MIRROR_PAD", "GATHER"),
    ]
)
"""Operators that change no value, or mix values of one range: what scales may follow them."""

LOOKS = frozenset(["SHAPE", "RANK"])
"""Operators that ask for the size of an image and read no pixel."""

WEIGHTED = frozenset(["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
"""Operators whose second input is weights."""

MOST_OPERATORS = 64
"""Operators that are followed from the images on, at most."""

Value = npt.NDArray[np.float64]


def first_operators(file: LoadedFile) -> Sequence[Layer]:
    """Return what a file does first with its images, as a layer; () if that is not known.

    Args:
        file: of one input.

    Returns:
        One layer of the kind `GRAPH` with "scale" and "offset" of all operators together; with neither of them if a
        number is computed and not read. If nothing scales and the first layer has weights, one of the kind
        `FIRST_WEIGHTS` with their "size": the mean length of what one output of that layer is multiplied by.
    """
    operators = file.operators()
    tensor = int(file.inputs[0]["index"])
    scale, offset = np.ones(1), np.zeros(1)
    names: list[str] = []
    for _ in range(MOST_OPERATORS):
        following = [one for one in operators if tensor in one.inputs and one.name not in LOOKS]
        if len(following) != 1:
            break
        operator = following[0]
        if operator.name in PASSED_BY and operator.inputs[0] == tensor:
            tensor = operator.outputs[0]
        elif operator.name in _SCALES and len(operator.inputs) == 2:
            numbers = _numbers(operator, tensor, file, operators)
            if numbers is None:
                return [Layer(GRAPH, operator.name)] if not names and operator.name in ("SUB", "DIV") else ()
            scale, offset = scale * numbers[0], offset * numbers[0] + numbers[1]
            names.append(operator.name)
            tensor = operator.outputs[0]
        else:
            return _scaled(names, scale, offset) or _first_weights(operator, tensor, file, operators)
    return _scaled(names, scale, offset)


def _scaled(names: Sequence[str], scale: Value, offset: Value) -> Sequence[Layer]:
    if not names or ((scale == 1).all() and (offset == 0).all()):
        return ()
    return [Layer(GRAPH, ", ".join(names[:3]), {"scale": scale.tolist(), "offset": offset.tolist()})]


_SCALES = ("MUL", "ADD", "SUB", "DIV")


def _numbers(
    operator: Operator, tensor: int, file: LoadedFile, operators: Sequence[Operator]
) -> tuple[Value, Value] | None:
    """Return factor and offset of an operator; None if a number in it is not known before it runs."""
    is_first = operator.inputs[0] == tensor
    other = _constant(operator.inputs[1 if is_first else 0], file, operators)
    if other is None or other.size not in (1, 3) or not np.isfinite(other).all():
        return None
    other = other.ravel()
    one, zero = np.ones(1), np.zeros(1)
    if operator.name == "MUL":
        return other, zero
    if operator.name == "ADD":
        return one, other
    if operator.name == "SUB":
        return (one, -other) if is_first else (-one, other)
    return (1 / other, zero) if is_first and (other != 0).all() else None


def _constant(tensor: int, file: LoadedFile, operators: Sequence[Operator]) -> Value | None:
    """Return the numbers that a tensor always has, dequantized; None if it is computed of others."""
    made = [one for one in operators if tensor in one.outputs]
    if made:  # weights of 16 bits stand behind an operator that widens them
        return _constant(made[0].inputs[0], file, operators) if made[0].name == "DEQUANTIZE" else None
    return file.constant(tensor)


def _first_weights(operator: Operator, tensor: int, file: LoadedFile, operators: Sequence[Operator]) -> Sequence[Layer]:
    if operator.name not in WEIGHTED or operator.inputs[0] != tensor or len(operator.inputs) < 2:
        return ()
    weights = _constant(operator.inputs[1], file, operators)
    if weights is None or weights.ndim < 2 or not weights.size or not np.isfinite(weights).all():
        return ()
    axis = weights.ndim - 1 if operator.name == "DEPTHWISE_CONV_2D" else 0
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    return [Layer(FIRST_WEIGHTS, operator.name, {"size": float(np.sqrt((rows**2).sum(axis=1)).mean())})]


def told(layers: Sequence[Layer]) -> Sequence[Mapping[str, Any]]:
    """Return layers as JSON values.

    >>> layers_of(told([Layer(GRAPH, "MUL", {"scale": [0.5]})]))
    [Layer(kind='GraphOperations', name='MUL', config={'scale': [0.5]})]
    """
    return [vars(layer) for layer in layers]


def layers_of(content: Sequence[Mapping[str, Any]]) -> Sequence[Layer]:
    """Return the layers that `told` gave."""
    return [Layer(**one) for one in content]
