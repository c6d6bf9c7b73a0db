"""Which classes that a Keras file names are Keras' own: they are loaded, as their code is in Keras and not in the file.

Some of keras.applications' networks have layers that stand beside them and not in keras.layers, and what an operator
leaves in a network is a class of keras.ops. Reads no file.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from model_import.keras_config import MODELS
from model_import.start import keras

OLD_NAMES = {"BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization"}
"""Class of an early Keras 2 -> its name in Keras 3."""

APPLICATIONS = "keras.src.applications"
"""Package of the networks that Keras brings."""

_OPERATIONS = "keras.src.ops"

_OWN = (APPLICATIONS, "keras.src.layers", _OPERATIONS)
"""Packages of Keras whose classes can be part of a network."""


def is_keras_class(kind: str, module: str) -> bool:
    """Return whether Keras here has a class that can be part of a network.

    Args:
        kind: name of the class.
        module: that the file names for it; "": none, as files of Keras 2 do.
    """
    if kind in public_layers() or kind in MODELS or kind in OLD_NAMES:
        return True
    if module.partition(".")[0] in ("", "tf_keras"):  # Keras 2 had the same classes, at other places
        return kind in application_layers()
    return _class_of(kind, module) is not None


@functools.cache
def operation_module(kind: str) -> str:
    """Return the module of an operation of Keras by its name, as HDF5 files do not name it; "": there is none."""
    package = importlib.import_module(_OPERATIONS)
    modules = [f"{_OPERATIONS}.{one.name}" for one in pkgutil.iter_modules(package.__path__)]
    return next((module for module in modules if _class_of(kind, module) is not None), "")


@functools.cache
def public_layers() -> frozenset[str]:
    """Return the names of the classes in keras.layers."""
    return frozenset(name for name in dir(keras().layers) if name[0].isupper())


@functools.cache
def application_layers() -> Mapping[str, Any]:
    """Return the layers that stand beside Keras' own networks, by name: ConvNeXt's LayerScale and others."""
    package = importlib.import_module(APPLICATIONS)
    modules = [one.name for one in pkgutil.iter_modules(package.__path__) if not one.name.endswith("_test")]
    found: dict[str, Any] = {}
    for module in modules:
        content = vars(importlib.import_module(f"{APPLICATIONS}.{module}"))
        found |= {kind: content[kind] for kind in content if _class_of(kind, f"{APPLICATIONS}.{module}") is not None}
    return found


def _class_of(kind: str, module: str) -> Any:
    """Return a class that is defined in a module of Keras and can be part of a network; None if it is not."""
    keras()
    if not any(module == package or module.startswith(f"{package}.") for package in _OWN) or module.endswith("_test"):
        return None
    try:
        found: Any = vars(importlib.import_module(module)).get(kind)
    except ImportError:  # of another version of Keras
        return None
    is_class = isinstance(found, type) and issubclass(found, keras().Operation)
    return found if is_class and (found.__name__, found.__module__) == (kind, module) else None
