"""The speed that no program with these pieces could exceed on this machine: their costs summed, spread over the cores.

What is missing in it is everything that makes a job of them: rows, checks, commits, waiting for one another.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.commands import ROOT
from benchmarks.machine import cores
from benchmarks.processes import BenchmarkError
from benchmarks.setting import Archive

STARTS = 3
"""Imports of TensorFlow, of which the fastest counts."""


@dataclass(frozen=True)
class Limit:
    """What an image costs at least, and what follows.

    Attributes:
        read: CPU seconds to read an image.
        decode: CPU seconds to decode and resize it.
        predict: CPU seconds for it in the model, in the best batch.
        start: seconds to import TensorFlow, once, in one thread.
        cores: how many there are.
        decoder: which one was the fastest.
        batch: which one was the best.

    >>> bare = Limit(1e-6, 4e-6, 5e-6, 2.0, 2, "pillow", 128)
    >>> round(bare.images_per_second), round(bare.whole_process(400_000))
    (200000, 100000)
    """

    read: float
    decode: float
    predict: float
    start: float
    cores: int
    decoder: str
    batch: int

    @property
    def images_per_second(self) -> float:
        """Without any start-up."""
        return self.cores / (self.read + self.decode + self.predict)

    def whole_process(self, images: int) -> float:
        """Images per second of a process that has to import TensorFlow first."""
        return images / (self.start + images / self.images_per_second)


def limit(archive: Archive, precision: str) -> dict[str, Any]:
    """Measure the pieces over an archive, one process after the other; as JSON values.

    Raises:
        BenchmarkError: a piece failed.
    """
    read, decode, predict = (_piece(name, archive, precision) for name in ("read", "decode", "predict"))
    starts = [_piece("import", archive, precision)["wall_seconds"] for _ in range(STARTS)]
    found = Limit(
        read["cpu_seconds"],
        decode["cpu_seconds"],
        predict["cpu_seconds"],
        min(starts),
        cores(),
        decode["decoder"],
        predict["batch"],
    )
    whole = found.whole_process(archive.images)
    return {**asdict(found), "images_per_second": found.images_per_second, "whole_process_images_per_second": whole}


def _piece(name: str, archive: Archive, precision: str) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.pieces", name, "--kind", archive.kind, "--input", archive.input]
    words += ["--model", str(archive.model), "--precision", precision]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"the piece {name!r} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
