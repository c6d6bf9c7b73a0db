"""The peer `before`: Nightscore as it was at commit 7c95bb3, with the libraries that it pinned.

Its code comes out of this repository's history, its libraries into a virtual environment of its own. It scores with a
model that it made itself; ours is the same network, given to today's code as a person with an old model would do it.
"""

from __future__ import annotations

import functools
import io
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

from benchmarks.archives import once
from benchmarks.commands import ROOT, Command, call, install
from benchmarks.models import make_model
from benchmarks.processes import BenchmarkError
from benchmarks.setting import Archive, Setting

BEFORE = "before"
COMMIT = "7c95bb3"
_ENVIRONMENT = {"PYTHONPATH": ""}
"""Its own modules come from the folder in which it runs, not from this checkout."""


def code(setting: Setting) -> Path:
    """Return the folder with the files of the commit.

    Raises:
        BenchmarkError: this checkout has no such commit, as a shallow clone or a download of the files.
    """

    def unpack(folder: Path) -> None:
        packed = subprocess.run(["git", "archive", COMMIT], cwd=ROOT, capture_output=True, check=False)
        if packed.returncode:
            raise BenchmarkError(f"{ROOT} has no commit {COMMIT} in its history: clone the whole repository")
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
            files.extractall(folder, filter="data")

    return once(setting.work / f"before-{COMMIT}", unpack)


def python(setting: Setting) -> str:
    """Return the Python of its environment, which is made if it is not there.

    Raises:
        BenchmarkError: it cannot be made.
    """
    environment = setting.work / "venvs" / f"before-{COMMIT}"
    done = environment / "installed"
    if not done.exists():
        install(environment, ["-c", "constraints.txt", "-e", "."], code(setting))
        done.touch()
    return str(environment / "bin" / "python")


def command(workload: str, archive: Archive, setting: Setting) -> Command:
    """Return its `nightscore score`, into a folder of its own."""
    output = setting.work / "outputs" / f"{workload}-{BEFORE}"
    words = [python(setting), "-m", "nightscore", "score"]
    words += ["--input", archive.input, "--model", str(archive.model), "--output", str(output)]
    return Command(f"{workload}-{BEFORE}", words, output, _ENVIRONMENT, code(setting))


def both(archive: Archive, setting: Setting, own: bool = False) -> tuple[Archive, Archive]:
    """Return an archive with the model that we score it with, and with the model of `before`.

    Args:
        archive: to be scored, with a model of today's.
        setting: where things lie.
        own: keep today's model for us. Its input rule may say more than one of 7c95bb3 could; the network is the same
            only if its weights follow from a seed.

    Raises:
        BenchmarkError: a model cannot be made.
    """
    name = archive.model.name
    theirs = make_model(
        setting.work / "models" / f"{name}-{BEFORE}",
        *archive.recipe,
        python=python(setting),
        folder=code(setting),
        environment=_ENVIRONMENT,
    )
    ours = archive.model if own else _with_engines(theirs, setting.work / "models" / f"{name}-{BEFORE}-engines")
    return replace(archive, model=ours), replace(archive, model=theirs)


def _with_engines(model: Path, location: Path) -> Path:
    """Return a model directory for all engines, made of one of 7c95bb3; the same one where no command makes it."""
    if location.exists():
        return location
    if not _adds_engines():
        return model
    words = [sys.executable, "-m", "nightscore", "train", "--add_engines", str(model), "--output", str(location)]
    call(words, ROOT)
    return location


@functools.cache
def _adds_engines() -> bool:
    words = [sys.executable, "-m", "nightscore", "train", "--help"]
    return "--add_engines" in subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
