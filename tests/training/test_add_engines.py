"""`nightscore train --add_engines`: the same model with model.tflite, in another place; the old one is not touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import saved_networks

from model_training import cli
from pipeline import storage
from pipeline.model.directory import EXPECTED, Golden, check_model, local_copy, read_golden, read_spec
from pipeline.model.loaded import Model
from pipeline.model.spec import Conversion

OLD = Path(__file__).parents[1] / "fixtures" / "7c95bb3" / "model"
"""A model directory of format 1."""


def contents(folder: Path) -> Mapping[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def add(model: object, output: object) -> int:
    return cli.main(["--add_engines", str(model), "--output", str(output)])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return shutil.copytree(OLD, tmp_path / "old")


@pytest.mark.heavy
def test_model_of_format_1_gets_a_second_engine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = contents(OLD)
    new = tmp_path / "my new"
    assert add(OLD, new) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.splitlines()[0].startswith("engines       LiteRT and TensorFlow; outputs differ by ")
    assert out.splitlines()[1:] == [
        f"model         '{new}'",
        f"next          nightscore score --input INPUT --model '{new}' --output OUTPUT",
    ]
    assert contents(OLD) == before
    assert os.listdir(tmp_path) == ["my new"]

    spec, older = read_spec(str(new)), read_spec(str(OLD))
    check_model(str(new), spec)
    assert spec.litert is not None
    assert (older.litert, spec.litert.missing, spec.litert.images) == (None, "", 266)
    assert replace(spec, litert=None) == older  # its id, class names, training, versions
    made = contents(new)
    changed = {name for name, data in before.items() if made[name] != data}
    assert changed == {"model_spec.json", f"golden/{EXPECTED}"}
    assert made.keys() - before.keys() == {"model.tflite"}
    golden, expected = read_golden(str(new)), read_golden(str(OLD))
    assert (golden.scores["tensorflow"] == expected.scores["tensorflow"]).all()
    assert (golden.pixels == expected.pixels).all()
    for engine in ("litert", "tensorflow"):
        assert Model(str(new), spec, engine).engine == engine  # replays the golden images


@pytest.mark.heavy
def test_whole_model_goes_from_bucket_to_bucket(gcs_bucket: str, tiny_model: str) -> None:
    old, new = f"{gcs_bucket}/old", f"{gcs_bucket}/new"
    before = dict(contents(Path(tiny_model)))
    spec = read_spec(tiny_model)
    before["model_spec.json"] = replace(spec, litert=Conversion(missing="it was not tried")).to_json().encode()
    del before["model.tflite"]
    for name, data in before.items():
        storage.create(f"{old}/{name}", data)
    storage.create(f"{old}/saved_model/", b"")  # as consoles make folders
    storage.create(f"{old}/notes.txt", b"mine")
    assert add(old, new) == 0
    assert {name: storage.read(f"{old}/{name}") for name in before} == before
    made = {found.location[len(new) + 1 :] for found in storage.list_objects(new)}
    assert made == {*before, "model.tflite"}
    assert storage.read(f"{new}/model.keras") == before["model.keras"]
    assert read_spec(new).model_id == spec.model_id
    assert Model(local_copy(new), read_spec(new), "litert").engine == "litert"


def damaged(folder: Path) -> None:
    path = folder / "saved_model" / "saved_model.pb"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def without_golden(folder: Path) -> None:
    (folder / "golden" / EXPECTED).unlink()


def change_golden(folder: Path, change: Callable[[Golden], Golden]) -> None:
    for name, data in change(read_golden(str(folder))).files().items():
        (folder / "golden" / name).write_bytes(data)


def golden_of_other_classes(folder: Path) -> None:
    change_golden(folder, lambda golden: replace(golden, scores={"tensorflow": golden.scores["tensorflow"][:, :9]}))


def no_model(folder: Path) -> None:
    (folder / "model_spec.json").unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damaged, "old' is damaged: saved_model/ and its input rule have the id "),
        (without_golden, "old' is damaged: golden/: "),
        (golden_of_other_classes, "old' is damaged: golden/ does not fit model_spec.json"),
        (no_model, "old' is not a model directory"),
    ],
)
def test_damaged_model_is_one_line(
    old: Path, capfd: pytest.CaptureFixture[str], damage: Callable[[Path], None], reason: str
) -> None:
    damage(old)
    before = contents(old.parent)
    assert add(old, old.parent / "deep" / "new") == 2
    is_told(capfd, reason)
    assert contents(old.parent) == before
    assert os.listdir(old.parent) == ["old"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--output", "old"], "lie in one another: give two separate folders"),
        (["--output", "link"], "lie in one another: give two separate folders"),
        (["--output", "old/new"], "lie in one another: give two separate folders"),
        (["--output", "."], "is a folder with other things in it"),
        (["--output", "ftp://bucket/new"], "neither gs://bucket/name"),
        ([], "the following arguments are required: --output"),
        (["--output", "new", "--dataset", "digits"], "--dataset: not allowed with argument --add_engines"),
        (["--output", "new", "--epochs", "5"], "--epochs is for --dataset: --add_engines trains nothing"),
        (["--output", "new", "--data_dir", "."], "--data_dir is for --dataset: --add_engines trains nothing"),
        (["--output", "new", "--color_mode", "rgb"], "--color_mode is for --dataset: --add_engines trains nothing"),
    ],
)
def test_bad_usage_is_one_line(
    old: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(old.parent)
    Path("link").symlink_to("old")
    before = contents(old.parent)
    assert cli.main(["--add_engines", "old", *arguments]) == 2
    is_told(capfd, reason)
    assert contents(old.parent) == before
    assert sorted(os.listdir()) == ["link", "old"]


@pytest.mark.heavy
def test_network_that_cannot_be_converted_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "old"
    old.mkdir()
    saved_networks.write_model(saved_networks.bicubic, old)
    capfd.readouterr()  # what TensorFlow prints where this is the first test to import it
    before = contents(tmp_path)
    assert add(old, tmp_path / "new") == 2
    is_told(capfd, "old': the converter does not take the operation ResizeBicubic\n")
    assert contents(tmp_path) == before
    assert os.listdir(tmp_path) == ["old"]


@pytest.mark.heavy
def test_machine_that_scores_otherwise_adds_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "old"
    old.mkdir()
    saved_networks.write_model(saved_networks.means, old)
    change_golden(old, lambda golden: replace(golden, scores={"tensorflow": golden.scores["tensorflow"] * 0.9}))
    capfd.readouterr()  # as above
    assert add(old, tmp_path / "new") == 1
    is_told(
        capfd,
        "TensorFlow gives the model's golden images scores that differ here from those stored with the model: by ",
    )
    assert os.listdir(tmp_path) == ["old"]


def test_machine_that_decodes_otherwise_adds_nothing(old: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change_golden(old, lambda golden: replace(golden, pixels=np.bitwise_xor(golden.pixels, 1)))
    assert add(old, old.parent / "new") == 1
    is_told(
        capfd,
        "decodes the model's golden images (its test pictures) to pixels that differ from those stored with the model",
    )
    assert os.listdir(old.parent) == ["old"]


def is_told(capfd: pytest.CaptureFixture[str], reason: str) -> None:
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("nightscore train: ")
    assert err.count("\n") == 1
    assert reason in err
