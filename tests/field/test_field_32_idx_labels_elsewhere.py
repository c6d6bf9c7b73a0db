"""MNIST as Kaggle unpacks it, QMNIST's labels, and labels that a person names."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from label_inputs import DIGITS, labels_of
from read_inputs import read_inputs

from pipeline.errors import UsageError

IMAGES = struct.pack(">IIII", 0x803, 10, 4, 4) + bytes(range(160))
LABELS = struct.pack(">II", 0x801, 10) + bytes(range(10))
TABLE = np.zeros((10, 8), ">i4")
TABLE[:, 0], TABLE[:, 1] = range(10), 99
QMNIST = struct.pack(">III", 0xC02, 10, 8) + TABLE.tobytes()


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize(
    ("images", "labels", "data"),
    [
        ("t10k-images-idx3-ubyte/t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte/t10k-labels-idx1-ubyte", LABELS),
        ("t10k-images-idx3-ubyte/t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte/t10k-labels.idx1-ubyte", LABELS),
        ("t10k-images-idx3-ubyte/t10k-images.idx3-ubyte", "t10k-labels-idx1-ubyte/t10k-labels.idx1-ubyte", LABELS),
        ("images/t10k-images-idx3-ubyte.gz", "labels/t10k-labels-idx1-ubyte.gz", LABELS),
        ("qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int", QMNIST),
        ("qmnist-test-images-idx3-ubyte.gz", "qmnist-test-labels-idx2-int.gz", QMNIST),
    ],
)
@pytest.mark.parametrize("unit_images", [2048, 3])
def test_labels_are_found_where_people_have_them(
    tmp_path: Path, images: str, labels: str, data: bytes, unit_images: int
) -> None:
    put(tmp_path / images, IMAGES)
    put(tmp_path / labels, data)
    assert labels_of(tmp_path, unit_images=unit_images) == list(DIGITS)
    assert labels_of(tmp_path / images) == list(DIGITS)


@pytest.mark.parametrize("kind", [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_labels_may_be_named_and_of_any_type(tmp_path: Path, kind: tuple[int, str]) -> None:
    images = put(tmp_path / "a" / "x-images-idx3-ubyte", IMAGES)
    data = struct.pack(">HBBI", 0, kind[0], 1, 10) + np.arange(10).astype(kind[1]).tobytes()
    labels = put(tmp_path / "b" / "truth.idx", data)
    assert labels_of(images) == [None] * 10
    assert labels_of(images, labels_file=str(labels)) == list(DIGITS)


def test_named_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    images = put(tmp_path / "x-images-idx3-ubyte", IMAGES)
    few = put(tmp_path / "few", struct.pack(">II", 0x801, 9) + bytes(9))
    for file, text in ((few, "has 9 labels and .* has 10 images"), (images, "is no IDX file of labels")):
        with pytest.raises(UsageError, match=text):
            read_inputs(images, labels_file=str(file))
    with pytest.raises(UsageError, match="does not exist"):
        read_inputs(images, labels_file=str(tmp_path / "gone"))


def test_labels_that_are_nobodys_are_counted(tmp_path: Path) -> None:
    put(tmp_path / "y-labels-idx1-ubyte", LABELS)
    put(tmp_path / "y-labels-idx2-int", QMNIST)
    assert read_inputs(tmp_path).skipped.total == 2
