"""Memory over a long run: what is resident early is what is resident at the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model_training.datasets import RawImages

ROOT = Path(__file__).parents[2]
DISTINCT = 1_000
PER_FOLDER = 10_000
PLANNED = 1_200
"""Images in a unit of such an archive, about."""


def many_images(folder: Path, digits: RawImages, n: int) -> None:
    """Write n names of DISTINCT images: hard links, 10,000 to a folder."""
    originals = folder.with_name("originals")
    originals.mkdir()
    for i in range(DISTINCT):
        (originals / f"{i}.png").write_bytes(digits.encoded(i))
    for i in range(n):
        if i % PER_FOLDER == 0:
            place = folder / f"{i // PER_FOLDER:04d}"
            place.mkdir(parents=True)
        os.link(originals / f"{i % DISTINCT}.png", place / f"{i:08d}.png")


def resident(process: subprocess.Popen[bytes]) -> int:
    """Return the kB that a process has in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return int(found[1]) if found else 0  # 0: it has ended


def grown(n: int, early: float, digits: RawImages, model: str, folder: Path) -> float:
    """Score n images; return memory at the end as a multiple of that when a share `early` of them was done."""
    many_images(folder / "archive", digits, n)
    night = folder / "night"
    command = ["score", "--input", str(folder / "archive"), "--model", model, "--output", str(night)]
    units = n / PLANNED
    at_early = most = 0
    with subprocess.Popen(
        [sys.executable, "-m", "nightscore", *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            time.sleep(0.1)
            most = max(most, resident(process)) if at_early else 0
            if not at_early and len(list((night / "receipts").glob("*.json"))) >= early * units:
                at_early = resident(process)
    assert process.returncode == 0
    print(
        f"{n:,} images: {at_early / 1024:,.0f} MB after {early:.0%}, at most {most / 1024:,.0f} MB from then to the end"
    )
    return most / at_early


@pytest.mark.heavy
@pytest.mark.parametrize(("n", "early", "bound"), [(40_000, 0.45, 1.05), (60_000, 0.3, 1.1)])  # from 18,000 images on
def test_memory_is_flat_after_the_first_images(
    digits: RawImages, tiny_model: str, tmp_path: Path, n: int, early: float, bound: float
) -> None:
    assert grown(n, early, digits, tiny_model, tmp_path) < bound


@pytest.mark.soak
def test_memory_is_flat_over_a_million_images(digits: RawImages, tiny_model: str, tmp_path: Path) -> None:
    assert grown(1_000_000, 0.1, digits, tiny_model, tmp_path) < 1.1
