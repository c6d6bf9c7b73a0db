"""images.csv.gz: each image of a training is there once, with its set, by the key that a night has for it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tarfile
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from conftest import rows_of
from gcs_emulator import upload
from image_sets import load
from mostly_heavy import mostly_heavy
from PIL import Image
from read_inputs import read_inputs

from model_training import cli
from model_training.build import build
from model_training.data.compressed_texts import CompressedTexts
from model_training.data.datasets import Dataset
from model_training.data.image_list import SPLITS, ImageList
from model_training.data.image_set import HeldImages
from model_training.data.streamed import StreamedImages
from model_training.learning.recipe import Recipe
from model_training.report.images_file import FILE, HEADER, write_images
from pipeline import storage
from pipeline.cli import score as score_cli
from pipeline.model.directory import read_spec
from pipeline.model.thumbnails import png

ODD = ("a,b.png", 'quoted "x".png', "new\nline.png", "ünï\u0301.png", "=1+1.png", "50%41.png", "\udcff.png", " .png")
"""Names that a careless CSV file would mix up."""

CLASSES = ('light, "very"', "dark é")
PAGE = (Path(__file__).parents[2] / "docs" / "train.md").read_text()
BROKEN = b"\x89PNG\r\n\x1a\nno image"


def pictures(n: int = 80) -> dict[str, bytes]:
    """Return n images by name, of two classes, the first ones with odd names, and a broken one."""
    random = np.random.default_rng(0)
    files = {f"{CLASSES[0]}/broken.png": BROKEN}
    for i in range(n):
        low = 128 * (i % 2)
        name = ODD[i] if i < len(ODD) else f"{i}.png"
        files[f"{CLASSES[i % 2]}/{name}"] = png(Image.fromarray(random.integers(low, low + 128, (12, 12, 3), np.uint8)))
    return files


def folder(place: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = place / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return place / "photos"


def tar(place: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(place / "photos.tar.gz" if "gz" in mode else place / "photos.tar", mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        return Path(archive.name)


def tar_gz(place: Path, files: dict[str, bytes]) -> Path:
    return tar(place, files, "w:gz")


def read(data: bytes) -> list[dict[str, str]]:
    text = gzip.decompress(data).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def written(dataset: Dataset, place: Path) -> list[dict[str, str]]:
    place.mkdir()
    write_images(dataset, str(place))
    return read((place / FILE).read_bytes())


def check(rows: Sequence[dict[str, str]], dataset: Dataset) -> None:
    """Each image of a set is there with its set and its label, and the others with a reason."""
    expected = {
        images.key(number): (split, dataset.class_names[int(images.labels[number])])
        for split in SPLITS
        for images in [dataset.images(split)]
        for number in range(len(images))
    }
    assert {row["key"]: (row["set"], row["label"]) for row in rows if row["set"]} == expected
    assert len(expected) == sum(map(len, (dataset.train, dataset.validation, dataset.test)))
    assert all((row["set"] == "") == (row["label"] == "") == (row["reason"] != "") for row in rows)


@pytest.mark.parametrize(
    ("write", "memory_mb"),
    mostly_heavy(
        [(write, memory_mb) for write in (folder, tar, tar_gz) for memory_mb in (None, 1)],
        kept=[(folder, None), (tar_gz, 1)],
    ),
)
def test_every_image_of_a_source_is_in_one_row_by_the_key_that_scoring_gives_it(
    tmp_path: Path, write: Callable[[Path, dict[str, bytes]], Path], memory_mb: int | None
) -> None:
    source = write(tmp_path, pictures())
    dataset = load(source, image_size=96, color_mode="rgb", **({} if memory_mb is None else {"memory_mb": memory_mb}))
    assert isinstance(dataset.train, StreamedImages) == (memory_mb is not None)
    rows = written(dataset, tmp_path / "first")
    check(rows, dataset)
    scored = read_inputs(source)
    keys = [row["key"] for row in rows]
    assert len(keys) == len(set(keys)) == 81
    assert set(keys) == scored.images.keys() | scored.failures.keys()
    assert [row["key"] for row in rows if not row["set"]] == list(dataset.left_out)
    assert [row["reason"] for row in rows if not row["set"]] == list(dataset.left_out.values())
    written(load(source, image_size=96, color_mode="rgb"), tmp_path / "again")
    assert (tmp_path / "again" / FILE).read_bytes() == (tmp_path / "first" / FILE).read_bytes()


def test_bucket_has_the_rows_of_the_disk(tmp_path: Path, gcs_bucket: str) -> None:
    files = {name: data for name, data in pictures(40).items() if "\udcff" not in name and "\n" not in name}
    local = folder(tmp_path, files)
    upload(local, f"{gcs_bucket}/photos")
    rows = [written(load(one), tmp_path / name) for one, name in ((local, "a"), (f"{gcs_bucket}/photos", "b"))]
    moved = [{**row, "key": row["key"].replace(storage.key_of(str(local)), f"{gcs_bucket}/photos")} for row in rows[0]]
    assert sorted(moved, key=lambda row: row["key"]) == sorted(rows[1], key=lambda row: row["key"])


def test_sets_of_their_own_are_those_that_were_given(tmp_path: Path) -> None:
    whole, other = folder(tmp_path / "a", pictures()), folder(tmp_path / "b", pictures(20))
    dataset = load(whole, test=(str(other),))
    rows = written(dataset, tmp_path / "out")
    check(rows, dataset)
    assert {row["key"] for row in rows if row["set"] == "test"} == {
        row["key"] for row in rows if row["key"].startswith(f"{other}/") and row["set"]
    }
    twice = written(load(whole, test=(str(whole),)), tmp_path / "twice")
    assert Counter(row["key"] for row in twice if row["set"]) == dict.fromkeys((r["key"] for r in twice if r["set"]), 2)


def test_pictures_with_two_labels_and_images_without_one_have_their_reason(tmp_path: Path) -> None:
    files = pictures()
    files[f"{CLASSES[0]}/copy.png"] = files[f"{CLASSES[1]}/11.png"]
    files["nowhere.png"] = files[f"{CLASSES[1]}/13.png"]
    dataset = load(folder(tmp_path, files), contradictions="leave_out")
    rows = written(dataset, tmp_path / "out")
    check(rows, dataset)
    reasons = {Path(row["key"]).name: row["reason"] for row in rows if not row["set"]}
    assert {name: reasons[name] for name in reasons if name != "broken.png"} == {
        "copy.png": "the same picture has another label, too",
        "11.png": "the same picture has another label, too",
        "nowhere.png": "lies in no class folder",
    }


def test_labels_and_values_are_as_a_list_of_files_has_them(tmp_path: Path) -> None:
    images = list(pictures().values())[1:]
    folder(tmp_path, {f"{i:02d}.png": data for i, data in enumerate(images)})
    labels: dict[str, list[Any]] = {
        "labels": [["cat", "dog"], ["cat"], [], ["a|b", "dog"]],
        "value": [0.93, 7, -1e-9, 2020.25],
    }
    texts = {"labels": ["cat|dog", "cat", "[]", '["a|b", "dog"]'], "value": ["0.93", "7.0", "-1e-09", "2020.25"]}
    for task, column in labels.items():
        lines = [{"file_name": f"photos/{i:02d}.png", "label": column[i % 4]} for i in range(len(images))]
        (tmp_path / f"{task}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        rows = written(load(tmp_path / f"{task}.jsonl", task=task), tmp_path / task)
        assert [row["label"] for row in rows] == texts[task] * 20


def test_images_of_a_named_data_set_are_numbered(tmp_path: Path) -> None:
    dataset = load("digits")
    rows = written(dataset, tmp_path / "out")
    check(rows, dataset)
    assert [row["key"] for row in rows] == [f"digits#{i}" for i in range(1797)]
    assert Counter(row["set"] for row in rows) == {"train": 1294, "validation": 144, "test": 359}


def test_data_set_that_lists_no_images_has_no_file(tmp_path: Path) -> None:
    write_images(replace(load("digits"), listed=None), str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_rows_are_written_without_being_held(tmp_path: Path) -> None:
    """Nine bytes an image and the buffers, not the hundred and more that a key takes as text."""
    n = 60_000
    digits = load("digits")
    labels = np.zeros(n, np.int64)
    images = HeldImages(digits.input, np.empty((n, 28, 28, 1), np.uint8), labels, np.arange(n), str, str.encode)
    keys = CompressedTexts(f"/data/photos/{i:060d}.jpg" for i in range(n))
    listed = ImageList(keys, {"train": np.arange(n)}, CompressedTexts([""] * n))
    dataset = replace(digits, train=images, listed=listed)
    assert len(dataset.images("train").labels) == n  # computed once, and then kept
    tracemalloc.start()
    try:
        write_images(dataset, str(tmp_path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20
    assert len(read((tmp_path / FILE).read_bytes())) == n


def test_list_with_too_few_reasons_is_a_bug() -> None:
    with pytest.raises(ValueError, match="2 keys, 1 reasons"):
        ImageList(CompressedTexts("ab"), {}, CompressedTexts([""]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, a model that was trained on them, and a night over them."""
    place = tmp_path_factory.mktemp("trained")
    photos = folder(place, pictures())
    model = str(place / "model")
    assert cli.main(["--dataset", str(photos), "--epochs", "1", "--output", model]) == 0
    flags = ["--max_failed_fraction", "1", "--output", str(place / "night")]
    assert score_cli.main(["--input", str(photos), "--model", model, *flags]) == 0
    return place


def test_night_joins_and_sizes_are_those_of_the_report(trained: Path) -> None:
    rows = read((trained / "model" / "training" / FILE).read_bytes())
    night = {row["key"]: row for row in rows_of(trained / "night")}
    assert {row["key"] for row in rows} == night.keys()
    assert all(night[row["key"]]["label_name"] == row["label"] for row in rows if row["set"])
    assert [night[row["key"]]["status"] for row in rows if not row["set"]] == ["failed"]
    told = read_spec(str(trained / "model")).training["images"]
    sizes = {"train": told["training"], "validation": told["validation"], "test": told["test"], "": told["left_out"]}
    assert Counter(row["set"] for row in rows) == sizes
    page = (trained / "model" / "training" / "report.html").read_text()
    assert f"<code>{FILE}</code> says of each image in which set it was" in page


def test_questions_of_the_page_have_their_answers(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    rows = read((trained / "model" / "training" / FILE).read_bytes())
    night = {row["key"]: row for row in rows_of(trained / "night")}
    with duckdb.connect() as connection:
        (query,) = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        found = {one: (images, accuracy) for one, images, accuracy in connection.execute(query).fetchall()}
        table = connection.execute(f"FROM read_csv('model/training/{FILE}', header = true, all_varchar = true)")
        assert table.fetchall() == [tuple(row[name] or None for name in HEADER) for row in rows]
    assert found.pop(None) == (1, None)
    assert {one: images for one, (images, _) in found.items()} == Counter(row["set"] for row in rows if row["set"])
    right = [night[row["key"]]["predicted_name"] == row["label"] for row in rows if row["set"] == "test"]
    assert found["test"][1] == pytest.approx(np.mean(right), abs=1e-4)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["images"].to_dict("records") == rows
    assert sorted(names["tested"]["key"]) == sorted(row["key"] for row in rows if row["set"] == "test")


class BrokenOffError(Exception):
    """What breaks a training off."""


def break_off(epoch: int, logs: Any) -> None:
    raise BrokenOffError


@pytest.mark.heavy
def test_training_into_a_bucket_that_is_resumed_gives_the_same_file_and_needs_none(
    trained: Path, gcs_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    monkeypatch.chdir(tmp_path)  # MODEL.unfinished is there
    location, photos = f"{gcs_bucket}/model", str(trained / "photos")
    recipe = Recipe(epochs=2)
    with pytest.raises(BrokenOffError):
        build(load(photos), recipe, location, keras.callbacks.LambdaCallback(on_epoch_end=break_off))
    build(load(photos), recipe, location, resume=True)
    stored = storage.read(f"{location}/training/{FILE}")
    assert stored == (trained / "model" / "training" / FILE).read_bytes()
    storage.delete(f"{location}/training/{FILE}")  # as in a model of an earlier version
    flags = ["--max_failed_fraction", "1", "--output", str(tmp_path / "night")]
    assert score_cli.main(["--input", photos, "--model", location, *flags]) == 0
