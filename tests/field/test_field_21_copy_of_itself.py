"""A folder with copies of its images inside: no copy of a test image is learned, and the report says what is so."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_sets import load, pixels_of
from PIL import Image

from model_training.build import build
from model_training.data.datasets import Dataset
from model_training.learning.recipe import Recipe
from pipeline.model.thumbnails import png

PICTURES = [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (14, 14), np.uint8)) for seed in range(80)]
LABELS = [("a", "b")[seed % 2] for seed in range(80)]


def other_file(picture: Image.Image) -> bytes:
    """Return another file of the same pixels."""
    data = io.BytesIO()
    picture.save(data, "BMP")
    return data.getvalue()


def write(folder: Path, tops: tuple[str, ...], encode: Callable[[Image.Image], bytes] = png) -> Path:
    for number, (picture, label) in enumerate(zip(PICTURES, LABELS, strict=True)):
        for top in tops:
            path = folder / top / label / f"{number:03d}.img"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(picture))
    return folder


def sides(dataset: Dataset) -> tuple[set[bytes], set[bytes]]:
    learned = (*pixels_of(dataset.train), *pixels_of(dataset.validation))
    return {one.tobytes() for one in learned}, {one.tobytes() for one in pixels_of(dataset.test)}


@pytest.mark.parametrize(
    "tops",
    [
        ("", "cells"),
        pytest.param(("train", "test"), marks=pytest.mark.heavy),
        pytest.param(("x", "x/x"), marks=pytest.mark.heavy),
        ("a1", "b2", "c3"),
    ],
)
def test_copies_lie_on_one_side_and_the_sides_are_those_of_one_copy(tmp_path: Path, tops: tuple[str, ...]) -> None:
    once, copied = load(str(write(tmp_path / "once", ("",)))), load(str(write(tmp_path / "copy", tops)))
    assert sides(copied) == sides(once)
    assert len(copied.test) == len(tops) * len(once.test) > 0
    assert (once.copies, copied.copies) == (0, 80 * (len(tops) - 1))
    assert once.test_copies == copied.test_copies == 0


def test_copies_in_another_format_are_copies(tmp_path: Path) -> None:
    folder = write(write(tmp_path, ("",)), ("bmp",), other_file)
    dataset = load(str(folder))
    assert (dataset.copies, dataset.test_copies) == (80, 0)


def test_images_that_validate_have_no_copy_among_those_that_are_learned(tmp_path: Path) -> None:
    dataset = load(str(write(tmp_path, ("", "copy", "copy/copy"))))
    assert 0 < len(dataset.validation) < len(dataset.train) // 5
    assert set(dataset.train.hashes.tolist()).isdisjoint(dataset.validation.hashes.tolist())


def test_renamed_images_keep_their_sides(tmp_path: Path) -> None:
    folder = write(tmp_path, ("",))
    before = sides(load(str(folder)))
    for path in sorted(folder.rglob("*.img")):
        os.rename(path, path.with_name(f"renamed-{path.name}"))
    assert sides(load(str(folder))) == before


@pytest.mark.heavy
def test_report_counts_copies_and_says_that_none_of_them_is_on_both_sides(tmp_path: Path) -> None:
    dataset = load(str(write(tmp_path / "set", ("", "copy"))))
    run = build(dataset, Recipe(epochs=1), str(tmp_path / "model"))
    assert run.spec.training["images"]["copies"] == 80
    page = " ".join((tmp_path / "model" / "training" / "report.html").read_text().split())
    assert "no exact copy in training" in page
    assert "80 images repeat the pixels of another." in page
    assert "never" not in page
