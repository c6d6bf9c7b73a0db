"""docs/tutorial.ipynb: it runs from the first cell to the last, and shows what is stored in it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"


def outputs(cell: Any) -> list[tuple[str, list[str]]]:
    """Return the kind and the forms of each output of a cell."""
    return [(one.output_type, sorted(one.get("data", {}))) for one in cell.get("outputs", [])]


def said(cell: Any) -> str:
    """Return what a cell prints, without numbers, which differ between kinds of CPU, and folders."""
    text = "".join(one.get("text", "") for one in cell.get("outputs", []))
    return re.sub(r"\S*/(?=night|photos)|[-\d.e]+", "#", text)


def test_stored_outputs_name_no_folder_but_that_of_a_notebook() -> None:
    assert set(re.findall(r"/(\w+)/(?:photos|night)\b", PAGE.read_text())) == {"content"}
    cells = nbformat.read(PAGE, 4).cells
    assert all(
        cell.outputs
        for cell in cells
        if cell.cell_type == "code" and not re.match("import (keras|import)", cell.source)
    )


@pytest.mark.heavy
def test_it_runs_and_shows_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # its command is ours
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    stored, run = nbformat.read(PAGE, 4), nbformat.read(PAGE, 4)
    NotebookClient(run, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    for before, after in zip(stored.cells, run.cells, strict=True):
        assert outputs(after) == outputs(before), after.source
        assert said(after) == said(before), after.source
