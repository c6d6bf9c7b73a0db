"""docs/export.md: its commands run as written, one after the other, and what it says of them is so."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from archive_outputs import FILES, write_archive_output, write_folder
from archives import tar
from decisions import decide

from pipeline.cli import export
from pipeline.export.csv_file import MOST_TOP
from pipeline.export.decided_rows import DecidedRows
from pipeline.export.parquet_file import GROUP_ROWS
from pipeline.export.review import DEFAULT

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [shlex.split(line[2:]) for block in blocks for line in block.splitlines()]


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the commands run, with an OUTPUT whose predictions were decided on."""
    monkeypatch.chdir(tmp_path)
    run = write_archive_output(
        tmp_path / "night",
        write_folder(tmp_path / "photos"),
        predict=lambda key: {"scores": (0.6, 0.4), "label": "dog" if "site 1" in key else "cat"},
    )
    keys = [key for _, rows in DecidedRows.of(run.output).by_unit(["key"]) for key in rows["key"].to_pylist()]
    decide(run, {key: "site 2" not in key for key in keys})
    return tmp_path


def test_commands_run_as_written(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands():
        assert words[:2] == ["nightscore", "export"]
        assert export.main(words[2:]) == 0, capsys.readouterr().err
    assert len(commands()) == 8
    rows = pd.read_csv(night / "rows.csv")
    assert rows.accepted.sum() == len(FILES) - 4
    assert (pd.read_parquet(night / "rows.parquet").key == rows.key).all()
    assert {path.name for path in (night / "sorted").iterdir()} == {"cat", ".nightscore"}
    assert {path.name for path in (night / "mistakes" / "confused").iterdir()} == {"dog as cat"}
    assert all(path.is_symlink() for path in (night / "mistakes" / "confused" / "dog as cat").iterdir())
    assert {str(path.relative_to(night / "to-review")) for path in (night / "to-review").glob("*/*")} == {
        "review/cat",
        ".nightscore/export.json",
    }
    tasks = json.loads((night / "tasks.json").read_text())
    assert len(tasks) == 4
    assert (night / "tasks.xml").exists()
    web = json.loads((night / "web_tasks.json").read_text())
    assert web[0]["data"]["image"].startswith("https://photos.example.com/2026/site%202/")
    assert len(json.loads((night / "coco.json").read_text())["annotations"]) == len(FILES)


def test_numbers_and_flags_are_those_of_the_code() -> None:
    assert f"of the first {MOST_TOP} classes" in PAGE
    assert f"has {GROUP_ROWS:,} rows at most" in PAGE
    assert f"{DEFAULT:,} in all, or `--review N`" in PAGE
    flags = set(re.findall(r"(--[a-z_]+)", PAGE)) - {"--accept_score", "--accept_accuracy"}
    known = export._parser()._option_string_actions
    assert flags <= known.keys()
    assert known.keys() - {"-h", "--help"} <= flags
    assert re.findall(r"^\| `--by (\w+)`", PAGE, re.MULTILINE) == ["predicted", "confused", "accepted", "review"]


def test_name_of_a_file_is_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "photos" / "site 1" / "IMG_7.JPG"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xd8\xff")
    write_archive_output(tmp_path / "night", tmp_path / "photos", predict=lambda key: {"scores": (0.6, 0.4)})
    assert export.main(["night", "--sort_into", "sorted"]) == 0
    assert [file.name for file in (tmp_path / "sorted" / "cat").iterdir()] == ["site 1__IMG_7.JPG"]
    assert "`photos/site 1/IMG_7.JPG` becomes `site 1__IMG_7.JPG`" in PAGE


def test_images_in_an_archive_are_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.tar").write_bytes(tar(FILES))
    write_archive_output(tmp_path / "night", tmp_path / "x.tar")
    assert export.main(["night", "--label_studio", "t.json"]) == 2
    assert export.main(["night", "--sort_into", "sorted"]) == 0
    write_archive_output(tmp_path / "again", tmp_path / "sorted")
    assert export.main(["again", "--label_studio", "t.json"]) == 0
    assert len(json.loads(Path("t.json").read_text())) == len(FILES)
