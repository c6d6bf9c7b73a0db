"""The command lines that are compared: ours, and each peer's in the Python that it needs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import BenchmarkError, Run, run
from benchmarks.setting import Archive, Setting

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "benchmarks" / "peers"
SCRIPTS: Mapping[str, Sequence[str]] = {
    "tfdata": ("tfdata.py",),
    "tfdata-ratio4": ("tfdata.py", "--ratio=4"),
    "run-inference": ("run_inference.py",),
    "daft": ("daft_udf.py",),
    "ray": ("ray_data.py",),
    "bare": ("bare.py",),
}
"""Peer -> its script, and options of its own."""

QUIET = {"DO_NOT_TRACK": "true", "DAFT_ANALYTICS_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""No telemetry from any of them."""


@dataclass(frozen=True)
class Command:
    """A command that writes into an output which is empty each time.

    Attributes:
        name: for the log's name.
        words: the command line.
        output: folder that is removed before each run; None where it is no local folder.
        environment: variables beside those of this process.
        folder: where it runs.
    """

    name: str
    words: Sequence[str]
    output: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT

    def measured(self, setting: Setting) -> Run:
        """Run it once.

        Raises:
            BenchmarkError: it failed.
        """
        if self.output is not None:
            shutil.rmtree(self.output, ignore_errors=True)
        setting.work.mkdir(parents=True, exist_ok=True)
        return run(self.words, setting.work / f"{self.name}.log", self.folder, {**QUIET, **self.environment})


def portable(text: str, setting: Setting) -> str:
    """Return a text in which no folder of this machine stands."""
    named = {sys.executable: "python", f"{ROOT}/": "", str(setting.work): "WORK", str(Path.home()): "~"}
    for path, name in named.items():
        text = text.replace(path, name)
    return text


def ours(archive: Archive, output: str, options: Sequence[str] = ()) -> list[str]:
    """Return the words of `nightscore score`."""
    words = [sys.executable, "-m", "nightscore", "score"]
    return [*words, "--input", archive.input, "--model", str(archive.model), "--output", output, *options]


def peer(name: str, archive: Archive, output: str, setting: Setting) -> list[str]:
    """Return the words of a peer's script, in its own virtual environment where it has one.

    Raises:
        BenchmarkError: that environment cannot be made.
    """
    script, *options = SCRIPTS[name]
    words = [python_of(name, setting.work), str(PEERS / script), "--input", archive.input]
    words += ["--kind", archive.kind, "--model", str(archive.model), "--output", output]
    return [*words, "--batch", str(archive.batch), *options]


def python_of(name: str, work: Path) -> str:
    """Return the Python for a peer: this one, or one with the versions that its requirements file pins."""
    requirements = PEERS / f"requirements-{name}.txt"
    if not requirements.exists():
        return sys.executable
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]
    folder = work / "venvs" / f"{name}-{digest}"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        install(folder, ["-r", str(requirements)], ROOT)
        done.touch()
    return str(python)


def install(environment: Path, packages: Sequence[str], folder: Path) -> None:
    """Make a virtual environment and install packages into it.

    Args:
        environment: its folder; what is there is replaced.
        packages: arguments of `pip install`.
        folder: in which pip runs, for relative paths among them.

    Raises:
        BenchmarkError: that failed.
    """
    print(f"installing {' '.join(packages)} into {environment}", flush=True)
    call([sys.executable, "-m", "venv", "--clear", str(environment)], folder)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    call([*pip, *packages], folder, {"PYTHONPATH": ""})  # what is found there would count as installed


def call(words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command that prepares something; it is not measured.

    Args:
        words: the command line.
        folder: where it runs.
        environment: variables beside those of this process.

    Raises:
        BenchmarkError: its exit code is not 0.
    """
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(words, cwd=folder, env=variables, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(words)}: {done.stderr[-2000:]}")
