"""Every command in the README runs, and the output it shows is true."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DemoRun, WriteImages

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def with_this_python(command: str) -> list[str]:
    words = shlex.split(command)
    return [sys.executable, "-m", *words] if words[0] == "nightscore" else words


def test_commands_are_the_ones_tested_here() -> None:
    kinds = [command.split()[:2] for command in commands()]
    assert kinds == [
        ["make", "demo"],
        ["make", "test"],
        *[["nightscore", c] for c in ("train", "plan", "score", "score", "pack", "status", "verify", "score")],
    ]


@pytest.mark.heavy
def test_nightscore_commands_and_the_python_example_run_as_written(write_images: WriteImages, tmp_path: Path) -> None:
    write_images(120, "photos")
    for command in commands():
        if command.startswith("nightscore"):
            done = subprocess.run(
                with_this_python(command), cwd=tmp_path, capture_output=True, text=True, check=False
            )  # fmt: skip
            assert done.returncode == 0, command + done.stdout + done.stderr
            assert done.stderr == "" or not command.startswith("nightscore plan"), done.stderr
    listed = {line.split()[0].rstrip(",/").split("/")[0] for line in blocks("text")[1].splitlines()[1:]}
    assert listed <= {p.name for p in (tmp_path / "night").iterdir()}
    (example,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[{'status': 'ok', 'key_count': 120}]\n"


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_knows_its_targets(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"demo": "nightscore demo --dataset digits", "test": "pytest"}[target] in done.stdout


def shape(text: str) -> list[str]:
    """The text's lines without what differs from run to run: numbers and paths."""
    text = re.sub(r"\S*/(?=demo/)", "", text)
    text = re.sub(r"(?m)^decides .*", "decides", text)  # in so short a run it is the machine's affair
    text = re.sub(r"(?m)^(example +\S+): .*", r"\1", text)  # a long path leaves less room for what was wrong
    return [re.sub(r"[-\d.,]+", "#", " ".join(line.split())) for line in text.splitlines()]


@pytest.mark.heavy
def test_output_of_the_demo_is_the_one_shown(demo_run: DemoRun) -> None:
    *shown, dots = shape(blocks("text")[0])
    assert dots == "#", "the README's output ends in '...': the rest of it is a repetition"
    assert shape(demo_run.output)[: len(shown)] == shown


@pytest.mark.heavy
def test_make_demo_works_in_a_fresh_clone(tmp_path: Path, room_on_disk: None) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={sys.executable}"], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (clone / "demo" / "night" / "report.html").exists()
    shutil.rmtree(clone)
