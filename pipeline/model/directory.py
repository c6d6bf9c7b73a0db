"""The model directory: the one bridge between training and scoring.

    MODEL/
      saved_model/       signature serving_default: uint8 [batch, height, width, channels] -> float32 [batch, classes]
      model.keras        for people who go on training
      model_spec.json    `ModelSpec`
      golden/            a handful of encoded images, and expected.npz with their pixels and scores
      training/          what the training run left for people

Owns its names, its JSON and its identity. Knows neither TensorFlow nor Pillow.
"""

from __future__ import annotations

import functools
import io
import os
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.model.spec import ModelSpec, model_id

SPEC = "model_spec.json"
SAVED_MODEL = "saved_model"
KERAS_MODEL = "model.keras"
GOLDEN = "golden"
EXPECTED = "expected.npz"
TRAINING = "training"


@dataclass(frozen=True)
class Golden:
    """Images with the pixels and scores they gave where the model was trained.

    Attributes:
        encoded: n image files' contents.
        pixels: uint8 [n, height, width, channels].
        scores: float32 [n, classes].
    """

    encoded: Sequence[bytes]
    pixels: npt.NDArray[np.uint8]
    scores: npt.NDArray[np.float32]

    def files(self) -> dict[str, bytes]:
        """Return the contents of golden/, by name."""
        buffer = io.BytesIO()
        np.savez(buffer, pixels=self.pixels, scores=self.scores)
        images = {f"{i:03d}.png": data for i, data in enumerate(self.encoded)}
        return {**images, EXPECTED: buffer.getvalue()}


def read_spec(model: str) -> ModelSpec:
    """Return the spec of the model directory at a location.

    Raises:
        NewerFormatError: its spec is of a newer format.
        UsageError: there is no model directory, or its spec cannot be read.
    """
    location = storage.join(model, SPEC)
    try:
        text = storage.read(location).decode("utf-8")
    except FileNotFoundError as error:
        raise UsageError(
            f"{model!r} is not a model directory: it has no {SPEC}; make one with 'nightscore train --output {model}'"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"model {model!r} is damaged: {SPEC} is not UTF-8; train or copy it again") from error
    try:
        return ModelSpec.from_json(text, location)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"model {model!r} is damaged: {SPEC}: {error}; train or copy it again") from error


def check_model(model: str, spec: ModelSpec, name: str = "") -> None:
    """Check that saved_model/ is the one that the spec's model id names; whoever loads it checks first.

    Args:
        model: its location.
        spec: what it should be.
        name: what a person calls it, where that is not its location.

    Raises:
        UsageError: files are missing or changed.
    """
    root = storage.join(model, SAVED_MODEL) + "/"
    objects = storage.list_objects(root.rstrip("/"))
    files = [(o.location[len(root) :], storage.read(o.location)) for o in objects]
    found = model_id(spec.input, spec.class_names, files)
    if found != spec.model_id:
        raise UsageError(
            f"model {(name or model)!r} is damaged: {SAVED_MODEL}/ and its input rule have the id {found[:12]}, "
            f"but {SPEC} says {spec.model_id[:12]}; train or copy it again"
        )


@functools.cache
def local_copy(model: str) -> str:
    """Return a folder on this machine that holds the model; a gs:// model is copied once per process.

    Raises:
        UsageError: an object's name would lead out of that folder.
    """
    if not model.startswith(storage.GCS):
        return model
    folder = tempfile.mkdtemp(prefix="nightscore-model-")
    root = model.rstrip("/") + "/"
    for stored in storage.list_objects(model):
        names = stored.location[len(root) :].split("/")
        if names[0] not in (SPEC, SAVED_MODEL, GOLDEN) or not names[-1]:  # what consoles leave as folders ends in "/"
            continue
        if {"", ".", ".."} & set(names) or "\0" in stored.location:
            raise UsageError(f"model {model!r} is damaged: {stored.location!r} is no name of a file; copy it again")
        path = os.path.join(folder, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(storage.read(stored.location))
    return folder


def read_golden(model: str) -> Golden:
    """Return the golden images of a model directory.

    Raises:
        UsageError: the folder is missing or damaged.
    """
    try:
        expected = np.load(io.BytesIO(storage.read(storage.join(model, GOLDEN, EXPECTED))), allow_pickle=False)
        pixels, scores = expected["pixels"], expected["scores"]
        encoded = [storage.read(storage.join(model, GOLDEN, f"{i:03d}.png")) for i in range(len(pixels))]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"model {model!r} is damaged: {GOLDEN}/: {error}; train or copy it again") from error
    return Golden(encoded, pixels, scores)
