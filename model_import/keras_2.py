"""What Keras 2 and HDF5 files say otherwise than Keras 3 reads it, put right: nested models, and plain arithmetic.

Keras 2 counts the calls of a model within a model from 1, and wrote `x / 255` as a call of a function by its name.
Only functions in a table here become operations of Keras 3; whatever else is called stays as it is, and is refused.
A configuration is data: nothing in it is run. Must not import Keras.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from model_import.keras_config import MODELS

ARITHMETIC = {
    "__operators__.add": ("Add", "y"),
    "math.add": ("Add", "y"),
    "math.subtract": ("Subtract", "y"),
    "math.multiply": ("Multiply", "y"),
    "math.truediv": ("TrueDivide", "y"),
    "math.divide": ("TrueDivide", "y"),
    "nn.bias_add": ("Add", "bias"),
}
"""Function of TensorFlow -> the operation of Keras 3 that does the same, and the name of its second argument."""

OPERATIONS = "keras.src.ops.numpy"
"""Module of Keras 3 that has these operations."""

_OF_KERAS_2 = ("tf_keras.", "keras.src.engine.", "keras.engine.")
"""Beginnings of the names of modules that Keras 3 does not have."""

_EMPTY = (None, False, "NHWC")
"""Values of other arguments that change nothing."""


def as_keras_3(config: Mapping[str, Any], module_of: Callable[[str], str]) -> Mapping[str, Any]:
    """Return the configuration of a model in a file as Keras 3 reads it; the same if nothing is otherwise.

    Args:
        config: of the model; it is not changed.
        module_of: name of an operation of Keras 3 -> its module; "": there is none.
    """
    changed = copy.deepcopy(dict(config))
    _put_right(changed, module_of)
    return changed


def _put_right(model: dict[str, Any], module_of: Callable[[str], str]) -> None:
    """Put a model right, and those within it."""
    _as_module(model)
    details = model.get("config")
    layers = details.get("layers") if isinstance(details, dict) else details
    if model.get("class_name") not in MODELS or not isinstance(layers, list):
        return
    entries = [layer for layer in layers if isinstance(layer, dict)]
    for entry in entries:
        _put_right(entry, module_of)
    outputs = _references(details.get("output_layers")) if isinstance(details, dict) else []
    counted = _counted_from_1(entries, outputs)
    for entry in entries:
        for reference in _references(entry.get("inbound_nodes")):
            reference[1] -= reference[0] in counted
        _as_module(entry)
        _as_operation(entry)
        inner = entry.get("config")
        if "module" not in entry and isinstance(inner, dict) and "trainable" not in inner:
            module = module_of(str(entry.get("class_name")))
            entry |= {"module": module, "registered_name": entry["class_name"]} if module else {}
    sequences = {_name(entry) for entry in entries if entry.get("class_name") == "Sequential"}
    for reference in outputs:  # of other models, Keras 3 counts from 1 itself
        reference[1] -= reference[0] in counted & sequences


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("name"))


def _counted_from_1(entries: Sequence[Mapping[str, Any]], outputs: Sequence[Sequence[Any]]) -> set[str]:
    """Return the names of the models whose calls are counted from 1: one that is called once has a call number 1."""
    models = [entry for entry in entries if entry.get("class_name") in MODELS]
    calls = {_name(entry): len(entry.get("inbound_nodes") or ()) for entry in models}
    found = [*outputs, *(one for entry in entries for one in _references(entry.get("inbound_nodes")))]
    return {one[0] for one in found if one[1] == calls.get(one[0])}


def _references(nodes: Any) -> list[list[Any]]:
    """Return what refers to the output of a layer, [name, number of the call, number of the output, ...], at any depth.

    They are parts of the configuration: who changes them changes it.
    """
    if isinstance(nodes, dict):
        return [found for value in nodes.values() for found in _references(value)]
    if not isinstance(nodes, list):
        return []
    own = [nodes] if _is_reference(nodes) else []
    return own + [found for value in nodes for found in _references(value)]


def _is_reference(value: Any) -> bool:
    is_long = isinstance(value, list) and len(value) in (3, 4)
    return is_long and isinstance(value[0], str) and all(type(number) is int for number in value[1:3])


def _as_module(entry: dict[str, Any]) -> None:
    """Let a class of Keras 2 be looked for where Keras 3 has it."""
    module, kind = entry.get("module"), str(entry.get("class_name"))
    if isinstance(module, str) and module.startswith(_OF_KERAS_2):
        entry["module"] = module.removeprefix("tf_") if kind not in MODELS else f"keras.src.models.{kind.lower()}"


def _as_operation(entry: dict[str, Any]) -> None:
    """Make an operation of Keras 3 of a call of a function that is plain arithmetic."""
    details = entry.get("config")
    if entry.get("class_name") != "TFOpLambda" or not isinstance(details, dict):
        return
    kind, second = ARITHMETIC.get(str(details.get("function")), ("", ""))
    nodes = [_node(node, second) for node in entry.get("inbound_nodes") or ()]
    if not kind or not nodes or None in nodes:
        return
    entry.update(class_name=kind, module=OPERATIONS, registered_name=kind, inbound_nodes=nodes)
    entry["config"] = {"name": details.get("name")}
    entry.pop("build_config", None)  # an operation is not built


def _node(node: Any, second: str) -> dict[str, Any] | None:
    """Return the call of an operation of two arguments; None if it has others."""
    if not _is_reference(node) or len(node) != 4 or not isinstance(node[3], dict) or node[0].startswith("_CONSTANT"):
        return None
    others = {name: value for name, value in node[3].items() if name != second and value not in _EMPTY}
    value = node[3].get(second)
    if others or not (_is_reference(value) or _is_number(value)):
        return None
    if isinstance(value, list):
        is_tensor = _is_reference(value)
        value = _tensor(value) if is_tensor else {"class_name": "__numpy__", "config": _array(value)}
    return {"args": [_tensor(node), value], "kwargs": {}}


def _array(value: Sequence[Any]) -> dict[str, Any]:
    """Return numbers as Keras 3 writes an array."""
    return {"value": value, "dtype": "float32"}


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_is_number, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tensor(reference: Sequence[Any]) -> dict[str, Any]:
    """Return a reference as Keras 3 writes it; it looks up shape and type where it finds the tensor."""
    config = {"shape": [], "dtype": "float32", "keras_history": list(reference[:3])}
    return {"class_name": "__keras_tensor__", "config": config}
