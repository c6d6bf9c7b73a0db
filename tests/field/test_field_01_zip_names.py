"""Zip archives whose names other systems wrote: with backslashes, in other encodings, split, in other compressions."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from read_inputs import read_inputs

from pipeline.errors import UsageError
from pipeline.options import ScoreOptions

DIGITS = [str(digit) for digit in range(10)]


def pgm(number: int) -> bytes:
    return b"P5 2 2 255\n" + bytes([number % 256] * 4)


def zip_of(path: Path, files: Mapping[str, bytes], system: int = 0, extra: bool = False) -> Path:
    """Write an archive.

    Args:
        path: of the file.
        files: content by name, as the name is meant.
        system: that is said to have made it: 0 is Windows, 3 is Unix.
        extra: whether Info-ZIP's field has the name in UTF-8 beside a useless one.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i, (name, data) in enumerate(files.items()):
            member = zipfile.ZipInfo("x")
            member.filename, member.create_system = (f"n{i}.bin" if extra else name), system
            if extra:
                told = b"\1" + struct.pack("<I", zlib.crc32(member.filename.encode())) + name.encode()
                member.extra = struct.pack("<HH", 0x7075, len(told)) + told
            archive.writestr(member, data)
    return path


def with_raw_names(files: Mapping[str, bytes], encoding: str, system: int) -> bytes:
    """Return an archive of stored members whose names are bytes of an encoding that nothing tells."""
    body, directory = b"", b""
    for name, data in files.items():
        raw, sizes = name.encode(encoding), (zlib.crc32(data), len(data), len(data))
        at = len(body)
        body += struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 0, *sizes, len(raw), 0) + raw + data
        directory += struct.pack(
            "<IBBHHHHHIIIHHHHHII", 0x02014B50, 20, system, 20, 0, 0, 0, 0, *sizes, len(raw), 0, 0, 0, 0, 0, at
        ) + raw  # fmt: skip
    n = len(files)
    return body + directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, n, n, len(directory), len(body), 0)


@pytest.mark.parametrize("system", [0, 10, 3])
@pytest.mark.parametrize("separator", ["/", "\\"])
def test_backslashes_stand_between_folders(tmp_path: Path, system: int, separator: str) -> None:
    files = {f"digits{separator}{digit}{separator}": b"" for digit in range(10)}
    files |= {f"digits{separator}{i % 10}{separator}{i}.pgm": pgm(i) for i in range(40)}
    given = read_inputs(zip_of(tmp_path / "x.zip", files, system), classes=DIGITS, unit_images=7)
    assert sorted(given.images) == sorted(f"{tmp_path}/x.zip!digits/{i % 10}/{i}.pgm" for i in range(40))
    assert all(key.split("/")[-2] == label for key, label in given.labels.items())
    assert given.skipped.counts == {"links, folders and devices in archives": 10}


def test_a_backslash_in_a_name_of_unix_stays(tmp_path: Path) -> None:
    given = read_inputs(zip_of(tmp_path / "x.zip", {"1/a\\b.pgm": pgm(1)}, 3), classes=DIGITS)
    assert list(given.labels.items()) == [(f"{tmp_path}/x.zip!1/a\\b.pgm", "1")]


@pytest.mark.parametrize(
    ("encoding", "folder"),
    [("cp932", "ソ表"), ("gbk", "猫"), ("cp866", "кот"), ("cp437", "café"), ("cp1252", "chaîne")],
)
def test_zip_encoding_reads_names_that_do_not_tell_theirs(tmp_path: Path, encoding: str, folder: str) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(with_raw_names({f"{folder}\\1.pgm": pgm(1), f"{folder}\\2.pgm": pgm(2)}, encoding, 0))
    given = read_inputs(path, classes=[folder, "x"], zip_encoding=encoding)
    assert list(given.labels.values()) == [folder, folder]
    assert list(given.images) == [f"{path}!{folder}/{i}.pgm" for i in (1, 2)]


@pytest.mark.parametrize("system", [0, 3, 11])
def test_names_in_utf8_that_do_not_say_so_are_read(tmp_path: Path, system: int) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(with_raw_names({"кот/1.pgm": pgm(1)}, "utf-8", system))
    assert list(read_inputs(path, classes=["кот", "x"]).labels.values()) == ["кот"]


def test_the_unicode_path_field_is_the_name(tmp_path: Path) -> None:
    given = read_inputs(zip_of(tmp_path / "x.zip", {"кот/1.pgm": pgm(1)}, extra=True), classes=["кот", "x"])
    assert given.labels == {f"{tmp_path}/x.zip!кот/1.pgm": "кот"}


@pytest.mark.parametrize("name", ["klingon", "base64", ""])
def test_an_encoding_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"--zip_encoding .* is no encoding"):
        ScoreOptions(("x",), "model", "output", zip_encoding=name)


@pytest.mark.parametrize("part", [1, 2])
def test_a_part_of_a_split_archive_is_named_and_not_called_damaged(tmp_path: Path, part: int) -> None:
    whole = zip_of(tmp_path / "w.zip", {f"{i}.pgm": pgm(i) * 500 for i in range(20)}).read_bytes()
    start = whole.index(b"PK\1\2") - 60
    data = bytearray(whole[start:])
    end = data.rindex(b"PK\5\6")
    struct.pack_into("<HH", data, end + 4, 1, 1)
    struct.pack_into("<I", data, end + 16, 60)
    (tmp_path / "x.zip").write_bytes(data if part == 2 else b"PK\7\x08" + whole[: len(whole) // 2])
    given = read_inputs(tmp_path / "x.zip")
    (message,) = given.failures.values()
    assert "of a split archive; join the parts first" in message
    assert "damage" not in message


def test_parts_in_a_folder_are_counted_by_name(tmp_path: Path) -> None:
    for name in ("a.z01", "b.zip.001", "c.tar.gz.partaa", "d.7z", "e.rar", "1.pgm"):
        (tmp_path / name).write_bytes(pgm(1) if name == "1.pgm" else b"PK\7\x08 or so")
    given = read_inputs(tmp_path)
    assert given.rows == 1
    assert given.skipped.counts == {
        "parts of split archives: join them": 3,
        "archives that are not read (.7z): unpack them": 1,
        "archives that are not read (.rar): unpack them": 1,
    }
