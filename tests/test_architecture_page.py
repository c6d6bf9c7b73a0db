"""docs/architecture.md says what the code is, and CONTRIBUTING.md what can be run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from test_architecture import MAY_IMPORT, MODULES, ROOT, WORDS

PAGE = (ROOT / "docs" / "architecture.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
LONG = {"make test", "make heavy", "make flink", "make soak", "make bench", "make demo", "bash .ci/run"}
"""Commands that take minutes: here only their targets are looked at."""


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_table_of_imports_is_the_one_that_is_held() -> None:
    table = {
        package: frozenset(cell.replace("-", "").replace(",", " ").split())
        for package, cell in rows("Who may import whom")
    }
    assert {name: others for name, others in table.items() if "_" not in name} == {
        name: others for name, others in MAY_IMPORT.items() if "_" not in name
    }
    assert {name for name in MAY_IMPORT if "_" in name} <= table.keys() | {"model_training"}
    assert set(re.split(r",\s*", dict(rows("Who may import whom"))["model_training"])) == MAY_IMPORT["model_training"]


def test_tree_names_every_package_and_every_word() -> None:
    (tree,) = re.findall(r"## The tree\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    names = {line.split()[0] for line in tree.splitlines() if line.split()}
    packages = {name.split(".")[1] for name in MODULES if name.startswith("pipeline.") and name.count(".") > 1}
    assert {f"{package}/" for package in packages} <= names
    assert {f"{word}.py" for word in WORDS} <= names
    tops = {name.split(".")[1] for name in MODULES if re.fullmatch(r"pipeline\.\w+", name)} - packages
    assert tops == WORDS | {"api", "__main__"}, "a module at the top of pipeline/ is one of the words, or it moves"


def test_files_that_the_page_names_are_there() -> None:
    cells = rows("Where do I change ...")
    assert len(cells) >= 12
    for _, where, test in cells:
        for name in re.findall(r"`([\w./]+)`", f"{where} {test}"):
            if "/" in name:
                assert (ROOT / name).exists(), f"docs/architecture.md names {name}, which is not there"


def commands() -> list[str]:
    return re.findall(r"^\$ (.*)$", CONTRIBUTING, re.MULTILINE)


@pytest.mark.heavy
@pytest.mark.parametrize("command", commands())
def test_command_of_a_contributor_can_be_run(command: str, tmp_path: Path) -> None:
    if command == "bash .ci/run":
        subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT, check=True)
    elif command.startswith("make "):
        subprocess.run(["make", "-n", command.split()[1]], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    else:
        program, *arguments = shlex.split(command.replace(".venv/bin/", ""))
        if program == "ruff":
            arguments = ["--version"]  # it would change files
        python = [] if program == "python" else ["-m", program]
        run = " ".join([shlex.quote(sys.executable), *python, *arguments])
        run = run.replace("templates/metadata.json", shlex.quote(str(tmp_path / "metadata.json")))
        subprocess.run(["sh", "-c", f"exec {run}"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        if "flex_template" in command:
            assert (tmp_path / "metadata.json").read_text() == (ROOT / "templates" / "metadata.json").read_text()
