"""Find out what --base names: a model directory, a file or folder of another library, or a network of Keras."""

from __future__ import annotations

import os
import re

from model_import.decide import USUAL
from model_training.base.asked import Asked
from model_training.learning.base import Base
from model_training.publishing.publish import check_apart
from pipeline import storage
from pipeline.errors import UsageError
from pipeline.formatting import counted
from pipeline.model.directory import SPEC

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{2,39}")
"""A name that a network of keras.applications may have."""


def check_base(base: str, output: str) -> None:
    """Check what can be known of a base before TensorFlow is imported.

    Args:
        base: that the user gives.
        output: location of the new model, as `check_output` returns it.

    Raises:
        UsageError: it is nowhere, or it and the new model lie in one another.
    """
    if storage.is_remote(base) or os.path.exists(base):
        check_apart("--base", base, output)
    elif not _NAME.fullmatch(base):
        raise UsageError(
            f"--base {base!r} does not exist: give a model directory, a .keras or .h5 file, a SavedModel folder, or a "
            "network of keras.applications, such as MobileNetV2"
        )


def open_base(base: str, asked: Asked) -> Base:
    """Return the network that a training starts from, without its last layer.

    Args:
        base: a model directory, local or remote; a file or folder that `nightscore import-model` takes; or the name of
            a network of keras.applications.
        asked: what the user asks for beside it.

    Raises:
        UsageError: it cannot be had, its input rule is not known, or it is no beginning for a network.
    """
    from model_training.base.applications import open_application
    from model_training.base.directory import open_directory
    from model_training.base.foreign import open_foreign

    location = storage.absolute(base)
    if storage.is_remote(base) or os.path.exists(os.path.join(location, SPEC)):
        return open_directory(location, asked)
    return open_foreign(base, asked) if os.path.exists(base) else open_application(base, asked)


def about(base: Base) -> str:
    """Return one line for a person: what a base is, and what nothing tells of its input rule."""
    rule, facts = base.rule, base.facts
    layers = "a graph" if base.is_fixed else counted(len(base.layers), "layer") + " with weights"
    scaling = f", scaling {facts['scaling']}" if "scaling" in facts else ""
    usual = (
        f"; decoded and resized as by {USUAL}, if no --like says otherwise"
        if "resize" in facts.get("guessed", ())
        else ""
    )
    return f"base {facts['name']}: {layers}, {rule.width} x {rule.height} pixels, {rule.color_mode}{scaling}{usual}"
