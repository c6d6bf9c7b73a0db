"""An OUTPUT of the first version is exported as well: what its rows do not hold is not there."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.cli import export

OLD = Path(__file__).parents[1] / "fixtures" / "7c95bb3"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with copies of the old OUTPUTs."""
    for form in ("parquet", "jsonl"):
        shutil.copytree(OLD / form, tmp_path / form)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_tables_of_an_old_output(old: Path, form: str) -> None:
    assert export.main([form, "--csv", "a.csv", "--parquet", "a.parquet", "--coco", "a.json"]) == 0
    table = pq.read_table("a.parquet")
    with open("a.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == table["key"].to_pylist()
    assert "pixel_hash" not in table.schema.names
    assert len(rows) == len(set(table["key"].to_pylist())) > 30
