"""Find out what a source is, and read it with the module for its kind. The first bytes decide, not the name."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from model_import.foreign import Foreign
from model_import.keras_file import HDF5, read_keras_file
from model_import.request import Request
from model_import.saved_model_folder import FILES, Wanted, read_saved_model
from model_import.tflite_file import read_tflite_file
from pipeline import storage
from pipeline.errors import UsageError
from pipeline.model.directory import SPEC

TEACHABLE_MACHINE = ("keras_model.h5", "labels.txt")
"""Names of the files in a folder that Teachable Machine exports."""

ZIP = b"PK\x03\x04"

TFLITE_AT_4 = b"TFL3"
"""Bytes of a .tflite file behind the first four."""

_COPY = {"gs": "gcloud storage cp -r {} .", "s3": "aws s3 cp --recursive {} .", "az": "az storage blob download-batch"}
"""Scheme -> command that copies a folder to this machine."""

_MODELS = (".keras", ".h5", ".hdf5", ".tflite")

_TORCH = "is a file of PyTorch, of which Nightscore runs none; docs/models.md says how to convert it"

_ONNX = "is a network in ONNX, of which Nightscore runs none; docs/models.md says how to convert it"


@dataclass(frozen=True)
class Opened:
    """A source that was read.

    Attributes:
        model: the network.
        path: of the file or folder that holds it.
        beside: folder in which files that tell of it lie.
        kind: what it is, as a phrase for people.
        labels: file of class names that belongs to it; "": there is none.
        is_teachable_machine: whether Teachable Machine made it, whose input rule is known.
    """

    model: Foreign
    path: str
    beside: Path
    kind: str
    labels: str = ""
    is_teachable_machine: bool = False


def open_source(request: Request) -> Opened:
    """Return the model that a source holds.

    Raises:
        UsageError: there is none, it cannot be loaded here, or it would run code.
    """
    source = request.source
    if storage.is_remote(source):
        command = _COPY[source.partition(":")[0]].format(source)
        raise UsageError(f"{source!r}: copy it to this machine first, with {command!r}")
    if not os.path.exists(source):
        raise UsageError(f"{source!r} does not exist")
    try:
        return _folder(request) if os.path.isdir(source) else _file(request, source)
    except PermissionError as error:
        raise UsageError(f"{source!r} cannot be read: {error.strerror}") from error


def source_hash(path: str) -> str:
    """Return the SHA-256 over a file, or over the names and contents of a folder's files."""
    digest = hashlib.sha256()
    files = sorted(found for found in Path(path).rglob("*") if found.is_file()) if os.path.isdir(path) else [Path(path)]
    for file in files:
        digest.update(f"\n{file.relative_to(path) if file != Path(path) else ''}\n".encode("utf-8", "surrogateescape"))
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _folder(request: Request) -> Opened:
    source = request.source
    names = sorted(os.listdir(source))
    beside = Path(source)
    if SPEC in names:
        raise UsageError(f"{source!r} is a model of Nightscore already: score with --model {source}")
    if set(TEACHABLE_MACHINE) <= set(names):
        path, labels = (os.path.join(source, name) for name in TEACHABLE_MACHINE)
        model = read_keras_file(path, "rgb", request.embedding_layer)
        return Opened(model, path, beside, "a model of Teachable Machine", labels, is_teachable_machine=True)
    if set(FILES) & set(names):
        rule = request.rule.get("color_mode")
        wanted = Wanted(request.signature, request.input_name, request.output_name, rule)
        return Opened(read_saved_model(source, wanted), source, beside, "a SavedModel")
    inside = [name for name in names if name.endswith(_MODELS)]
    inside += [name for name in names if set(FILES) & set(_listed(os.path.join(source, name)))]
    if len(inside) == 1:
        raise UsageError(f"{source!r} is no model, but {os.path.join(source, inside[0])!r} in it may be one: give that")
    if inside:
        raise UsageError(f"{source!r} is a folder with several models: give one of {', '.join(inside[:8])} in it")
    if "variables" in names:
        raise UsageError(f"{source!r} has variables/ and no saved_model.pb: the SavedModel is not whole")
    what = f"it has {', '.join(map(repr, names[:3]))}" if names else "it is empty"
    raise UsageError(f"{source!r} is no model: {what}; expected saved_model.pb, or Teachable Machine's keras_model.h5")


def _listed(path: str) -> list[str]:
    return os.listdir(path) if os.path.isdir(path) else []


def _file(request: Request, path: str) -> Opened:
    with open(path, "rb") as file:
        head = file.read(512)
    suffix = os.path.splitext(path)[1].lower()
    beside = Path(path).parent
    if head.startswith(HDF5):
        _no_signature(request, "a file of Keras")
        return Opened(_keras(request, path), path, beside, "a Keras file in HDF5 (.h5)")
    if head.startswith(ZIP) and suffix not in (".pt", ".pth", ".ptl"):
        _no_signature(request, "a file of Keras")
        return Opened(_keras(request, path), path, beside, "a .keras file")
    if head[4:8] == TFLITE_AT_4:
        _no_signature(request, "a .tflite file")
        return Opened(read_tflite_file(path, request.rule.get("color_mode")), path, beside, "a .tflite file")
    if os.path.basename(path) in FILES:
        raise UsageError(f"{path!r} is part of a SavedModel: give its folder, {os.path.dirname(path) or '.'!r}")
    raise UsageError(f"{path!r} {_refusal(head, suffix)}")


def _keras(request: Request, path: str) -> Foreign:
    return read_keras_file(path, request.rule.get("color_mode"), request.embedding_layer)


def _refusal(head: bytes, suffix: str) -> str:
    """Return what a file is that is not read, as the rest of a sentence."""
    if not head:
        return "is empty"
    if suffix in (".pt", ".pth", ".ptl", ".safetensors", ".ckpt"):
        return _TORCH
    if head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "is a pickle: loading one runs whatever code it holds, so it is not loaded"
    if suffix == ".onnx":
        return _ONNX
    expected = "a .keras, .h5, .hdf5 or .tflite file, or a SavedModel folder"
    if suffix in _MODELS:
        return f"is no {suffix} file, whatever its name says: it starts with {head[:8]!r}; expected {expected}"
    return f"is no model that can be imported: expected {expected}"


def _no_signature(request: Request, what: str) -> None:
    for name in ("signature", "input_name"):
        if getattr(request, name):
            raise UsageError(f"--{name} is for SavedModel folders, and {request.source!r} is {what}")
