"""One list of commands: each is there, by either name of the program."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WriteImages

from nightscore.commands import COMMANDS
from pipeline.__main__ import SCORING


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_module(name: str) -> None:
    assert importlib.util.find_spec(COMMANDS[name].module) is not None
    assert "\n" not in COMMANDS[name].text


def test_those_that_score_or_look_are_offered_without_training() -> None:
    assert set(SCORING) == {"look", "pack", "plan", "score", "status", "verify", "report", "compare", "export"}


@pytest.mark.parametrize("name", SCORING)
def test_python_m_pipeline_has_the_command(name: str) -> None:
    done = run("pipeline", name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"example: nightscore {name} ")


def test_python_m_pipeline_without_a_command_scores() -> None:
    done = run("pipeline", "--input", "a")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nightscore score: --model is missing\n"


def test_list_of_commands_imports_none_of_them() -> None:
    program = (
        "import sys, nightscore.__main__ as program; program.main([]); "
        "assert not [name for name in sys.modules if name.startswith(('pipeline', 'model_training'))]"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"  {name:12} {command.text}\n" in done.stdout for name, command in COMMANDS.items())
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 24, "one screen"
    assert all(lines.count(f"{command.group}:") == 1 for command in COMMANDS.values()), "a group is in one place"


@pytest.mark.heavy
def test_commands_import_only_what_they_need(tiny_model: str, write_images: WriteImages, tmp_path: Path) -> None:
    """Of what is installed here, and takes a quarter of a second or more to import."""
    heavy = {"pandas", "tensorflow", "keras", "matplotlib", "apache_beam", "google.cloud.storage"}
    night = str(tmp_path / "night")
    flags = ["--input", str(write_images(10)), "--model", tiny_model, "--output", night]
    for words in (["score", *flags], ["plan", *flags], ["status", night], ["verify", night], ["report", night]):
        command = [sys.executable, "-X", "importtime", "-m", "nightscore", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        imported = {package for package in heavy for name in names if name.startswith(f"{package}.")}
        assert imported == ({"apache_beam"} if words[0] == "score" else set()), words[0]
