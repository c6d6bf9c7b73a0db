"""A folder of photos from a NAS, Jupyter and a Mac: score and train agree on what an image of it is."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import WriteImages
from image_sets import load
from read_inputs import read_inputs

HIDDEN = (
    "3/.ipynb_checkpoints/000-checkpoint.png",
    "4/@eaDir/000.png/SYNOPHOTO_THUMB_SM.jpg",
    "4/@eaDir/000.png/SYNOPHOTO_THUMB_XL.jpg",
    "5/.@__thumb/default000.png",
    ".Trash-1000/files/old0.png",
    ".Trashes/501/old1.png",
    "$RECYCLE.BIN/S-1-5-21-1004/$R0AB12C.png",
    "$Recycle.Bin/S-1-5-21-1004/$R1AB12C.png",
    "8/.thumbnails/000.png",
    "#recycle/9/000.png",
    "@Recycle/9/001.png",
    "__MACOSX/9/._000.png",
    "__MACOSX/9/000.png",
    "9/.AppleDouble/000.png",
    "9/._000.png",
    "9/.trashed-1700000000-000.png",
    "#snapshot/GMT-2026.01.01/1/000.png",
    "System Volume Information/000.png",
    "lost+found/000.png",
)
CLASSES = tuple(map(str, range(10)))


@pytest.fixture
def clean(write_images: WriteImages) -> Path:
    return write_images(60, "clean")


@pytest.fixture
def nas(clean: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "nas"
    shutil.copytree(clean, folder)
    picture = next(clean.rglob("*.png")).read_bytes()
    for name in HIDDEN:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    return folder


@pytest.mark.parametrize("label_source", ["auto", "from_directory"])
def test_score_has_the_rows_of_the_clean_folder_and_counts_the_others(
    clean: Path, nas: Path, label_source: str
) -> None:
    expected = read_inputs(clean, classes=CLASSES, label_source=label_source)
    given = read_inputs(nas, classes=CLASSES, label_source=label_source)
    assert {key.removeprefix(str(nas)): label for key, label in given.labels.items()} == {
        key.removeprefix(str(clean)): label for key, label in expected.labels.items()
    }
    assert given.skipped.counts == {"junk": len(HIDDEN)}
    assert given.skipped.examples["junk"].startswith(str(nas))


def test_archives_of_it_have_the_same_rows(nas: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "nas.tar", "w") as tar, zipfile.ZipFile(tmp_path / "nas.zip", "w") as zipped:
        for path in sorted(nas.rglob("*")):
            if path.is_file():
                tar.add(path, f"./{path.relative_to(nas)}")
                zipped.write(path, path.relative_to(nas))
    for archive in (tmp_path / "nas.tar", tmp_path / "nas.zip"):
        given = read_inputs(archive)
        assert (len(given.images), given.failures) == (60, {})
        assert given.skipped.counts == {"junk": len(HIDDEN)}


def test_train_learns_the_classes_and_pictures_of_the_clean_folder(clean: Path, nas: Path) -> None:
    expected, found = load(clean, image_size=16), load(nas, image_size=16)
    assert found.class_names == expected.class_names
    for mine, others in ((found.train, expected.train), (found.test, expected.test)):
        assert mine.labels.tolist() == others.labels.tolist()
        assert mine.hashes.tolist() == others.hashes.tolist()
    assert found.left_out == {}


@pytest.mark.parametrize(
    ("pattern", "rows"),
    [
        (".Trash-1000", 1),
        ("4/@eaDir", 2),
        ("4/@eaDir/*/*.jpg", 2),
        ("#recycle", 1),
        (".*/**/*.png", 2),
        ("*/.thumbnails/*", 1),
        ("9/._000.png", 1),
        ("$RECYCLE.BIN/S-1-5-21-1004/$R0AB12C.png", 1),
    ],
)
def test_what_the_input_itself_names_is_read_all_the_same(nas: Path, pattern: str, rows: int) -> None:
    given = read_inputs(nas / pattern)
    assert (given.rows, given.skipped.counts) == (rows, {})
