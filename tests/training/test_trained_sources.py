"""What can be scored can be trained on: every kind of source, its labels, images that are decoded for each epoch."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_sets import load
from mostly_heavy import mostly_heavy
from PIL import Image
from read_inputs import read_inputs

from model_training.data.datasets import Dataset, RawImages
from model_training.data.image_set import ImageSet
from model_training.data.streamed import StreamedImages
from pipeline.errors import UsageError
from pipeline.model.pixel_hash import pixel_hashes, rule_id
from pipeline.model.thumbnails import png

N = 120
LARGE = {"image_size": 64, "color_mode": "rgb"}
"""With pixels of this size, N images do not fit into a megabyte."""

Write = Callable[[Path, Sequence[bytes], Sequence[int]], Path]


def folder(place: Path, files: Sequence[bytes], labels: Sequence[int]) -> Path:
    for i, (data, label) in enumerate(zip(files, labels, strict=True)):
        path = place / "photos" / "deep" / str(label) / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return place / "photos"


def tar(place: Path, files: Sequence[bytes], labels: Sequence[int], mode: str = "w") -> Path:
    path = place / ("a.tar.gz" if "gz" in mode else "a.tar")
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for i in np.argsort(labels, kind="stable").tolist():  # a long run of each class
            member = tarfile.TarInfo(f"top/{labels[i]}/{i:03d}.png")
            member.size = len(files[i])
            archive.addfile(member, io.BytesIO(files[i]))
    return path


def tar_gz(place: Path, files: Sequence[bytes], labels: Sequence[int]) -> Path:
    return tar(place, files, labels, "w:gz")


def zipped(place: Path, files: Sequence[bytes], labels: Sequence[int]) -> Path:
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        for i, (data, label) in enumerate(zip(files, labels, strict=True)):
            archive.writestr(f"{label}/{i:03d}.png", data)
    return place / "a.zip"


def table(place: Path, files: Sequence[bytes], labels: Sequence[int]) -> Path:
    pq.write_table(pa.table({"image": files, "label": labels}), place / "a.parquet", row_group_size=50)
    return place / "a.parquet"


def list_of_files(place: Path, files: Sequence[bytes], labels: Sequence[int]) -> Path:
    with open(place / "list.csv", "w", encoding="utf-8", newline="") as text:
        rows = csv.writer(text)
        rows.writerow(["file_name", "label"])
        for i, (data, label) in enumerate(zip(files, labels, strict=True)):
            (place / f"{i:03d}.png").write_bytes(data)
            rows.writerow([f"{i:03d}.png", label])
    return place / "list.csv"


def arrays(place: Path, files: Sequence[bytes], labels: Sequence[int]) -> Path:
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in files])
    np.savez(place / "a.npz", images=pixels, labels=np.array(labels))
    return place / "a.npz"


@pytest.fixture(scope="module")
def files(digits: RawImages) -> list[bytes]:
    """Digits, 16 x 16, as PNG files; the labels of N of them are in `labels`."""
    return [png(Image.fromarray(pixels).resize((16, 16))) for pixels in digits.images[:N]]


@pytest.fixture(scope="module")
def labels(digits: RawImages) -> list[int]:
    return [int(label) for label in digits.labels[:N]]


def sides(dataset: Dataset) -> list[list[tuple[int, str]]]:
    """Hash and class of the images of each side."""
    names = dataset.class_names
    return [
        sorted((number, names[label]) for number, label in zip(one.hashes.tolist(), one.labels.tolist(), strict=True))
        for one in (dataset.train, dataset.validation, dataset.test)
    ]


def check_batches(images: ImageSet, rule: Any) -> None:
    """Each image is there once, in both orders, with its own pixels; a seed gives the same order again."""
    for seed in (None, 7):
        batches = [(pixels, numbers) for pixels, numbers in images.batches(32, seed)]
        again = [numbers.tolist() for _, numbers in images.batches(32, seed)]
        assert [numbers.tolist() for _, numbers in batches] == again
        assert sorted(number for numbers in again for number in numbers) == list(range(len(images)))
        assert {len(numbers) for numbers in again[:-1]} <= {32}
        for pixels, numbers in batches:
            assert (pixel_hashes(pixels, rule_id(rule)) == images.hashes[numbers]).all()


@pytest.mark.parametrize(
    "write",
    mostly_heavy([folder, tar, tar_gz, zipped, table, list_of_files, arrays], kept=[folder, tar_gz, list_of_files]),
)
def test_every_source_gives_the_same_images_and_splits_held_or_decoded_again(
    tmp_path: Path, files: list[bytes], labels: list[int], write: Write
) -> None:
    expected = sides(load(folder(tmp_path, files, labels), **LARGE))
    source = write(tmp_path, files, labels)
    streamed = load(source, memory_mb=1, **LARGE)
    assert isinstance(streamed.train, StreamedImages)
    assert list(streamed.class_names) == list("0123456789")
    assert sides(streamed) == expected
    check_batches(streamed.train, streamed.input)
    assert streamed.test.pixels([3, 1, 3]).tobytes() == streamed.test.pixels([3, 1])[[0, 1, 0]].tobytes()
    keys = {streamed.test.key(number) for number in range(3)}
    assert keys <= read_inputs(source).images.keys()


@pytest.mark.parametrize("memory_mb", [None, 1], ids=["held", "streamed"])
def test_keys_are_known_without_reading_an_archive_again(
    tmp_path: Path, files: list[bytes], labels: list[int], memory_mb: int | None
) -> None:
    """A report names many images, and each of them would cost a read."""
    source = tar_gz(tmp_path, files, labels)
    dataset = load(source, memory_mb=memory_mb, **LARGE)
    expected = read_inputs(source).images.keys()
    source.unlink()
    keys = [one.key(number) for one in (dataset.train, dataset.validation, dataset.test) for number in range(len(one))]
    assert len(keys) == N
    assert set(keys) == expected


def test_own_size_and_grey_are_seen_in_an_archive(tmp_path: Path, files: list[bytes], labels: list[int]) -> None:
    assert load(tar(tmp_path, files, labels)).input.shape == (16, 16, 1)


def test_long_runs_of_a_class_are_mixed(tmp_path: Path, files: list[bytes], labels: list[int]) -> None:
    """The buffer holds two thirds of the images; an order by class would have one or two classes in a batch."""
    images = load(tar_gz(tmp_path, files, labels), memory_mb=1, shuffle_mb=1, **LARGE).train
    in_order = [len(set(images.labels[numbers].tolist())) for _, numbers in images.batches(16)]
    mixed = [len(set(images.labels[numbers].tolist())) for _, numbers in images.batches(16, seed=1)]
    assert np.mean(in_order) < 4 < 5 < np.mean(mixed)
    orders = [np.concatenate([numbers for _, numbers in images.batches(16, seed)]).tolist() for seed in (1, 2)]
    assert orders[0] != orders[1]


@pytest.mark.heavy
def test_image_that_changes_or_goes_is_left_out_and_told_once(
    tmp_path: Path, files: list[bytes], labels: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    images = load(folder(tmp_path, files, labels), memory_mb=1, **LARGE).train
    os.unlink(images.key(3))
    os.utime(images.key(5), ns=(1, 1))
    for seed in (None, 1):
        found = np.concatenate([numbers for _, numbers in images.batches(32, seed)])
        assert sorted(found.tolist()) == [number for number in range(len(images)) if number not in (3, 5)]
    (told,) = caplog.messages
    assert told.startswith("2 images are left out, changed or gone since the first look: ")


@pytest.mark.heavy
def test_image_that_kills_its_decoder_is_left_out(
    tmp_path: Path, files: list[bytes], labels: list[int], poisoned: pytest.MonkeyPatch
) -> None:
    dead = [data + b"ABORT" if i == 7 else data for i, data in enumerate(files)]
    dataset = load(folder(tmp_path, dead, labels), **LARGE)
    (why,) = dataset.left_out.values()
    assert why == "the decoder crashed on this image (SIGABRT)"


def test_validation_and_test_may_be_inputs_of_their_own(tmp_path: Path, files: list[bytes], labels: list[int]) -> None:
    half = N // 2
    for name, place in (("a", slice(0, half)), ("b", slice(half, N))):
        (tmp_path / name).mkdir()
        tar(tmp_path / name, files[place], labels[place])
    whole, tested = tmp_path / "a" / "a.tar", tmp_path / "b" / "a.tar"
    dataset = load(whole, test=(str(tested),))
    assert (len(dataset.test), len(dataset.train) + len(dataset.validation)) == (N - half, half)
    assert dataset.test_copies == 0
    dataset = load(whole, validation=(str(tested),), test=(str(tested), str(whole)))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (half, N - half, N)
    assert dataset.test_copies == N


def test_labels_are_what_scoring_reads_with_the_classes_that_were_found(
    tmp_path: Path, files: list[bytes], labels: list[int]
) -> None:
    """Numbers that an archive has names for, numbers, and names in two spellings."""
    names = [f"class {label}" for label in range(10)]
    (tmp_path / "labels.txt").write_text("\n".join(names))
    for source in (list_of_files(tmp_path, files, labels), folder(tmp_path, files, labels)):
        dataset = load(source, **LARGE)
        scored = read_inputs(source, classes=list(dataset.class_names)).labels
        for images in (dataset.train, dataset.test):
            for number in range(0, len(images), 7):
                assert scored[images.key(number)] == dataset.class_names[images.labels[number]]
    assert list(dataset.class_names) == list("0123456789")
    assert list(load(tmp_path / "list.csv", **LARGE).class_names) == names


def lists(place: Path, files: Sequence[bytes], column: Sequence[Any]) -> Path:
    """A list of images with labels of any kind."""
    for i, data in enumerate(files):
        (place / f"{i:03d}.png").write_bytes(data)
    rows = [{"file_name": f"{i:03d}.png", "label": label} for i, label in enumerate(column)]
    (place / "list.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return place / "list.jsonl"


def test_several_labels_and_values_are_learned(tmp_path: Path, files: list[bytes], labels: list[int]) -> None:
    several = [["even" if label % 2 == 0 else "odd", *(["large"] if label > 5 else [])] for label in labels]
    dataset = load(lists(tmp_path, files, several), task="labels")
    assert (dataset.task, list(dataset.class_names)) == ("labels", ["even", "large", "odd"])
    for images in (dataset.train, dataset.validation, dataset.test):
        assert (images.labels.dtype, images.labels.shape) == (np.float32, (len(images), 3))
        for number in range(len(images)):
            row = int(Path(images.key(number)).stem)
            assert [n for n, one in zip(dataset.class_names, images.labels[number], strict=True) if one] == sorted(
                several[row]
            )
    values = [None if label == 0 else "old" if label == 1 else label / 2 for label in labels]
    dataset = load(lists(tmp_path, files, values), task="value")
    assert dataset.left_out_images == labels.count(0) + labels.count(1)
    assert set(dataset.left_out.values()) == {"has no label", "has a label that is no number"}
    for number, value in enumerate(dataset.train.labels.tolist()):
        assert value == values[int(Path(dataset.train.key(number)).stem)]


@pytest.mark.parametrize(
    ("column", "options", "reason"),
    [
        (
            [7, "cat"],
            {},
            r"some labels are numbers, as '7' of .*/000.png, and others are names, as 'cat' of .*/001.png",
        ),
        ([[0, 1], [1, 0]], {}, r"/000.png has the label '\[0, 1\]', but nothing says which classes it lists"),
        (
            [[0, 1, 1]],
            {"task": "labels"},
            r"has the label '\[0, 1, 1\]', but nothing says which classes it lists: give names",
        ),
        ([None], {}, "has no images with labels"),
        ([3], {"task": "value"}, "have the same value, 3: there is nothing to learn"),
        (["x"], {"task": "value"}, "has no images with numbers as labels"),
        ([3], {}, "has only one class, '3'"),
        (
            ["cat", "dog"],
            {"test": "other"},
            "--test has labels that the images to learn from do not have: '.', .*, as of",
        ),
        (["cat", "dog"], {"test": "nowhere"}, "--test '.*nowhere' does not exist or is empty"),
    ],
)
def test_labels_that_cannot_be_learned_are_one_line(
    tmp_path: Path,
    files: list[bytes],
    labels: list[int],
    column: Sequence[Any],
    options: dict[str, Any],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "other", files[:20], labels[:20])
    source = lists(tmp_path, files[:60], [column[i % len(column)] for i in range(60)])
    if "test" in options:
        options = {"test": (options["test"],)}
    with pytest.raises(UsageError, match=reason) as raised:
        load(source, **options)
    assert "\n" not in str(raised.value)


def test_class_that_a_side_lacks_is_named(tmp_path: Path, files: list[bytes], labels: list[int]) -> None:
    few = [i for i in range(N) if labels[i] != 4]
    source = folder(tmp_path, files, labels)
    lacking = lists(tmp_path, [files[i] for i in few], [labels[i] for i in few])
    with pytest.raises(UsageError, match="--validation has no images of '4': add some of each class"):
        load(source, validation=(str(lacking),))
