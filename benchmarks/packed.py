"""What `nightscore pack` buys on a slow store: score small files there, pack them, score the packed files there.

    python -m benchmarks.packed --model MODEL [--images 20000] [--work FOLDER]

The store waits 30 ms before it answers any request. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import ROOT
from benchmarks.machine import machine
from benchmarks.processes import BenchmarkError
from benchmarks.slow_store.server import BUCKET
from benchmarks.slow_store.workload import LATENCY, SlowStore, slow_store


def write_images(folder: Path, n: int) -> None:
    """Write n PNG files of 28x28 pixels, all different, in class folders."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(1)
    for i in range(n):
        path = folder / str(i % 10) / f"{i:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (28, 28), np.uint8)).save(path)


def timed(store: SlowStore, *words: str) -> dict[str, Any]:
    """Run a command on the store; return its seconds and the store's requests.

    Raises:
        BenchmarkError: it fails.
    """
    store.asked()
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "nightscore", *words],
        cwd=ROOT,
        env=os.environ | store.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(done.stderr)
    return {"seconds": round(time.monotonic() - started, 2), "requests": store.asked()["requests"]}


def measure(model: str, images: int, work: Path) -> dict[str, Any]:
    """Return seconds and requests of scoring files, of packing them, and of scoring what is packed."""
    write_images(work / "photos", images)
    score = ("score", "--model", model, "--max_failed_fraction", "1", "--input")
    with slow_store(work / "photos", work) as store:
        files = timed(store, *score, f"gs://{BUCKET}", "--output", str(work / "files"))
        pack = timed(store, "pack", "--input", f"gs://{BUCKET}", "--output", str(work / "packed"))
    with slow_store(work / "packed", work) as store:
        packed = timed(store, *score, f"gs://{BUCKET}", "--output", str(work / "night"))
    return {"images": images, "latency": LATENCY, "score_files": files, "pack": pack, "score_packed": packed}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packed")
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--work")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=asked.work) as work:
        found = measure(os.path.abspath(asked.model), asked.images, Path(work))
        print(json.dumps({**found, "machine": str(machine())}))


if __name__ == "__main__":
    main()
