"""Archives in archives: what lies in the inner ones is scored, with the inner archive's name as folder."""

from __future__ import annotations

import bz2
import gzip
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import zstandard
from archives import tar, zipped
from fuzz_corpus import example_of, framed
from read_inputs import read_inputs

CLASSES = ["n01440764", "n01443537", "n01484850"]
Pack = Callable[[Mapping[str, bytes]], bytes]


def pgm(number: int, size: int = 9) -> bytes:
    return b"P5 3 3 255\n" + bytes([number % 256] * size)


def stored(files: Mapping[str, bytes]) -> bytes:
    return zipped(files, zipfile.ZIP_STORED)


PACKS: dict[str, Pack] = {
    "tar": tar,
    "tar.gz": lambda files: gzip.compress(tar(files)),
    "tgz": lambda files: gzip.compress(tar(files)),
    "tar.bz2": lambda files: bz2.compress(tar(files)),
    "tar.zst": lambda files: zstandard.compress(tar(files)),
    "zip": zipped,
    "stored.zip": stored,
}
NOT_OPENED = {("tar.gz", "zip"), ("tar.gz", "stored.zip"), ("tar.zst", "zip"), ("tar.zst", "stored.zip")}


@pytest.mark.parametrize("outer", ["tar", "tar.gz", "tar.zst", "zip", "stored.zip"])
@pytest.mark.parametrize("inner", PACKS)
@pytest.mark.parametrize("unit_images", [1, 3, 2048])
def test_one_archive_for_each_class_is_scored(tmp_path: Path, outer: str, inner: str, unit_images: int) -> None:
    members = {
        f"train/{name}.{inner}": PACKS[inner]({f"{name}_{i}.pgm": pgm(10 * c + i) for i in range(4)})
        for c, name in enumerate(CLASSES)
    }
    members |= {"1.pgm": pgm(99), "notes.txt": b"n"}
    path = tmp_path / f"all.{outer}"
    path.write_bytes(PACKS[outer](members))
    given = read_inputs(path, classes=[*CLASSES, *(f"{name}.stored" for name in CLASSES)], unit_images=unit_images)
    if (outer, inner) in NOT_OPENED:
        assert list(given.images) == [f"{path}!1.pgm"]
        text = "it is a zip archive in an archive, which is not opened there: unpack the outer one"
        assert given.failures == {f"{path}!{name}": text for name in list(members)[:3]}
        return
    assert not given.failures
    names = [f"{path}!train/{name}.{inner}!{name}_{i}.pgm" for name in CLASSES for i in range(4)]
    assert sorted(given.images) == sorted([f"{path}!1.pgm", *names])
    assert [given.images[name] for name in names] == [pgm(10 * c + i) for c in range(3) for i in range(4)]
    ending = ".stored" if inner == "stored.zip" else ""
    assert [given.labels[name] for name in names] == [f"{name}{ending}" for name in CLASSES for _ in range(4)]
    assert read_inputs(path, limit=6, unit_images=unit_images).rows == 6


@pytest.mark.parametrize("outer", ["tar", "zip", "stored.zip"])
def test_inner_archives_have_samples_folders_links_and_records_as_others(tmp_path: Path, outer: str) -> None:
    samples = {"0.5_1.pgm": pgm(1), "0.5_1.cls": b"2", "a/n01440764/2.pgm": pgm(2)}
    records = framed(example_of({"image": pgm(3), "label": 1}), example_of({"image": pgm(4)}))
    members = {"in.tar": tar(samples), "n01484850.tfrecord": records, "in.tar.gz": gzip.compress(tar(samples))}
    path = tmp_path / f"x.{outer}"
    path.write_bytes(PACKS[outer](members))
    for unit_images in (1, 2048):
        given = read_inputs(path, classes=CLASSES, unit_images=unit_images)
        assert {key.removeprefix(f"{path}!"): label for key, label in given.labels.items()} == {
            "in.tar!0.5_1.pgm": "n01484850",
            "in.tar!a/n01440764/2.pgm": "n01440764",
            "in.tar.gz!0.5_1.pgm": "n01484850",
            "in.tar.gz!a/n01440764/2.pgm": "n01440764",
            "n01484850.tfrecord#0": "n01443537",
            "n01484850.tfrecord#1": "n01484850",
        }
        assert not given.failures


@pytest.mark.parametrize("outer", ["tar", "tar.gz", "zip", "stored.zip"])
@pytest.mark.parametrize("middle", ["tar", "tar.gz", "zip"])
def test_archives_yet_deeper_are_a_failed_row_each(tmp_path: Path, outer: str, middle: str) -> None:
    if (outer, middle) in NOT_OPENED:
        return
    content = {"deep.tar": tar({"1.pgm": pgm(1)}), "2.pgm": pgm(2)}
    path = tmp_path / f"x.{outer}"
    path.write_bytes(PACKS[outer]({f"m.{middle}": PACKS[middle](content)}))
    given = read_inputs(path)
    assert list(given.images.values()) == [pgm(2)]
    assert list(given.failures) == [f"{path}!m.{middle}!deep.tar"]
    assert "not opened" in str(given.failures)


@pytest.mark.parametrize("outer", ["tar", "tar.gz", "zip", "stored.zip"])
def test_damaged_and_empty_inner_archives_are_told(tmp_path: Path, outer: str) -> None:
    whole = tar({f"{i}.pgm": pgm(i) for i in range(5)})
    members = {"cut.tar": whole[:2_000], "junk.zip": b"x" * 99, "no.tar": b"", "good.tar": whole}
    path = tmp_path / f"x.{outer}"
    path.write_bytes(PACKS[outer](members))
    given = read_inputs(path)
    good = [key for key in given.images if "!good.tar!" in key]
    assert len(good) == 5
    assert f"{path}!cut.tar!" in given.failures
    assert any(key.startswith(f"{path}!junk.zip") for key in given.failures)


@pytest.mark.heavy
def test_a_large_deflated_archive_in_a_zip_fills_no_memory(tmp_path: Path) -> None:
    noise = [bytes((i * j) % 251 for j in range(1000)) * 1000 for i in range(1, 60)]
    inner = stored({f"{i}.pgm": data for i, data in enumerate(noise)})
    path = tmp_path / "x.zip"
    path.write_bytes(zipped({"in.zip": inner}))
    del inner
    from pipeline import sources, storage
    from pipeline.sources.read_rule import ReadRule
    from pipeline.sources.skipped import Skipped

    (found,) = storage.list_objects(str(path))
    (unit,) = sources.index("zip", found, 2048, Skipped())
    rows = 0
    tracemalloc.start()
    for batch in sources.read(unit, ReadRule(batch_images=4)):
        rows += len(batch.encoded) - len(batch.images.failures)
        del batch
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 59
    assert peak < 140 << 20
