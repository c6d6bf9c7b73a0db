"""A list in which a column is there twice, as a join of two tables leaves it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_inputs import labels_of, write_pictures
from read_inputs import read_inputs

from pipeline.errors import UsageError


@pytest.mark.parametrize(
    ("columns", "twice"),
    [(["file_name", "label", "label"], "label"), (["file_name", "file_name", "label"], "file_name")],
)
@pytest.mark.parametrize("form", ["parquet", "csv", "tsv"])
def test_it_is_refused_in_one_line(tmp_path: Path, columns: list[str], twice: str, form: str) -> None:
    path = tmp_path / f"joined.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_arrays([pa.array(["a.png"])] * 3, columns), path)
    else:
        separator = "," if form == "csv" else "\t"
        path.write_text(separator.join(columns) + "\n" + separator.join(["a.png"] * 3) + "\n")
    with pytest.raises(UsageError) as raised:
        read_inputs(path)
    text = f"column {twice} is there twice; leave one of them"
    assert str(raised.value) == f"manifest {str(path)!r} cannot be read: {text}"


def test_another_column_may_be_there_twice(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.pgm"])
    arrays = [pa.array([text]) for text in ("a.pgm", "x", "y", "3")]
    pq.write_table(pa.Table.from_arrays(arrays, ["file_name", "camera", "camera", "label"]), tmp_path / "x.parquet")
    (tmp_path / "x.csv").write_text("file_name,camera,camera,label\na.pgm,x,y,3\n")
    assert labels_of(tmp_path / "x.parquet") == labels_of(tmp_path / "x.csv") == ["3"]
