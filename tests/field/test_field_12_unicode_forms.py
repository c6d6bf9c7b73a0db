"""Names with accents in two spellings, a Mac's and everybody else's: one class, one file, one label."""

from __future__ import annotations

import tarfile
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from image_sets import load
from read_inputs import read_inputs

from model_training.data.datasets import RawImages

Form = Literal["NFC", "NFD"]
CLASSES = ("caf\u00e9", "th\u00e9")


def spelled(form: Form, name: str) -> str:
    return unicodedata.normalize(form, name)


def write(folder: Path, form: Form, digits: RawImages, n: int = 5) -> Path:
    for number, name in enumerate(CLASSES):
        for i in range(n):
            path = folder / spelled(form, f"{name}/\u00e9{i}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(digits.encoded(10 * number + i))
    return folder


@pytest.mark.parametrize("listed", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_a_list_finds_files_that_are_spelled_otherwise(
    tmp_path: Path, digits: RawImages, listed: Form, stored: Form
) -> None:
    write(tmp_path / "photos", stored, digits)
    names = [spelled(listed, f"photos/{name}/\u00e9{i}.png") for name in CLASSES for i in range(5)]
    (tmp_path / "list.csv").write_text("file_name\n" + "\n".join(names), "utf-8")
    given = read_inputs(tmp_path / "list.csv")
    assert (len(given.images), given.failures) == (10, {})
    assert {spelled("NFC", key) for key in given.images} == {spelled("NFC", f"{tmp_path}/{name}") for name in names}


@pytest.mark.parametrize("label_source", ["auto", "from_directory"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_labels_are_the_models_classes_in_both_spellings(
    tmp_path: Path, digits: RawImages, form: Form, label_source: str
) -> None:
    folder = write(tmp_path / "photos", form, digits)
    with tarfile.open(tmp_path / "mac.tar", "w") as archive:
        archive.add(folder, ".")
    names = [f"photos/{name}/\u00e9{i}.png,{spelled(form, name)}" for name in CLASSES for i in range(5)]
    (tmp_path / "list.csv").write_text("file_name,label\n" + "\n".join(names), "utf-8")
    for source in (folder, tmp_path / "mac.tar", tmp_path / "list.csv"):
        labels = read_inputs(source, classes=CLASSES, label_source=label_source).labels
        assert Counter(labels.values()) == dict.fromkeys(CLASSES, 5)


def test_the_exact_name_wins_where_both_are_there(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        (tmp_path / spelled(form, "\u00e9.png")).write_bytes(form.encode())
    (tmp_path / "list.csv").write_text(f"file_name\n{spelled('NFD', chr(0xE9))}.png\n", "utf-8")
    assert list(read_inputs(tmp_path / "list.csv").images.values()) == [b"NFD"]


def test_a_missing_file_is_told_with_the_nearest_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.jpg").write_bytes(b"1")
    (tmp_path / "caf\u00e9.png").write_bytes(b"2")
    lines = ["img_1.JPG", "IMG_1.jpeg", "IMG_1.jpg ", "caffe.png", "zebra.gif", "no/such.png"]
    (tmp_path / "list.csv").write_text("file_name\n" + "\n".join(f'"{line}"' for line in lines), "utf-8")
    failures = read_inputs(tmp_path / "list.csv").failures
    told = {key.removeprefix(f"{tmp_path}/"): message for key, message in failures.items()}
    nearest = "; the nearest in its folder is "
    assert told["img_1.JPG"] == f"there is no file 'img_1.JPG'{nearest}'IMG_1.jpg'"
    assert told["IMG_1.jpeg"] == f"there is no file 'IMG_1.jpeg'{nearest}'IMG_1.jpg'"
    assert told["caffe.png"] == f"there is no file 'caffe.png'{nearest}'caf\u00e9.png'"
    assert told["zebra.gif"] == "there is no file 'zebra.gif'"
    assert told["no/such.png"] == "there is no file 'such.png'"


def test_training_makes_one_class_of_a_folder_of_which_half_came_from_a_mac(tmp_path: Path, digits: RawImages) -> None:
    for form in ("NFC", "NFD"):
        write(tmp_path / "mixed", form, digits, 30)  # type: ignore[arg-type]
    found = load(tmp_path / "mixed", image_size=16, contradictions="leave_out")  # of pictures that `write` has twice
    assert found.class_names == list(CLASSES)
    labels = np.concatenate([found.train.labels, found.validation.labels, found.test.labels])
    assert sorted(labels.tolist()) == [0] * 20 + [1] * 20
