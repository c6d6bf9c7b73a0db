"""The peer `limit`: what no program with our decoder, LiteRT and our rows can be much faster than.

It is measured like any other peer, as whole processes; what is ours beside it is our share of the limit.
"""

from __future__ import annotations

import hashlib
import sys

from benchmarks.commands import ROOT, Command, call
from benchmarks.setting import Archive, Setting
from pipeline.model.directory import SAVED_MODEL, SPEC

LIMIT = "limit"
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""One process a core needs no second thread; it is read when NumPy is imported."""


def command(workload: str, archive: Archive, setting: Setting) -> Command:
    """Return its command, into a folder of its own; the network is converted now if it was not yet.

    Raises:
        BenchmarkError: the network cannot be converted.
    """
    spec = (archive.model / SPEC).read_bytes()
    network = setting.work / "networks" / f"{hashlib.sha256(spec).hexdigest()[:16]}.tflite"
    if not network.exists():
        network.parent.mkdir(parents=True, exist_ok=True)
        call([sys.executable, "-m", "benchmarks.convert", str(archive.model / SAVED_MODEL), str(network)], ROOT)
    output = setting.work / "outputs" / f"{workload}-{LIMIT}"
    words = [sys.executable, "-m", "benchmarks.bare_processes", "--input", archive.input, "--kind", archive.kind]
    words += ["--model", str(archive.model), "--network", str(network), "--output", str(output)]
    return Command(f"{workload}-{LIMIT}", words, output, _ENVIRONMENT)
