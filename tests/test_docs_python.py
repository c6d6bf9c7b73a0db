"""Every block of docs/python.md runs as written, one after the other, and the tables name what is there."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import WriteImages

import nightscore
from nightscore.scoring import ScoreKeywords
from nightscore.training import ReadingKeywords

DOCUMENT = (Path(__file__).parent.parent / "docs" / "python.md").read_text()
BLOCK = re.compile(r"^(<!-- not run -->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    """Return the code of the blocks that run."""
    return [code for mark, code in BLOCK.findall(DOCUMENT) if not mark]


def names_in_table(header: str) -> set[str]:
    """Return the names in the first column of a table, without parentheses."""
    _, _, table = DOCUMENT.partition(f"\n{header}\n")
    rows = table.split("\n\n")[0].splitlines()[1:]
    return {name.removesuffix("()") for row in rows for name in re.findall(r"`([\w()]+)`", row.split("|")[1])}


@pytest.mark.heavy
def test_blocks_run_one_after_the_other(
    write_images: WriteImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(60, "photos")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown = []
    for code in blocks():
        exec(code, names)
        shown.append(capsys.readouterr().out)
    train, score, opened, verdict, compared, rows, batches, frame, error = shown
    summary = json.loads((tmp_path / "night" / "summary.json").read_text())
    assert train.startswith(f"{tmp_path}/model 0.")
    assert score == f"<Night '{tmp_path}/night': 60 images, exit code 0>\n"
    assert opened.splitlines() == ["0", f"60 {summary['accuracy']}", f"{tmp_path}/night/report.html"]
    assert verdict == ""
    assert compared == "no difference: the predictions for all 60 images are the same\n"
    assert rows.count("'predicted_name'") == 3
    assert int(batches) == sum(row["score"] < 0.5 for row in names["night"].rows().to_pylist())
    assert re.search(r"^ok +60$", frame, re.MULTILINE)
    assert error == "--input 'nowhere' does not exist or is empty; give a file, folder or glob of images\n"


def test_block_that_does_not_run_is_python() -> None:
    for mark, code in BLOCK.findall(DOCUMENT):
        compile(code, "docs/python.md", "exec")
        assert bool(mark) == ("DataflowRunner" in code)


def test_tables_name_what_is_there() -> None:
    members = {name for name in vars(nightscore.Night) if not name.startswith("_")} | {"record"}
    assert names_in_table("| | |") | {"None"} >= members - {"output"}
    assert names_in_table("| | |") <= members
    assert names_in_table("| error | when |") <= set(nightscore.__all__)


def test_tables_name_every_argument() -> None:
    for function, keywords in ((nightscore.train, ReadingKeywords), (nightscore.score, ScoreKeywords)):
        given = {*inspect.signature(function).parameters, *keywords.__annotations__} - {"reading", "options"}
        assert names_in_table(f"| arguments of `{function.__name__}` | what they are about |") == given
