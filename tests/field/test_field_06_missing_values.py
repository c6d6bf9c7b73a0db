"""Lists that pandas and Excel wrote: whole floats, booleans, and every spelling of a missing value."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_inputs import DIGITS, labels_of, write_pictures

MISSING = ["NaN", "nan", "NULL", "None", "NA", "<NA>", "#N/A", "null", "n/a", "-nan", "", "N/A", r"\N", "NaT", "#NV"]


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    names = [f"7/{i:02d}.pgm" for i in range(20)]  # a folder that is called like a class has no say
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


def test_an_empty_place_for_a_label_is_no_label_whatever_carries_it(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    write_pictures(folder, ["0.pgm", "1.pgm"])
    picture = (folder / "0.pgm").read_bytes()
    (folder / "list.csv").write_text("file_name,label\n0.pgm,\n1.pgm\n")
    (folder / "rows.json").write_text('[{"file_name": "0.pgm", "label": null}, {"file_name": "1.pgm", "label": " "}]')
    (folder / "columns.json").write_text('{"file_name": ["0.pgm", "1.pgm"], "label": [null, NaN]}')
    (folder / "by_file.json").write_text('{"0.pgm": null, "1.pgm": ""}')
    struct = pa.array([{"bytes": picture, "path": None}] * 2)
    pq.write_table(pa.table({"image": struct, "label": pa.array([None, ""])}), folder / "images.parquet")
    with tarfile.open(folder / "samples.tar", "w") as tar:
        for name, data in (
            ("7/a.pgm", picture),
            ("7/a.cls", b" \n"),
            ("7/b.pgm", picture),
            ("7/b.json", b'{"label":null}'),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    for name in ("list.csv", "rows.json", "columns.json", "by_file.json", "images.parquet", "samples.tar"):
        assert labels_of(folder / name) == [None, None], name
    assert labels_of(folder / "0.pgm") == ["7"]
