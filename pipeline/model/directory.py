"""The model directory: the one bridge between training and scoring.

    MODEL/
      saved_model/       signature serving_default: uint8 [n, height, width, channels] -> float32 [n, classes]
      model.tflite       the same network for CPUs, for LiteRT; may be missing, and model_spec.json then says why
      model.keras        for people who go on training
      model_spec.json    `ModelSpec`
      golden/            a handful of encoded images, and expected.npz with their pixels and each engine's scores
      training/          what the training run left for people, or import/: what the import did

Owns its names, its JSON and its identity. Knows neither TensorFlow nor Pillow.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import io
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import storage
from pipeline.batches import EncodedBatch, PixelBatch
from pipeline.errors import UsageError
from pipeline.model.engines.network import Outputs
from pipeline.model.spec import ModelSpec, Takes, model_id
from pipeline.options import Engine
from pipeline.text import shell_path

SPEC = "model_spec.json"
SAVED_MODEL = "saved_model"
TFLITE = "model.tflite"
KERAS_MODEL = "model.keras"
GOLDEN = "golden"
EXPECTED = "expected.npz"
TRAINING = "training"
IMPORT = "import"

SCORES: Mapping[Engine, str] = {"tensorflow": "scores", "litert": "scores_litert"}
"""Engine -> name of its golden scores in expected.npz."""

EMBEDDINGS: Mapping[Engine, str] = {"tensorflow": "embedding", "litert": "embedding_litert"}
"""Engine -> name of its golden embeddings in expected.npz; there are none unless the model gives embeddings."""


_SCORED = (SPEC, SAVED_MODEL, TFLITE, GOLDEN)
"""Names in a model directory of what scoring needs."""


@dataclass(frozen=True)
class Golden:
    """Images with the pixels, scores and embeddings they gave where the model was made.

    Attributes:
        encoded: n image files' contents.
        pixels: uint8 [n, height, width, channels].
        scores: engine -> float32 [n, classes], the scores that it gave; or values [n, 1]; [n, 0] where the model gives
            embeddings alone.
        embeddings: engine -> float32 [n, d], the embeddings that it gave; empty if the model gives none.
    """

    encoded: Sequence[bytes]
    pixels: npt.NDArray[np.uint8]
    scores: Mapping[Engine, npt.NDArray[np.float32]]
    embeddings: Mapping[Engine, npt.NDArray[np.float32]] = field(default_factory=dict)

    def outputs(self, engine: Engine) -> Outputs | None:
        """Return what an engine gave; None if that is not there."""
        scores = self.scores.get(engine)
        return None if scores is None else Outputs(scores, self.embeddings.get(engine))

    def with_outputs(self, engine: Engine, outputs: Outputs) -> Golden:
        """Return the same images with what an engine gave."""
        embeddings = dict(self.embeddings)
        if outputs.embedding is not None:
            embeddings[engine] = outputs.embedding
        return replace(self, scores={**self.scores, engine: outputs.scores}, embeddings=embeddings)

    def inputs(self, takes: Takes) -> npt.NDArray[Any]:
        """Return the images as a network gets them: see `pipeline.batches.PixelBatch.inputs`."""
        return PixelBatch.of_files(EncodedBatch.of(self.encoded)).inputs if takes == "encoded" else self.pixels

    def files(self) -> dict[str, bytes]:
        """Return the contents of golden/, by name."""
        buffer = io.BytesIO()
        expected: dict[str, Any] = {SCORES[engine]: values for engine, values in self.scores.items()}
        expected |= {EMBEDDINGS[engine]: values for engine, values in self.embeddings.items()}
        np.savez(buffer, pixels=self.pixels, **expected)
        images = {f"{i:03d}.png": data for i, data in enumerate(self.encoded)}
        return {**images, EXPECTED: buffer.getvalue()}


def read_spec(model: str) -> ModelSpec:
    """Return the spec of the model directory at a location.

    Raises:
        NewerFormatError: its spec is of a newer format.
        UsageError: there is no model directory, or its spec cannot be read.
    """
    location = storage.join(model, SPEC)
    if kind := _foreign(model):
        raise UsageError(
            f"{model!r} is {kind}, not a model directory: make one of it with "
            f"'nightscore import-model {shell_path(model)} --output MODEL'"
        )
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


def _foreign(model: str) -> str:
    """Return what kind of model from elsewhere lies at a location, as a phrase; "": none that is known."""
    if os.path.isfile(model):
        return _FOREIGN.get(os.path.splitext(model)[1].lower(), "")
    if os.path.isdir(model) and not os.path.exists(os.path.join(model, SPEC)):
        names = ("saved_model.pb", "saved_model.pbtxt")
        return "a SavedModel folder" if any(os.path.exists(os.path.join(model, name)) for name in names) else ""
    return ""


_FOREIGN: Mapping[str, str] = {
    ".keras": "a Keras file",
    ".h5": "a Keras file",
    ".hdf5": "a Keras file",
    ".tflite": "a LiteRT file",
}
"""Suffix of a model from elsewhere -> what it is, as a phrase."""


def check_model(model: str, spec: ModelSpec, name: str = "") -> None:
    """Check that the network is the one that the spec's model id names; whoever loads it checks first.

    The network is saved_model/, or model.tflite where that was made elsewhere.

    Args:
        model: its location.
        spec: what it should be.
        name: what a person calls it, where that is not its location.

    Raises:
        UsageError: files are missing or changed.
    """
    root = storage.join(model, SAVED_MODEL) + "/"
    what = f"{SAVED_MODEL}/" if spec.feed is None else TFLITE
    if spec.feed is None:
        files = [(o.location[len(root) :], storage.read(o.location)) for o in storage.list_objects(root.rstrip("/"))]
    else:
        files = [(TFLITE, storage.read(storage.join(model, TFLITE)))]
    found = model_id(spec.input, spec.class_names, files, spec.identity())
    if found != spec.model_id:
        raise UsageError(
            f"model {(name or model)!r} is damaged: {what} and its input rule have the id {found[:12]}, "
            f"but {SPEC} says {spec.model_id[:12]}; train or copy it again"
        )


def check_tflite(model: str, spec: ModelSpec, name: str = "") -> None:
    """Check that model.tflite is the file that the spec tells of; whoever loads it checks first.

    LiteRT takes most files of which bits have changed, without complaint.

    Args:
        model: location of the model directory.
        spec: what it should be; it tells of a model.tflite.
        name: what a person calls it, where that is not its location.

    Raises:
        UsageError: the file is missing or changed.
    """
    assert spec.litert is not None
    location = storage.join(model, TFLITE)
    try:
        found = hashlib.sha256(storage.read(location)).hexdigest()
    except FileNotFoundError as error:
        raise UsageError(
            f"model {(name or model)!r} is damaged: {TFLITE} is missing; train or copy it again"
        ) from error
    if found != spec.litert.sha256:
        raise UsageError(
            f"model {(name or model)!r} is damaged: {TFLITE} has the SHA-256 {found[:12]}, but {SPEC} says "
            f"{spec.litert.sha256[:12]}; train or copy it again"
        )


@functools.cache
def local_copy(model: str) -> str:
    """Return a folder on this machine that holds the model; a gs:// model is copied once per process.

    The copy is removed when this process ends.

    Raises:
        UsageError: an object's name would lead out of that folder.
    """
    if not storage.is_remote(model):
        return model
    folder = tempfile.mkdtemp(prefix="nightscore-model-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy_files(model, _SCORED, folder)
    return folder


def copy_files(model: str, wanted: Container[str], folder: str) -> None:
    """Copy some of what is in a model directory into a folder on this machine.

    Args:
        model: location of the model directory.
        wanted: names in it, of files and of folders; what is in these is copied with them.
        folder: to copy into.

    Raises:
        UsageError: an object's name would lead out of that folder.
    """
    root = model.rstrip("/") + "/"
    for stored in storage.list_objects(model):
        names = stored.location[len(root) :].split("/")
        if names[0] not in wanted or not names[-1]:  # what consoles leave as folders ends in "/"
            continue
        if {"", ".", ".."} & set(names) or "\0" in stored.location:
            raise UsageError(f"model {model!r} is damaged: {stored.location!r} is no name of a file; copy it again")
        path = os.path.join(folder, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(storage.read(stored.location))


def read_golden(model: str) -> Golden:
    """Return the golden images of a model directory.

    Raises:
        UsageError: the folder is missing or damaged.
    """
    try:
        expected = np.load(io.BytesIO(storage.read(storage.join(model, GOLDEN, EXPECTED))), allow_pickle=False)
        pixels = expected["pixels"]
        scores = {engine: expected[name] for engine, name in SCORES.items() if name in expected}
        embeddings = {engine: expected[name] for engine, name in EMBEDDINGS.items() if name in expected}
        encoded = [storage.read(storage.join(model, GOLDEN, f"{i:03d}.png")) for i in range(len(pixels))]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"model {model!r} is damaged: {GOLDEN}/: {error}; train or copy it again") from error
    return Golden(encoded, pixels, scores, embeddings)
