"""Commands that fetch packages: an index that is slow, or not there, says nothing of what is tested."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

SLOW_INDEX = 500
"""Seconds after which an index of packages, which sends gigabytes at times, is too slow for tests."""


def run_fetching(words: Sequence[str | Path], folder: Path, **environment: str) -> str:
    """Run a command that fetches packages; return its stdout, or skip the test if the index does not answer in time.

    Args:
        words: the command.
        folder: that it runs in.
        environment: variables beside those of this process.
    """
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=SLOW_INDEX,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"the package index has not answered in full in {SLOW_INDEX} s")
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def new_environment(folder: Path, *asked: str | Path) -> Path:
    """Make an environment with some packages in it, and nothing else; return its Python.

    uv installs what pip would, but fetches a package once for all environments, and shares its files.

    Args:
        folder: of the environment.
        asked: what pip would be told to install: packages, files and options.
    """
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    run_fetching([uv, "pip", "install", "--quiet", "--python", python, *asked], folder)
    return python
