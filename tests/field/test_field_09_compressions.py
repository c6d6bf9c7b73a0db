"""TFRecords and tars in every compression: read, or named for what they are; "damaged" is said only of what is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from fuzz_corpus import example_of, framed
from hypothesis import given, settings
from hypothesis import strategies as st
from read_inputs import read_inputs

DIGITS = [str(digit) for digit in range(10)]
Compress = Callable[[bytes], bytes]
COMPRESSIONS: dict[str, Compress] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "zlib-best": lambda data: zlib.compress(data, 9),
    "zlib-fast": lambda data: zlib.compress(data, 1),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zstd": zstandard.compress,
    "zstd-frames": lambda data: zstandard.compress(data[:700]) + zstandard.compress(data[700:]),
    "zstd-skippable": lambda data: b"\x50\x2a\x4d\x18\4\0\0\0nope" + zstandard.compress(data),
}


def pgm(number: int) -> bytes:
    return b"P5 20 20 255\n" + bytes([number % 256, 7 * number % 256] * 200)


RECORDS = framed(*(example_of({"image": pgm(i), "label": i % 10}) for i in range(40)))


def tar_bytes() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for i in range(40):
            member = tarfile.TarInfo(f"{i % 10}/{i}.pgm")
            member.size = len(pgm(i))
            archive.addfile(member, io.BytesIO(pgm(i)))
    return buffer.getvalue()


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize(
    "ending", ["x.tfrecord", "x.tfrecord.gz", "x.tfrecord.zz", "x.tfrecord.zst", "x.tar", "x.tar.zst"]
)
def test_are_read_whatever_the_name_says(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / ending
    path.write_bytes(COMPRESSIONS[name](RECORDS if "tfrecord" in ending else tar_bytes()))
    given = read_inputs(path, classes=DIGITS)
    assert list(given.images.values()) == [pgm(i) for i in range(40)]
    assert list(given.labels.values()) == [str(i % 10) for i in range(40)]
    assert read_inputs(path, limit=7).rows == 7


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_what_is_cut_short_keeps_what_came_before_and_is_called_damaged(tmp_path: Path, name: str) -> None:
    for ending, content in (("x.tfrecord", RECORDS), ("x.tar", tar_bytes())):
        packed = COMPRESSIONS[name](content)
        (tmp_path / ending).write_bytes(packed[: len(packed) * 2 // 3])
        given = read_inputs(tmp_path / ending)
        assert list(given.images.values()) == [pgm(i) for i in range(len(given.images))]
        assert "damaged" in list(given.failures.values())[-1]


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"LZIP\1", "lzip"),
        (b"\x1f\x9d\x90", "compress (.Z)"),
        (b"\xff\x06\0\0sNaPpY", "snappy"),
    ],
)
@pytest.mark.parametrize("ending", ["x.tfrecord", "x.tar", "x"])
def test_what_is_not_read_is_named(tmp_path: Path, start: bytes, name: str, ending: str) -> None:
    (tmp_path / ending).write_bytes(start + bytes(range(256)) * 9)
    (message,) = read_inputs(tmp_path / ending).failures.values()
    assert f"it is compressed with {name}, which is not read: decompress it" in message
    assert "damaged" not in message


def test_without_its_library_zstd_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    for ending, content in (("x.tfrecord", RECORDS), ("x.tar", tar_bytes())):
        (tmp_path / ending).write_bytes(zstandard.compress(content))
        (message,) = read_inputs(tmp_path / ending).failures.values()
        assert message.endswith("it is compressed with zstd, which Python reads from 3.14 on: install zstandard")


@settings(deadline=None, max_examples=150)
@given(
    sizes=st.lists(st.integers(0, 90), min_size=1, max_size=12),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=3),
    unit_images=st.sampled_from([1, 2, 5, 2048]),
    compress=st.sampled_from([bytes, gzip.compress]),
)
def test_a_flipped_byte_loses_at_most_the_records_that_it_touches(
    sizes: list[int], flips: list[tuple[float, int]], unit_images: int, compress: Compress
) -> None:
    records = [example_of({"image": b"P5 %d" % i + b"." * size}) for i, size in enumerate(sizes)]
    whole = framed(*records)
    starts = [sum(len(record) + 16 for record in records[:i]) for i in range(len(records) + 1)]
    data, touched = bytearray(whole), set()
    for place, mask in flips:
        at = int(place * len(whole))
        data[at] ^= mask
        touched.add(max(i for i, start in enumerate(starts) if start <= at))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.tfrecord")
        path.write_bytes(compress(bytes(data)))
        found = read_inputs(path, unit_images=unit_images)
    kept = [b"P5 %d" % i + b"." * size for i, size in enumerate(sizes) if i not in touched]
    assert [image for image in found.images.values() if image in kept] == kept
    assert len(found.images) - len(kept) <= len(touched)
    assert len(found.failures) <= len(touched)


def test_records_go_on_behind_a_hole(tmp_path: Path) -> None:
    second = RECORDS.index(framed(example_of({"image": pgm(1), "label": 1})))
    for damaged in (
        RECORDS[:second] + RECORDS[second + 100 :],
        RECORDS[: second + 5] + bytes(700) + RECORDS[second + 5 :],
    ):
        (tmp_path / "x.tfrecord").write_bytes(damaged)
        for unit_images in (1, 3, 2048):
            found = read_inputs(tmp_path / "x.tfrecord", unit_images=unit_images)
            assert list(found.images.values())[-37:] == [pgm(i) for i in range(3, 40)]
            assert 1 <= len(found.failures) <= 3
