"""Which source reads what, by name and by first bytes; and that each source keeps the same promises."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import google_crc32c
import pytest

from pipeline import sources, storage
from pipeline.model.spec import InputSpec, ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.scoring.planning import read_rule
from pipeline.sources import images, tfrecord
from pipeline.units import WorkUnit

RUN = Run.of(
    "run-1",
    ScoreOptions(input=("in",), model="model", output="out"),
    ModelSpec(InputSpec(8, 8, "grayscale"), ("cat", "dog"), "f00"),
)


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
    assert sources.kind_by_name(name) == kind


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
    assert sources.is_shard(name) == shard


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
    assert sources.kind_by_magic(head) == kind


@pytest.fixture(params=["images", "tfrecord", "tfrecord.gz"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> WorkUnit:
    """Twelve images in one unit, each as its number."""
    if request.param == "images":
        for i in range(12):
            (tmp_path / f"{i:02d}.png").write_bytes(b"%d" % i)
        (found,) = images.cut(((o, None) for o in storage.list_objects(str(tmp_path))), 2048)
        return found
    compress = gzip.compress if request.param.endswith("gz") else bytes
    records = b"".join(frame(b"\n\x11\n\x0f\n\x05image\x12\x06\n\x04\n\x02%02d" % i) for i in range(12))
    (tmp_path / f"x.{request.param}").write_bytes(compress(records))
    (stored,) = storage.list_objects(str(tmp_path))
    (found,) = tfrecord.index(stored, 2048, Counter())
    return found


def contents(unit: WorkUnit) -> list[int]:
    batches = list(sources.read(unit, read_rule(RUN)))
    assert not any(batch.images.failures for batch in batches)
    return [int(data) for batch in batches for data in batch.encoded]


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
