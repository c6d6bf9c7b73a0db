"""A `.keras` file, or an HDF5 file of Keras 2, as a model that was read. Nothing in the file is run as code."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from model_import.foreign import Output
from model_import.graph_model import GraphModel
from model_import.keras_2 import as_keras_3
from model_import.keras_config import (
    ELSEWHERE,
    check_layers,
    copy_h5,
    copy_keras,
    layers_of,
    read_h5_config,
    read_keras_config,
)
from model_import.keras_owned import OLD_NAMES, application_layers, is_keras_class, operation_module
from model_import.layout import read_layout
from model_import.start import check_tensorflow, keras
from pipeline.errors import UsageError
from pipeline.model.input_rule import ColorMode
from pipeline.text import brief, line

HDF5 = b"\x89HDF\r\n\x1a\n"
"""First bytes of an HDF5 file."""


def read_keras_file(path: str, color_mode: ColorMode | None = None, embedding_layer: str = "") -> GraphModel:
    """Return the model in a file of Keras.

    Args:
        path: of a `.keras` file, or of an HDF5 file of Keras 2.
        color_mode: that the user asked for; it decides where the network takes any number of channels.
        embedding_layer: name of a layer whose output is wanted as well; "": none.

    Raises:
        UsageError: it cannot be loaded, would run code, or takes no images.
    """
    check_tensorflow(path)
    with open(path, "rb") as file:
        is_h5 = file.read(len(HDF5)) == HDF5
    config = read_h5_config(path) if is_h5 else read_keras_config(path)
    _check_inputs(config, path)
    library = keras()
    readable = as_keras_3(config, operation_module)
    check_layers(readable, is_keras_class, path)
    network = _any_batch(_load(path, is_h5, None if readable == config else readable), library)
    config = readable
    shape = network.input_shape
    layout = read_layout(
        shape, color_mode, path, network.input_names[0] if hasattr(network, "input_names") else "input"
    )
    outputs = _outputs(network)
    if embedding_layer and embedding_layer not in [output.name for output in outputs]:
        tensor = _layer_output(network, embedding_layer, path)
        inner = network
        network = library.Model(inner.inputs, [*inner.outputs, tensor])
        outputs = [*outputs, Output(embedding_layer, tuple(tensor.shape[1:]))]
    names = [output.name for output in outputs]

    def function(values: Any) -> Mapping[str, Any]:
        found = network(values, training=False)
        return dict(zip(names, library.tree.flatten(found), strict=True))

    kept = [weight.value for weight in network.weights]
    dtype, layers = str(network.inputs[0].dtype), layers_of(config)
    return GraphModel("keras", layout, dtype, outputs, function, kept, layers, network=network)


def _check_inputs(config: Mapping[str, Any], path: str) -> None:
    """Check that a model has one input, before it is loaded."""
    details = config.get("config")
    inputs = details.get("input_layers") if isinstance(details, dict) else None
    if isinstance(inputs, dict):
        inputs = list(inputs.values())
    if isinstance(inputs, list) and len(inputs) > 1 and all(isinstance(one, list) for one in inputs):
        names = ", ".join(repr(str(one[0])) for one in inputs[:4])
        raise UsageError(
            f"{path!r} takes {len(inputs)} inputs for a prediction ({names}); Nightscore gives it one image"
        )
    kinds = {layer.kind for layer in layers_of(config)}
    text = kinds & {"TextVectorization", "StringLookup", "Embedding"}
    if text and not kinds & {"Conv2D", "Rescaling"}:
        raise UsageError(f"{path!r} takes text (it has a layer {min(text)}), no images")


def _load(path: str, is_h5: bool, config: Mapping[str, Any] | None) -> Any:
    """Load a file whose layers are all known.

    Args:
        path: of the file.
        is_h5: whether it is an HDF5 file.
        config: that counts instead of the file's own; None: its own does.
    """
    library = keras()

    layer: Any = library.layers.DepthwiseConv2D

    class DepthwiseConv2D(layer):  # type: ignore[misc]
        """The layer as Keras 2 wrote it: with a number of groups, which is always 1."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("groups", None)
            super().__init__(*args, **kwargs)

    old = {name: getattr(library.layers, new) for name, new in OLD_NAMES.items()}
    custom = {**application_layers(), **old, "relu6": library.activations.relu6} if is_h5 else {}
    custom |= {"DepthwiseConv2D": DepthwiseConv2D} if is_h5 else {}
    with tempfile.TemporaryDirectory(prefix="nightscore-keras-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        named = os.path.join(folder, "model.h5" if is_h5 else "model.keras")  # Keras goes by the name
        if config is None:
            os.symlink(os.path.abspath(path), named)
        else:
            (copy_h5 if is_h5 else copy_keras)(path, named, config)
        try:
            return library.models.load_model(named, custom_objects=custom, compile=False, safe_mode=True)
        except Exception as error:  # a foreign file: Keras lets through whatever its layers raise
            reason = brief(line(" ".join(str(error).split())), 300)
            raise UsageError(
                f"{path!r} cannot be loaded by Keras {library.__version__}: {reason}; {ELSEWHERE}"
            ) from error


def _any_batch(network: Any, library: Any) -> Any:
    """Return a network for any number of images, where it was saved for a fixed one."""
    if not network.inputs or len(network.inputs) != 1 or network.inputs[0].shape[0] is None:
        return network
    config = _without_batch(network.get_config())
    try:
        free = type(network).from_config(config)
        free.set_weights(network.get_weights())
    except Exception:  # noqa: BLE001 - a layer that needs the number: it is called with one image at a time
        return network
    return free


def _without_batch(config: Any) -> Any:
    """Return a configuration in which no input says how many images it takes."""
    if isinstance(config, dict):
        fixed = {name: _without_batch(value) for name, value in config.items()}
        for name in ("batch_shape", "batch_input_shape"):
            if isinstance(fixed.get(name), list | tuple) and fixed[name]:
                fixed[name] = (None, *fixed[name][1:])
        return fixed
    return [_without_batch(value) for value in config] if isinstance(config, list) else config


def _outputs(network: Any) -> Sequence[Output]:
    """Return the outputs of a network, with the activation of the layer that gives each."""
    names = getattr(network, "output_names", None) or [layer.name for layer in network.layers[-1:]]
    tensors = network.outputs
    found = []
    for i, tensor in enumerate(tensors):
        layer = getattr(getattr(tensor, "_keras_history", None), "operation", None)
        name = names[i] if len(names) == len(tensors) else f"output_{i}"
        found.append(Output(name, tuple(tensor.shape[1:]), _activation(layer)))
    return found


def _layer_output(network: Any, name: str, path: str) -> Any:
    """Return the tensor that a layer gives.

    Raises:
        UsageError: there is no such layer in the model itself.
    """
    layers = {layer.name: layer for layer in network.layers}
    if name not in layers:
        within = [layer.name for layer in layers.values() if name in {one.name for one in getattr(layer, "layers", [])}]
        told = f"it lies within {within[0]!r}, and only layers of the model itself" if within else "only its own layers"
        last = ", ".join(list(layers)[-4:])
        raise UsageError(f"{path!r}: --embedding_layer {name!r} cannot be taken: {told} can be, the last are {last}")
    return layers[name].output


def _activation(layer: Any) -> str:
    """Return the activation that a layer ends with; "" where it does not tell."""
    if layer is None:
        return ""
    if hasattr(layer, "layers"):  # a model that stands as a layer
        return _activation(layer.layers[-1]) if layer.layers else ""
    if type(layer).__name__ in ("Softmax", "Sigmoid"):
        return type(layer).__name__.lower()
    function = getattr(layer, "activation", None)
    return str(getattr(function, "__name__", "")) if function is not None else ""
