"""The same images as people keep them: every kind of source gives the predictions of the PNG folder, row for row."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from conftest import rows_of
from mnist_files import mnist_folder

from model_training.data.datasets import RawImages, raw_images
from pipeline.cli import score
from pipeline.errors import UsageError

Make = Callable[[Path, Path, RawImages], Path]


def name_of(raw: RawImages, i: int) -> str:
    return f"{raw.labels[i]}/{i:05d}.png"


def gnu_tar(folder: Path, root: Path, raw: RawImages) -> Path:
    subprocess.run(["tar", "-cf", root / "gnu.tar", "-C", folder, "."], check=True)
    return root / "gnu.tar"


def python_tar_gz(folder: Path, root: Path, raw: RawImages) -> Path:
    with tarfile.open(root / "python.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname="photos")
    return root / "python.tar.gz"


def webdataset_tar(folder: Path, root: Path, raw: RawImages) -> Path:
    with webdataset.TarWriter(str(root / "wds.tar")) as writer:
        for i in range(len(raw.images)):
            writer.write({"__key__": f"{i:05d}", "png": raw.encoded(i), "cls": int(raw.labels[i])})
    return root / "wds.tar"


def info_zip(folder: Path, root: Path, raw: RawImages) -> Path:
    if shutil.which("zip") is None:
        pytest.skip("Info-ZIP's zip is not installed")
    subprocess.run(["zip", "-qr", root / "info.zip", "."], cwd=folder, check=True)
    return root / "info.zip"


def python_zip(folder: Path, root: Path, raw: RawImages) -> Path:
    with zipfile.ZipFile(root / "python.zip", "w") as archive:
        for i in range(len(raw.images)):
            archive.writestr(name_of(raw, i), raw.encoded(i))
    return root / "python.zip"


def idx(folder: Path, root: Path, raw: RawImages, pack: Callable[[bytes], bytes] = bytes, suffix: str = "") -> Path:
    shape = b"".join(n.to_bytes(4, "big") for n in raw.images.shape)
    images = root / f"all-images-idx3-ubyte{suffix}"
    images.write_bytes(pack(b"\0\0\x08\x03" + shape + raw.images.tobytes()))
    labels = b"\0\0\x08\x01" + len(raw.labels).to_bytes(4, "big") + raw.labels.astype(np.uint8).tobytes()
    (root / f"all-labels-idx1-ubyte{suffix}").write_bytes(pack(labels))
    return images


def idx_gz(folder: Path, root: Path, raw: RawImages) -> Path:
    return idx(folder, root, raw, gzip.compress, ".gz")


def csv_manifest(folder: Path, root: Path, raw: RawImages) -> Path:
    with (root / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["split", "label", "file_name"])
        writer.writerows(
            ["x", raw.labels[i], f"{folder.name}/{name_of(raw, i)}"] for i in range(len(raw.images))
        )  # fmt: skip
    return root / "images.csv"


def jsonl_manifest(folder: Path, root: Path, raw: RawImages) -> Path:
    rows = [{"uri": str(folder / name_of(raw, i)), "label": int(raw.labels[i])} for i in range(len(raw.images))]
    (root / "images.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root / "images.jsonl"


def parquet_manifest(folder: Path, root: Path, raw: RawImages) -> Path:
    names = [f"./{folder.name}/{name_of(raw, i)}" for i in range(len(raw.images))]
    pq.write_table(pa.table({"file_name": names, "label": raw.labels}), root / "images.parquet")
    return root / "images.parquet"


def plain_list(folder: Path, root: Path, raw: RawImages) -> Path:
    (root / "images.txt").write_text("\n".join(str(folder / name_of(raw, i)) for i in range(len(raw.images))))
    return root / "images.txt"


def tfrecord(folder: Path, root: Path, raw: RawImages, raw_pixels: bool = False) -> Path:
    import tensorflow as tf

    path = root / f"all{int(raw_pixels)}.tfrecord"
    height, width = raw.images.shape[1:]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in range(len(raw.images)):
            image = raw.images[i].tobytes() if raw_pixels else raw.encoded(i)
            values: dict[str, Any] = {"image_raw" if raw_pixels else "image": image, "label": int(raw.labels[i])}
            values |= {"height": height, "width": width, "depth": 1} if raw_pixels else {}
            feature = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                if isinstance(value, bytes)
                else tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
                for name, value in values.items()
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return path


def tfrecord_raw(folder: Path, root: Path, raw: RawImages) -> Path:
    return tfrecord(folder, root, raw, raw_pixels=True)


BY_PATH: list[Make] = [gnu_tar, python_tar_gz, webdataset_tar, info_zip, python_zip]
MANIFESTS: list[Make] = [csv_manifest, jsonl_manifest, parquet_manifest, plain_list]
BY_NUMBER: list[Make] = [idx, idx_gz, tfrecord, tfrecord_raw]


def number_in(key: str, make: Make) -> int:
    """The image's number: in its name, or behind the #."""
    return int(key.rsplit("#", 1)[1]) if make in BY_NUMBER else int(Path(key.split("!")[-1]).stem)


def predictions(model: str, source: Path, output: Path, make: Make | None = None) -> dict[int, tuple[Any, ...]]:
    assert score.main(["--input", str(source), "--model", model, "--output", str(output), "--unit_images", "500"]) == 0
    return by_number(rows_of(output), make)


def by_number(rows: list[dict[str, Any]], make: Make | None = None) -> dict[int, tuple[Any, ...]]:
    """Return what the rows of one source say, by the number of the image."""
    found = {
        int(Path(row["key"]).stem) if make is None else number_in(row["key"], make): (
            row["label"], row["label_name"], row["predicted"], round(row["score"], 4), row["status"],
        )
        for row in rows
    }  # fmt: skip
    assert len(found) == len(rows)
    return found


def write_folder(raw: RawImages, folder: Path) -> Path:
    for i in range(len(raw.images)):
        path = folder / name_of(raw, i)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw.encoded(i))
    return folder


@pytest.fixture(scope="module")
def few(digits: RawImages) -> RawImages:
    return RawImages(digits.name, digits.images[:600], digits.labels[:600], digits.is_test[:600])


@pytest.fixture(scope="module")
def folder(few: RawImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(few, tmp_path_factory.mktemp("archives") / "photos")


@pytest.fixture(scope="module")
def expected(tiny_model: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Any, ...]]:
    return predictions(tiny_model, folder, tmp_path_factory.mktemp("expected"))


@pytest.mark.heavy
@pytest.mark.parametrize("make", BY_PATH + MANIFESTS + BY_NUMBER, ids=lambda make: make.__name__)
def test_every_source_gives_the_folders_predictions_row_for_row(
    tiny_model: str, few: RawImages, folder: Path, expected: dict[int, tuple[Any, ...]], tmp_path: Path, make: Make
) -> None:
    source = make(folder, folder.parent, few)
    assert predictions(tiny_model, source, tmp_path / "night", make) == expected


@pytest.mark.heavy
def test_sources_of_all_kinds_make_one_run_with_a_slice_for_each(
    tiny_model: str, few: RawImages, folder: Path, expected: dict[int, tuple[Any, ...]], tmp_path: Path
) -> None:
    makes = [python_tar_gz, webdataset_tar, python_zip, csv_manifest, idx, tfrecord, tfrecord_raw]
    sources = [make(folder, folder.parent, few) for make in makes]
    flags = [flag for source in sources for flag in ("--input", str(source))]
    assert score.main([*flags, "--model", tiny_model, "--output", str(tmp_path / "night")]) == 0
    summary = json.loads((tmp_path / "night" / "summary.json").read_text())
    assert summary["images"] == 600 * len(sources)
    assert [part["input"] for part in summary["inputs"]] == [str(source) for source in sources]
    assert {(part["images"], part["failed"], part["labelled"], part["accuracy"]) for part in summary["inputs"]} == {
        (600, 0, 600, summary["accuracy"])
    }
    rows = rows_of(tmp_path / "night")
    for number, make in enumerate(makes):
        assert by_number(rows[600 * number : 600 * (number + 1)], make) == expected


@pytest.mark.heavy
@pytest.mark.parametrize("make", BY_PATH + MANIFESTS + BY_NUMBER, ids=lambda make: make.__name__)
def test_all_of_mnists_test_images_from_every_source(
    tiny_model: str, mnist_test: RawImages, mnist_folder_expected: Any, tmp_path: Path, make: Make
) -> None:
    folder, expected = mnist_folder_expected
    source = make(folder, folder.parent, mnist_test)
    assert predictions(tiny_model, source, tmp_path / "night", make) == expected


@pytest.fixture(scope="module")
def mnist_test() -> RawImages:
    try:
        raw = raw_images("mnist", mnist_folder())
    except UsageError as error:
        pytest.skip(f"MNIST is not here: {error}")
    return RawImages(raw.name, raw.images[raw.is_test], raw.labels[raw.is_test], raw.is_test[raw.is_test])


@pytest.fixture(scope="module")
def mnist_folder_expected(tiny_model: str, mnist_test: RawImages, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = write_folder(mnist_test, tmp_path_factory.mktemp("mnist-archives") / "photos")
    return folder, predictions(tiny_model, folder, tmp_path_factory.mktemp("mnist-expected"))
