"""A SavedModel folder as a model that was read: one of its signatures, or its call where it has no signature.

Read are folders of TensorFlow 2, of `model.export`, of TF-Hub and Kaggle, and of Estimators.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_import.foreign import Output
from model_import.graph_model import GraphModel
from model_import.graph_start import first_operations
from model_import.layout import PICTURE_SIDE, Layout, read_layout
from model_import.start import check_tensorflow, tf
from pipeline.errors import UsageError
from pipeline.model.input_rule import ColorMode
from pipeline.text import brief, line

FILES = ("saved_model.pb", "saved_model.pbtxt")
"""Names of the file that makes a folder a SavedModel."""

DEFAULT = "serving_default"
"""The signature that is taken if none is asked for."""

DETECTION = ("detection_boxes", "detection_scores", "num_detections", "raw_detection_boxes")
"""Names of outputs by which a model that finds objects is told."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for of a SavedModel that offers several.

    Attributes:
        signature: its name; "": the usual one.
        input_name: of the signature's input that takes images; "": the only one that can.
        output_name: of its output with the scores; "": the only one that can.
        color_mode: decides where the network takes any number of channels.
    """

    signature: str = ""
    input_name: str = ""
    output_name: str = ""
    color_mode: ColorMode | None = None


@dataclass(frozen=True)
class _Entry:
    """A way into a SavedModel.

    Attributes:
        name: of the signature; "": the model's own call.
        inputs: name -> tf.TensorSpec.
        outputs: name -> tf.TensorSpec.
        call: tensors by name -> tensors by name.
        function: the concrete function of TensorFlow, whose graph can be read.
    """

    name: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    call: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    function: Any


def read_saved_model(path: str, wanted: Wanted) -> GraphModel:
    """Return the model in a SavedModel folder.

    Args:
        path: of the folder.
        wanted: see `Wanted`.

    Raises:
        UsageError: it cannot be loaded, offers several things of which none was asked for, or takes no images.
    """
    check_tensorflow(path)
    library = tf()
    loaded = _load(path)
    entry = _entry(loaded, path, wanted.signature)
    name = _input(entry, path, wanted)
    spec = entry.inputs[name]
    takes_files = spec.dtype.name == "string"
    if takes_files:
        layout = _layout_of_files(spec, path, name)
    else:
        layout = read_layout(spec.shape.as_list() if spec.shape.rank else None, wanted.color_mode, path, name)
    others = {other: library.zeros(one.shape, one.dtype) for other, one in entry.inputs.items() if other != name}
    numeric = {key: one for key, one in entry.outputs.items() if one.dtype.is_floating or one.dtype.is_integer}
    outputs = [Output(key, _sides(one)) for key, one in numeric.items()]
    _check_outputs(outputs, path)

    def function(values: Any) -> Mapping[str, Any]:
        if takes_files and spec.shape.rank == 0:
            found = entry.call({name: values[0], **others})
            return {key: library.reshape(value, [1, -1]) for key, value in found.items()}
        return entry.call({name: values, **others})

    layers = () if takes_files else first_operations(entry.function, spec)
    return GraphModel(
        "saved_model", layout, spec.dtype.name, outputs, function, loaded, layers, _may_be_hub(path, loaded)
    )


def _may_be_hub(path: str, loaded: Any) -> bool:
    """Return whether a folder may come from TF-Hub or Kaggle: Keras leaves marks in what it writes."""
    is_exported = "serve" in loaded.signatures and hasattr(loaded, "non_trainable_variables")
    return not (is_exported or os.path.exists(os.path.join(path, "keras_metadata.pb")))


def _sides(spec: Any) -> tuple[int | None, ...]:
    return tuple(spec.shape.as_list()[1:]) if spec.shape.rank else ()


def _load(path: str) -> Any:
    """Load a SavedModel; one of several graphs by the tag of those that serve."""
    library = tf()
    reasons = []
    for tags in (None, ["serve"], []):
        try:
            return library.saved_model.load(os.path.abspath(path), tags=tags)
        except Exception as error:  # noqa: BLE001 - a foreign file: TensorFlow lets through whatever a parser raises
            reasons.append(brief(line(" ".join(str(error).split())), 300))
    raise UsageError(f"{path!r} cannot be loaded by TensorFlow {library.__version__}: {reasons[0]}")


def _entry(loaded: Any, path: str, wanted: str) -> _Entry:
    """Return the signature that is wanted, the usual one, or the only one."""
    entries = {name: _signature(name, function) for name, function in loaded.signatures.items()}
    if wanted:
        if wanted not in entries:
            raise UsageError(f"{path!r} has no signature {wanted!r}: --signature can be {_listed(entries)}")
        return entries[wanted]
    if DEFAULT in entries:
        return entries[DEFAULT]
    if len(entries) == 1:
        return next(iter(entries.values()))
    if entries:
        raise UsageError(f"{path!r} has several signatures: say which with --signature, one of {_listed(entries)}")
    return _call(loaded, path)


def _listed(entries: Mapping[str, _Entry]) -> str:
    told = [f"{name!r} ({', '.join(map(_spec, entry.inputs.values()))})" for name, entry in sorted(entries.items())]
    return ", ".join(told) or "none, as there are no signatures"


def _spec(spec: Any) -> str:
    shape = "any" if spec.shape.rank is None else "x".join("?" if side is None else str(side) for side in spec.shape)
    return f"{spec.dtype.name} {shape or 'number'}"


def _signature(name: str, function: Any) -> _Entry:
    inputs = function.structured_input_signature[1]

    def call(values: Mapping[str, Any]) -> Mapping[str, Any]:
        return _named(function(**values))

    return _Entry(name, inputs, _named(function.structured_outputs), call, function)


def _named(outputs: Any) -> dict[str, Any]:
    """Return outputs by name: those of a dictionary by theirs, others by their number."""
    if isinstance(outputs, Mapping):
        found: dict[str, Any] = {}
        for name, value in outputs.items():
            inner = _named(value) if isinstance(value, Mapping | list | tuple) else {"": value}
            found |= {f"{name}/{key}" if key else str(name): part for key, part in inner.items()}
        return found
    if isinstance(outputs, list | tuple):
        return {f"output_{i}": value for i, value in enumerate(outputs)}
    return {"output_0": outputs}


def _call(loaded: Any, path: str) -> _Entry:
    """Return the way into a model without signatures: its own call, as TF-Hub's layers use it."""
    function = getattr(loaded, "__call__", None)  # noqa: B004 - a function that TensorFlow restored
    for concrete in getattr(function, "concrete_functions", ()):
        arguments, keywords = concrete.structured_input_signature
        tensors = [one for one in arguments if hasattr(one, "shape")]
        rest = [*(one for one in arguments if not hasattr(one, "shape")), *keywords.values()]
        if len(tensors) != 1 or not hasattr(arguments[0], "shape") or any(value not in (False, None) for value in rest):
            continue

        call = functools.partial(_call_with, function, arguments[1:], keywords)
        return _Entry("", {"images": arguments[0]}, _named(concrete.structured_outputs), call, concrete)
    raise UsageError(
        f"{path!r} has no signature and no call that takes images alone: write it with signatures, "
        "tf.saved_model.save(model, FOLDER, signatures={'serving_default': FUNCTION})"
    )


def _call_with(
    function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any], values: Mapping[str, Any]
) -> Mapping[str, Any]:
    return _named(function(values["images"], *arguments, **keywords))


def _inputs(inputs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({_spec(spec)})" for name, spec in inputs.items())


def _input(entry: _Entry, path: str, wanted: Wanted) -> str:
    """Return the name of the input that takes images."""
    inputs = entry.inputs
    if wanted.input_name and wanted.input_name not in inputs:
        raise UsageError(
            f"{path!r} has no input {wanted.input_name!r}: --input_name can be {', '.join(sorted(inputs))}"
        )
    strings = [name for name, spec in inputs.items() if spec.dtype.name == "string"]
    large = [name for name, spec in inputs.items() if spec.shape.rank is None or spec.shape.rank > 2] or strings
    name = wanted.input_name or (large[0] if len(large) == 1 else next(iter(inputs)) if len(inputs) == 1 else "")
    if not name and len(large) > 1:
        raise UsageError(
            f"{path!r} takes {len(large)} images for a prediction ({', '.join(sorted(large))}); Nightscore gives it one"
        )
    if not name:
        raise UsageError(f"{path!r} takes no images: its inputs are {_inputs(inputs)}")
    for other, spec in inputs.items():
        is_switch = spec.dtype.name == "bool" and spec.shape.rank == 0
        if other != name and not is_switch:
            raise UsageError(f"{path!r} takes more than an image for a prediction: {_inputs(inputs)}")
    return name


def _layout_of_files(spec: Any, path: str, name: str) -> Layout:
    """Return a layout for an input that takes encoded files: only the number in a call is of use.

    Raises:
        UsageError: it takes no list of strings, nor one alone.
    """
    shape = spec.shape.as_list() if spec.shape.rank is not None else [None]
    if len(shape) > 1 or (shape and shape[0] not in (None, 1)):
        raise UsageError(f"{path!r} takes no images: its input {name!r} has strings of the shape {shape}")
    return Layout(PICTURE_SIDE, PICTURE_SIDE, 3, batch=shape[0] if shape else 1)


def _check_outputs(outputs: Sequence[Output], path: str) -> None:
    """Check that a model gives numbers for an image, not boxes of what is in it."""
    found = [output.name for output in outputs if output.name in DETECTION]
    if found:
        raise UsageError(f"{path!r} finds objects in images (it gives {found[0]!r}); Nightscore scores whole images")
    if not outputs:
        raise UsageError(f"{path!r} gives no numbers")
