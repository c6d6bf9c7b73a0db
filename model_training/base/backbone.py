"""Where the backbone of a Keras network ends: before the layer that gives one number a class.

From the output backward, layers without weights are passed by: activations, dropout, reshapes, pooling. The first layer
with weights is the last layer of a classifier if it is dense, if it is a convolution over a single place, or if a
softmax or sigmoid follows it; it is left out. Any other one belongs to the backbone, which then is the whole network.
"""

from __future__ import annotations

from typing import Any

from pipeline.errors import UsageError

PROBABILITIES = ("softmax", "sigmoid")
"""Activations that make probabilities."""


def backbone_of(network: Any, name: str) -> tuple[Any, str]:
    """Return a Keras network without its last layer, and the name of that; "": nothing is left out.

    The two share their layers and weights.

    Args:
        network: of one input and one output.
        name: what a person calls it.

    Raises:
        UsageError: it has several outputs, or no layer with weights remains.
    """
    import keras

    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise UsageError(
            f"--base {name} has {len(network.inputs)} inputs and {len(network.outputs)} outputs: give a network with "
            "one of each"
        )
    features, left_out = _features(network)
    backbone = keras.Model(network.inputs[0], features)
    if not backbone.weights:
        without = f" without its last layer, {left_out!r}" if left_out else ""
        raise UsageError(f"--base {name} has no layer with weights{without}: it has learned nothing to start from")
    return backbone, left_out


def _features(network: Any) -> tuple[Any, str]:
    """Return the tensor that enters the last layer of a network, and the layer's name; its output, "": it has none."""
    import keras

    tensor, is_classifier = network.outputs[0], False
    while True:
        history = tensor._keras_history  # how Keras itself walks through a network
        layer = history.operation
        inputs = layer._inbound_nodes[history.node_index].input_tensors
        if len(inputs) != 1 or type(layer).__name__ == "UnitNormalization":
            return network.outputs[0], ""  # the start of the network, a sum of branches, or an embedding
        if hasattr(layer, "layers"):
            inner, left_out = _features(layer)
            within = keras.Model(layer.inputs[0], inner)
            return (within(inputs[0]), left_out) if left_out else (network.outputs[0], "")
        is_classifier = is_classifier or _activation(layer) in PROBABILITIES
        if layer.weights:
            is_last = _is_last(layer, tensor, is_classifier)
            return (inputs[0], layer.name) if is_last else (network.outputs[0], "")
        tensor = inputs[0]


def _is_last(layer: Any, output: Any, is_classifier: bool) -> bool:
    """Return whether a layer with weights, the last one, gives one number a class."""
    kind = type(layer).__name__
    return kind == "Dense" or (kind == "Conv2D" and (is_classifier or tuple(output.shape[1:3]) == (1, 1)))


def _activation(layer: Any) -> str:
    """Return the name of the function that a layer ends with; "": it has none."""
    kind = type(layer).__name__.lower()
    return kind if kind in PROBABILITIES else str(getattr(getattr(layer, "activation", None), "__name__", ""))
