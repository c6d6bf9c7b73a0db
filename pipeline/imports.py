"""Imports of large libraries without others that they would drag along, and that nobody here needs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """Let a module seem not to be installed, unless it is imported already; who imports it later finds it.

    TensorFlow imports Keras, for optimizers in SavedModels: 40 % of its import, and 120 MB. Apache Beam imports pandas
    where that is installed, for types of its data frames: a fifth of its import.
    """
    modules: dict[str, Any] = sys.modules  # None in there means that there is no such module
    if name in modules:
        yield
        return
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]
