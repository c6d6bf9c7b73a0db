"""Memory over a long run: what is resident early is what is resident at the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model_training.data.datasets import RawImages

ROOT = Path(__file__).parents[2]
DISTINCT = 1_000
PER_FOLDER = 10_000


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


REVIEW_MB, REVIEW_BYTES = 70, 800
"""What the look at all rows may take after the last unit: MB, and bytes an image; all images are copies here."""


def assert_flat(n: int, early: float, bound: float, digits: RawImages, model: str, folder: Path) -> None:
    """Score n images; fail if memory grows beyond `bound` after a share `early` of them, or at the end too far."""
    many_images(folder / "archive", digits, n)
    night = folder / "night"
    command = ["score", "--input", str(folder / "archive"), "--model", model, "--output", str(night)]
    seen: list[tuple[int, int]] = []
    with subprocess.Popen(
        [sys.executable, "-m", "nightscore", *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            time.sleep(0.1)
            seen.append((len(list((night / "receipts").glob("*.json"))), resident(process)))
    assert process.returncode == 0
    units = seen[-1][0]
    at_early = next(kb for done, kb in seen if done >= early * units)
    most = max(kb for done, kb in seen if early * units <= done < units)
    last = max(kb for _, kb in seen)
    print(
        f"{n:,} images: {at_early / 1024:,.0f} MB after {early:.0%}, at most {most / 1024:,.0f} MB from then to the "
        f"last unit, and {last / 1024:,.0f} MB at the end"
    )
    assert most < bound * at_early
    assert last - most < REVIEW_MB * 1024 + n * REVIEW_BYTES / 1024


@pytest.mark.heavy
@pytest.mark.parametrize(("n", "early", "bound"), [(40_000, 0.45, 1.05), (60_000, 0.3, 1.1)])  # from 18,000 images on
def test_memory_is_flat_after_the_first_images(
    digits: RawImages, tiny_model: str, tmp_path: Path, n: int, early: float, bound: float
) -> None:
    assert_flat(n, early, bound, digits, tiny_model, tmp_path)


@pytest.mark.soak
def test_memory_is_flat_over_a_million_images(digits: RawImages, tiny_model: str, tmp_path: Path) -> None:
    assert_flat(1_000_000, 0.1, 1.1, digits, tiny_model, tmp_path)
