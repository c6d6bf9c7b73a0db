"""WebDataset samples whose names have dots: each image has the label of its own file, never that of a neighbor."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from read_inputs import read_inputs

DIGITS = [str(digit) for digit in range(10)]


def pgm(number: int) -> bytes:
    return b"P5 2 2 255\n" + bytes([number % 256] * 4)


def tar_of(path: Path, files: Sequence[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


FORMS = [
    "{:03d}",
    "cam1.2024-05-01_{:03d}",
    "0.5_{:03d}",
    "v1.0.{:03d}",
    "a.b.c_{:03d}",
    "x.{:03d}.crop",
    "cam.front{:03d}",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("sidecars", [("cls",), ("cls", "json", "txt"), ("json",)])
@pytest.mark.parametrize("unit_images", [1, 7, 2048])
def test_each_image_has_its_own_label(
    tmp_path: Path, form: str, suffix: str, sidecars: Sequence[str], unit_images: int
) -> None:
    files = []
    for i in range(40):
        contents = {"cls": b"%d" % (i % 10), "json": b'{"label": %d}' % (i % 10), "txt": b"a digit"}
        members = {"pgm": pgm(i)} | {name: contents[name] for name in sidecars}
        files += [(f"./{form.format(i)}.{name}", data) for name, data in sorted(members.items())]
    given = read_inputs(tar_of(tmp_path / f"x{suffix}", files), classes=DIGITS, unit_images=unit_images)
    names = [f"{tmp_path}/x{suffix}!./{form.format(i)}.pgm" for i in range(40)]
    assert given.labels == {name: str(i % 10) for i, name in enumerate(names)}


@pytest.mark.parametrize("form", FORMS)
def test_an_image_without_a_label_gets_none_from_its_neighbors(tmp_path: Path, form: str) -> None:
    files = []
    for i in range(20):
        files += [(f"{form.format(i)}.pgm", pgm(i))] + ([] if i % 3 else [(f"{form.format(i)}.cls", b"7")])
    given = read_inputs(tar_of(tmp_path / "x.tar", files), classes=DIGITS)
    assert list(given.labels.values()) == [None if i % 3 else "7" for i in range(20)]


def test_a_label_that_is_there_twice_and_differs_is_none(tmp_path: Path) -> None:
    files = [("1.pgm", pgm(1)), ("1.cls", b"1"), ("1.cls", b"2"), ("2.pgm", pgm(2)), ("2.cls", b"2"), ("2.cls", b"2")]
    given = read_inputs(tar_of(tmp_path / "x.tar", files), classes=DIGITS)
    assert list(given.labels.values()) == [None, "2"]
