"""Tar archives: written by GNU tar, Python and webdataset, cut and entered anywhere, whole and damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import json
import os
import random
import subprocess
import tarfile
import tempfile
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import archive_rows
import pytest
import webdataset
from archive_rows import RULE, Row, messages_of, rows_of
from counting_store import CountingStore
from hypothesis import given, settings
from hypothesis import strategies as st
from mostly_heavy import mostly_heavy

from pipeline import sources, storage
from pipeline.batches import Code
from pipeline.sources import tar_entries, tar_samples
from pipeline.sources.skipped import SYMBOLIC, Skipped
from pipeline.units import WorkUnit

LINKS = "links, folders and devices in archives"
COMPRESSIONS = ["gz", "bz2", "xz"]


def units_of(path: Path, unit_images: int = 2048, skipped: Skipped | None = None) -> list[WorkUnit]:
    return archive_rows.units_of("tar", path, unit_images, skipped)


def rows_in(path: Path, unit_images: int = 2048) -> list[Row]:
    return rows_of(path, units_of(path, unit_images))


def messages_in(path: Path) -> list[str]:
    return messages_of(units_of(path))


def good(**images: bytes) -> list[Row]:
    return [(f"{name}.png", data, None, None, None) for name, data in images.items()]


LOST: Row = ("", b"", None, None, "DATA_LOSS")


def python_tar(members: Sequence[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT, compression: str = "") -> bytes:  # noqa: A002
    """Return an archive by Python's tarfile, without the zeros that pad it to 10 kB."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}", format=format, errors="surrogateescape") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        end = archive.offset + 1024
    return buffer.getvalue() if compression else buffer.getvalue()[:end]


def gnu_tar(root: Path, *arguments: str, name: str = "gnu.tar") -> Path:
    """Return what GNU tar makes of root/files, or of what the arguments say."""
    path = root / name
    arguments = arguments if any(not a.startswith("-") for a in arguments) else (*arguments, ".")
    subprocess.run(
        ["tar", "-C", str(root / "files"), "--sort=name", *arguments[:-1], "-cf", str(path), arguments[-1]], check=True
    )
    return path


def write_files(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


class TestGnuTar:
    @pytest.mark.parametrize("format_", ["v7", "ustar", "pax", "gnu", "oldgnu"])
    def test_in_every_format_gives_names_contents_and_folders(self, tmp_path: Path, format_: str) -> None:
        files = {"cat/1.png": b"1" * 511, "cat/2.JPG": b"2" * 512, "dog/3.png": b"3" * 513, "dog/empty.png": b""}
        if format_ != "v7":
            files["dog/" + "d" * 90 + "/dog/" + "n" * 60 + ".png"] = b"long"
        if format_ not in ("v7", "ustar"):
            files["cat/" + "é" * 70 + "/" + "n" * 200 + ".png"] = b"longer"
            files["/".join(["f" * 90] * 5) + "/x.png"] = b"longest"
        path = gnu_tar(write_files(tmp_path, files), f"--format={format_}")
        expected = [
            (f"./{name}", data, *{"cat": (0, "cat"), "dog": (1, "dog")}.get(name.split("/")[-2], (None, None)), None)
            for name, data in sorted(files.items())
        ]
        for unit_images in (1, 2, 2048):
            assert sorted(rows_in(path, unit_images)) == sorted(expected)

    def test_links_folders_devices_and_junk_are_skipped_and_counted(self, tmp_path: Path) -> None:
        write_files(tmp_path, {"a.png": b"a", "._a.png": b"", "notes.txt": b"n", "__MACOSX/b.png": b"", "z.cls": b"1"})
        folder = tmp_path / "files"
        (folder / "b.png").symlink_to("a.png")
        os.link(folder / "a.png", folder / "c.png")
        os.mkfifo(folder / "d.png")
        (folder / "e.png").mkdir()
        for unit_images in (1, 2048):
            skipped = Skipped()
            path = gnu_tar(tmp_path)
            assert rows_of(path, units_of(path, unit_images, skipped)) == [
                ("./a.png", b"a", None, None, None),
                ("./c.png", b"a", None, None, None),
            ]
            reasons = {
                LINKS: 4,
                SYMBOLIC: 1,
                "junk": 2,
                "other files": 1,
                "files of labels": 1,
            }  # "." and __MACOSX are folders
            assert skipped.counts == reasons

    @pytest.mark.parametrize("format_", ["gnu", "pax"])
    @pytest.mark.parametrize("sparse", ["0.0", "0.1", "1.0"])
    def test_sparse_files_are_read_whole_and_what_follows_them_is_found(
        self, tmp_path: Path, format_: str, sparse: str
    ) -> None:
        write_files(tmp_path, {"a.png": b"a", "c.png": b"c" * 600, "d.png": b"d"})
        holes = bytes(1 << 20) + b"end" + bytes(70_000)
        with (tmp_path / "files" / "b.png").open("wb") as file:
            for at in (0, 300_000, 600_000, 900_000, 1 << 20):
                file.seek(at)
                file.write(b"end")
            file.truncate(len(holes))
        content = (tmp_path / "files" / "b.png").read_bytes()
        path = gnu_tar(tmp_path, "-S", f"--sparse-version={sparse}", f"--format={format_}")
        assert path.stat().st_size < 200_000 < len(content)
        expected = [("./a.png", b"a"), ("./b.png", content), ("./c.png", b"c" * 600), ("./d.png", b"d")]
        for unit_images in (1, 2, 2048):
            assert [row[:2] for row in rows_in(path, unit_images)] == expected
        assert all(0 <= unit.span[0] < unit.span[1] <= path.stat().st_size for unit in units_of(path, 1))

    @pytest.mark.parametrize("option", ["-z", "-j", "-J"])
    def test_compressed_is_one_unit_of_as_many_as_it_has(self, tmp_path: Path, option: str) -> None:
        files = {f"{i:03d}.png": os.urandom(i * 97) for i in range(40)}
        path = gnu_tar(write_files(tmp_path, files), option, name="x.tgz")
        (unit,) = units_of(path, 7)
        assert unit.images is None
        assert rows_of(path, [unit]) == [(f"./{name}", data, None, None, None) for name, data in files.items()]

    def test_names_that_are_not_utf8_are_percent_encoded(self, tmp_path: Path) -> None:
        names = [
            b"\xff.png",
            b"%41.png",
            b"50% off.png",
            "é日.png".encode(),
            b"a\nb.png",
            b"a!b#2.png",
            b"\xe9\xe9.png",
        ]
        (tmp_path / "files").mkdir()
        for name in names:
            Path(os.fsdecode(os.fsencode(tmp_path / "files") + b"/" + name)).write_bytes(name)
        for format_ in ("gnu", "pax", "ustar"):
            path = gnu_tar(tmp_path, f"--format={format_}")
            rows = rows_in(path, 2)
            assert {os.fsencode(storage.location_of(row[0])).removeprefix(b"./"): row[1] for row in rows} == {
                name: name for name in names
            }
            assert "./%FF.png" in {row[0] for row in rows}

    def test_an_archive_that_was_appended_to_has_a_key_for_each(self, tmp_path: Path) -> None:
        write_files(tmp_path, {"a.png": b"1"})
        path = gnu_tar(tmp_path, "a.png")
        for content in (b"2", b"3"):
            (tmp_path / "files" / "a.png").write_bytes(content)
            subprocess.run(["tar", "-C", str(tmp_path / "files"), "-rf", str(path), "a.png"], check=True)
        expected = [("a.png", b"1"), ("a.png#2", b"2"), ("a.png#3", b"3")]
        assert [row[:2] for row in rows_in(path)] == expected
        assert [row[:2] for row in rows_in(path, 1)] == expected
        with tarfile.open(path) as archive:
            assert len(archive.getmembers()) == 3


class TestNames:
    @pytest.mark.parametrize("compression", ["", *COMPRESSIONS])
    def test_that_come_twice_are_distinct_and_the_same_in_every_cut(self, tmp_path: Path, compression: str) -> None:
        names = ["x", "x", "x#2", "x", "y", "x.png#3", "y", "x"]
        members = [(f"{name}.png", str(i).encode()) for i, name in enumerate(names)]
        members[5] = ("x.png#3/x.png", b"5")
        path = tmp_path / "x.tar"
        path.write_bytes(python_tar(members, compression=compression))
        whole = rows_in(path)
        assert [row[1] for row in whole] == [str(i).encode() for i in range(8)]
        keys = ["x.png", "x.png#2", "x#2.png", "x.png#3", "y.png", "x.png#3/x.png", "y.png#2", "x.png#4"]
        assert [row[0] for row in whole] == keys
        for unit_images in range(1, 9):
            assert rows_in(path, unit_images) == whole
        (unit,) = units_of(path)
        for n in range(1, 10):
            assert rows_of(path, [sources.first_images(unit, n)]) == whole[:n]
        assert rows_of(path, [sources.first_images(sources.sample(unit, 6), 6)]) == whole[:6]

    @pytest.mark.parametrize("name", ["BZh91AY.png", "\x1f\udc8b\x08.png", "\udcfd7zXZ.png"])
    def test_that_start_like_a_compressed_file_mislead_nobody(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "x.tar").write_bytes(python_tar([("a.png", b"a"), (name, b"x")], tarfile.USTAR_FORMAT))
        assert [row[1] for row in rows_in(tmp_path / "x.tar", 1)] == [b"a", b"x"]
        (tmp_path / "x.tar").write_bytes(python_tar([(name, b"x"), ("a.png", b"a")], tarfile.USTAR_FORMAT))
        assert [row[1] for row in rows_in(tmp_path / "x.tar", 1)] == [b"x", b"a"]

    def test_one_ten_thousand_times_over_takes_no_longer_than_many(self, tmp_path: Path) -> None:
        member = python_tar([("x.png", b"")], tarfile.USTAR_FORMAT)[:512]
        (tmp_path / "x.tar").write_bytes(member * 10_000 + bytes(1024))
        started = time.monotonic()
        units = units_of(tmp_path / "x.tar", 1_000)
        assert time.monotonic() - started < 5
        assert rows_of(tmp_path / "x.tar", units[-1:])[-1][0] == "x.png#10000"


class TestSamples:
    def test_of_webdataset_have_their_labels(self, tmp_path: Path) -> None:
        path = tmp_path / "x.tar"
        with webdataset.TarWriter(str(path)) as writer:
            for i in range(20):
                label = [{"cls": i % 2}, {"json": {"label": "dog", "width": 3}}, {"json": {"cls": 1}}, {}][i % 4]
                writer.write({"__key__": f"train/{i:04d}", "png": b"%d" % i, **label})
            writer.write({"__key__": "many", "left.png": b"l", "right.png": b"r", "cls": 1, "txt": "caption"})
        labels = [(0, "cat"), (1, "dog"), (1, "dog"), (None, None)] * 5
        expected = [(f"train/{i:04d}.png", b"%d" % i, *labels[i], None) for i in range(20)]
        expected += [(f"many.{side}.png", side[0].encode(), 1, "dog", None) for side in ("left", "right")]
        for unit_images in (1, 3, 2048):
            assert rows_in(path, unit_images) == expected
            assert sum(unit.images or 0 for unit in units_of(path, unit_images)) == 22
        assert units_of(path, 1)[-1].images == 2

    @pytest.mark.parametrize(
        ("files", "label"),
        [
            ({"cls": b" 1\n"}, (1, "dog")),
            ({"cls": b"dog"}, (1, "dog")),
            ({"cls": b"\xef\xbb\xbfdog"}, (1, "dog")),
            ({"CLS": b"dog"}, (1, "dog")),
            ({"cls": b"7"}, (7, None)),
            ({"cls": b"-1"}, (-1, None)),
            ({"cls": b"cow"}, (None, "cow")),
            ({"cls": b"\xff"}, (None, "\ufffd")),
            ({"cls": b""}, (None, None)),
            ({"json": b'{"label": 1}'}, (1, "dog")),
            ({"json": b'{"label": 1.0}'}, (1, "dog")),
            ({"json": b'{"cls": "dog"}'}, (1, "dog")),
            ({"json": b'{"label": "cat", "cls": 1}'}, (0, "cat")),
            ({"json": b'{"label": [1]}'}, (1, "dog")),
            ({"json": b"[1]"}, (None, None)),
            ({"json": b"{"}, (None, None)),
            ({"json": b"[" * 100_000}, (None, None)),
            ({"json": b'{"label": ' + b"9" * 10_000 + b"}"}, (None, None)),
            ({"json": b'{"label": 1e999}'}, (None, "inf")),
            ({"json": b'{"width": 3}', "cls": b"1"}, (1, "dog")),
            ({"json": b'{"label": 0}', "cls": b"1"}, (0, "cat")),
            ({"cls": b" " * (2 << 20) + b"1"}, (None, None)),
        ],
    )
    @pytest.mark.parametrize("before", [True, False])
    def test_take_their_label_from_beside_the_image(
        self, tmp_path: Path, files: Mapping[str, bytes], label: tuple[Any, Any], before: bool
    ) -> None:
        beside = [(f"1.{ending}", data) for ending, data in files.items()]
        image = [("1.png", b"x")]
        members = [("0.png", b"0"), *(beside + image if before else image + beside), ("2.png", b"2")]
        for compression in ("", "gz"):
            (tmp_path / "x.tar").write_bytes(python_tar(members, compression=compression))
            rows = rows_in(tmp_path / "x.tar", 1)
            assert [row[2:4] for row in rows] == [(None, None), label, (None, None)]

    def test_are_of_one_folder(self, tmp_path: Path) -> None:
        members = [("cat/1.png", b"c"), ("dog/1.png", b"d"), ("dog/1.cls", b"0"), ("1.png", b"n"), ("cat/2.png", b"2")]
        (tmp_path / "x.tar").write_bytes(python_tar(members))
        assert [row[2] for row in rows_in(tmp_path / "x.tar", 1)] == [0, 0, None, 0]

    def test_a_long_row_of_one_name_is_cut_where_it_is_cut_again(self, tmp_path: Path) -> None:
        members = [(f"frame.at{i:04d}.png", b"%d" % i) for i in range(100)] + [("frame.cls", b"1")]
        members = [("a.png", b""), *((f"frame.at{i}.json", b"{}") for i in range(40)), *members]
        (tmp_path / "x.tar").write_bytes(python_tar(members))
        whole = rows_in(tmp_path / "x.tar")
        assert [row[2] for row in whole].count(1) == (100 + 40 + 1) % 32 - 1
        for unit_images in (1, 20, 50):
            assert rows_in(tmp_path / "x.tar", unit_images) == whole
            assert all((unit.images or 0) <= max(unit_images, 32) for unit in units_of(tmp_path / "x.tar", unit_images))

    @pytest.mark.heavy
    def test_a_large_json_that_is_nobodys_label_is_not_loaded(self, tmp_path: Path) -> None:
        content = json.dumps({"annotations": [[i] for i in range(700_000)]}).encode()
        (tmp_path / "x.tar.gz").write_bytes(python_tar([("coco.json", content), ("a.png", b"a")], compression="gz"))
        (unit,) = units_of(tmp_path / "x.tar.gz")
        del content
        tracemalloc.start()
        assert rows_of(tmp_path / "x.tar.gz", [unit]) == good(a=b"a")
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
        tracemalloc.stop()


NAMES = st.sampled_from(["a", "a/b", "cat/a", "b", "x" * 120, "é" * 90, "cat/%41", "\udcff"])
MEMBERS = st.lists(
    st.tuples(
        st.builds("{}{}".format, NAMES, st.sampled_from([".png", ".0.png", ".1.jpg", ".cls", ".json", ".txt", "/"])),
        st.sampled_from([b"", b"1", b'{"label": 0}']) | st.integers(0, 1_500).map(lambda n: b"x" * n),
    ),
    max_size=30,
)


def stem(name: str) -> str:
    return name.rpartition(".")[0]


@pytest.mark.heavy
@given(MEMBERS, st.integers(1, 9), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
@settings(deadline=None, max_examples=120)
def test_entered_anywhere_gives_the_rows_of_reading_from_the_start(
    members: list[tuple[str, bytes]], unit_images: int, format_: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder, "x.tar"), Path(folder, "x.tar.gz")
        plain.write_bytes(python_tar(members, format_))
        packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
        whole = rows_in(plain)
        assert [row[1] for row in whole] == [data for name, data in members if name.endswith((".png", ".jpg"))]
        assert not any(row[4] for row in whole)
        assert rows_in(packed) == whole
        units = units_of(plain, unit_images)
        assert rows_of(plain, units) == whole
        for unit in reversed(units):
            assert rows_of(plain, [unit]) == whole[unit.first : unit.first + (unit.images or 0)]
        names = [name for name, _ in members if name.endswith((".png", ".jpg", ".cls", ".json"))]
        samples = [sum(name.endswith("g") for name in sample) for _, sample in itertools.groupby(names, stem)]
        assert {unit.first for unit in units} <= {0, *itertools.accumulate(samples)}


SMALL = [("a.png", b"A" * 600), ("b.cls", b"1"), ("b.png", b"B" * 100), ("c.png", b"C")]
SMALL_ROWS: list[Row] = [
    ("a.png", b"A" * 600, None, None, None),
    ("b.png", b"B" * 100, 1, "dog", None),
    ("c.png", b"C", None, None, None),
]
LONG = [("n" * 150 + ".png", b"A"), ("m" * 150 + ".png", b"B" * 513)]


SOME_OR_ALL = pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.soak)])
"""Every eleventh byte is damaged, or every one."""


def damaged_by(path: Path, data: bytes, at: int, mask: int) -> None:
    path.write_bytes(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])


class TestDamage:
    @SOME_OR_ALL
    @pytest.mark.parametrize("unit_images", [1, 2048])
    def test_a_truncated_archive_keeps_its_whole_images_and_fails_for_the_rest(
        self, tmp_path: Path, unit_images: int, stride: int
    ) -> None:
        path, data = tmp_path / "x.tar", python_tar(SMALL, tarfile.USTAR_FORMAT)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            ends = [m.offset_data + m.size for m in archive if m.name.endswith(".png")]
        step = 17 if unit_images == 1 else stride
        for end in range(1, len(data) - 512, step):
            path.write_bytes(data[:end])
            rows = rows_in(path, unit_images)
            kept = sum(end >= stop for stop in ends)
            assert rows[:kept] == SMALL_ROWS[:kept], end
            assert [row[4] for row in rows[kept:]] in (["DATA_LOSS"], ["DATA_LOSS"] * 2), end
            assert rows[-1][0] == "", end
        for end in range(len(data) - 512, len(data) + 1, 64):
            path.write_bytes(data[:end])
            assert rows_in(path, unit_images) == SMALL_ROWS

    @pytest.mark.heavy
    @SOME_OR_ALL
    @pytest.mark.parametrize("unit_images", [1, 2048])
    def test_a_flip_costs_no_image_without_a_failed_row(self, tmp_path: Path, unit_images: int, stride: int) -> None:
        path, data = tmp_path / "x.tar", python_tar(SMALL, tarfile.USTAR_FORMAT)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = archive.getmembers()
        rng = random.Random(unit_images)
        for at in range(0, len(data), stride if unit_images == 1 else 13):
            damaged_by(path, data, at, rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)]))
            rows = rows_in(path, unit_images)
            hit = next((m for m in members if m.offset <= at < m.offset_data), None)
            if at >= len(data) - 1024:
                assert rows == [*SMALL_ROWS, LOST], at  # nothing is lost, which nobody can know
            elif hit is None:  # content, which has no checksum, or padding
                assert [row[0] for row in rows] == [row[0] for row in SMALL_ROWS], at
                assert not any(row[4] for row in rows), at
            else:
                kept = [row for row in SMALL_ROWS if row[0] in {m.name for m in members if m.offset < hit.offset}]
                assert [row[:2] for row in rows] == [row[:2] for row in [*kept, LOST]] or rows == SMALL_ROWS, at
                assert rows != SMALL_ROWS or 148 <= at - hit.offset < 156, at  # spaces and zeros around a checksum

    @SOME_OR_ALL
    @pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    def test_a_flip_in_a_long_name_gives_another_name_or_a_failed_row(
        self, tmp_path: Path, format_: int, stride: int
    ) -> None:
        path, data = tmp_path / "x.tar", python_tar(LONG, format_)
        rng = random.Random(0)
        for at in range(0, len(data), 2 * stride):
            damaged_by(path, data, at, rng.randrange(1, 256))
            skipped = Skipped()
            rows = rows_of(path, units_of(path, 1, skipped))
            images = [row for row in rows if row[4] is None]
            assert len(images) == 2 or rows[-1] == LOST or skipped.total, at

    @SOME_OR_ALL
    @pytest.mark.parametrize("compression", COMPRESSIONS)
    def test_a_truncated_compressed_archive_keeps_what_came_before(
        self, tmp_path: Path, compression: str, stride: int
    ) -> None:
        rng = random.Random(0)
        members = [(f"{i}.png", rng.randbytes(700)) for i in range(4)]
        path, data = tmp_path / "x.tar.gz", python_tar(members, compression=compression)
        whole = good(**{name.removesuffix(".png"): content for name, content in members})
        path.write_bytes(data)
        assert rows_in(path) == whole
        kept = []
        for end in range(1, len(data), stride if compression == "gz" else 5):
            path.write_bytes(data[:end])
            rows = rows_in(path)
            images = [row for row in rows if row[4] is None]
            assert images == whole[: len(images)], end
            assert rows[-1] == LOST, end
            kept.append(len(images))
        assert kept == sorted(kept)
        if compression == "gz":
            assert set(kept) == {0, 1, 2, 3, 4}

    @SOME_OR_ALL
    @pytest.mark.parametrize("compression", COMPRESSIONS)
    def test_a_flip_in_a_compressed_archive_is_noticed(self, tmp_path: Path, compression: str, stride: int) -> None:
        rng = random.Random(0)
        members = [(f"{i}.png", rng.randbytes(500)) for i in range(3)]
        path, data = tmp_path / "x.tar.gz", python_tar(members, compression=compression)
        whole = good(**{name.removesuffix(".png"): content for name, content in members})
        lost = 0
        flips = range(0, len(data), stride)
        for at in flips:
            damaged_by(path, data, at, 1 << rng.randrange(8))
            rows = rows_in(path)
            assert rows[-1] == LOST or rows == whole, at
            lost += rows[-1] == LOST
        assert lost > 0.98 * len(flips)  # a few bytes, as the time in gzip's header, mean nothing

    def test_a_header_damaged_before_it_was_compressed_is_noticed(self, tmp_path: Path) -> None:
        data = bytearray(python_tar(SMALL, tarfile.USTAR_FORMAT))
        data[1536 + 5] ^= 1
        (tmp_path / "x.tar").write_bytes(data)
        (tmp_path / "x.tar.gz").write_bytes(gzip.compress(bytes(data)))
        expected = [SMALL_ROWS[0], LOST]
        assert rows_in(tmp_path / "x.tar") == rows_in(tmp_path / "x.tar.gz") == expected
        (message,) = messages_in(tmp_path / "x.tar.gz")
        assert message == "archive is damaged at byte 1536: not a header; what may follow is lost"

    def test_an_archive_of_several_gzip_members_is_read_whole(self, tmp_path: Path) -> None:
        data = python_tar(SMALL)
        (tmp_path / "x.tgz").write_bytes(b"".join(gzip.compress(data[i : i + 700]) for i in range(0, len(data), 700)))
        assert rows_in(tmp_path / "x.tgz") == SMALL_ROWS

    def test_archives_behind_each_other_and_zeroed_blocks_are_not_lost_silently(self, tmp_path: Path) -> None:
        data = python_tar(SMALL)
        holed = data[:1536] + bytes(512) + data[2048:]
        for content, rows in ((data + data, SMALL_ROWS), (holed, SMALL_ROWS[:1])):
            (tmp_path / "x.tar").write_bytes(content)
            (tmp_path / "x.tgz").write_bytes(gzip.compress(content))
            for path in (tmp_path / "x.tar", tmp_path / "x.tgz"):
                assert rows_in(path) == [*rows, LOST]
                assert messages_in(path)[0].endswith("it goes on behind its end mark; what may follow is lost")

    def test_an_archive_without_its_end_mark_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "x.tar").write_bytes(python_tar(SMALL)[:-1024])
        for unit_images in (1, 2048):
            assert rows_in(tmp_path / "x.tar", unit_images) == [*SMALL_ROWS, LOST]
        assert "no end mark, so it may be cut short" in messages_in(tmp_path / "x.tar")[0]

    @pytest.mark.parametrize(
        "content", [b"", bytes(512), bytes(1024), bytes(10_240), python_tar([("notes.txt", b"x")])]
    )
    def test_an_archive_without_images_has_no_units(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "x.tar").write_bytes(content)
        skipped = Skipped()
        assert units_of(tmp_path / "x.tar", 5, skipped) == []
        assert skipped.counts["empty containers"] == 1
        if content:
            (tmp_path / "x.tar").write_bytes(gzip.compress(content))
            assert rows_in(tmp_path / "x.tar") == []

    @pytest.mark.parametrize("content", [b"x", b"<html>not found</html>" * 99, bytes(5), os.urandom(100_000), b"BZh9"])
    def test_what_is_no_archive_is_one_failed_row(self, tmp_path: Path, content: bytes) -> None:
        for written in (content, gzip.compress(content)):
            (tmp_path / "x.tar").write_bytes(written)
            assert rows_in(tmp_path / "x.tar") == [LOST]

    def test_a_member_that_claims_more_than_there_is(self, tmp_path: Path) -> None:
        member = tarfile.TarInfo("big.png")
        for size in (10 << 30, 1 << 62, 5_000):
            member.size = size
            header = member.tobuf(tarfile.GNU_FORMAT)
            (tmp_path / "x.tar").write_bytes(python_tar(SMALL[:1])[:-1024] + header + b"x" * 700)
            code: Code = "DATA_LOSS" if size == 5_000 else "RESOURCE_EXHAUSTED"
            for unit_images in (1, 2048):
                rows = rows_in(tmp_path / "x.tar", unit_images)
                assert [(row[0], row[4]) for row in rows] == [("a.png", None), ("big.png", code), ("", "DATA_LOSS")]
            assert sum(unit.bytes for unit in units_of(tmp_path / "x.tar", 1)) <= (tmp_path / "x.tar").stat().st_size

    def test_a_member_larger_than_any_image_costs_that_member_alone(self, tmp_path: Path) -> None:
        member = tarfile.TarInfo("big.png")
        member.size = 5 << 28
        with (tmp_path / "x.tar").open("wb") as file:
            file.write(member.tobuf())
            file.seek(5 << 28, os.SEEK_CUR)
            file.write(python_tar(SMALL))
        rows = rows_in(tmp_path / "x.tar")
        assert [row[4] for row in rows] == ["RESOURCE_EXHAUSTED", None, None, None]

    @pytest.mark.parametrize("size", [100 << 20, pytest.param(600 << 20, marks=pytest.mark.soak)])
    @pytest.mark.parametrize("compression", ["gz", pytest.param("bz2", marks=pytest.mark.heavy)])
    def test_a_member_that_inflates_too_far_is_a_failed_row_and_fills_no_memory(
        self, tmp_path: Path, compression: str, size: int
    ) -> None:
        """What follows it in a gzip file is found; bzip2 could make terabytes of it, and is not followed to its end."""
        opener: Any = {"gz": gzip.open, "bz2": bz2.open}[compression]
        bomb = tarfile.TarInfo("bomb.png")
        bomb.size = size
        path = tmp_path / f"x.tar.{compression}"
        with opener(path, "wb") as file:
            file.write(python_tar(SMALL[:1])[:-1024] + bomb.tobuf())
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
            file.write(python_tar(SMALL[2:3]))
        units = units_of(path)
        tracemalloc.start()
        rows = rows_of(path, units)
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
        tracemalloc.stop()
        codes = [(row[0], row[4]) for row in rows]
        assert codes[:2] == [("a.png", None), ("bomb.png", "RESOURCE_EXHAUSTED")]
        assert codes[2:] == ([("b.png", None)] if compression == "gz" else [("", "RESOURCE_EXHAUSTED")])

    def test_a_compressed_archive_of_too_many_members_ends_in_a_failed_row(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tar_entries, "MEMBERS", 100)
        members = [(f"{i}.png", b"") for i in range(101)]
        (tmp_path / "x.tar.gz").write_bytes(python_tar(members, compression="gz"))
        rows = rows_in(tmp_path / "x.tar.gz")
        assert [row[4] for row in rows] == [None] * 100 + ["RESOURCE_EXHAUSTED"]
        assert "more than 100 members; make several archives" in messages_in(tmp_path / "x.tar.gz")[0]
        (tmp_path / "x.tar").write_bytes(python_tar(members))
        assert [row[4] for row in rows_in(tmp_path / "x.tar")] == [None] * 101
        (tmp_path / "x.tar.gz").write_bytes(python_tar(members[:100], compression="gz"))
        assert [row[4] for row in rows_in(tmp_path / "x.tar.gz")] == [None] * 100

    @pytest.mark.heavy
    def test_twenty_thousand_members_out_of_nothing_take_little_memory(self, tmp_path: Path) -> None:
        with gzip.open(tmp_path / "x.tar.gz", "wb") as file:
            for _ in range(20):
                file.write(tarfile.TarInfo("x.png").tobuf() * 1_000)
            file.write(bytes(1024))
        assert (tmp_path / "x.tar.gz").stat().st_size < 1 << 18
        (unit,) = units_of(tmp_path / "x.tar.gz")
        tracemalloc.start()
        assert sum(len(batch.encoded) for batch in sources.read(unit, RULE)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
        tracemalloc.stop()

    def test_a_sparse_member_that_is_nearly_all_holes_is_a_failed_row(self, tmp_path: Path) -> None:
        (tmp_path / "files").mkdir()
        for name, size in (("a.png", 400 << 20), ("b.png", 3 << 20)):
            with (tmp_path / "files" / name).open("wb") as file:
                file.write(b"x")
                file.truncate(size)
        for form in ("gnu", "pax"):
            path = gnu_tar(tmp_path, "--sparse", f"--format={form}")
            tracemalloc.start()
            assert [(len(row[1]), row[4]) for row in rows_in(path)] == [(0, "RESOURCE_EXHAUSTED"), (3 << 20, None)]
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
            tracemalloc.stop()

    @pytest.mark.parametrize("compression", ["", "gz"])
    def test_images_of_one_sample_are_not_all_kept_where_they_are_large(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
    ) -> None:
        monkeypatch.setattr(tar_samples, "UNIT_BYTES", 4 << 20)
        members = [(f"1.side{i}.png", bytes(3 << 20)) for i in range(31)] + [("1.cls", b"1")]
        path = tmp_path / f"x.tar.{compression}".rstrip(".")
        path.write_bytes(python_tar(members, compression=compression))
        units = units_of(path, 1)
        tracemalloc.start()
        labels = []
        for unit in units:
            for batch in sources.read(unit, RULE):
                labels += batch.images.label_names
                del batch
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
        tracemalloc.stop()
        assert labels == [None] * 30 + ["dog"]

    @pytest.mark.parametrize(
        "said", ["comment=x", "path=y.png", "size=5", "size=1024", "GNU.sparse.size=9", "{i:07}=x"]
    )
    def test_defaults_for_all_members_are_dropped_wherever_it_is_entered(self, tmp_path: Path, said: str) -> None:
        """Otherwise a unit would find other members than its plan, and each member would have a copy of them all."""
        data = b""
        for i in range(30):
            lines = (said.format(i=100 * i + j) for j in range(100))
            records = "".join(f"{len(line) + 4} {line}\n" for line in lines).encode()
            defaults = tarfile.TarInfo("defaults")
            defaults.size, defaults.type = len(records), tarfile.XGLTYPE
            data += defaults.tobuf() + records.ljust(-(-len(records) // 512) * 512, b"\0")
            data += python_tar([(f"{i:02}.png", b"x")], tarfile.USTAR_FORMAT)[:-1024]
        (tmp_path / "x.tar").write_bytes(data + bytes(1024))
        for unit_images in (1, 7, 2048):
            rows = rows_in(tmp_path / "x.tar", unit_images)
            assert [(row[0], row[1], row[4]) for row in rows] == [(f"{i:02}.png", b"x", None) for i in range(30)]

    @pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
    @pytest.mark.parametrize("size", mostly_heavy([-512, -5_120, -1, 1 << 40, 3 << 20], kept=[-512, 1 << 40]))
    def test_a_header_with_a_lying_size_neither_loops_nor_fills_memory(
        self, tmp_path: Path, kind: bytes, size: int
    ) -> None:
        member = tarfile.TarInfo("x.png")
        member.size, member.type = size, kind
        path = tmp_path / "x.tar"
        path.write_bytes(python_tar(SMALL[:1])[:-1024] + header_of(member, size))
        with path.open("r+b") as file:
            file.truncate(64 << 20)
        (tmp_path / "x.tgz").write_bytes(gzip.compress(path.read_bytes(), 1))
        for archive in (path, tmp_path / "x.tgz"):
            tracemalloc.start()
            rows = rows_in(archive, 1)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert rows[0] == SMALL_ROWS[0]
            assert rows[-1] == LOST
            assert peak < (30 << 20)

    @pytest.mark.parametrize(
        "records", [b"13 size=-512\n", b"12 size=-51\n", b"9 size=a\n", b"0 size=1\n", b"16 size=99999999\n"]
    )
    def test_an_extended_header_with_a_lying_size_does_not_loop(self, tmp_path: Path, records: bytes) -> None:
        extended = tarfile.TarInfo("pax")
        extended.size, extended.type = len(records), tarfile.XHDTYPE
        data = extended.tobuf() + records.ljust(512, b"\0") + python_tar([("x.png", b"x")], tarfile.USTAR_FORMAT)
        (tmp_path / "x.tar").write_bytes(data)
        assert len(rows_in(tmp_path / "x.tar", 1)) in (1, 2)

    def test_headers_without_end_are_damage(self, tmp_path: Path) -> None:
        extended = tarfile.TarInfo("x")
        extended.type = tarfile.GNUTYPE_LONGNAME
        (tmp_path / "x.tar").write_bytes(python_tar(SMALL)[:-1024] + extended.tobuf() * 3_000 + bytes(1024))
        assert rows_in(tmp_path / "x.tar") == [*SMALL_ROWS, LOST]

    @pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.soak)])
    def test_truncated_and_flipped_sparse_members_end_in_rows(self, tmp_path: Path, step: int) -> None:
        (tmp_path / "files").mkdir()
        with (tmp_path / "files" / "b.png").open("wb") as file:
            for at in range(0, 8 * 65_536, 65_536):
                file.seek(at)
                file.write(b"end")
        rng = random.Random(0)
        for arguments in (["--format=gnu"], ["--format=pax"], ["--format=pax", "--sparse-version=0.1"]):
            path = gnu_tar(tmp_path, "-b1", "-S", *arguments)
            data = path.read_bytes()
            for end in range(512, len(data) - 1024, 997 * step):
                path.write_bytes(data[:end])
                rows = rows_in(path, 1)
                assert rows[-1] == LOST, end
            for at in range(512, min(len(data), 4_000), 4 * step):
                damaged_by(path, data, at, rng.choice([1, 2, 4, 8, 128]))
                rows_in(path, 1)


def header_of(member: tarfile.TarInfo, size: int) -> bytes:
    """Return a header block with any size, negative ones too, and the right checksum."""
    member.size = 0
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    base256 = (size % (256**11)).to_bytes(11, "big")
    block[124:136] = (b"\xff" if size < 0 else b"\x80") + base256
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def zeros_tar(path: Path, n: int, size: int, format_: int, name: str) -> Path:
    """Write n members of zeros that take no disk."""
    with path.open("wb") as file:
        for i in range(n):
            member = tarfile.TarInfo(name.format(i))
            member.size = size
            file.write(member.tobuf(format_, "utf-8", "surrogateescape"))
            file.seek(-(-size // 512) * 512, os.SEEK_CUR)
        file.write(bytes(10_240))
    return path


class TestPlanning:
    @pytest.mark.parametrize(
        ("format_", "name"),
        [
            (tarfile.USTAR_FORMAT, "cat/{:05d}.png"),
            (tarfile.GNU_FORMAT, "cat/" + "n" * 300 + "{:05d}.png"),
            (tarfile.PAX_FORMAT, "cat/" + "é" * 200 + "{:05d}.png"),
        ],
    )
    def test_reads_under_five_percent(self, tmp_path: Path, counted: CountingStore, format_: int, name: str) -> None:
        path = zeros_tar(tmp_path / "x.tar", 2_000, 100_000, format_, name)
        started = time.monotonic()
        assert sum(unit.images or 0 for unit in units_of(path)) == 2_000
        assert time.monotonic() - started < 5
        assert counted.taken < 0.05 * path.stat().st_size

    @pytest.mark.heavy
    def test_of_many_small_members_takes_few_reads_seconds_and_bytes_of_memory(
        self, tmp_path: Path, counted: CountingStore
    ) -> None:
        path = zeros_tar(tmp_path / "x.tar", 20_000, 100, tarfile.USTAR_FORMAT, "cat/{:05d}.png")
        started = time.monotonic()
        units = units_of(path)
        assert time.monotonic() - started < 6
        assert sum(unit.images or 0 for unit in units) == 20_000
        assert counted.calls < 2 + path.stat().st_size / (200 << 10)
        assert counted.taken < 1.1 * path.stat().st_size

    @pytest.mark.heavy
    def test_keeps_no_members_in_memory(self, tmp_path: Path) -> None:
        path = zeros_tar(tmp_path / "x.tar", 10_000, 100, tarfile.USTAR_FORMAT, "cat/{:05d}.png")
        tracemalloc.start()
        units_of(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5 << 20

    def test_of_a_compressed_archive_reads_its_start(self, tmp_path: Path, counted: CountingStore) -> None:
        (tmp_path / "x.tgz").write_bytes(python_tar([("x.png", os.urandom(1 << 20))], compression="gz"))
        assert len(units_of(tmp_path / "x.tgz")) == 1
        assert counted.taken < 10_000
