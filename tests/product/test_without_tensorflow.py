"""Who scores with LiteRT needs no TensorFlow, in the process of the command as little as in its local processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import WriteImages
from package_index import new_environment

from pipeline.model.directory import SPEC, TFLITE, read_spec

ROOT = Path(__file__).parents[2]
HIDING = ROOT / "tests" / "tools" / "no_tensorflow"
REQUIREMENTS = ROOT / "templates" / "requirements.txt"

Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """The file in which every process that `python` starts is noted, and every import of TensorFlow."""
    return tmp_path / "started"


@pytest.fixture
def python(started: Path, tmp_path: Path) -> Python:
    """Run Python with some words, where TensorFlow is not installed, or must not be imported."""

    def run(*words: object, tensorflow: str = "absent") -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HIDING), str(ROOT)]),
            "STARTED": str(started),
            "TENSORFLOW": tensorflow,
            "CUDA_VISIBLE_DEVICES": "-1",  # a machine with a GPU would score with TensorFlow
        }
        return subprocess.run(
            [sys.executable, *map(str, words)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def check_commands(run: Python, model: str, write_images: WriteImages, folder: Path) -> None:
    """Run all commands but train, each with `run(word, ...)`."""
    archive, night = write_images(30), folder / "night"
    flags = ["--input", archive, "--model", model, "--output", night]
    assert run("plan", *flags).returncode == 0
    first = run("score", *flags, "--json")
    assert (first.returncode, json.loads(first.stdout)["scored"]) == (0, 30), first.stderr
    write_images(3, start=30)
    second = run("score", *flags)
    assert (second.returncode, second.stderr) == (0, "")
    record = json.loads((night / "run.json").read_text())
    assert (record["images"], record["options"]["engine"]) == (33, "litert")
    for words in (["status", night], ["verify", night], ["report", night], ["report", night, "--to", folder / "copy"]):
        done = run(*words)
        assert (done.returncode, done.stderr) == (0, ""), words


def test_tensorflow_is_missing_in_these_tests(python: Python, started: Path) -> None:
    find = "from pipeline.model.engines.tensorflow import is_installed; print(is_installed())"
    assert python("-c", find).stdout == "False\n"
    assert python("-c", find, tensorflow="forbidden").stdout == "True\n"
    for how in ("absent", "forbidden"):
        assert "ImportError" in python("-c", "import keras", tensorflow=how).stderr.replace("ModuleNotFound", "Import")
    assert started.read_text().splitlines().count("imported keras") == 1


@pytest.mark.heavy
def test_commands_work_where_it_is_not_installed(
    python: Python, started: Path, tiny_model: str, write_images: WriteImages, tmp_path: Path
) -> None:
    check_commands(lambda *words: python("-m", "nightscore", *words), tiny_model, write_images, tmp_path)
    assert "pipeline.scoring.process_main" in started.read_text(), "the local processes had it"


@pytest.mark.heavy
def test_commands_do_not_import_it_where_it_is_installed(
    python: Python, started: Path, tiny_model: str, write_images: WriteImages, tmp_path: Path
) -> None:
    night = tmp_path / "night"
    flags = ["--input", write_images(30), "--model", tiny_model, "--output", night]
    for words in (["score", *flags], ["score", *flags], ["status", night], ["verify", night], ["report", night]):
        done = python("-m", "nightscore", *words, tensorflow="forbidden")
        assert (done.returncode, done.stderr) == (0, ""), words
    noted = started.read_text()
    assert "pipeline.scoring.process_main" in noted
    assert re.findall("^imported .*", noted, re.MULTILINE) == []


@pytest.mark.heavy
def test_run_that_needs_it_is_refused_in_one_line(
    python: Python, tiny_model: str, write_images: WriteImages, tmp_path: Path
) -> None:
    old, night = tmp_path / "old", tmp_path / "night"
    shutil.copytree(tiny_model, old, ignore=shutil.ignore_patterns(TFLITE))
    (old / SPEC).write_text(replace(read_spec(tiny_model), litert=None).to_json())
    flags = ["--input", write_images(5), "--output", night]
    for more in (["--model", tiny_model, "--engine", "tensorflow"], ["--model", old]):
        done = python("-m", "nightscore", "score", *flags, *more)
        assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
        assert "the package tensorflow is not installed here: install it with 'pip install tensorflow'" in done.stderr
    assert not night.exists()


@pytest.mark.heavy
def test_commands_work_in_an_environment_of_the_workers_requirements(
    tiny_model: str, write_images: WriteImages, tmp_path: Path
) -> None:
    """As templates/Dockerfile makes it: these versions, and Nightscore without what it requires beyond them."""
    clean = tmp_path / "clean"
    versions = ROOT / "constraints.txt"
    python = new_environment(clean, "--constraint", versions, "--requirement", REQUIREMENTS)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "check"], check=True)
    checkout = tmp_path / "checkout"
    for name in ("nightscore", "pipeline", "model_training"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    subprocess.run([*pip, "install", "--no-deps", str(checkout)], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(clean / "bin" / "nightscore"), *map(str, words)],
            env={**environment, "CUDA_VISIBLE_DEVICES": "-1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    check_commands(run, tiny_model, write_images, tmp_path)
    without = [str(python), "-c", "import tensorflow"]
    assert subprocess.run(without, env=environment, capture_output=True, check=False).returncode == 1
