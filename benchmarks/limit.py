"""The peer `limit`: what no program with our decoder, LiteRT and our rows can be much faster than.

It is measured like any other peer, as whole processes; what is ours beside it is our share of the limit.
"""

from __future__ import annotations

import sys

from benchmarks.commands import Command
from benchmarks.setting import Archive, Setting

LIMIT = "limit"
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""One process a core needs no second thread; it is read when NumPy is imported."""


def command(workload: str, archive: Archive, setting: Setting) -> Command:
    """Return its command, into a folder of its own."""
    output = setting.work / "outputs" / f"{workload}-{LIMIT}"
    words = [sys.executable, "-m", "benchmarks.bare_processes", "--input", archive.input, "--kind", archive.kind]
    words += ["--model", str(archive.model), "--output", str(output)]
    return Command(f"{workload}-{LIMIT}", words, output, _ENVIRONMENT)
