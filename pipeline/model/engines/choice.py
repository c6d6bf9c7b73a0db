"""This module decides which engine scores a run: the one that was asked for, or the best for "auto".

It is decided once, where the run is submitted. Imports no engine.
"""

from __future__ import annotations

import functools
import glob
import os
import subprocess
import sys
from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.model.engines import litert, tensorflow
from pipeline.model.outputs import why_no_bfloat16
from pipeline.model.spec import ModelSpec
from pipeline.options import Engine, ScoreOptions

GPU_DEVICES = ("/dev/nvidia[0-9]*", "/dev/kfd", "/dev/dxg")
"""Patterns of the device files of GPUs: NVIDIA's, AMD's, and those that Windows lends to Linux."""

_PROBE = "import tensorflow as tf, sys; sys.exit(0 if tf.config.list_physical_devices('GPU') else 7)"

PROBE_SECONDS = 120.0
"""Seconds that TensorFlow may take to look for a GPU."""


@dataclass(frozen=True)
class Choice:
    """The engine of a run.

    Attributes:
        engine: its name.
        why: why it is this one, as a phrase for people.
    """

    engine: Engine
    why: str


def choose(options: ScoreOptions, spec: ModelSpec, begun_with: Engine | None) -> Choice:
    """Return the engine that a run is scored with.

    Args:
        options: of the run.
        spec: of the model.
        begun_with: the engine that made the results which OUTPUT holds; None: it holds none.

    Raises:
        UsageError: the engine that was asked for is not that of OUTPUT, is not installed, lacks a file of the model, or
            has no such precision; or the model's output allows no such precision.
    """
    asked = options.engine
    _check_precision(options, spec)
    if begun_with is not None and asked not in ("auto", begun_with):
        raise UsageError(
            f"--output {options.output!r} holds scores of --engine {begun_with}, and those of another engine differ in "
            f"their last digits: leave out --engine {asked}, or choose another --output"
        )
    if asked != "auto":
        choice = Choice(asked, "as asked for")
    elif begun_with is not None:
        choice = Choice(begun_with, "the first run into OUTPUT used it")
    else:
        choice = _best(options, spec)
    (_check_litert if choice.engine == "litert" else _check_tensorflow)(options, spec, choice)
    return choice


def _best(options: ScoreOptions, spec: ModelSpec) -> Choice:
    if spec.feed is not None:
        return Choice("litert", "the model was imported from a .tflite file")
    if options.precision == "bfloat16":
        return Choice("tensorflow", "it alone computes in bfloat16")
    if options.accelerator is not None:
        return Choice("tensorflow", "it uses the GPU of --accelerator")
    if not spec.has_litert:
        return Choice("tensorflow", why_no_litert(spec))
    if not litert.is_installed():
        return Choice("tensorflow", "LiteRT (ai-edge-litert) is not installed here")
    if sees_gpu():
        return Choice("tensorflow", "it uses the GPU of this machine")
    return Choice("litert", "the model has model.tflite")


def why_no_litert(spec: ModelSpec) -> str:
    """Return why a model has no model.tflite, as a phrase."""
    if spec.litert is None:
        return "the model was made without model.tflite"
    return f"the model has no model.tflite ({spec.litert.missing})"


def add_engines(options: ScoreOptions, spec: ModelSpec) -> str:
    """Return the command that makes model.tflite for a model of an earlier version; "" if it would not help."""
    if spec.litert is not None:
        return ""
    return f"nightscore train --add_engines {options.model} --output NEW"


def _check_precision(options: ScoreOptions, spec: ModelSpec) -> None:
    why_not = why_no_bfloat16(spec.task, spec.embedding)
    if options.precision != "float32" and why_not:
        raise UsageError(
            f"--precision {options.precision} cannot score --model {options.model!r}: {why_not}; leave it out"
        )


def _check_litert(options: ScoreOptions, spec: ModelSpec, choice: Choice) -> None:
    if options.precision != "float32":
        raise UsageError(
            f"--precision {options.precision} needs --engine tensorflow, and this run's engine is litert ({choice.why})"
        )
    if not spec.has_litert:
        command = add_engines(options, spec)
        remedy = f"make it with '{command}'" if command else "score with --engine tensorflow"
        raise UsageError(f"--engine litert cannot run --model {options.model!r}: {why_no_litert(spec)}; {remedy}")
    if not litert.is_installed():
        raise UsageError(
            "--engine litert needs the package ai-edge-litert, which is not installed here: install it with "
            "'pip install ai-edge-litert'"
        )


def _check_tensorflow(options: ScoreOptions, spec: ModelSpec, choice: Choice) -> None:
    if spec.feed is not None:
        raise UsageError(
            f"--engine tensorflow cannot run --model {options.model!r}: it was imported from a .tflite file, which "
            "LiteRT alone runs; leave out --engine, --precision and --accelerator"
        )
    if not tensorflow.is_installed():
        raise UsageError(
            f"this run's engine is tensorflow ({choice.why}), and the package tensorflow is not installed here: "
            "install it with 'pip install tensorflow' (in a workers' image: templates/README.md)"
        )


def sees_gpu() -> bool:
    """Return whether TensorFlow would find a GPU on this machine.

    Where there is no device file of a GPU, or none may be used, the answer is quick. Else TensorFlow is asked, in a
    process of its own: it may be a build for CPUs.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    if not any(glob.glob(pattern) for pattern in GPU_DEVICES) or not tensorflow.is_installed():
        return False
    return _finds_gpu(_PROBE, PROBE_SECONDS)


@functools.cache
def _finds_gpu(program: str, seconds: float) -> bool:
    """Return whether a program, run once in a process of its own, ends well and in time."""
    words = [sys.executable, "-c", program]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds)
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False
