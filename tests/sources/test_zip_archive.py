"""Zip archives: written by Info-ZIP and Python, cut and entered anywhere, whole and damaged."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import tempfile
import time
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import archive_rows
import pytest
from archive_rows import Row, messages_of, rows_of
from counting_store import CountingStore
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import sources, storage
from pipeline.batches import Code
from pipeline.sources import container
from pipeline.sources import zip_archive as zip_source
from pipeline.sources.skipped import SYMBOLIC, Skipped
from pipeline.units import WorkUnit

LINKS = "links, folders and devices in archives"
LOST: Row = ("", b"", None, None, "DATA_LOSS")
needs_info_zip = pytest.mark.skipif(shutil.which("zip") is None, reason="Info-ZIP's zip is not installed")


def units_of(path: Path, unit_images: int = 2048, skipped: Skipped | None = None) -> list[WorkUnit]:
    return archive_rows.units_of("zip", path, unit_images, skipped)


def rows_in(path: Path, unit_images: int = 2048) -> list[Row]:
    return rows_of(path, units_of(path, unit_images))


def messages_in(path: Path) -> list[str]:
    return messages_of(units_of(path))


def contents(rows: Sequence[Row]) -> dict[str, bytes]:
    return {row[0]: row[1] for row in rows}


def write_files(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def info_zip(root: Path, *options: str, name: str = "info.zip") -> Path:
    """Return what Info-ZIP makes of root/files."""
    path = root / name
    path.unlink(missing_ok=True)
    subprocess.run(["zip", "-q", "-r", *options, str(path), "."], cwd=root / "files", check=True)
    return path


def python_zip(
    path: Path, members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED, force_zip64: bool = False
) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, data in members:
            member = zipfile.ZipInfo(name)
            member.compress_type = method
            with archive.open(member, "w", force_zip64=force_zip64) as file:
                file.write(data)
    return path


FILES = {
    "cat/1.png": b"1" * 5_000,
    "cat/2.JPG": bytes(range(256)),
    "dog/3.png": b"",
    "x/é日.png": b"unicode",
    "top.png": b"top",
}
LABELS = {"cat": (0, "cat"), "dog": (1, "dog")}
FILE_ROWS = sorted((name, data, *LABELS.get(name.split("/")[0], (None, None)), None) for name, data in FILES.items())


@needs_info_zip
class TestInfoZip:
    @pytest.mark.parametrize("options", [(), ("-0",), ("-9",), ("-fz",), ("-D",), ("-UN=UTF8",), ("-0", "-fz", "-X")])
    @pytest.mark.parametrize("unit_images", [1, 2, 2048])
    def test_gives_names_contents_and_folders(self, tmp_path: Path, options: tuple[str, ...], unit_images: int) -> None:
        path = info_zip(write_files(tmp_path, FILES), *options)
        assert sorted(rows_in(path, unit_images)) == FILE_ROWS

    @pytest.mark.parametrize("options", [("-fd",), ("-fd", "-0")])
    def test_sizes_behind_the_content_and_streams_are_read(self, tmp_path: Path, options: tuple[str, ...]) -> None:
        write_files(tmp_path, FILES)
        command = ["zip", "-q", "-r", *options, "-", "."]
        data = subprocess.run(command, cwd=tmp_path / "files", check=True, capture_output=True).stdout
        (tmp_path / "x.zip").write_bytes(data)
        assert b"PK\7\x08" in data
        assert sorted(rows_in(tmp_path / "x.zip", 2)) == FILE_ROWS

    def test_encrypted_members_are_failed_rows(self, tmp_path: Path) -> None:
        path = info_zip(write_files(tmp_path, FILES), "-P", "secret")
        (tmp_path / "files" / "open.png").write_bytes(b"open")
        subprocess.run(["zip", "-q", str(path), "open.png"], cwd=tmp_path / "files", check=True)
        rows = rows_in(path, 2)
        assert {row[0]: row[4] for row in rows} == {**dict.fromkeys(FILES, "UNIMPLEMENTED"), "open.png": None}
        assert "member is encrypted; decrypt the archive" in messages_in(path)

    def test_links_folders_and_junk_are_skipped_and_counted(self, tmp_path: Path) -> None:
        write_files(tmp_path, {"a.png": b"a", "._a.png": b"", "notes.txt": b"n", "__MACOSX/b.png": b""})
        (tmp_path / "files" / "b.png").symlink_to("a.png")
        (tmp_path / "files" / "e.png").mkdir()
        skipped = Skipped()
        path = info_zip(tmp_path, "-y")
        assert contents(rows_of(path, units_of(path, 1, skipped))) == {"a.png": b"a"}
        assert skipped.counts == {LINKS: 2, SYMBOLIC: 1, "junk": 2, "other files": 1}

    def test_names_that_are_not_utf8_are_percent_encoded(self, tmp_path: Path) -> None:
        names = [b"\xff.png", b"%41.png", b"50% off.png", b"\xe9\xe9.png", b"a!b#2.png"]
        (tmp_path / "files").mkdir()
        for name in names:
            Path(os.fsdecode(os.fsencode(tmp_path / "files") + b"/" + name)).write_bytes(name)
        rows = rows_in(info_zip(tmp_path), 2)
        assert {os.fsencode(storage.location_of(row[0])): row[1] for row in rows} == {name: name for name in names}
        assert "%FF.png" in contents(rows)

    def test_a_self_extracting_archive_is_read(self, tmp_path: Path) -> None:
        path = info_zip(write_files(tmp_path, FILES))
        path.write_bytes(b"#!/bin/sh\n" + b"x" * 5_000 + path.read_bytes())
        assert sorted(rows_in(path, 2)) == FILE_ROWS

    def test_a_comment_is_read_over(self, tmp_path: Path) -> None:
        path = info_zip(write_files(tmp_path, FILES))
        subprocess.run(["zip", "-q", "-z", str(path)], input=b"a comment\n" * 99, check=True, stdout=subprocess.DEVNULL)
        assert sorted(rows_in(path, 2)) == FILE_ROWS


class TestPythonZip:
    @pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    @pytest.mark.parametrize("force_zip64", [True, False])
    def test_is_read(self, tmp_path: Path, method: int, force_zip64: bool) -> None:
        path = python_zip(tmp_path / "x.zip", list(FILES.items()), method, force_zip64)
        for unit_images in (1, 3, 2048):
            assert sorted(rows_in(path, unit_images)) == FILE_ROWS

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_in_another_compression_is_read(self, tmp_path: Path, method: int) -> None:
        path = python_zip(tmp_path / "x.zip", [("a.png", b"a" * 3_000), ("b.png", b"b"), ("c.png", b"")], method)
        assert contents(rows_in(path, 1)) == {"a.png": b"a" * 3_000, "b.png": b"b", "c.png": b""}

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_damage_in_another_compression_costs_its_member(self, tmp_path: Path, method: int) -> None:
        path = python_zip(tmp_path / "x.zip", [("a.png", bytes(range(256))), ("b.png", b"b")], method)
        whole = path.read_bytes()
        for at in range(35, whole.index(b"PK", 4)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
            first, second = rows_in(path)
            assert first[4] == "DATA_LOSS" or first[1] == bytes(range(256)), at
            assert second[1] == b"b", at

    def test_in_a_compression_that_is_not_read_is_a_failed_row_that_names_it(self, tmp_path: Path) -> None:
        path = python_zip(tmp_path / "x.zip", [("a.png", b"a"), ("b.png", b"b")])
        data = bytearray(path.read_bytes())
        struct.pack_into("<H", data, data.index(b"PK\1\2") + 10, 9)
        path.write_bytes(data)
        assert [row[4] for row in rows_in(path, 1)] == ["UNIMPLEMENTED", None]
        assert messages_in(path) == ["compression method 9 (deflate64) is not read; repack it"]

    def test_names_that_come_twice_are_distinct_and_the_same_in_every_cut(self, tmp_path: Path) -> None:
        names = ["x.png", "x.png", "x#2.png", "x.png", "y.png", "x.png#3/x.png", "y.png"]
        path = python_zip(tmp_path / "x.zip", [(name, b"%d" % i) for i, name in enumerate(names)])
        whole = rows_in(path)
        keys = ["x.png", "x.png#2", "x#2.png", "x.png#3", "y.png", "x.png#3/x.png", "y.png#2"]
        assert [row[:2] for row in whole] == [(key, b"%d" % i) for i, key in enumerate(keys)]
        for unit_images in range(1, 8):
            assert rows_in(path, unit_images) == whole
        (unit,) = units_of(path)
        for n in range(1, 9):
            assert rows_of(path, [sources.first_images(unit, n)]) == whole[:n]
            assert set(rows_of(path, [sources.sample(unit, n)])) <= set(whole)

    def test_one_name_ten_thousand_times_over_takes_no_longer_than_many(self, tmp_path: Path) -> None:
        path = python_zip(tmp_path / "x.zip", [("x.png", b"")] * 10_000)
        started = time.monotonic()
        assert units_of(path)[-1].index["name"][-1] == "x.png#10000"
        assert time.monotonic() - started < 5


NAMES = st.sampled_from(["a", "a/b", "cat/a", "x" * 120, "é" * 90, "cat/%41", "../x"])
MEMBERS = st.lists(
    st.tuples(
        st.builds("{}{}".format, NAMES, st.sampled_from([".png", ".jpg", ".txt", "/"])),
        st.integers(0, 3_000).map(lambda n: b"x" * n) | st.binary(max_size=50),
    ),
    max_size=20,
)


@given(MEMBERS, st.integers(1, 9), st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), st.booleans())
@settings(deadline=None, max_examples=100)
def test_entered_anywhere_gives_the_rows_of_reading_from_the_start(
    members: list[tuple[str, bytes]], unit_images: int, method: int, force_zip64: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        members = [(name, b"" if name.endswith("/") else data) for name, data in members]
        path = python_zip(Path(folder, "x.zip"), members, method, force_zip64)
        whole = rows_in(path)
        assert [row[1] for row in whole] == [data for name, data in members if name.endswith("g")]
        assert not any(row[4] for row in whole)
        units = units_of(path, unit_images)
        assert all(unit.images == unit_images for unit in units[:-1])
        assert rows_of(path, units) == whole
        for unit in reversed(units):
            assert rows_of(path, [unit]) == whole[unit.first : unit.first + (unit.images or 0)]


SMALL = [("a.png", b"A" * 300), ("b.png", bytes(range(200))), ("c.png", b"C")]
SMALL_ROWS: list[Row] = [(name, data, None, None, None) for name, data in SMALL]


def overlapping(size: int, n: int, quoted: bool) -> bytes:
    """Return a zip bomb of n members of at least `size` zeros each that share their bytes.

    Quoted is David Fifield's way (https://www.bamsoftware.com/hacks/zipbomb/): a member starts with a block of deflate
    that is not compressed and holds the next member's header, and goes on with that member's content.
    """
    deflate = zlib.compressobj(9, wbits=-15)
    content, crc = bytes(size), zlib.crc32(bytes(size))
    body = deflate.compress(content) + deflate.flush()
    data, entries = b"", []
    for i in reversed(range(n)):
        name = b"%05d.png" % i
        if data and quoted:
            quote, content = data[: -len(body)], data[: -len(body)] + content
            body = b"\0" + struct.pack("<HH", len(quote), len(quote) ^ 0xFFFF) + data
            crc = zlib.crc32(content)
        sizes = (crc, len(body), len(content), len(name), 0)
        if not data or quoted:
            data = struct.pack("<IHHHIIIIHH", 0x04034B50, 20, 0, 8, 0, *sizes) + name + body
        entries.append((name, sizes, len(data)))
    directory = b"".join(
        struct.pack("<IHHHHIIIIHHHHHII", 0x02014B50, 20, 20, 0, 8, 0, *sizes, 0, 0, 0, 0, len(data) - behind) + name
        for name, sizes, behind in reversed(entries)
    )
    return data + directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, n, n, len(directory), len(data), 0)


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, bytes]:
    """A small archive, and its bytes."""
    path = python_zip(tmp_path / "x.zip", SMALL, request.param)
    return path, path.read_bytes()


class TestDamage:
    def test_a_truncated_archive_has_no_directory_and_is_one_failed_row(self, small: tuple[Path, bytes]) -> None:
        path, data = small
        for end in range(1, len(data)):
            path.write_bytes(data[:end])
            assert rows_in(path, 2) == [LOST], end
        cut = "its end, where the directory of a zip stands, is missing: it is cut short; copy it again"
        assert messages_in(path) == [f"zip archive cannot be read: {cut}"]
        path.write_bytes(b"<html>404 Not Found</html>")
        assert messages_in(path) == [
            "zip archive cannot be read: it does not begin like a zip file, whatever its name says"
        ]

    @pytest.mark.parametrize("unit_images", [pytest.param(1, marks=pytest.mark.heavy), 2048])
    def test_a_flip_costs_no_image_without_a_failed_row(self, small: tuple[Path, bytes], unit_images: int) -> None:
        path, data = small
        directory = data.index(b"PK\1\2")
        rng = random.Random(unit_images)
        for at in range(len(data)):
            flipped = bytes([data[at] ^ rng.randrange(1, 256)])
            path.write_bytes(data[:at] + flipped + data[at + 1 :])
            skipped = Skipped()
            rows = rows_of(path, units_of(path, unit_images, skipped))
            failed = [row for row in rows if row[4]]
            intact = [row[1] for row in rows] == [data for _, data in SMALL] and not failed
            assert failed or intact or skipped, at
            assert not skipped or (at > directory and (failed or len(rows) == 2)), at  # another suffix, or a link now
            assert {row[1] for row in rows if not row[4]} <= {data for _, data in SMALL}, at
            if at < directory:
                assert len(rows) == 3, at
                assert len(failed) <= 1, at

    @pytest.mark.heavy
    def test_every_bit_of_the_directory_may_flip(self, small: tuple[Path, bytes]) -> None:
        path, data = small
        start = data.index(b"PK\1\2")
        for at in [*range(start, start + 51), *range(len(data) - 22, len(data))]:
            for bit in range(8):
                path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
                skipped = Skipped()
                rows = rows_of(path, units_of(path, 1, skipped))
                skipped.counts.pop("empty containers", None)
                assert len(rows) + skipped.total == 3 or rows[-1] == LOST, (at, bit)

    def test_random_damage_in_several_places_ends_in_rows(self, small: tuple[Path, bytes]) -> None:
        path, data = small
        rng = random.Random(0)
        for _ in range(500):
            damaged = bytearray(data)
            for at in rng.sample(range(len(data)), rng.choice([2, 5, 20])):
                damaged[at] = rng.choice([0, 255, rng.randrange(256)])
            path.write_bytes(damaged)
            rows_in(path, 2)

    @pytest.mark.parametrize("content", [b"x", b"PK\3\4", b"PK\5\6" + bytes(17), b"<html>" * 99, os.urandom(90_000)])
    def test_what_is_no_archive_is_one_failed_row(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "x.zip").write_bytes(content)
        assert rows_in(tmp_path / "x.zip") == [LOST]

    @pytest.mark.parametrize("members", [[], [("notes.txt", b"x")]])
    def test_an_archive_without_images_has_no_units(self, tmp_path: Path, members: list[tuple[str, bytes]]) -> None:
        skipped = Skipped()
        assert units_of(python_zip(tmp_path / "x.zip", members), 5, skipped) == []
        assert skipped.counts["empty containers"] == 1

    def test_a_bomb_fills_no_memory(self, tmp_path: Path) -> None:
        """One member inflates to far more than it says, one says that it inflates to 10 GB, one is honest."""
        bomb = zlib.compressobj(9, wbits=-15)
        packed = b"".join([*(bomb.compress(bytes(1 << 20)) for _ in range(100)), bomb.flush()])
        path = python_zip(tmp_path / "x.zip", [(f"{i}.png", packed) for i in range(3)])
        data = bytearray(path.read_bytes())
        at = data.index(b"PK\1\2")
        for size in (1_000, 0xFFFFFFF0, 100 << 20):
            struct.pack_into("<H", data, at + 10, zipfile.ZIP_DEFLATED)
            struct.pack_into("<I", data, at + 16, zlib.crc32(bytes(100 << 20)) if size == 100 << 20 else 0)
            struct.pack_into("<I", data, at + 24, size)
            at = data.index(b"PK\1\2", at + 1) if size != 100 << 20 else at
        path.write_bytes(data)
        units = units_of(path, 1)
        tracemalloc.start()
        assert [row[4] for row in rows_of(path, units)] == ["DATA_LOSS", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"]
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()
        assert messages_in(path)[1:] == [
            "member of 4,294,967,280 bytes is larger than 536,870,912",
            "member inflates 1,028-fold to 104,857,600 bytes; no image inflates more than 200-fold",
        ]

    @pytest.mark.parametrize("size", [1 << 20, 16 << 20])
    def test_an_image_of_one_color_is_no_bomb(self, tmp_path: Path, size: int) -> None:
        path = python_zip(tmp_path / "x.zip", [("a.bmp", bytes(size))], zipfile.ZIP_DEFLATED)
        assert [len(row[1]) for row in rows_in(path)] == [size]

    @pytest.mark.parametrize("quoted", [True, pytest.param(False, marks=pytest.mark.heavy)])
    def test_members_that_overlap_are_failed_rows_but_the_last(self, tmp_path: Path, quoted: bool) -> None:
        """200 members of 1 MB that each quote the headers behind them; 5,000 of 15 MB that all are the same."""
        path = tmp_path / "x.zip"
        path.write_bytes(overlapping(1 << 20, 200, quoted) if quoted else overlapping(15 << 20, 5_000, quoted))
        started = time.monotonic()
        tracemalloc.start()
        codes = [row[4] for row in rows_in(path)]
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
        tracemalloc.stop()
        assert time.monotonic() - started < 20
        assert codes == ["DATA_LOSS"] * (len(codes) - 1) + [None]
        assert "member goes on into the next one" in messages_in(path)[0]

    def test_archives_in_an_archive_are_opened(self, tmp_path: Path) -> None:
        inner = python_zip(tmp_path / "in.zip", SMALL).read_bytes()
        path = python_zip(tmp_path / "x.zip", [("in.zip", inner), ("in.tar.gz", b""), ("a.png", b"a")])
        skipped = Skipped()
        rows = contents(rows_of(path, units_of(path, 5, skipped)))
        assert rows == {"a.png": b"a", **{f"in.zip!{name}": data for name, data in SMALL}}
        assert skipped.counts == {"empty containers": 1}

    def test_a_directory_of_too_many_members_is_refused_before_it_is_parsed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = python_zip(tmp_path / "x.zip", [(f"{i}.png", b"") for i in range(1_000)])
        monkeypatch.setattr(zip_source, "MEMBERS", 1_000)
        assert [row[4] for row in rows_in(path)] == [None] * 1_000
        monkeypatch.setattr(zip_source, "MEMBERS", 999)
        tracemalloc.start()
        assert [(row[0], row[4]) for row in rows_in(path)] == [("", "RESOURCE_EXHAUSTED")]
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
        tracemalloc.stop()
        text = "zip archive cannot be read: it has more than 999 members; make several archives of it"
        assert messages_in(path) == [text]

    def test_a_directory_larger_than_any_is_refused_before_it_is_read(self, tmp_path: Path) -> None:
        """A gigabyte of holes stands where the directory should."""
        path, size = tmp_path / "x.zip", 1 << 30
        with path.open("wb") as file:
            file.write(b"PK\3\4")
            file.seek(size)
            file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, size - 4, 4, 0))
        tracemalloc.start()
        assert [row[4] for row in rows_in(path)] == ["RESOURCE_EXHAUSTED"]
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()

    @pytest.mark.parametrize("claimed", [0, 1, 4, 60_000, 65_535])
    def test_a_directory_that_counts_wrong_has_its_members_and_a_failed_row(self, tmp_path: Path, claimed: int) -> None:
        path = python_zip(tmp_path / "x.zip", SMALL)
        data = bytearray(path.read_bytes())
        struct.pack_into("<HH", data, len(data) - 14, claimed, claimed)
        path.write_bytes(data)
        tracemalloc.start()
        assert rows_in(path) == [*SMALL_ROWS, LOST]
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()

    def test_a_directory_that_claims_what_is_not_there_makes_failed_rows(self, tmp_path: Path) -> None:
        path = python_zip(tmp_path / "x.zip", [("a.png", b"a" * 99), ("b.png", b"b")])
        data = bytearray(path.read_bytes())
        at = data.index(b"PK\1\2")
        for field, value in ((20, 0x3FFFFFFF), (20, 0xFFFFFFF0), (42, 0x7FFFFFFF), (42, 10), (42, len(data))):
            changed = data.copy()
            struct.pack_into("<I", changed, at + field, value)
            path.write_bytes(changed)
            assert sorted(row[4] or "" for row in rows_in(path, 1))[0] == "", (field, value)
            assert len(messages_in(path)) == 1, (field, value)

    @pytest.mark.parametrize(("change", "code"), [("touch", "FAILED_PRECONDITION"), ("remove", "NOT_FOUND")])
    def test_an_archive_changed_before_it_could_be_planned_is_one_failed_row(
        self, tmp_path: Path, change: str, code: Code
    ) -> None:
        path = python_zip(tmp_path / "x.zip", SMALL)
        (found,) = storage.list_objects(str(path))
        path.unlink() if change == "remove" else os.utime(path, ns=(1, 1))
        (unit,) = sources.index("zip", found, 5, Skipped())
        for same in (unit, sources.sample(unit, 3), sources.first_images(unit, 3)):
            assert [row[4] for row in rows_of(path, [same])] == [code]

    def test_an_archive_that_could_be_read_only_later_is_read_whole(self, tmp_path: Path) -> None:
        path = python_zip(tmp_path / "x.zip", SMALL)
        (found,) = storage.list_objects(str(path))
        assert rows_of(path, [container.container_unit("zip", found)]) == SMALL_ROWS


class TestPlanning:
    def test_reads_under_five_percent(self, tmp_path: Path, counted: CountingStore) -> None:
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(1_000):
                archive.writestr(f"cat/{i:05d}.png", bytes(100_000))
        assert sum(unit.images or 0 for unit in units_of(path)) == 1_000
        assert counted.taken < 0.01 * path.stat().st_size
        assert counted.calls < 10

    @pytest.mark.heavy
    def test_of_many_members_takes_seconds(self, tmp_path: Path) -> None:
        path = python_zip(tmp_path / "x.zip", [(f"cat/{i:05d}.png", b"x") for i in range(30_000)])
        started = time.monotonic()
        assert sum(unit.images or 0 for unit in units_of(path)) == 30_000
        assert time.monotonic() - started < 10

    def test_entering_at_a_unit_reads_that_unit(self, tmp_path: Path, counted: CountingStore) -> None:
        path = python_zip(tmp_path / "x.zip", [(f"{i}.png", bytes(500_000)) for i in range(20)])
        unit = units_of(path, 2)[5]
        counted.taken = 0
        assert [row[0] for row in rows_of(path, [unit])] == ["10.png", "11.png"]
        assert counted.taken < 3 << 20


def test_the_bytes_of_units_are_those_of_their_members(tmp_path: Path) -> None:
    path = python_zip(tmp_path / "x.zip", [(f"{i}.png", bytes(1_000)) for i in range(10)])
    assert sum(unit.bytes for unit in units_of(path, 3)) <= path.stat().st_size
