"""Exports that are killed half-way, and go on: in the end there is what one run makes, and never half a file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_outputs import picture, write_archive_output
from archives import tar

ROOT = Path(__file__).parents[2]
IMAGES = 6_000
KILLS = 3


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nightscore", "export", "night", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_when(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Kill a process as soon as something is so; fail if it ends before."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.communicate()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_images_that_are_sorted_while_the_process_is_killed(tmp_path: Path, kind: str) -> None:
    files = {f"{n % 7}/{n:05d}.png": picture(n % 251) for n in range(IMAGES)}
    archive = tmp_path / ("photos" if kind == "folder" else "photos.tar")
    if kind == "tar":
        archive.write_bytes(tar(files))
    else:
        for name, data in files.items():
            (archive / name).parent.mkdir(parents=True, exist_ok=True)
            (archive / name).write_bytes(data)
    write_archive_output(tmp_path / "night", archive)
    target = tmp_path / "sorted"
    whole = set(files.values())
    for n in range(1, KILLS + 1):
        least = n * IMAGES // (KILLS + 2)

        def is_far(least: int = least) -> bool:
            return target.is_dir() and sum(len(os.listdir(p)) for p in target.iterdir() if p.name[0] != ".") >= least

        kill_when(start(tmp_path, "--sort_into", "sorted"), is_far)
        named = [path for path in target.rglob("*.png") if ".nightscore" not in path.parts]
        assert least <= len(named) < IMAGES
        assert all(path.read_bytes() in whole for path in named)
    (target / ".nightscore" / "1-1.tmp").write_bytes(b"half")
    out, err = start(tmp_path, "--sort_into", "sorted").communicate(timeout=120)
    assert err == ""
    last = re.fullmatch(r"sorted: 6,000 images: ([\d,]+) exported, ([\d,]+) kept\n", out)
    assert last is not None, out
    exported, kept = (int(count.replace(",", "")) for count in last.groups())
    assert (exported + kept, exported > 0, kept >= least) == (IMAGES, True, True)
    done = start(tmp_path, "--sort_into", "once")
    assert done.communicate(timeout=120)[1] == ""
    assert files_of(target) == files_of(tmp_path / "once")


@pytest.mark.heavy
@pytest.mark.parametrize("flag", ["--csv", "--parquet", "--coco"])
def test_file_that_is_written_while_the_process_is_killed(tmp_path: Path, flag: str) -> None:
    (tmp_path / "photos.tar").write_bytes(tar({f"{n:05d}.png": picture(n % 251) for n in range(IMAGES)}))
    write_archive_output(tmp_path / "night", tmp_path / "photos.tar")
    kill_when(start(tmp_path, flag, "all"), lambda: any(path.name.endswith(".tmp") for path in tmp_path.iterdir()))
    if not (tmp_path / "all").exists():  # else it was whole before the signal came
        process = start(tmp_path, flag, "all")
        process.communicate(timeout=120)
        assert process.returncode == 0
    start(tmp_path, flag, "once").communicate(timeout=120)
    assert (tmp_path / "all").read_bytes() == (tmp_path / "once").read_bytes()
