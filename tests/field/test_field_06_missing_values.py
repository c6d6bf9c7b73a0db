"""Lists that pandas and Excel wrote: whole floats, booleans, and every spelling of a missing value."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_inputs import DIGITS, labels_of, write_pictures

MISSING = ["NaN", "nan", "NULL", "None", "NA", "<NA>", "#N/A", "null", "n/a", "-nan", "", "N/A", r"\N", "NaT", "#NV"]


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    names = [f"{i:02d}.pgm" for i in range(20)]
    write_pictures(tmp_path, names)
    return names


def test_a_column_with_a_missing_value_has_the_same_labels_in_every_form(tmp_path: Path, names: list[str]) -> None:
    labels = [None if i % 4 == 3 else float(i % 10) for i in range(20)]
    pairs = list(zip(names, labels, strict=True))
    said = "".join(f"{name},{'' if label is None else label}\n" for name, label in pairs)
    (tmp_path / "floats.csv").write_text(f"file_name,label\n{said}")
    lines = [json.dumps({"file_name": name, "label": label}) for name, label in pairs]
    (tmp_path / "floats.jsonl").write_text("\n".join(lines))
    (tmp_path / "nan.jsonl").write_text("\n".join(lines).replace("null", "NaN"))
    pq.write_table(pa.table({"file_name": names, "label": labels}), tmp_path / "floats.parquet")
    filled = [float("nan") if label is None else label for label in labels]
    pq.write_table(pa.table({"file_name": names, "label": filled}), tmp_path / "nan.parquet")
    expected = [None if label is None else str(int(label)) for label in labels]
    for name in ("floats.csv", "floats.jsonl", "nan.jsonl", "floats.parquet", "nan.parquet"):
        assert labels_of(tmp_path / name) == expected, name


@pytest.mark.parametrize("spelling", MISSING)
def test_a_missing_value_is_no_label_unless_a_class_is_called_so(
    tmp_path: Path, names: list[str], spelling: str
) -> None:
    (tmp_path / "na.csv").write_text(f"file_name,label\n{names[0]},{spelling}\n{names[1]},1\n")
    assert labels_of(tmp_path / "na.csv") == [None, "1"]
    if spelling:
        assert labels_of(tmp_path / "na.csv", classes=(spelling, "1")) == [spelling, "1"]


def test_words_that_are_no_class_stay_to_be_counted(tmp_path: Path, names: list[str]) -> None:
    words = ["?", "none", "0.5", "1e400"]
    rows = "".join(f"{name},{word}\n" for name, word in zip(names, words, strict=False))
    (tmp_path / "x.csv").write_text(f"file_name,label\n{rows}")
    assert labels_of(tmp_path / "x.csv") == words


@pytest.mark.parametrize("classes", [("False", "True"), ("false", "true")])
@pytest.mark.parametrize("spelling", ["True", "true", "TRUE"])
def test_true_and_false_are_the_classes_of_these_names(
    tmp_path: Path, names: list[str], classes: tuple[str, str], spelling: str
) -> None:
    (tmp_path / "bool.csv").write_text(f"file_name,label\n{names[0]},{spelling}\n")
    (tmp_path / "bool.jsonl").write_text(json.dumps({"file_name": names[0], "label": True}))
    pq.write_table(pa.table({"file_name": names[:1], "label": [True]}), tmp_path / "bool.parquet")
    for form in ("csv", "jsonl", "parquet"):
        assert labels_of(tmp_path / f"bool.{form}", classes=classes) == [classes[1]]
    assert labels_of(tmp_path / "bool.csv", classes=DIGITS) == [spelling]
