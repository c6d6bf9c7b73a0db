"""A .tflite file, quantized or not, as a model that was read. No TensorFlow is needed.

It is opened by a child process first (`model_import.tflite_probe`), because foreign bytes may crash LiteRT.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model_import import tflite_probe
from model_import.foreign import Images, Kind, Layer, Output
from model_import.layout import HasLayout, Layout, read_layout
from model_import.scaling import SCALINGS, Scaling
from model_import.tflite_metadata import Metadata
from model_import.tflite_start import layers_of
from pipeline.errors import UsageError
from pipeline.machine import import_path
from pipeline.model.engines import litert
from pipeline.model.engines.fed_litert import RawLiteRT
from pipeline.model.feed import Quantization, in_order, quantized
from pipeline.model.input_rule import ColorMode
from pipeline.text import brief, line

PROBE_SECONDS = 120.0
"""Seconds that opening a file may take."""

LABEL_FILES = ("labels.txt", "labelmap.txt", "label_map.txt", "labels_without_background.txt")
"""Names of a file of class names that is packed into a .tflite file."""

MOST_FILES = 32
"""Files of class names that are read of a .tflite file, at most."""

LARGEST_NAMES = 1 << 20
"""Bytes of a packed file of class names, at most."""


@dataclass(frozen=True)
class PackedFile:
    """A file of class names that is packed into a .tflite file.

    Attributes:
        name: within it.
        text: its content.
    """

    name: str
    text: str


@dataclass(frozen=True)
class TfliteModel(HasLayout):
    """A .tflite file that was read. See `model_import.foreign.Foreign`.

    Attributes:
        path: of the file.
        layout: of its input.
        dtype: of its input, a name as "float32".
        quantization: of its input; None: it is not quantized.
        outputs: all that it gives.
        steps: of each output, between two of its values; 0: it is not quantized.
        is_quantized: whether any of its tensors is.
        packed_files: files of class names that are packed into it.
        metadata: what its metadata say.
        damage: why they are not read; "": they are.
        kind: "tflite".
        layers: what its first operators do, see `model_import.tflite_start`.
        may_be_hub: False: this is of a SavedModel.
    """

    path: str
    layout: Layout
    dtype: str
    quantization: Quantization | None
    outputs: Sequence[Output]
    steps: Mapping[str, float]
    is_quantized: bool = False
    packed_files: Sequence[PackedFile] = ()
    metadata: Metadata = field(default_factory=Metadata)
    damage: str = ""
    kind: Kind = "tflite"
    layers: Sequence[Layer] = ()
    may_be_hub: bool = False
    _network: list[RawLiteRT] = field(default_factory=list, compare=False, repr=False)

    def scaling(self) -> Scaling | None:
        """Return the scaling that the quantization of the input says, if it is a usual one; None: it says nothing.

        A quantized input takes pixels as they are: its lowest number is grey level 0, its highest is 255.
        """
        if self.quantization is None or self.dtype not in ("uint8", "int8"):
            return None
        lowest = (np.iinfo(self.dtype).min - self.quantization.zero) * self.quantization.step
        factor = self.quantization.step
        near = [one for one in SCALINGS.values() if len(one.scale) == 1 and len(one.offset) == 1]
        return next(
            (one for one in near if abs(one.scale[0] - factor) * 255 < factor and abs(one.offset[0] - lowest) < factor),
            None,
        )

    def __call__(self, images: Images) -> Mapping[str, npt.NDArray[np.float32]]:
        """Return the outputs of scaled images by name, see `model_import.foreign.Foreign`.

        Raises:
            ValueError: the network does not take these images.
        """
        values = quantized(in_order(images, self.layout.order), self.dtype, self.quantization)
        if not self._network:
            self._network.append(RawLiteRT(self.path))
        try:
            found = self._network[0](values)
        except (RuntimeError, MemoryError) as error:
            raise ValueError(brief(line(" ".join(str(error).split())), 300)) from error
        return {output.name: rows for output, rows in zip(self.outputs, found, strict=True)}


def read_tflite_file(path: str, color_mode: ColorMode | None = None) -> TfliteModel:
    """Return the model in a .tflite file.

    Args:
        path: of the file.
        color_mode: that the user asked for; it decides where the network takes any number of channels.

    Raises:
        UsageError: LiteRT is not installed, does not load the file or dies of it, or the model takes no images.
    """
    if not litert.is_installed():
        raise UsageError(f"{path!r} needs the package ai-edge-litert: install it with 'pip install ai-edge-litert'")
    told = _probe(path)
    source, outputs = told["input"], told["outputs"]
    if source["dtype"] not in ("float32", "float16", "uint8", "int8", "int16", "int32", "int64"):
        raise UsageError(f"{path!r} takes no images: its input {source['name']!r} is of type {source['dtype']}")
    layout = read_layout(_sides(source["signature"]), color_mode, path, source["name"])
    _check_outputs(outputs, path)
    names = [one["name"] for one in outputs]
    unique = [name if names.count(name) == 1 else f"{name}#{i}" for i, name in enumerate(names)]
    found = [Output(name, _sides(one["signature"][1:])) for name, one in zip(unique, outputs, strict=True)]
    quantization = Quantization(source["step"], source["zero"]) if source["step"] else None
    steps = {name: one["step"] for name, one in zip(unique, outputs, strict=True)}
    metadata = Metadata(**told["metadata"])
    return TfliteModel(
        path,
        layout,
        source["dtype"],
        quantization,
        found,
        steps,
        told["quantized"],
        _packed_files(path, metadata.label_files),
        metadata,
        told["damage"],
        layers=layers_of(told["layers"]),
    )


def _sides(signature: Sequence[int]) -> tuple[int | None, ...]:
    return tuple(None if side < 0 else side for side in signature)


def _check_outputs(outputs: Sequence[Mapping[str, Any]], path: str) -> None:
    names = [str(one["name"]) for one in outputs]
    if any("detection" in name.lower() for name in names) and len(names) >= 3:
        raise UsageError(f"{path!r} finds objects in images (it gives {names[0]!r}); Nightscore scores whole images")


def _probe(path: str) -> Mapping[str, Any]:
    """Return what a child process found in a file.

    Raises:
        UsageError: it is no file that LiteRT runs.
    """
    words = [sys.executable, "-m", tflite_probe.__name__, path]
    environment = {"PYTHONPATH": import_path(), "PATH": ""}
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PROBE_SECONDS, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{path!r} was not opened after {PROBE_SECONDS:g} seconds") from error
    if done.returncode < 0:
        raise UsageError(f"{path!r} is damaged: LiteRT crashes on it ({signal.Signals(-done.returncode).name})")
    if done.returncode:
        text = [entry for entry in done.stderr.decode("utf-8", "replace").splitlines() if entry.strip()]
        raise UsageError(
            f"{path!r} cannot be opened by LiteRT: {brief(line(text[-1] if text else 'no reason given'), 300)}"
        )
    answer: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "refused" in answer:
        raise UsageError(f"{path!r} cannot be run by {litert.version()}: {answer['refused']}")
    return answer


def _packed_files(path: str, declared: Sequence[str]) -> Sequence[PackedFile]:
    """Return the files of class names that are packed into a .tflite file, each as often as it is there.

    Args:
        path: of the .tflite file.
        declared: names of those that its metadata tell of.
    """
    found: list[PackedFile] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if (
                    len(found) < MOST_FILES
                    and entry.file_size <= LARGEST_NAMES
                    and _has_names(entry.filename, declared)
                ):
                    found.append(PackedFile(entry.filename, archive.read(entry).decode("utf-8-sig")))
    except (zipfile.BadZipFile, UnicodeDecodeError, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        return found
    return found


def _has_names(name: str, declared: Sequence[str]) -> bool:
    base = name.rpartition("/")[2].lower()
    return name in declared or base in LABEL_FILES or ("label" in base and base.endswith(".txt"))
