"""A phone's photos: what is an image and is not read is told by its kind, with what to do."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from read_inputs import read_inputs

from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.errors import UsageError
from pipeline.image_kinds import UNREAD, is_read, kind_of, reason, unread_by_suffix
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.sources.search import require_input

BRANDS = b"\0\0\0\x1cftyp%s\0\0\0\0mif1%smiaf" + bytes(20)
HEIC = BRANDS % (b"heic", b"heic")
JXL = b"\xff\x0a\x10" + bytes(40)
HEADS = {
    "HEIC": [HEIC, BRANDS % (b"mif1", b"heic"), BRANDS % (b"msf1", b"hevc"), BRANDS % (b"heix", b"heix")],
    "AVIF": [BRANDS % (b"avif", b"avif"), BRANDS % (b"mif1", b"avif"), BRANDS % (b"avis", b"avis")],
    "JPEG XL": [b"\xff\x0a\x10", b"\0\0\0\x0cJXL \r\n\x87\n"],
    "JPEG 2000": [b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51\0\x29"],
    "Photoshop": [b"8BPS\0\1\0\0"],
    "SVG": [b"<svg xmlns='x'>", b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made by -->\n<svg\n width='1'>"],
    "raw camera": [b"II*\0\x10\0\0\0CR\2\0", b"FUJIFILMCCD-RAW ", BRANDS % (b"crx ", b"isom")],
    "OpenEXR": [b"v/1\x01\2\0\0\0"],
    "DICOM": [bytes(128) + b"DICM"],
    "PNM": [b"P4\n28 28\n", b"P1\n# drawn\n2 2\n0 1"],
}


def picture(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7)).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "head"), [(kind, head) for kind, heads in HEADS.items() for head in heads])
def test_a_kind_is_known_by_its_first_bytes_where_no_suffix_tells_it(tmp_path: Path, kind: str, head: bytes) -> None:
    assert kind_of(head) == kind
    (tmp_path / "photo").write_bytes(head)
    given = read_inputs(tmp_path)
    expected = (1, {}) if is_read(kind) else (0, {reason(kind): 1})
    assert (given.rows, given.skipped.counts) == expected


@pytest.mark.parametrize(
    "head", [b"", b"\0", b"\0\0\0\x1cftypisom\0\0\0\0isommp41", b"BM", b"P9 2 2 1", b"<html><svg>", b"{}", b"P1 of it"]
)
def test_what_is_none_is_no_image(head: bytes) -> None:
    assert kind_of(head) is None


@pytest.mark.parametrize("kind", UNREAD, ids=lambda kind: kind.name)
def test_a_kind_is_known_by_its_suffix_and_says_what_to_do(tmp_path: Path, kind: object) -> None:
    name, suffixes, advice = kind  # type: ignore[misc]
    suffixes = [suffix for suffix in suffixes if unread_by_suffix(suffix)]  # HEIC is read where its extra is installed
    for number, suffix in enumerate(suffixes):
        (tmp_path / f"{number}{suffix.upper()}").write_bytes(b"II*\0" if "camera" in name else b"?")
    given = read_inputs(tmp_path)
    assert given.rows == 0
    assert given.skipped.counts == ({f"{name} images: {advice}": len(suffixes)} if suffixes else {})


def phone(folder: Path) -> Path:
    for number in range(3):
        day = folder / str(number)
        day.mkdir(parents=True)
        (day / "IMG_0001.JXL").write_bytes(JXL)
        (day / "IMG_0002.JPG").write_bytes(picture("JPEG"))
        (day / "IMG_0003.JXL").write_bytes(picture("JPEG"))  # as phones send them
        (day / "IMG_0004.jpg").write_bytes(JXL)
        (day / "IMG_0005.dng").write_bytes(b"II*\0" + bytes(60))
        (day / "notes.pdf").write_bytes(b"%PDF-1.7")
    return folder


def test_a_phones_folder_and_archives_of_it_tell_the_same(tmp_path: Path) -> None:
    folder = phone(tmp_path / "phone")
    with tarfile.open(tmp_path / "phone.tar", "w") as tar, zipfile.ZipFile(tmp_path / "phone.zip", "w") as zipped:
        for path in sorted(folder.rglob("*.*")):
            tar.add(path, path.relative_to(folder))
            zipped.write(path, path.relative_to(folder))
    for archive in (folder, tmp_path / "phone.tar", tmp_path / "phone.zip"):
        given = read_inputs(archive)
        assert given.rows == 9, "a file that is named like an image has a row"
        assert sum(key.endswith("3.JXL") for key in given.images) == 3
        assert given.skipped.counts == {reason("JPEG XL"): 3, reason("DNG"): 3, "other files": 3}
        assert given.skipped.examples[reason("JPEG XL")].endswith("0/IMG_0001.JXL")


def test_row_of_a_renamed_image_says_what_it_is() -> None:
    batch = EncodedBatch(ImageColumns.of(["IMG_0004.jpg"]), [JXL])
    (failure,) = preprocess(batch, InputSpec(8, 8, "rgb")).images.failures.values()
    assert (failure.code, failure.message) == (
        "UNIMPLEMENTED",
        "it is of the kind JPEG XL, whatever its name says: convert it to JPEG or PNG",
    )


def test_an_input_of_nothing_else_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.jxl").write_bytes(JXL)
    with pytest.raises(UsageError, match=r"1 file \(JPEG XL images: 1; convert them to JPEG or PNG\); Night"):
        require_input(str(tmp_path))


def test_folder_and_glob_tell_the_same_of_what_only_begins_like_an_image_or_an_archive(tmp_path: Path) -> None:
    """Camera's raw files begin like TIFF, an Excel sheet is a zip with pictures in it."""
    sheet = io.BytesIO()
    with zipfile.ZipFile(sheet, "w") as archive:
        archive.writestr("xl/media/image1.png", picture("PNG"))
    (tmp_path / "a.png").write_bytes(picture("PNG"))
    (tmp_path / "raw.dng").write_bytes(picture("TIFF"))
    (tmp_path / "book.xlsx").write_bytes(sheet.getvalue())
    (tmp_path / "b.png.gz").write_bytes(gzip.compress(picture("PNG")))
    found = {pattern: read_inputs(tmp_path / pattern) for pattern in ("", "*")}
    for given in found.values():
        assert list(given.images) == [str(tmp_path / "a.png")]
        assert given.skipped.counts == {
            "DNG images: export them as JPEG or TIFF": 1,
            "compressed images (.png.gz): decompress them": 1,
            "other files": 1,
        }
    assert list(read_inputs(tmp_path / "book.xlsx").images) == [f"{tmp_path}/book.xlsx!xl/media/image1.png"]


def test_a_raw_file_of_a_camera_that_is_called_tif_is_a_failed_row() -> None:
    batch = EncodedBatch(ImageColumns.of(["raw.tif"]), [picture("TIFF", tiffinfo={50706: b"\1\4\0\0"})])
    (failure,) = preprocess(batch, InputSpec(8, 8, "rgb")).images.failures.values()
    assert failure.message == "it is of the kind DNG, whatever its name says: export it as JPEG or TIFF"
