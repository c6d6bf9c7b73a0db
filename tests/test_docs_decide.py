"""docs/decide.md and docs/on_end.md: their commands run as written, and what the pages show is what comes of it."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from conftest import DemoRun

from nightscore.__main__ import main

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "decide.md").read_text()


def shape(text: str) -> str:
    """Return text without its numbers: these differ a little between kinds of CPU."""
    return re.sub(r"[\d.,]+", "N", text)


@pytest.fixture
def demo(demo_run: DemoRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert demo_run.code == 0, demo_run.output
    shutil.copytree(demo_run.folder, tmp_path / "demo")
    shutil.rmtree(tmp_path / "demo" / "night")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.heavy
def test_commands_of_the_page_run_and_show_what_it_shows(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^\$ nightscore (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert main(shlex.split(command)) == 0, capsys.readouterr().err
    printed = shape(capsys.readouterr().out)
    for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL):
        assert shape(block) in printed
    (query,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    found = {accepted: images for accepted, images, _ in duckdb.sql(query).fetchall()}
    decided = [
        row["accepted"] for path in (demo / "demo/night/decisions").iterdir() for row in pq.read_table(path).to_pylist()
    ]
    assert found == {value: decided.count(value) for value in set(decided)}
    assert found[None] == 6
    assert {path.name for path in (demo / "reviewed").iterdir()} == {"review", ".nightscore"}
    assert (demo / "decided.csv").exists()
    assert (demo / "demo/night/duplicates.csv").exists()


@pytest.mark.heavy
def test_command_of_on_end_runs_as_written(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = re.findall(r"^nightscore (score .*)$", (DOCS / "on_end.md").read_text(), re.MULTILINE)
    shutil.copytree(demo / "demo/model", demo / "model")
    (demo / "photos").mkdir()
    first = next((demo / "demo/archive/images").rglob("*.png"))
    shutil.copy(first, demo / "photos" / "a photo.png")
    assert main(shlex.split(command)) == 0
    assert (demo / "nights.log").read_text() == "good\n"
