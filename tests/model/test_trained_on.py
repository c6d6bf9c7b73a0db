"""What a model has learned from: written, read again from a disk and from a bucket, and looked up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_training.publishing.publish import write_files
from pipeline import storage
from pipeline.errors import NewerFormatError, UsageError
from pipeline.model.trained_on import FOLDER, TrainedOn, read_hashes

RULE = bytes(range(16))
hashes = st.lists(st.integers(0, 9) | st.integers(0, 2**64 - 1), max_size=20)


def learned(train: list[int], validation: list[int]) -> TrainedOn:
    columns = {"train": np.array(train, np.uint64), "validation": np.array(validation, np.uint64)}
    return TrainedOn.of(columns, RULE, "c0ffee", ["/data/fotos é"], 3)  # type: ignore[arg-type]


@given(hashes, hashes, hashes)
def test_an_image_is_known_if_its_hash_is_in_one_of_the_sets(
    train: list[int], validation: list[int], asked: list[int]
) -> None:
    known = learned(train, validation)
    column = np.array(asked, np.uint64)
    assert known.contains(column).tolist() == [one in {*train, *validation} for one in asked]
    assert known.contains(column, ["train"]).tolist() == [one in set(train) for one in asked]
    assert known.contains(column, ["validation"]).tolist() == [one in set(validation) for one in asked]
    assert known.images == {"train": len(train), "validation": len(validation)}
    assert len(known) == len(set(train)) + len(set(validation))


@pytest.mark.parametrize("place", ["training", "import"])
@pytest.mark.parametrize(("train", "validation"), [([7, 5, 7], [9]), ([5], []), ([], [])])
def test_what_was_written_is_read(place: str, train: list[int], validation: list[int], tmp_path: Path) -> None:
    known = learned(train, validation)
    write_files(str(tmp_path / place / FOLDER), known.files())
    found = read_hashes(str(tmp_path))
    assert found is not None
    assert {name: one.tolist() for name, one in found.hashes.items()} == {
        "train": sorted(set(train)),
        "validation": validation,
    }
    assert (found.rule, found.model_id, found.images) == (RULE.hex(), "c0ffee", known.images)
    assert (found.sources, found.left_out) == (("/data/fotos é",), 3)


def test_it_is_8_bytes_a_picture(tmp_path: Path) -> None:
    files = learned(list(range(10_000)), []).files()
    assert 80_000 <= len(files["train.npy"]) <= 80_200


def test_it_is_read_from_a_bucket(gcs_bucket: str) -> None:
    for name, data in learned([7, 5], [9]).files().items():
        storage.replace(f"{gcs_bucket}/model/training/{FOLDER}/{name}", data)
    found = read_hashes(f"{gcs_bucket}/model")
    assert found is not None
    assert found.contains(np.array([5, 6, 7, 9], np.uint64)).tolist() == [True, False, True, True]


def test_a_model_directory_that_does_not_tell_is_not_known(tmp_path: Path, gcs_bucket: str) -> None:
    (tmp_path / "training").mkdir()
    assert read_hashes(str(tmp_path)) is None
    assert read_hashes(f"{gcs_bucket}/nothing") is None


@pytest.mark.parametrize("name", ["facts.json", "train.npy", "validation.npy"])
@pytest.mark.parametrize("how", ["cut short", "changed", "gone", "of another kind"])
def test_damage_is_told_in_one_line_never_taken_for_nothing_learned(name: str, how: str, tmp_path: Path) -> None:
    folder = tmp_path / "training" / FOLDER
    write_files(str(folder), learned([7, 5], [9]).files())
    path = folder / name
    if how == "gone":
        path.unlink()
        if name == "facts.json":
            assert read_hashes(str(tmp_path)) is None  # as if nobody had written any: facts.json is what says so
            return
    elif how == "cut short":
        path.write_bytes(path.read_bytes()[:-3])
    elif how == "changed":
        path.write_bytes(path.read_bytes().replace(b'"train"', b'"tr-in"').replace(b"\5\0\0\0", b"\6\0\0\0"))
        if name == "validation.npy":
            path.write_bytes(path.read_bytes()[:-8] + b"\1" * 8)
    elif name == "facts.json":
        path.write_text("[]")
    else:
        np.save(path, np.array([5.0, 7.0]))
    with pytest.raises(UsageError, match=f"is damaged: training/{FOLDER}/.*train, import or copy it again"):
        read_hashes(str(tmp_path))


def test_what_a_newer_version_wrote_is_refused_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "training" / FOLDER
    write_files(str(folder), learned([7], []).files())
    facts = json.loads((folder / "facts.json").read_text())
    (folder / "facts.json").write_text(json.dumps({**facts, "format": 2}))
    with pytest.raises(NewerFormatError, match="made by a newer Nightscore"):
        read_hashes(str(tmp_path))
