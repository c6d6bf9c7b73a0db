"""model.tflite from saved_model/: made and checked by a child process, or one line that says why there is none.

Whatever becomes of the child process, training goes on. Must not know how a conversion is done
(`model_training.publishing.converter`).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_training.publishing import converter
from model_training.publishing.converter import Answer
from pipeline.machine import import_path
from pipeline.model.directory import SAVED_MODEL, TFLITE, Golden
from pipeline.model.engines import litert
from pipeline.model.engines.network import Outputs
from pipeline.model.spec import GOLDEN_TOLERANCE, LARGEST_TOLERANCE, Conversion, ModelSpec
from pipeline.options import Engine
from pipeline.task import Task
from pipeline.text import brief, line

CONVERSION_SECONDS = 900.0
"""Seconds that the child process may take. The largest networks that were tried take 40 of CPU time."""

TOLERANCE_OF_DIFFERENCE = 10.0
"""Tolerance of the golden outputs, as a multiple of the difference between the engines: CPUs differ less."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Converted:
    """A conversion and what came with it.

    Attributes:
        conversion: for model_spec.json.
        golden: engine -> what it gave for the golden images; empty without model.tflite.
    """

    conversion: Conversion
    golden: Mapping[Engine, Outputs] = field(default_factory=dict)

    @property
    def golden_tolerance(self) -> float:
        """Difference of golden outputs, at most, that the model is to be published with."""
        return tolerance(self.conversion.difference)


def tolerance(difference: float) -> float:
    """Return the tolerance for golden outputs of a model whose engines differ by so much.

    >>> tolerance(6e-6), tolerance(4e-4)
    (0.001, 0.004)
    """
    return max(GOLDEN_TOLERANCE, TOLERANCE_OF_DIFFERENCE * difference)


def convert(
    folder: str, golden: Pixels, images: Pixels, seconds: float = CONVERSION_SECONDS, task: Task = "classes"
) -> Converted:
    """Write model.tflite beside the saved_model/ in a folder, if LiteRT gives the same scores with it.

    Args:
        folder: of the model directory, on this machine.
        golden: uint8 [n, height, width, channels], the golden images.
        images: uint8 [m, height, width, channels], more images to compare the two by.
        seconds: that it may take.
        task: of the model, which says how outputs are compared.

    Raises:
        OSError: a disk is full or cannot be written to.
    """
    if not litert.is_installed():
        return Converted(Conversion(missing="the package ai-edge-litert is not installed where the model was made"))
    with tempfile.TemporaryDirectory(prefix="nightscore-convert-") as work:
        np.save(Path(work, converter.GOLDEN), golden)
        np.save(Path(work, converter.IMAGES), images)
        answer = _run(os.path.join(folder, SAVED_MODEL), work, task, seconds)
        missing = answer.missing or _too_far(answer.difference)
        if missing:
            return Converted(Conversion(converter=answer.converter, missing=line(missing)))
        data = Path(work, TFLITE).read_bytes()
        outputs = converter.read_outputs(work)
    Path(folder, TFLITE).write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return Converted(Conversion(sha256, len(data), answer.difference, answer.images, answer.converter), outputs)


def with_engines(spec: ModelSpec, converted: Converted) -> ModelSpec:
    """Return a spec that tells what became of model.tflite; the model's id stays."""
    return replace(spec, litert=converted.conversion, golden_tolerance=converted.golden_tolerance)


def with_scores(golden: Golden, converted: Converted) -> Golden:
    """Return golden images with the outputs of LiteRT, too, if there is a model.tflite."""
    return golden.with_outputs("litert", converted.golden["litert"]) if "litert" in converted.golden else golden


def engines_of(conversion: Conversion) -> str:
    """Return which engines can score with a model, as a phrase.

    >>> engines_of(Conversion(sha256="c0ffee", difference=6.1e-6))
    'LiteRT and TensorFlow; outputs differ by 6.1e-06 of their spread'
    >>> engines_of(Conversion(missing="the converter does not take the operation ResizeBicubic"))
    'TensorFlow only: the converter does not take the operation ResizeBicubic'
    """
    if conversion.missing:
        return f"TensorFlow only: {conversion.missing}"
    return f"LiteRT and TensorFlow; outputs differ by {conversion.difference:.2g} of their spread"


def _too_far(difference: float) -> str:
    """Return why a conversion must not be used that differs by so much; "": it may."""
    if tolerance(difference) <= LARGEST_TOLERANCE:  # not if it is NaN
        return ""
    return (
        f"its outputs differ from those of {SAVED_MODEL}/ by {difference:.2g} of their spread, allowed are "
        f"{LARGEST_TOLERANCE / TOLERANCE_OF_DIFFERENCE:g}"
    )


def _run(saved_model: str, work: str, task: Task, seconds: float) -> Answer:
    """Run the child process and return its answer; if it gave none, one that says why."""
    # on a CPU, as the difference is one between engines, and the parent may hold all memory of a GPU
    environment = {**os.environ, "PYTHONPATH": import_path(), "CUDA_VISIBLE_DEVICES": "-1"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", converter.__name__, os.path.abspath(saved_model), work, task],
            stdin=subprocess.PIPE,  # the child process ends when it is closed
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us
        )
        with process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                return Answer(missing=f"the conversion was not done after {seconds:g} seconds")
            finally:
                process.kill()
        if process.returncode:
            output.seek(0)
            return Answer(missing=_death(process.returncode, output.read().decode("utf-8", "replace")))
    return Answer(**json.loads(Path(work, converter.ANSWER).read_text(encoding="utf-8")))


def _death(code: int, output: str) -> str:
    """Return why there is no answer of a child process that ended with this code."""
    if code == -signal.SIGKILL:
        return "the conversion was killed; perhaps memory did not suffice"
    if code < 0:
        return f"the conversion crashed ({signal.Signals(-code).name})"
    printed = [text for text in output.splitlines() if text.strip()]
    return f"the conversion failed: {brief(line(printed[-1]), 200) if printed else f'exit code {code}'}"
