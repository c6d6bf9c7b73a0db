"""Classes that are called by numbers, in the order of text: one label means one class, whatever carries it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_inputs import labels_of, write_pictures, write_records

CLASSES = tuple(sorted(map(str, range(12))))
FORMS = ("csv", "jsonl", "parquet", "tfrecord", "floats.parquet", "txt")


def write(folder: Path, form: str, labels: list[int]) -> Path:
    """Write pictures with these labels into a list or an archive of a form."""
    names = [f"{i:05d}.pgm" for i in range(len(labels))]
    write_pictures(folder, names)
    path = folder / f"test.{form}"
    if form == "csv":
        path.write_text("file_name,label\n" + "".join(f"{n},{c}\n" for n, c in zip(names, labels, strict=True)))
    elif form == "txt":
        path.write_text("".join(f"{n} {c}\n" for n, c in zip(names, labels, strict=True)))
    elif form == "jsonl":
        rows = [{"file_name": n, "label": c} for n, c in zip(names, labels, strict=True)]
        path.write_text("\n".join(map(json.dumps, rows)))
    elif form == "tfrecord":
        write_records(path, [{"label": c} for c in labels])
    else:
        column = pa.array(labels, pa.float64() if form.startswith("floats") else pa.int64())
        pq.write_table(pa.table({"file_name": names, "label": column}), path)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_a_number_is_the_class_that_is_called_so(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form, list(range(12)))
    assert labels_of(path, classes=CLASSES) == [str(i) for i in range(12)]
    assert labels_of(path, classes=CLASSES, labels_are="names") == [str(i) for i in range(12)]
    assert labels_of(path, classes=CLASSES, labels_are="indices") == list(CLASSES)


@pytest.mark.parametrize("form", FORMS)
def test_classes_from_1_have_none_called_0(tmp_path: Path, form: str) -> None:
    classes = tuple(sorted(map(str, range(1, 13))))
    assert labels_of(write(tmp_path, form, [0, 1, 12]), classes=classes) == ["0", "1", "12"]


@pytest.mark.parametrize("form", FORMS)
def test_leading_zeros_are_the_same_number_unless_two_classes_have_it(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form, [1, 10])
    assert labels_of(path, classes=("00001", "00010")) == ["00001", "00010"]
    assert labels_of(path, classes=("01", "1", "x")) == ["1", None]


@pytest.mark.parametrize("form", FORMS)
def test_numbers_of_classes_with_words_for_names_are_positions(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form, [0, 2, 7])
    assert labels_of(path, classes=("cat", "7", "dog")) == ["cat", "dog", "7"]
    assert labels_of(path, classes=("cat", "cow", "dog"), labels_are="names") == ["0", "2", "7"]
