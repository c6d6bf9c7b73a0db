"""The rows of a run as stored: all columns or some, part by part."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from written_output import class_row, failed_row, write_output

from pipeline.errors import DamagedPartError, UsageError
from pipeline.output.stored_rows import StoredRows

NAMES = ("cat", "dog")
UNITS = [
    [class_row("/archive/cat/1.png", [0.9, 0.1], NAMES, "cat"), failed_row("/archive/cat/2.png")],
    [class_row("/archive/ü.png", [0.2, 0.8], NAMES, pixel_hash="00000000000000ff", width=3)],
]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_some_columns_are_those_of_all(tmp_path: Path, form: str) -> None:
    write_output(tmp_path, UNITS, NAMES, format=form)
    stored = StoredRows.of_last_run(str(tmp_path))
    assert stored.is_complete
    wanted = ["score", "key", "pixel_hash", "top_k"]
    whole = [one.rows for one in stored.by_unit()]
    some = list(stored.by_unit(wanted))
    assert [one.unit for one in some] == stored.units()
    assert [one.rows for one in some] == [rows.select(wanted) for rows in whole]
    assert pa.concat_tables(whole)["key"].to_pylist() == [row["key"] for rows in UNITS for row in rows]


def test_unknown_column_is_refused(tmp_path: Path) -> None:
    write_output(tmp_path, UNITS, NAMES)
    with pytest.raises(UsageError, match="there is no column 'speed': choose from key, "):
        list(StoredRows.of_last_run(str(tmp_path)).by_unit(["speed"]))


@pytest.mark.parametrize("columns", [None, ["score"]])
def test_part_that_was_cut_is_damaged(tmp_path: Path, columns: list[str] | None) -> None:
    run = write_output(tmp_path, UNITS, NAMES)
    stored = StoredRows.of_last_run(str(tmp_path))
    part = Path(run.part(stored.units()[0]))
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(DamagedPartError):
        list(stored.by_unit(columns))
