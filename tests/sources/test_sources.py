"""Which source reads what, by name and by first bytes; and that each source keeps the same promises."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import google_crc32c
import pytest
from archive_rows import RULE, rows_of, units_of

from pipeline import sources, storage
from pipeline.batches import Code
from pipeline.sources import images, kinds
from pipeline.units import WorkUnit


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "images"),
        ("a.JPG", "images"),
        ("a.b.jpeg", "images"),
        ("a.tif", "images"),
        ("a.tfrecord.png", "images"),
        ("a.webp", "images"),
        ("x.tfrecord", "tfrecord"),
        ("x.tfrecords", "tfrecord"),
        ("x.TFRecord", "tfrecord"),
        ("x.tfrec", "tfrecord"),
        ("x.tfrecord.gz", "tfrecord"),
        ("x.tfrecord-00000-of-00004", "tfrecord"),
        ("x.tfrecord-00000-of-00004.gz", "tfrecord"),
        ("flowers00-230.tfrec", "tfrecord"),
        ("train-00000-of-01024", None),
        ("notes.txt", None),
        ("png", None),
        ("tfrecord", None),
        ("", None),
        ("a.png.part", None),
        ("archive.gz", None),
    ],
)
def test_a_name_promises_a_source_or_none(name: str, kind: str | None) -> None:
    assert kinds.kind_by_name(name) == kind


@pytest.mark.parametrize(
    ("name", "shard"),
    [
        ("train-00000-of-01024", True),
        ("mnist-train.array_record-00001-of-00002", True),
        ("train-00000-of-01024.gz", True),
        ("train-0-of-4", False),
        ("train-0-of-00004", False),
        ("train-00000-of-01024.txt", False),
    ],
)
def test_a_shard_is_known_by_its_name(name: str, shard: bool) -> None:
    assert kinds.is_shard(name) == shard


def frame(data: bytes) -> bytes:
    """Return a TFRecord, framed by hand."""

    def masked(part: bytes) -> bytes:
        crc: int = google_crc32c.value(part)
        return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")

    length = len(data).to_bytes(8, "little")
    return length + masked(length) + data + masked(data)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "images"),
        (frame(b"x" * 100)[:16], "tfrecord"),
        (frame(b"x" * 0x8B1F)[:16], "tfrecord"),
        (gzip.compress(frame(b"x" * 100), mtime=0), "tfrecord"),
        (gzip.compress(b"hello", mtime=0), None),
        (gzip.compress(b"", mtime=0), None),
        (b"\x1f\x8bdamaged", None),
        (b"#!/bin/sh\nexit 0", None),
        (bytes(16), None),
        (frame(b"x")[:11], None),
        (b"", None),
    ],
)
def test_first_bytes_tell_a_source_or_none(head: bytes, kind: str | None) -> None:
    assert kinds.kind_by_magic(head) == kind


CONTAINERS = ["tfrecord", "tfrecord.gz", "tar", "tar.gz", "zip", "idx3-ubyte", "idx3-ubyte.gz"]


def write_container(path: Path) -> str:
    """Write twelve images, each its number in two digits, into a container of the kind that its name says."""
    numbers = [b"%02d" % i for i in range(12)]
    _, kind, *compressed = path.name.split(".")
    buffer = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for number in numbers:
                member = tarfile.TarInfo(f"{number.decode()}.png")
                member.size = len(number)
                tar.addfile(member, io.BytesIO(number))
    elif kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for number in numbers:
                archive.writestr(f"{number.decode()}.png", number)
    elif kind == "idx3-ubyte":
        buffer.write(struct.pack(">IIII", 0x803, len(numbers), 1, 2) + b"".join(numbers))
    else:
        feature = b"\n\x11\n\x0f\n\x05image\x12\x06\n\x04\n\x02"
        buffer.write(b"".join(frame(feature + number) for number in numbers))
    path.write_bytes(gzip.compress(buffer.getvalue()) if compressed else buffer.getvalue())
    return {"idx3-ubyte": "idx"}.get(kind, kind)


@pytest.fixture(params=["images", *CONTAINERS])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> WorkUnit:
    """Twelve images in one unit, each as its number."""
    if request.param == "images":
        for i in range(12):
            (tmp_path / f"{i:02d}.png").write_bytes(b"%d" % i)
        (found,) = images.cut(((o, None) for o in storage.list_objects(str(tmp_path))), 2048)
        return found
    path = tmp_path / f"x-images.{request.param}"
    (found,) = units_of(write_container(path), path)
    return found


def contents(unit: WorkUnit) -> list[int]:
    batches = list(sources.read(unit, RULE))
    assert not any(batch.images.failures for batch in batches)
    return [int(data.rpartition(b"\n")[2]) for batch in batches for data in batch.encoded]


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_container_cut_anywhere_has_the_rows_of_one_unit(kind: str, tmp_path: Path) -> None:
    """Each unit is read alone; its rows are as many as it says, and their keys do not depend on the cut."""
    path = tmp_path / f"x-images.{kind}"
    source = write_container(path)
    whole = rows_of(path, units_of(source, path))
    assert [int(data.rpartition(b"\n")[2]) for _, data, *_ in whole] == list(range(12))
    for unit_images in range(1, 14):
        units = units_of(source, path, unit_images)
        assert len(units) == (1 if kind.endswith("gz") else -(-12 // unit_images))
        assert rows_of(path, units) == whole
        for unit in units:
            assert rows_of(path, [unit]) == whole[unit.first :][: unit.images]
            assert rows_of(path, [sources.first_images(unit, 2)]) == whole[unit.first :][: min(2, unit.images or 2)]


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize(("change", "code"), [("touch", "FAILED_PRECONDITION"), ("remove", "NOT_FOUND")])
def test_a_container_changed_since_the_plan_fails_in_all_its_rows(
    kind: str, change: str, code: Code, tmp_path: Path
) -> None:
    path = tmp_path / f"x-images.{kind}"
    units = units_of(write_container(path), path, 5)
    path.unlink() if change == "remove" else os.utime(path, ns=(1, 1))
    expected = 1 if units[0].images is None else 12
    assert [row[4] for row in rows_of(path, units)] == [code] * expected


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_names_that_lead_elsewhere_are_only_keys(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["../../evil.png", "/etc/evil.png", "a/../../b.png", "C:\\x.png", "!.png", "#.png", "~/x.png", "a\nb.png"]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = tmp_path / f"x.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name), name)
    else:
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = len(name)
                tar.addfile(member, io.BytesIO(name.encode()))
    before = sorted(tmp_path.rglob("*"))
    rows = rows_of(path, units_of(kind.partition(".")[0], path, 2))
    assert [row[:2] for row in rows] == [(name, name.encode()) for name in names]
    assert sorted(tmp_path.rglob("*")) == before


def test_reading_gives_all_images_in_order(unit: WorkUnit) -> None:
    assert contents(unit) == list(range(12))


@pytest.mark.parametrize("n", [1, 5, 12, 40])
def test_first_images_are_the_first_n_or_all_if_those_are_fewer(unit: WorkUnit, n: int) -> None:
    short = sources.first_images(unit, n)
    assert contents(short) == list(range(min(n, 12)))
    assert short.images == min(n, 12)


@pytest.mark.parametrize("n", [1, 5, 12, 40])
def test_a_sample_is_at_most_n_images_in_order_none_twice(unit: WorkUnit, n: int) -> None:
    found = contents(sources.sample(unit, n))
    assert len(found) == min(n, 12)
    assert found == sorted(set(found))
