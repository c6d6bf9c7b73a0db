"""Where the models of the workloads lie; each is made once, by `benchmarks.make_model` in a process of its own.

So the benchmark's own process stays free of TensorFlow.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.commands import ROOT, call


def make_model(
    location: Path,
    *recipe: str,
    python: str = sys.executable,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Return the model directory at a location, which is made there if it is not.

    Args:
        location: of the model directory.
        recipe: its kind ("mnist", "wide", "jpeg" or "mobilenet") and what it is made from, see `benchmarks.make_model`.
        python: the interpreter that makes it.
        folder: with the code that makes it.
        environment: variables beside those of this process.

    Raises:
        BenchmarkError: it cannot be made.
    """
    if not location.exists():
        location.parent.mkdir(parents=True, exist_ok=True)
        kind, *source = recipe
        call([python, "-m", "benchmarks.make_model", kind, str(location), *source], folder, environment)
    return location
