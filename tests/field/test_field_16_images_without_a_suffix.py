"""Images whose names have no suffix, or one with something behind it: read by their first bytes, wherever they lie."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image
from read_inputs import Given, read_inputs

from pipeline import storage
from pipeline.sources.skipped import BESIDE

Pack = Callable[[Path, Mapping[str, bytes]], Path]


def image(format_: str, number: int = 0) -> bytes:
    """A picture of 9 x 7 pixels in a format of Pillow's."""
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (number, 50, 90)).save(buffer, format_)
    return buffer.getvalue()


def as_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_tar(path: Path, files: Mapping[str, bytes], mode: str = "w", suffix: str = ".tar") -> Path:
    with tarfile.open(path.with_suffix(suffix), mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path.with_suffix(suffix)


def as_tar_gz(path: Path, files: Mapping[str, bytes]) -> Path:
    return as_tar(path, files, "w:gz", ".tar.gz")


def as_zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path.with_suffix(".zip")


def as_stored_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    return as_zip(path, files, zipfile.ZIP_STORED)


PACKS = [as_folder, as_tar, as_tar_gz, as_zip, as_stored_zip]
COUNTED = [as_folder, as_tar, as_zip, as_stored_zip]
"""What is planned with all it holds; a compressed tar is read only when it is scored."""


def names(given: Given) -> set[str]:
    """The names of the rows, by what follows the class folder's parent."""
    return {key.rpartition("/")[2] for key in given.images}


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_every_format_is_known_without_a_suffix(tmp_path: Path, pack: Pack, format_: str) -> None:
    data = image(format_)
    given = read_inputs(pack(tmp_path / "x", {f"cat/{hashlib.sha256(data).hexdigest()}": data}), classes=["cat"])
    assert list(given.images.values()) == [data]
    assert list(given.labels.values()) == ["cat"]
    assert given.failures == {}


@pytest.mark.parametrize("pack", PACKS)
def test_what_stands_behind_a_suffix_hides_no_image(tmp_path: Path, pack: Pack) -> None:
    odd = [
        "b.png?w=640&h=480",
        "c.jpg.1",
        "d.jpg_large",
        "e.jpg~",
        "f.png.bak",
        "g.jpg.txt",
        "h.jpg:large",
        "i",
        "j.tmp",
    ]
    files = {f"1/{name}": image("PNG", i) for i, name in enumerate(["a.png", *odd])}
    given = read_inputs(pack(tmp_path / "x", files))
    assert (names(given), given.failures, given.skipped.counts) == ({"a.png", *odd}, {}, {})


@pytest.mark.parametrize("unit_images", [1, 3, 2048])
@pytest.mark.parametrize("pack", COUNTED)
def test_rows_and_what_is_left_out_are_all_that_is_there(tmp_path: Path, pack: Pack, unit_images: int) -> None:
    files = {
        "1/a.png": image("PNG"),
        "1/hash": image("PNG", 1),
        "1/none": b"BMW 320d, blue",
        "1/P5": b"P5 is a process",
        "1/empty": b"",
        "1/film.mp4": image("PNG", 2),
        "1/notes.txt": b"text",
        "1/Thumbs.db": b"x",
    }
    given = read_inputs(pack(tmp_path / "x", files), unit_images=unit_images)
    assert names(given) == {"a.png", "hash"}
    assert given.skipped.counts == {"other files": 5, "junk": 1}
    assert given.rows + given.skipped.total == len(files)
    assert set(given.skipped.examples) == {"other files", "junk"}


def test_a_bucket_is_looked_through_in_order(gcs_bucket: str) -> None:
    files = {f"{i:03d}{'' if i % 3 else '.png'}": image("PNG", i) if i % 5 else b"text" for i in range(60)}
    for name, data in files.items():
        storage.create(f"{gcs_bucket}/{name}", data)
    given = read_inputs(gcs_bucket)
    assert list(given.images) == [f"{gcs_bucket}/{name}" for i, name in enumerate(files) if i % 5 or not i % 3]
    assert given.skipped.counts == {"other files": sum(not i % 5 and bool(i % 3) for i in range(60))}
    only = next(name for i, name in enumerate(files) if i % 5 and i % 3)
    assert read_inputs(f"{gcs_bucket}/{only}").rows == 1


def test_a_glob_and_its_folder_give_the_same(tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "x", {"a.png": image("PNG"), "hash": image("GIF"), "none": b"text"})
    given, other = read_inputs(folder), read_inputs(folder / "*")
    assert given.images == other.images
    assert given.skipped.counts == other.skipped.counts == {"other files": 1}


@pytest.mark.parametrize("pack", [as_tar, as_tar_gz])
def test_a_mask_without_an_images_suffix_beside_an_image_of_a_sample_is_no_row(tmp_path: Path, pack: Pack) -> None:
    files = {"0.jpg": image("JPEG"), "0.mask": image("PNG"), "0.cls": b"1", "1.img": image("PNG", 1), "1.cls": b"0"}
    given = read_inputs(pack(tmp_path / "x", files), classes=["cat", "dog"])
    assert {key.rpartition("!")[2]: label for key, label in given.labels.items()} == {"0.jpg": "dog", "1.img": "cat"}
    if pack is as_tar:
        assert given.skipped.counts == {BESIDE: 1, "files of labels": 2}


def test_encrypted_and_damaged_members_are_counted_and_break_nothing(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "x", {"a.png": image("PNG"), "hash": image("PNG", 1)})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\3\4")
    data[at + 30 + len("hash") : at + 30 + len("hash") + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    given = read_inputs(path)
    assert (names(given), given.skipped.counts) == ({f"{path.name}!a.png"}, {"other files": 1})
