"""TFRecords whose label is not one number: one-hot, a float, several values; and with names of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from label_inputs import DIGITS, labels_of, write_records

NAMES = ["dog", "cat", "hen"]


def one_hot(kind: type, digit: int) -> list[Any]:
    return [kind(i == digit) for i in range(10)]


@pytest.mark.parametrize(
    "label",
    [
        lambda d: d,
        lambda d: one_hot(int, d),
        lambda d: one_hot(float, d),
        float,
        str,
        lambda d: f"{d}.0",
    ],
    ids=["single", "onehot-int", "onehot-float", "float", "text", "text of a float"],
)
def test_one_label_in_any_form_is_its_class(tmp_path: Path, label: Any) -> None:
    path = write_records(tmp_path / "x.tfrecord", [{"label": label(d)} for d in range(10)])
    assert labels_of(path) == list(DIGITS)
    letters = "abcdefghij"
    if label is not str:
        assert labels_of(path, classes=tuple(letters)) == list(letters)


@pytest.mark.parametrize("label", [[3, 4], [1, 1, *[0] * 8], [0] * 10, [0.9, 0.1, *[0.0] * 8], [1, *[0] * 8]])
def test_several_values_are_no_label_and_stay_to_be_counted(tmp_path: Path, label: list[Any]) -> None:
    (name,) = labels_of(write_records(tmp_path / "x.tfrecord", [{"label": label}]))
    assert name is not None
    assert name.startswith("[")


def test_own_names_of_records_come_before_the_models_order(tmp_path: Path) -> None:
    examples = [
        {"image__class__label": n, "image__class__text": name} for n, name in ((1, "cow"), (2, "cat"), (3, "x"))
    ]
    path = write_records(tmp_path / "x.tfrecord", examples)
    assert labels_of(path, classes=("a", "cat", "cow", "dog")) == ["cow", "cat", "x"]
    assert labels_of(path, classes=("a", "cat", "cow", "dog"), labels_are="indices") == ["cat", "cow", "dog"]
    assert labels_of(path, classes=("a", "b", "c"), label_key="image/class/label") == ["b", "c", None]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("label.labels.txt", "dog\ncat\nhen\n"),
        ("labels.txt", "0:dog\n1:cat\n2:hen"),
        ("classes.txt", "dog\r\ncat\r\nhen\r\n"),
        (
            "dataset_info.json",
            json.dumps({"features": {"label": {"names": NAMES, "_type": "ClassLabel"}}}),
        ),
    ],
)
def test_names_beside_an_archive_come_before_the_models_order(tmp_path: Path, file: str, text: str) -> None:
    path = write_records(tmp_path / "x.tfrecord", [{"label": n} for n in (0, 1, 2, 3)])
    (tmp_path / file).write_text(text, "utf-8", newline="")
    assert labels_of(path, classes=("cat", "dog")) == ["dog", "cat", "hen", "3, of which the archive has no name"]
    assert labels_of(path, classes=("cat", "dog"), labels_are="indices") == ["cat", "dog", None, None]
