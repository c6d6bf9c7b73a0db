"""Samples of several pictures: one is the image, masks have no label, and what is left is counted by its kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from read_inputs import Given, read_inputs
from test_field_02_dotted_names import DIGITS, pgm, tar_of

from pipeline.sources.skipped import pictures_beside


def sample_tar(path: Path, kinds: list[str], form: str = "{:04d}", sidecar: str | None = "cls") -> Path:
    files = []
    for i in range(20):
        names = {kind: pgm(i + 50 * n) for n, kind in enumerate(kinds)}
        names |= {sidecar: b"%d" % (i % 10)} if sidecar else {}
        files += [(f"{form.format(i)}.{kind}", data) for kind, data in sorted(names.items())]
    return tar_of(path, files)


def kinds_of(given: Given) -> list[str]:
    return [key.rpartition("!")[2].partition(".")[2] for key in given.images]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("unit_images", [1, 2048])
def test_a_mask_is_not_scored_with_the_label_of_its_image(tmp_path: Path, suffix: str, unit_images: int) -> None:
    path = sample_tar(tmp_path / f"x{suffix}", ["pgm", "seg.pgm", "depth.png"])
    given = read_inputs(path, classes=DIGITS, unit_images=unit_images)
    assert kinds_of(given) == ["pgm"] * 20
    assert list(given.labels.values()) == [str(i % 10) for i in range(20)]
    counts = {pictures_beside("seg.pgm"): 20, pictures_beside("depth.png"): 20, "files of labels": 20}
    assert given.skipped.counts == counts


@pytest.mark.parametrize("form", ["{:04d}", "cam1.2024-05-01_{:03d}"])
@pytest.mark.parametrize(
    ("kinds", "key", "expected"),
    [
        (["pgm", "seg.pgm"], "seg.pgm", ["seg.pgm"]),
        (["left.png", "right.png"], "left.png", ["left.png"]),
        (["left.png", "right.png"], "LEFT.png; right.png", ["left.png", "right.png"]),
        (["jpg", "png"], "png", ["png"]),
        (["0.png", "1.png"], "1.png", ["1.png"]),
        (["jpg", "seg.png"], "png;jpg", ["jpg"]),
    ],
)
def test_image_key_chooses_the_image(
    tmp_path: Path, form: str, kinds: list[str], key: str, expected: list[str]
) -> None:
    path = sample_tar(tmp_path / "x.tar", kinds, form)
    for unit_images in (1, 2048):
        given = read_inputs(path, classes=DIGITS, unit_images=unit_images, image_key=key)
        names = [f"{form.format(i)}.{kind}" for i in range(20) for kind in expected]
        assert [key.rpartition("!")[2] for key in given.images] == names
        assert list(given.labels.values()) == [str(i % 10) for i in range(20) for _ in expected]
        assert given.skipped.total == 20 + 20 * (len(kinds) - len(expected))


def test_pictures_of_which_each_may_be_the_image_are_failed_rows_that_say_what_to_do(tmp_path: Path) -> None:
    given = read_inputs(sample_tar(tmp_path / "x.tar", ["jpg", "png"]), classes=DIGITS)
    assert len(given.failures) == 40
    assert set(given.failures.values()) == {"sample has a jpg and a png: choose the image with --image_key"}


def test_pictures_of_two_sides_are_rows_and_a_mask_beside_them_is_not(tmp_path: Path) -> None:
    given = read_inputs(sample_tar(tmp_path / "x.tar", ["left.png", "right.png", "mask.png"]), classes=DIGITS)
    assert kinds_of(given) == ["left.png", "right.png"] * 20
    assert given.skipped.counts[pictures_beside("mask.png")] == 20


def test_without_labels_pictures_of_one_name_are_rows_but_masks(tmp_path: Path) -> None:
    path = sample_tar(tmp_path / "x.tar", ["jpg", "png", "small.jpg", "seg.png"], "7/{:04d}", None)
    given = read_inputs(path, classes=DIGITS)
    assert len(given.images) == 60
    assert set(given.labels.values()) == {"7"}
    assert given.skipped.counts == {pictures_beside("seg.png"): 20}


def test_a_key_of_records_chooses_nothing_in_a_tar(tmp_path: Path) -> None:
    path = sample_tar(tmp_path / "x.tar", ["pgm"])
    assert read_inputs(path, image_key="image/encoded").rows == 20


def test_limit_and_image_key_agree_in_a_compressed_tar(tmp_path: Path) -> None:
    path = sample_tar(tmp_path / "x.tar.gz", ["left.png", "right.png"])
    assert read_inputs(path, image_key="left.png", limit=30).rows == 20
    assert read_inputs(path, image_key="left.png", limit=5).rows == 5
