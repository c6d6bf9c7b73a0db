"""Import TensorFlow and Keras for an import, once, and without their banners. Knows no model."""

from __future__ import annotations

import functools
import os
from typing import Any

from pipeline.errors import UsageError
from pipeline.model.engines import tensorflow


def check_tensorflow(path: str) -> None:
    """Check that TensorFlow is installed, without importing it.

    Raises:
        UsageError: it is not.
    """
    if not tensorflow.is_installed():
        raise UsageError(
            f"{path!r} can be imported only with the package tensorflow, which is not installed here: install it with "
            "'pip install tensorflow'; a .tflite file can be imported without it"
        )


@functools.cache
def keras() -> Any:
    """Import Keras, on TensorFlow.

    Raises:
        UsageError: this process has Keras on another backend already.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tensorflow.import_context():
        import keras as library

        if library.backend.backend() != "tensorflow":
            raise UsageError(
                "Keras runs on another backend than TensorFlow in this process: set KERAS_BACKEND=tensorflow"
            )
    return library


@functools.cache
def tf() -> Any:
    """Import TensorFlow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tensorflow.import_context():
        import tensorflow as library  # with all cores for a call: scoring has a call for each core instead
    return library
