"""Every command of docs/compare.md runs as written, and what the page says of exit codes and files is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from written_output import Row, class_row, write_output

from nightscore.__main__ import main

PAGE = (Path(__file__).parent.parent / "docs" / "compare.md").read_text()
NAMES = ("cat", "dog")


def commands() -> list[str]:
    return re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE)


def rows(folder: str, wrong: int) -> list[Row]:
    said = [(i % 2) ^ (i < wrong) for i in range(40)]
    scores = [[0.9, 0.1] if c == 0 else [0.1, 0.9] for c in said]
    return [class_row(f"{folder}/{i}.png", scores[i], NAMES, NAMES[i % 2], pixel_hash=f"{i:016x}") for i in range(40)]


def test_commands_run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, place, wrong in (("night", "/a", 2), ("new-night", "/a", 1), ("moved-night", "/b", 1)):
        write_output(tmp_path / name, [rows(place, wrong)], NAMES, input_name=place)
    assert len(commands()) == 6
    for command in commands():
        program, *arguments = shlex.split(command)
        assert program == "nightscore"
        assert main(arguments) == 0, capsys.readouterr().err
    assert capsys.readouterr().err == ""
    assert (tmp_path / "comparison.html").exists()
    assert main(["compare", "night", "moved-night"]) == 2
    assert "give --join name" in capsys.readouterr().err
