"""docs/inputs.md: its commands run as written, and what it lists is what the code has."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import re
import shlex
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_inputs import write_records
from PIL import Image
from read_inputs import read_inputs
from table_files import write_hugging_face

from model_training.data.datasets import RawImages
from pipeline import storage
from pipeline.cli import score as cli
from pipeline.image_kinds import READ_SUFFIXES, UNREAD
from pipeline.model.directory import SAVED_MODEL, SPEC
from pipeline.model.spec import ModelSpec, model_id
from pipeline.model.tiff_layout import MOST_SAMPLES
from pipeline.options import MAX_PIXELS, ScoreOptions, add_arguments, from_arguments, rename_labels
from pipeline.sources import (
    compression,
    idx,
    images,
    limits,
    manifest,
    numpy_arrays,
    parquet_images,
    tar_archive,
    zip_archive,
)
from pipeline.sources.label_values import MISSING
from pipeline.sources.list_columns import FILE_COLUMNS, LABEL_COLUMN, OTHER_FILE_COLUMNS, OTHER_LABEL_COLUMNS
from pipeline.sources.list_text import COMPRESSED, LONGEST_LIST
from pipeline.sources.names import _JUNK_FOLDERS
from pipeline.sources.own_names import JSON_FILE, TEXT_FILES

PAGE = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text()
PETS = ("cat", "dog", "cow", "horse", "sheep", "goat", "pig", "hen", "duck", "goose")
HEIC = {".heic", ".heif", ".hif", ".heics", ".heifs"}


def commands() -> list[str]:
    return re.findall(r"^\$ nightscore score (.*)$", PAGE, re.MULTILINE)


def words_between(first: str, last: str) -> list[str]:
    """Return the words in backticks between two texts of the page."""
    assert PAGE.count(first) == 1, first
    return re.findall(r"`([^`]+)`", PAGE.partition(first)[2].partition(last)[0])


def test_suffixes_of_images_are_those_that_are_read() -> None:
    listed = words_between("Images end in\n", "A file with none of these suffixes")
    listed = [name for name in listed if name.startswith(".")]  # the others are what to install
    assert len(listed) == len(set(listed))
    assert set(listed) == READ_SUFFIXES | HEIC


def test_kinds_that_are_not_read_are_named() -> None:
    (text,) = re.findall(r"^(HEIC \(without .*?)\.$", PAGE, re.MULTILINE | re.DOTALL)
    listed = [name.partition(" (")[0] for name in text.replace("\n", " ").split(", ")]
    assert set(listed) == {kind.name for kind in UNREAD} | {"HEIC"}
    assert "SVG images: render them as PNG" in PAGE
    assert images.why_none("a.svg", b"<svg>") == "SVG images: render them as PNG"


def test_forms_of_lists_are_those_that_are_read() -> None:
    table = PAGE.partition("| suffix | form |\n|---|---|\n")[2].partition("\n\n")[0]
    listed = [name for line in table.splitlines() for name in re.findall(r"`(\.\w+)`", line.split(" | ")[0])]
    assert sorted(listed) == sorted(manifest.SUFFIXES)
    assert tuple(words_between("Each may be compressed (", ")")) == COMPRESSED


def test_names_of_columns_are_those_that_are_found() -> None:
    assert tuple(words_between("with the file is ", "If there is neither")) == FILE_COLUMNS
    assert words_between("The column with the label is", "If there is none") == [LABEL_COLUMN]
    assert set(words_between("any signs between them:", "The column")) == OTHER_FILE_COLUMNS
    assert set(words_between("If there is none, it is the one that is called", "If two")) == OTHER_LABEL_COLUMNS


def test_suffixes_of_archives_are_those_that_are_opened() -> None:
    tars = words_between("--image_key left.png --model model --output night\n```\n", "A tar of class")
    assert tuple(tars) == tar_archive.SUFFIXES
    assert f"Read are `{'` `'.join(zip_archive.SUFFIXES)}`, also above 4 GB" in PAGE
    assert f"Read are `{'` `'.join(parquet_images.SUFFIXES)}`, also in a folder" in PAGE
    assert f"Read are `{'` and `'.join(numpy_arrays.SUFFIXES)}` of uint8" in PAGE


def test_missing_labels_are_spelled_so() -> None:
    listed = words_between("Missing is a label that is empty or one of", "unless")
    assert sorted(["", *listed]) == sorted(MISSING)


def test_junk_folders_and_files_of_names_are_listed() -> None:
    folders = words_between("and all in folders called", "or with a dot")
    assert {name.lower() for name in folders} == _JUNK_FOLDERS
    listed = words_between("names come before the model's order:", "and the names in a Parquet")
    assert set(listed) == {name.format(label="label") for name in TEXT_FILES} | {JSON_FILE}


def test_limits_are_those_of_the_code() -> None:
    section = PAGE.partition("## Limits\n")[2].partition("\n## ")[0]
    least = f"{limits.SMALL >> 20} MiB, and {limits.RATIO} more"
    numbers = [MAX_PIXELS, int(ScoreOptions.image_timeout), limits.LONGEST, MOST_SAMPLES]
    numbers += [compression.LONGEST_WINDOW, limits.MEMBERS, idx.MOST, LONGEST_LIST]
    for text in (least, *(f"{number:,}" for number in numbers)):
        assert f" {text}" in section, text


def test_all_flags_are_flags() -> None:
    section = PAGE.partition("## All flags\n")[2]
    flags = {name.partition(" ")[0] for line in section.splitlines() for name in re.findall(r"`--([^`]+)`", line)}
    assert flags - {"labels"} <= set(asdict(ScoreOptions(("a",), "b", "c")))
    shown = set(re.findall(r"--(\w+)", PAGE.partition("## All flags\n")[0])) - {"model", "output", "long"}
    assert shown <= flags, "a flag of the page is not in its table"


def write_model(tiny_model: str, folder: Path) -> None:
    """Write a copy of a model of digits whose classes are pets."""
    shutil.copytree(tiny_model, folder)
    spec = replace(ModelSpec.from_json((folder / SPEC).read_text()), class_names=PETS)
    root = f"{folder / SAVED_MODEL}/"
    files = [(found.location[len(root) :], storage.read(found.location)) for found in storage.list_objects(root[:-1])]
    spec = replace(spec, model_id=model_id(spec.input, PETS, files, spec.identity()))
    (folder / SPEC).write_text(spec.to_json())


def write_files(folder: Path, digits: RawImages) -> None:
    """Write the files that the page's commands name, with two images each, a cat and a dog, or more."""
    cat, dog = (digits.encoded(int(np.flatnonzero(digits.labels == number)[0])) for number in (0, 1))
    for name, data in {"photos/cat/1.png": cat, "photos/dog/2.png": dog, "more/cat/3.png": cat}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "drawings").mkdir()
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[2:6, 2:6, 3] = 255
    Image.fromarray(ink).save(folder / "drawings" / "1.png")
    rows = [("photos/cat/1.png", "cat", "A"), ("photos/dog/2.png", 1, "B")]
    named = [dict(zip(("file_name", "label", "camera"), row, strict=True)) for row in rows]
    (folder / "list.csv").write_text("file_name,label,camera\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    (folder / "from_one.csv").write_text("file_name,label\nphotos/cat/1.png,1\nphotos/dog/2.png,2\n")
    (folder / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
    table = {"file_name": [row[0] for row in rows], "label": ["cat", "dog"]}
    pq.write_table(pa.table(table), folder / "list.parquet")
    (folder / "paths.txt").write_text("photos/cat/1.png\nphotos/dog/2.png 1\n")
    (folder / "pets.json").write_text(json.dumps([{"data": {"img": a, "kind": b}} for a, b, _ in rows]))
    write_archives(folder, {"cat/1.png": cat, "dog/2.png": dog})
    (folder / "mnist").mkdir()
    header, shape = struct.pack(">II", 0x803, 2), struct.pack(">II", *digits.images.shape[1:])
    idx = header + shape + digits.images[:2].tobytes()
    labels = struct.pack(">II", 0x801, 2) + bytes([0, 1])
    (folder / "mnist" / "train-images-idx3-ubyte").write_bytes(idx)
    (folder / "mnist" / "train-labels-idx1-ubyte").write_bytes(labels)
    (folder / "mnist" / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx))
    (folder / "labels-idx1-ubyte").write_bytes(labels)
    write_tables(folder, digits, (cat, dog))


def write_tables(folder: Path, digits: RawImages, encoded: tuple[bytes, bytes]) -> None:
    """Write Parquet files with images, and arrays."""
    write_hugging_face(folder / "data" / "train-00000-of-00001.parquet", encoded, [1, 0], ["dog", "cat"])
    pq.write_table(pa.table({"photo": encoded, "mask": encoded, "breed": ["cat", "dog"]}), folder / "breeds.parquet")
    pixels = digits.images[:2]
    np.savez_compressed(folder / "digits.npz", x_test=pixels, y_test=np.arange(2))
    np.savez(folder / "pair.npz", left=pixels, right=pixels, who=np.array(["cat", "dog"]))
    (folder / "arrays").mkdir()
    np.save(folder / "arrays" / "x_test.npy", pixels)
    np.save(folder / "arrays" / "y_test.npy", np.array(["cat", "dog"]))


def write_archives(folder: Path, members: Mapping[str, bytes]) -> None:
    """Write a tar and a list of it, a zip, and TFRecords."""
    with tarfile.open(folder / "pets.tar", "w") as tar, zipfile.ZipFile(folder / "pets.zip", "w") as packed:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            packed.writestr(name, data)
    (folder / "shards.txt").write_text("pets.tar\n")
    cat, dog = members.values()
    with tarfile.open(folder / "pairs.tar", "w") as tar:
        for name, data in (("cat/1.left.png", cat), ("cat/1.right.png", dog), ("dog/2.left.png", dog)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as packed:
        for name, data in members.items():
            packed.writestr(name.replace(".png", "--.png"), data)
    (folder / "tokyo.zip").write_bytes(stored.getvalue().replace(b"--.png", "\u732b.png".encode("cp932")))
    (folder / "records").mkdir()
    write_records(folder / "records" / "a.tfrecord", [{"image": cat, "label": 0}, {"image": dog, "label": 1}])
    write_records(folder / "other.tfrecord", [{"photo": cat, "kind": "cat"}, {"photo": dog, "kind": "dog"}])


@pytest.fixture(scope="module")
def archive(digits: RawImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files that the page's commands name."""
    folder = tmp_path_factory.mktemp("inputs")
    write_files(folder, digits)
    return folder


@pytest.fixture(scope="module")
def pets(tiny_model: str, archive: Path) -> Path:
    """The model in that folder."""
    write_model(tiny_model, archive / "model")
    return archive / "model"


FOUND = {
    "--input photos/cat/1.png ": ["cat"],
    "--input photos --input 'more/**' ": ["cat", "cat", "dog"],
    "--input drawings ": [None],
    "--input mnist ": ["cat", "dog", None, None],
}
"""Start of a command -> labels of its images; those of all others are a cat and a dog."""


def labels_for(command: str) -> list[str]:
    """Return the labels of a command's images, sorted; "" for none."""
    labels = next((labels for start, labels in FOUND.items() if command.startswith(start)), ["cat", "dog"])
    return sorted(label or "" for label in labels)


@pytest.mark.parametrize("command", commands())
def test_command_finds_images_and_labels(command: str, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(archive)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = from_arguments(vars(parser.parse_args(rename_labels(shlex.split(command)))))
    changed = {name: value for name, value in asdict(options).items() if value != getattr(ScoreOptions, name)}
    for name in ("input", "model", "output"):
        del changed[name]
    given = read_inputs(*options.input, classes=PETS, **changed)
    assert given.failures == {}
    assert sorted(label or "" for label in given.labels.values()) == labels_for(command)


@pytest.mark.heavy
@pytest.mark.parametrize("command", commands())
def test_command_runs_as_written(
    command: str, archive: Path, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pets.parent == archive
    monkeypatch.chdir(archive)
    night = tmp_path / "night"
    assert command.endswith("--output night")
    assert cli.main([*shlex.split(command)[:-1], str(night), "--quiet"]) == 0
    rows = pq.read_table((night / "table.txt").read_text().splitlines()).to_pylist()
    assert sorted(row["label_name"] or "" for row in rows) == labels_for(command)
    assert ("camera" in rows[0]) == ("--columns" in command or "--slice" in command)
    assert all(row["status"] == "ok" for row in rows)


def test_page_has_a_command_for_each_kind() -> None:
    assert len(commands()) >= 18
