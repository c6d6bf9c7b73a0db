"""Hard links in a tar are files: each is a row with the content of what it leads to."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from read_inputs import read_inputs

from pipeline.sources.skipped import SYMBOLIC

DIGITS = [str(digit) for digit in range(10)]


def pgm(number: int) -> bytes:
    return b"P5 2 2 255\n" + bytes([number % 256] * 4)


@pytest.mark.parametrize("option", ["", "-z", "-j", "-J", "--zstd"])
@pytest.mark.parametrize("format_", ["gnu", "pax", "ustar"])
@pytest.mark.parametrize("unit_images", [1, 3, 2048])
def test_a_folder_and_its_tar_give_the_same_rows(tmp_path: Path, option: str, format_: str, unit_images: int) -> None:
    folder = tmp_path / "folder"
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True)
        (folder / str(digit) / "a.pgm").write_bytes(pgm(digit))
        os.link(folder / str(digit) / "a.pgm", folder / str(digit) / "b.pgm")
        os.link(folder / "0" / "a.pgm", folder / str(digit) / "zero.pgm")
    command = ["tar", "--sort=name", f"--format={format_}", *([option] if option else []), "-C", str(tmp_path)]
    subprocess.run([*command, "-cf", str(tmp_path / "x.tar"), "folder"], check=True)
    from_folder = read_inputs(folder, classes=DIGITS)
    given = read_inputs(tmp_path / "x.tar", classes=DIGITS, unit_images=unit_images)
    assert len(given.images) == 30
    for mine, theirs in ((given.images, from_folder.images), (given.labels, from_folder.labels)):
        assert {key.rpartition("!folder/")[2]: value for key, value in mine.items()} == {
            key.rpartition("/folder/")[2]: value for key, value in theirs.items()
        }


def linked(path: Path, mode: str, links: list[tuple[str, str, bytes]]) -> Path:
    """Write 1.pgm, 1.cls and links to them: each a name, what it leads to and its kind."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in (("1.pgm", pgm(1)), ("1.cls", b"7"), ("0e3f", pgm(3))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target, kind in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_labels_may_be_linked_and_links_lead_to_links(tmp_path: Path, mode: str) -> None:
    links = [("2.pgm", "1.pgm"), ("2.cls", "./1.cls"), ("3.pgm", "2.pgm"), ("5c1d", "0e3f"), ("4.pgm", "gone.pgm")]
    path = linked(tmp_path / "x.tar", mode, [(name, target, tarfile.LNKTYPE) for name, target in links])
    for unit_images in (1, 2048):
        given = read_inputs(path, classes=DIGITS, unit_images=unit_images)
        found = {key.rpartition("!")[2]: (data, given.labels[key]) for key, data in given.images.items()}
        assert found == {
            "1.pgm": (pgm(1), "7"),
            "0e3f": (pgm(3), None),
            "2.pgm": (pgm(1), "7"),
            "3.pgm": (pgm(1), None),
            "5c1d": (pgm(3), None),
        }
        assert given.failures == {f"{path}!4.pgm": "hard link to 'gone.pgm', which does not come before it"}


def test_symbolic_links_are_counted_under_their_own_name(tmp_path: Path) -> None:
    path = linked(tmp_path / "x.tar", "w", [("2.pgm", "1.pgm", tarfile.SYMTYPE)])
    assert read_inputs(path).skipped.counts[SYMBOLIC] == 1
