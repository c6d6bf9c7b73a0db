"""All of MNIST's test images, end to end; heavy."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import rows_of
from mnist_files import mnist_folder
from PIL import Image

from model_training import cli as train
from model_training.data.datasets import RawImages, raw_images
from pipeline.cli import score
from pipeline.errors import UsageError
from pipeline.machine import CPUINFO, has_bfloat16

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def mnist() -> RawImages:
    try:
        return raw_images("mnist", mnist_folder())
    except UsageError as error:
        pytest.skip(f"MNIST is not here: {error}")


@pytest.fixture(scope="module")
def model(mnist: RawImages, tmp_path_factory: pytest.TempPathFactory) -> str:
    location = str(tmp_path_factory.mktemp("mnist") / "model")
    folder = mnist_folder()
    assert train.main(["--dataset", "mnist", *(["--data_dir", folder] if folder else []), "--output", location]) == 0
    return location


@pytest.fixture(scope="module")
def archive(mnist: RawImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 10,000 test images as PNG files in class folders, and as 4 TFRecords."""
    import tensorflow as tf

    root = tmp_path_factory.mktemp("archive")
    test = np.flatnonzero(mnist.is_test)
    for i in test:
        path = root / "images" / str(mnist.labels[i]) / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mnist.encoded(int(i)))
    (root / "records").mkdir()
    for shard in range(4):
        with tf.io.TFRecordWriter(str(root / "records" / f"t10k.tfrecord-{shard:05d}-of-00004")) as writer:
            for i in test[shard::4]:
                image = tf.train.BytesList(value=[mnist.encoded(int(i))])
                label = tf.train.Int64List(value=[int(mnist.labels[i])])
                feature = {
                    "image/encoded": tf.train.Feature(bytes_list=image),
                    "image/class/label": tf.train.Feature(int64_list=label),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return root


def run(model: str, output: Path, *inputs: Path) -> dict[str, Any]:
    flags = [flag for path in inputs for flag in ("--input", str(path))]
    assert score.main([*flags, "--model", model, "--output", str(output)]) == 0
    summary: dict[str, Any] = json.loads((output / "summary.json").read_text())
    return summary


def test_accuracy_of_either_half_is_the_training_reports(model: str, archive: Path, tmp_path: Path) -> None:
    trained = json.loads(Path(model, "model_spec.json").read_text())["training"]["test_accuracy"]
    assert trained >= 0.985  # of seed 0 alone; the mean of three is a test of the soak
    whole = run(model, tmp_path / "both", archive)
    assert (whole["images"], whole["labelled"], whole["failed"]) == (20_000, 20_000, 0)
    for half in ("images", "records"):
        summary = run(model, tmp_path / half, archive / half)
        assert (summary["images"], round(summary["accuracy"], 4)) == (10_000, round(trained, 4))
    assert len(rows_of(tmp_path / "both")) == 20_000


@pytest.mark.skipif(not has_bfloat16(Path(CPUINFO).read_text()), reason="no such CPU")
def test_all_70_000_images_have_the_same_class_in_bfloat16_as_in_float32(
    model: str, mnist: RawImages, tmp_path: Path
) -> None:
    for i in range(len(mnist.labels)):
        path = tmp_path / "all" / str(mnist.labels[i]) / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mnist.encoded(i))
    flags = ["--input", str(tmp_path / "all"), "--model", model]
    rows = {}
    for precision in ("float32", "bfloat16"):
        output = tmp_path / precision
        assert score.main([*flags, "--output", str(output), "--precision", precision]) == 0
        rows[precision] = rows_of(output)
    assert len(rows["float32"]) == 70_000
    assert [(r["key"], r["predicted"]) for r in rows["float32"]] == [
        (r["key"], r["predicted"]) for r in rows["bfloat16"]
    ]
    off = [abs(a["score"] - b["score"]) for a, b in zip(*rows.values(), strict=True)]
    assert 1e-4 < max(off) < 5e-2
    record = json.loads((tmp_path / "bfloat16" / "run.json").read_text())
    assert 0 < record["rescored"] < 0.02 * 70_000


def broken_images(good: bytes) -> Iterator[tuple[str, bytes]]:
    """50 broken images of 17 kinds."""
    picture = Image.open(io.BytesIO(good)).convert("RGB").resize((64, 64))
    encoded = {}
    for form in ("JPEG", "GIF", "TIFF", "WEBP", "BMP"):
        buffer = io.BytesIO()
        picture.save(buffer, form)
        encoded[form] = buffer.getvalue()
    kinds = {
        "empty.png": b"",
        "one-byte.png": b"x",
        "page.jpg": b"<html><body>404 Not Found</body></html>",
        "text.png": b"this is no image at all",
        "pdf.jpg": b"%PDF-1.4 hello",
        "zeros.png": bytes(500),
        "cut.png": good[: len(good) // 2],
        "header.png": good[:40],
        "signature.png": good[:8],
        "flip.png": good[:60] + bytes([good[60] ^ 0x20]) + good[61:],
        "bomb.png": _png(60_000, 60_000),
        "short.png": _png(28, 28),
        **{f"cut.{form.lower()}": data[: len(data) // 3] for form, data in encoded.items()},
    }
    for number in range(50):
        name = list(kinds)[number % len(kinds)]
        yield f"broken-{number:02d}-{name}", kinds[name]


def _png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_fifty_broken_images_are_fifty_rows_and_change_no_other(
    model: str, archive: Path, mnist: RawImages, tmp_path: Path
) -> None:
    run(model, tmp_path / "clean", archive / "images")
    good = mnist.encoded(int(np.flatnonzero(mnist.is_test)[0]))
    names = set()
    for i, (name, data) in enumerate(broken_images(good)):
        (archive / "images" / str(i % 10) / name).write_bytes(data)
        names.add(name)
    summary = run(model, tmp_path / "dirty", archive / "images")
    assert (summary["images"], summary["failed"]) == (10_050, 50)
    rows = rows_of(tmp_path / "dirty")
    failed = {Path(row["key"]).name: row for row in rows if row["status"] == "failed"}
    assert set(failed) == names
    assert all(row["error_stage"] and row["error_code"] and row["error_message"] for row in failed.values())
    assert Counter(row["error_code"] for row in failed.values())["RESOURCE_EXHAUSTED"] == 3
    clean = {row["key"]: row for row in rows_of(tmp_path / "clean")}
    for row in rows:
        if row["status"] == "ok":
            before = clean.pop(row["key"])
            assert (row["predicted"], row["label"]) == (before["predicted"], before["label"])
            assert abs(row["score"] - before["score"]) < 1e-5
    assert clean == {}
