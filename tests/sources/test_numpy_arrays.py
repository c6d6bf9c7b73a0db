"""NumPy arrays of images: .npy and .npz, stored or compressed, told by type, shape and name."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_rows import messages_of, rows_of, units_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from read_inputs import read_inputs

from pipeline.errors import UsageError
from pipeline.formatting import left_out
from pipeline.options import ScoreOptions
from pipeline.sources import numpy_header
from pipeline.sources.inputs import plan_units
from pipeline.sources.numpy_header import Array, Layout, why_none
from pipeline.sources.search import require_input
from pipeline.sources.skipped import Skipped

Save = Callable[..., None]
DIGITS = tuple("0123456789")


def pictures(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def pixels_of(encoded: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(encoded)))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("unit_images", [1, 3, 2048])
def test_keras_mnist_has_a_row_for_each_image_of_both_splits(tmp_path: Path, save: Save, unit_images: int) -> None:
    train, test = pictures(7, 28, 28), pictures(4, 28, 28, seed=1)
    path = tmp_path / "mnist.npz"
    save(path, x_test=test, x_train=train, y_train=np.arange(7, dtype=np.uint8), y_test=np.arange(4, dtype=np.uint8))
    found = read_inputs(path, classes=DIGITS, unit_images=unit_images)
    expected = {f"{path}!x_test#{i}": (test[i], i) for i in range(4)}
    expected |= {f"{path}!x_train#{i}": (train[i], i) for i in range(7)}
    assert list(found.images) == list(expected)
    assert (found.failures, found.skipped.counts) == ({}, {})
    for key, (picture, label) in expected.items():
        assert np.array_equal(pixels_of(found.images[key]), picture)
        assert found.labels[key] == str(label)


def test_stored_arrays_are_cut_and_compressed_ones_are_one_unit(tmp_path: Path) -> None:
    np.savez(tmp_path / "stored.npz", x=pictures(10, 8, 8))
    np.savez_compressed(tmp_path / "packed.npz", x=pictures(10, 8, 8))
    assert [unit.images for unit in units_of("numpy", tmp_path / "stored.npz", 4)] == [4, 4, 2]
    assert [unit.images for unit in units_of("numpy", tmp_path / "packed.npz", 4)] == [10]


@pytest.mark.parametrize(
    "names",
    [
        ("x_test", "y_test"),
        ("X", "y"),
        ("X", "Y"),
        ("images", "labels"),
        ("test_images", "test_labels"),
        ("image", "label"),
        ("data", "target"),
        ("imgs", "labels"),
        ("arr_0", "arr_1"),
        ("pictures_of_cats", "labels_of_cats"),
    ],
)
@pytest.mark.parametrize(
    "labels",
    [
        np.array([1, 0, 1]),
        np.array([[1], [0], [1]]),
        np.array(["dog", "cat", "dog"]),
        np.array([b"dog", b"cat", b"dog"]),
        np.array([1.0, 0.0, 1.0]),
        np.array([[0, 1], [1, 0], [0, 1]], np.float32),
        np.array([1, 0, 1], ">i8"),
    ],
    ids=["int", "column", "text", "bytes", "float", "one-hot", "big-endian"],
)
def test_labels_are_the_array_whose_name_says_so(tmp_path: Path, names: tuple[str, str], labels: Any) -> None:
    np.savez(tmp_path / "a.npz", **{names[0]: pictures(3, 5, 6), names[1]: labels})
    found = read_inputs(tmp_path / "a.npz", classes=("cat", "dog"), unit_images=2)
    assert (list(found.labels.values()), found.skipped.counts) == (["dog", "cat", "dog"], {})


@pytest.mark.parametrize(
    ("shape", "channels"), [((3, 5, 6, 1), 1), ((3, 5, 6, 3), 3), ((3, 3, 5, 6), 3), ((3, 1, 5, 6), 1), ((1, 5, 6), 1)]
)
def test_axes(tmp_path: Path, shape: tuple[int, ...], channels: int) -> None:
    values = pictures(*shape)
    np.save(tmp_path / "a.npy", values)
    found = list(read_inputs(tmp_path / "a.npy").images.values())
    planar = len(shape) == 4 and shape[3] not in (1, 3)
    expected = (values.transpose(0, 2, 3, 1) if planar else values).reshape(len(values), 5, 6, channels)
    assert np.array_equal(np.stack([pixels_of(data).reshape(5, 6, channels) for data in found]), expected)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pictures(3, 5, 6) / np.float32(255), numpy_header.FLOATS),
        (pictures(3, 5, 6).astype(np.float64), numpy_header.FLOATS),
        (pictures(3, 5, 6).astype(np.uint16), numpy_header.OTHER_TYPES),
        (pictures(3, 5, 6) > 9, numpy_header.OTHER_TYPES),
        (np.asfortranarray(pictures(3, 5, 6)), numpy_header.FORTRAN),
        (pictures(5, 6, 3), numpy_header.UNCLEAR),
        (pictures(3, 5, 6, 4), numpy_header.UNCLEAR),
        (pictures(3, 784), numpy_header.NO_IMAGES),
        (pictures(3), numpy_header.NO_IMAGES),
        (pictures(3, 0, 6), numpy_header.NO_IMAGES),
        (np.array([{"a": 1}], object), numpy_header.NO_IMAGES),
    ],
)
def test_what_is_not_read_is_told_and_never_guessed(tmp_path: Path, values: Any, reason: str) -> None:
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    skipped = Skipped()
    options = ScoreOptions((str(tmp_path),), "m", "o", engine="litert")
    assert list(plan_units((str(tmp_path),), options, "model", skipped)) == []
    assert skipped.counts == {reason: 1}
    with pytest.raises(UsageError, match="has no image or archive of images") as told:
        require_input(str(tmp_path / "a.npy"))
    assert f"({left_out(reason, 1)})" in str(told.value)


def test_pickled_labels_are_not_read_and_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=pictures(2, 5, 6), y=np.array(["cat", "dog"], object))
    found = read_inputs(tmp_path / "a.npz", classes=("cat", "dog"))
    assert (list(found.labels.values()), found.skipped.counts) == ([None, None], {numpy_header.PICKLED: 1})


def test_labels_of_another_length_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=pictures(2, 5, 6), y=np.arange(3))
    found = read_inputs(tmp_path / "a.npz", classes=("cat", "dog"))
    assert (list(found.labels.values()), found.skipped.counts) == ([None, None], {numpy_header.OF_OTHER_LENGTH: 1})


def test_masks_are_no_images_and_unclear_arrays_are_chosen(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pictures(2, 5, 6), masks=pictures(2, 5, 6))
    found = read_inputs(tmp_path / "a.npz")
    assert list(found.images) == [f"{tmp_path}/a.npz!images#0", f"{tmp_path}/a.npz!images#1"]
    assert found.skipped.counts == {numpy_header.BESIDE: 1}
    np.savez(tmp_path / "b.npz", left=pictures(2, 5, 6), right=pictures(3, 5, 6), who=np.arange(3))
    with pytest.raises(UsageError, match="arrays left, right may hold the images; choose one with --image_key"):
        read_inputs(tmp_path / "b.npz")
    options = ScoreOptions((f"{tmp_path}/b.npz",), "m", "o", engine="litert", image_key="right", label_key="who")
    (unit,) = plan_units(options.input, options, "model", Skipped())
    assert unit.images == 3
    with pytest.raises(UsageError, match="has no array of images 'up'; there is left, right, who"):
        list(plan_units(options.input, ScoreOptions(options.input, "m", "o", image_key="up"), "model", Skipped()))


def test_labels_of_a_file_lie_beside_it(tmp_path: Path) -> None:
    np.save(tmp_path / "x_test.npy", pictures(3, 5, 6))
    np.save(tmp_path / "y_test.npy", np.array(["dog", "cat", "dog"]))
    found = read_inputs(tmp_path, classes=("cat", "dog"), unit_images=2)
    assert found.labels == {f"{tmp_path}/x_test.npy#{i}": name for i, name in enumerate(("dog", "cat", "dog"))}
    assert found.skipped.counts == {"files of labels": 1}


def test_labels_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    np.save(tmp_path / "cat" / "a.npy", pictures(2, 5, 6))
    assert list(read_inputs(tmp_path, classes=("cat", "dog")).labels.values()) == ["cat", "cat"]


def test_file_that_ends_too_early_has_a_failed_row_for_each_that_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, pictures(5, 8, 8))
    path.write_bytes(path.read_bytes()[:-100])
    units = units_of("numpy", path, 2)
    rows = rows_of(path, units)
    assert [row[0] for row in rows] == list("01234")
    assert [row[4] for row in rows] == [None] * 3 + ["DATA_LOSS"] * 2
    assert messages_of(units)[0] == "array is damaged at image 3: it ends"


def test_file_that_goes_on_has_one_more_row(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, pictures(2, 8, 8))
    path.write_bytes(path.read_bytes() + b"more")
    rows = rows_of(path, units_of("numpy", path))
    assert [row[4] for row in rows] == [None, None, "DATA_LOSS"]


def test_damaged_compressed_array_fails_from_there_on(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=pictures(500, 16, 16))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    codes = [row[4] for row in rows_of(path, units_of("numpy", path))]
    assert (len(codes), codes[0], codes[-1]) == (500, None, "DATA_LOSS")


@pytest.mark.parametrize("data", [b"PK\3\4 no archive", b"\x93NUMPY\1\0\x10\0{'descr': garbage", b"something else"])
def test_what_is_no_array_is_one_failed_row(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    found = read_inputs(tmp_path)
    assert list(found.failures) == [f"{tmp_path}/a.npz#0"]
    assert found.failures[f"{tmp_path}/a.npz#0"].startswith("NumPy file cannot be read: ")


def test_archive_with_other_members_and_names_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=pictures(1, 5, 6))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README", "text")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", archive.read("x.npy"))
    found = read_inputs(path)
    assert list(found.images) == [f"{path}!x#0", f"{path}!x#2#0"]
    assert found.skipped.counts == {"other files": 1}


def test_file_that_is_gone_or_replaced_has_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=pictures(5, 8, 8))
    units = units_of("numpy", path, 2)
    np.savez(path, x=pictures(6, 8, 8))
    assert [row[4] for row in rows_of(path, units)] == ["FAILED_PRECONDITION"] * 5
    path.unlink()
    assert [row[4] for row in rows_of(path, units)] == ["NOT_FOUND"] * 5


@given(st.lists(st.integers(0, 40), min_size=3, max_size=4))
def test_layout_has_as_many_bytes_as_an_entry_of_the_array(shape: list[int]) -> None:
    array = Array("x", np.dtype(np.uint8), tuple(shape), False, 128)
    if why_none(array) is None:
        assert isinstance(array.layout, Layout)
        assert array.layout.pixels == array.entry > 0
    else:
        assert array.layout is None
