"""The layers of a Keras file, read from its configuration without loading it; what would run code is refused.

A configuration is data. A Lambda layer in it holds code of Python, and a custom layer is the name of a class that
somebody else has: both are named, and neither is run. Must not import Keras.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from model_import.foreign import Layer
from pipeline.errors import UsageError
from pipeline.text import brief, line

MODELS = frozenset({"Functional", "Sequential", "Model"})
"""Names of classes that are a model and may stand as a layer in another one."""

OPERATIONS = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"})
"""Classes of Keras 2 that call a function of TensorFlow by its name; Keras 3 has none of them."""

LARGEST_CONFIG = 64 << 20
"""Bytes of a configuration, at most."""

ELSEWHERE = "where the model was made, write it with model.export('FOLDER') and import that folder"
"""What helps if Keras cannot load a file here."""


def read_keras_config(path: str) -> Mapping[str, Any]:
    """Return the configuration of the model in a `.keras` file.

    Raises:
        UsageError: it is no such file, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > LARGEST_CONFIG:
                raise UsageError(f"{path!r} has a config.json of more than {LARGEST_CONFIG >> 20} MiB: not read")
            content = json.loads(archive.read("config.json"))
    except (KeyError, zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        raise UsageError(f"{path!r} is no whole .keras file: {line(str(error))}") from error
    return _object(content, path)


def read_h5_config(path: str) -> Mapping[str, Any]:
    """Return the configuration of the model in an HDF5 file of Keras 2.

    Raises:
        UsageError: it is no such file, is damaged, or holds weights alone.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                raise UsageError(
                    f"{path!r} holds weights and no network (it was written by save_weights): build the network, load "
                    "them into it, and save it with model.save('NAME.keras')"
                )
            text = file.attrs["model_config"]
            content = json.loads(text.decode() if isinstance(text, bytes) else str(text))
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise UsageError(f"{path!r} is no whole HDF5 file: {line(str(error))}") from error
    return _object(content, path)


def copy_keras(path: str, target: str, config: Mapping[str, Any]) -> None:
    """Copy a `.keras` file, with another configuration."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w") as copied:
        for entry in archive.infolist():
            if entry.filename == "config.json":
                copied.writestr(entry.filename, json.dumps(config))
                continue
            with archive.open(entry) as source, copied.open(entry.filename, "w", force_zip64=True) as sink:
                shutil.copyfileobj(source, sink)


def copy_h5(path: str, target: str, config: Mapping[str, Any]) -> None:
    """Copy an HDF5 file of Keras, with another configuration."""
    import h5py

    shutil.copyfile(path, target)
    with h5py.File(target, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)


def _object(content: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("class_name"), str):
        raise UsageError(f"{path!r} holds no model of Keras: its configuration names no class")
    return content


def layers_of(config: Mapping[str, Any]) -> Sequence[Layer]:
    """Return the layers of a model's configuration in order, those of nested models in their place."""
    return [Layer(_text(entry, "class_name"), _name(entry), _details(entry)) for entry in _entries(config)]


def _entries(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the configuration of each layer, and that of a layer within a wrapper after it."""
    inner = config.get("config")
    if isinstance(inner, list):  # a Sequential of an early Keras 2
        layers: Any = inner
    else:
        layers = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list):
        return
    for entry in layers:
        if not isinstance(entry, dict):
            continue
        if _text(entry, "class_name") in MODELS:
            yield from _entries(entry)
            continue
        yield entry
        wrapped = [_details(entry).get(name) for name in ("layer", "backward_layer")]
        yield from _entries({"config": {"layers": [part for part in wrapped if part]}})


def _details(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    config = entry.get("config")
    return config if isinstance(config, dict) else {}


def _name(entry: Mapping[str, Any]) -> str:
    return str(_details(entry).get("name") or entry.get("name") or "")


def _text(entry: Mapping[str, Any], field: str) -> str:
    return str(entry.get(field) or "")


def check_layers(config: Mapping[str, Any], is_keras_class: Callable[[str, str], bool], path: str) -> None:
    """Check that every layer is one of Keras' own, and that none holds code.

    Args:
        config: of the model.
        is_keras_class: whether Keras has a class, of a name and of a module, which is "" if the file names none.
        path: of the file, for the error's text.

    Raises:
        UsageError: one is not; the line names it and says what it would have run.
    """
    top = _text(config, "class_name")
    if top not in MODELS:
        raise UsageError(f"{path!r} is a model of the class {top!r}, whose code is not in the file: {ELSEWHERE}")
    for entry in _entries(config):
        kind, name = _text(entry, "class_name"), brief(_name(entry))
        if kind == "Lambda":
            raise UsageError(
                f"{path!r} has the Lambda layer {name!r}, which would run {_code(_details(entry))}: not run, as a file "
                f"may hold any code; {ELSEWHERE}"
            )
        if kind in OPERATIONS:
            function = brief(str(_details(entry).get("function") or name))
            raise UsageError(
                f"{path!r} has the layer {name!r}, which calls tf.{function} and which Keras 3 does not load: "
                f"{ELSEWHERE}"
            )
        module = entry.get("module")
        is_foreign = isinstance(module, str) and module.partition(".")[0] not in ("keras", "tf_keras", "builtins")
        is_known = is_keras_class(kind, module if isinstance(module, str) else "")
        if not is_known or is_foreign or ">" in _text(entry, "registered_name"):
            place = f" of {module}" if isinstance(module, str) else ""
            raise UsageError(
                f"{path!r} has the layer {name!r} of the class {brief(kind)!r}{brief(place)}: Keras has no such class, "
                f"and its code is not in the file: {ELSEWHERE}"
            )


def _code(config: Mapping[str, Any]) -> str:
    """Return what a Lambda layer would run, as a phrase."""
    function = config.get("function")
    if isinstance(function, dict):
        details = function.get("config")
        if _text(function, "class_name") == "__lambda__":
            return "code of Python that the file holds"
        named = (
            details if isinstance(details, str) else _text(function, "registered_name") or _text(function, "class_name")
        )
        return f"the function {brief(str(named))!r}"
    if isinstance(function, str) and config.get("function_type") != "lambda":
        return f"the function {brief(function)!r}"
    return "code of Python that the file holds"
