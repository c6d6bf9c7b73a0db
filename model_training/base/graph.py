"""A network of which only its graph is there, as the frozen beginning of another: its weights become constants.

The graph ends where `model_training.base.backbone` would end the network: before the last product with weights.
"""

from __future__ import annotations

from typing import Any

from pipeline.errors import UsageError

PASSED_BY = (
    *("Identity", "Softmax", "Sigmoid", "Reshape", "Squeeze", "Cast", "EnsureShape", "BiasAdd"),
    *("Mean", "Relu", "Relu6"),
)
"""Operations between the last product with weights and the output, whose first input is followed."""

WITH_CONSTANT = ("Add", "AddV2", "Sub", "Mul", "RealDiv")
"""Operations that are passed by as well if one of their two inputs is a constant."""

PRODUCTS = ("MatMul", "Conv2D", "DepthwiseConv2dNative", "BatchMatMulV2", "Einsum", "Conv3D")
"""Operations that multiply by weights."""


def graph_backbone(function: Any, output: str, is_whole: bool, name: str) -> tuple[Any, str]:
    """Return a layer that computes features of pixels, and the operation that was left out; "": none.

    Args:
        function: a concrete function of TensorFlow: uint8 [n, height, width, channels] -> tensors by name.
        output: name of the tensor; "": the only one.
        is_whole: whether that tensor is the features.
        name: what a person calls the network.

    Raises:
        UsageError: there are no features for an image, or no weights are left.
    """
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    names = sorted(function.structured_outputs) if isinstance(function.structured_outputs, dict) else [""]
    frozen = convert_variables_to_constants_v2(function)
    tensor, left_out = frozen.outputs[names.index(output) if output else 0], ""
    if not is_whole:
        tensor, left_out = _features(tensor)
    pruned = frozen.prune(frozen.inputs[0], tensor)
    kinds = {operation.type for operation in pruned.graph.get_operations()}
    if not kinds & set(PRODUCTS):
        raise UsageError(f"--base {name} has no weights without its last layer: it has learned nothing to start from")
    width = tensor.shape[-1] if tensor.shape.rank in (2, 4) else None
    if width is None:
        raise UsageError(f"--base {name} gives {tensor.shape} for images: features of a known number are needed")

    class FrozenGraph(keras.layers.Layer):  # type: ignore[misc]
        """The graph as a layer without weights: its constants are in it."""

        def call(self, images: Any) -> Any:
            """Return features, float32 [n, d]."""
            found = tf.cast(pruned(images), tf.float32)
            return tf.ensure_shape(tf.reduce_mean(found, (1, 2)) if tensor.shape.rank == 4 else found, (None, width))

    return FrozenGraph(name="base", trainable=False), left_out


def _features(tensor: Any) -> tuple[Any, str]:
    """Return what enters the last product with weights, and the name of that; the tensor itself if none ends it."""
    start, is_classifier = tensor, False
    while True:
        operation = tensor.op
        is_classifier = is_classifier or operation.type in ("Softmax", "Sigmoid")
        if operation.type == "MatMul" and _is_constant(operation.inputs[1]):
            return operation.inputs[0], operation.name
        if operation.type == "Conv2D" and (is_classifier or tensor.shape[1:3] == [1, 1]):
            return operation.inputs[0], operation.name
        if _is_pair(operation):
            tensor = operation.inputs[1]
        elif operation.type in PASSED_BY and operation.inputs:
            tensor = operation.inputs[0]
        elif operation.type in WITH_CONSTANT and any(map(_is_constant, operation.inputs)):
            tensor = operation.inputs[1 if _is_constant(operation.inputs[0]) else 0]
        else:
            return start, ""


def _is_constant(tensor: Any) -> bool:
    while tensor.op.type in ("Identity", "Cast", "ReadVariableOp"):
        tensor = tensor.op.inputs[0]
    return str(tensor.op.type) == "Const"


def _is_pair(operation: Any) -> bool:
    """Return whether an operation makes the two classes of one probability p: [1 - p, p]."""
    if operation.type != "ConcatV2" or operation.inputs[0].op.type != "Sub":
        return False
    return operation.inputs[0].op.inputs[1] is operation.inputs[1]
