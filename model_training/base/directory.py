"""A model directory as a base: its model.keras, or the graph of its saved_model/ where it was imported."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from model_import.keras_file import read_keras_file
from model_training.base.asked import Asked
from model_training.base.backbone import backbone_of
from model_training.base.graph import graph_backbone
from model_training.learning.base import Base
from pipeline.errors import UsageError
from pipeline.model.directory import KERAS_MODEL, SAVED_MODEL, SPEC, check_model, copy_files, read_spec
from pipeline.model.spec import ModelSpec
from pipeline.model.trained_on import read_hashes

_EMBEDDING = "embedding"
"""Name of the output with an embedding."""


def open_directory(model: str, asked: Asked) -> Base:
    """Return the base that a model directory holds.

    Args:
        model: its location, absolute, or remote.
        asked: what the user asks for beside it.

    Raises:
        UsageError: there is none, it is damaged, or its network is no beginning for another.
    """
    spec = read_spec(model)
    if spec.feed is not None or spec.takes == "encoded":
        what = "a .tflite file" if spec.feed is not None else "a network that decodes files itself"
        raise UsageError(f"--base {model!r} holds {what}, on which nothing can be trained: give a network of Keras")
    asked.check(spec.input, repr(model))
    asked.refuse_scaling(repr(model))
    with tempfile.TemporaryDirectory(prefix="nightscore-base-") as folder:
        copy_files(model, (SPEC, SAVED_MODEL, KERAS_MODEL), folder)
        check_model(folder, spec, model)
        is_keras = os.path.exists(os.path.join(folder, KERAS_MODEL))
        backbone, left_out = _keras(folder, spec, model) if is_keras else _graph(folder, spec, model)
    facts = {
        "name": os.path.basename(model.rstrip("/")),
        "kind": "a model directory" + ("" if is_keras else " without Keras layers"),
        "model_id": spec.model_id,
        "left_out": left_out,
    }
    return Base(repr(model), spec.input, backbone, None, not is_keras, facts, read_hashes(model))


def _keras(folder: str, spec: ModelSpec, model: str) -> tuple[Any, str]:
    path = os.path.join(folder, KERAS_MODEL)
    try:
        network = read_keras_file(path).network
    except UsageError as error:
        raise UsageError(f"--base {model!r} cannot be read: {str(error).replace(repr(path), KERAS_MODEL)}") from error
    if tuple(network.input_shape[1:]) != spec.input.shape:
        raise UsageError(
            f"--base {model!r} is damaged: {KERAS_MODEL} takes images of {network.input_shape[1:]}, and {SPEC} says "
            f"{spec.input.shape}"
        )
    return backbone_of(network, repr(model))


def _graph(folder: str, spec: ModelSpec, model: str) -> tuple[Any, str]:
    import tensorflow as tf

    loaded = tf.saved_model.load(os.path.join(folder, SAVED_MODEL))
    output = "" if spec.embedding is None else _EMBEDDING
    return graph_backbone(loaded.signatures["serving_default"], output, bool(output), repr(model))
