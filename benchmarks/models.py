"""Where the models of the workloads lie; each is made once, by `benchmarks.make_model` in a process of its own.

So the benchmark's own process stays free of TensorFlow.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.commands import ROOT
from benchmarks.processes import BenchmarkError


def make_model(kind: str, location: Path, *source: str) -> Path:
    """Return the model directory at a location, which is made there if it is not.

    Args:
        kind: "mnist", "jpeg" or "mobilenet".
        location: of the model directory.
        source: what it is made from, see `benchmarks.make_model`.

    Raises:
        BenchmarkError: it cannot be made.
    """
    if not location.exists():
        location.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.make_model", kind, str(location), *source]
        made = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
        if made.returncode:
            raise BenchmarkError(f"the model {kind} cannot be made: {made.stderr[-2000:]}")
    return location
