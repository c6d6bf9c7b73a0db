"""The model directory: what is in it, that scoring agrees with it, and that it appears whole or not at all."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gcs_emulator import Emulator
from image_sets import held, pixels_of

from model_training.build import build
from model_training.data.datasets import RawImages, from_raw
from model_training.learning.evaluation import load_score
from model_training.learning.recipe import Recipe
from model_training.publishing.publish import check_output, staged, undisturbed
from pipeline import storage
from pipeline.batches import EncodedBatch
from pipeline.cli import score as score_cli
from pipeline.errors import NightscoreError, UsageError
from pipeline.metrics.hash_texts import from_texts
from pipeline.model.directory import check_model, read_golden, read_spec
from pipeline.model.engines.litert import LiteRTNetwork
from pipeline.model.pixel_hash import rule_id
from pipeline.model.preprocess import decode, preprocess
from pipeline.model.stored_facts import facts_of
from pipeline.model.trained_on import SETS, read_hashes
from pipeline.output.row_columns import image_columns


def files_of(folder: Path | str) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())


# --- what is in it


def test_model_directory_has_everything_and_nothing_else(tiny_model: str) -> None:
    events = [f"training/tensorboard/{name}/" for name in ("train", "validation")]
    assert [name for name in files_of(tiny_model) if not name.startswith(tuple(events))] == [
        *(f"golden/{i:03d}.png" for i in range(10)),
        "golden/expected.npz",
        "model.keras",
        "model.tflite",
        "model_spec.json",
        "saved_model/fingerprint.pb",
        "saved_model/saved_model.pb",
        "saved_model/variables/variables.data-00000-of-00001",
        "saved_model/variables/variables.index",
        *(f"training/{name}" for name in ("confusion_matrix.png", "curves.png", "history.json")),
        "training/images.csv.gz",
        "training/label_errors.csv",
        *(f"training/pixel_hashes/{name}" for name in ("facts.json", "train.npy", "validation.npy")),
        *(f"training/{name}" for name in ("report.html", "runs.csv", "sample_predictions.png")),
    ]
    assert all(any(name.startswith(folder) for name in files_of(tiny_model)) for folder in events)


def test_saved_model_has_one_signature_from_uint8_to_float32(tiny_model: str) -> None:
    import tensorflow as tf

    loaded = tf.saved_model.load(os.path.join(tiny_model, "saved_model"))
    assert list(loaded.signatures) == ["serving_default"]
    signature = loaded.signatures["serving_default"]
    (pixels,) = signature.structured_input_signature[1].values()
    (scores,) = signature.structured_outputs.values()
    assert (pixels.dtype, pixels.shape.as_list()) == (tf.uint8, [None, 28, 28, 1])
    assert (scores.dtype, scores.shape.as_list()) == (tf.float32, [None, 10])


def test_saved_model_holds_the_weights_and_no_optimizer(tiny_model: str) -> None:
    import tensorflow as tf

    variables = tf.train.list_variables(os.path.join(tiny_model, "saved_model", "variables", "variables"))
    assert sum(int(np.prod(shape)) for name, shape in variables if name.startswith("weights/")) == 121_930
    assert {name.split("/")[0] for name, _ in variables} == {"weights", "_CHECKPOINTABLE_OBJECT_GRAPH"}


def test_images_that_were_learned_from_have_in_rows_the_hash_that_the_model_directory_knows(
    tiny_model: str, digits: RawImages
) -> None:
    spec, known = read_spec(tiny_model), read_hashes(tiny_model)
    assert known is not None
    assert (known.model_id, known.rule, known.sources) == (spec.model_id, rule_id(spec.input).hex(), ("digits",))
    assert known.images == {"train": 1294, "validation": 144}
    files = [digits.encoded(i) for i in range(len(digits.images))]
    pixels = preprocess(EncodedBatch.of(files), spec.input)
    hashes, _ = from_texts(image_columns(facts_of(files, pixels, spec.input))["pixel_hash"])
    sets = [known.contains(hashes, [name]) for name in SETS]
    assert [int(one.sum()) for one in sets] == [1294, 144]
    assert (known.contains(hashes) == ~digits.is_test).all()


def test_spec_names_the_model_the_data_and_the_result(tiny_model: str) -> None:
    spec = read_spec(tiny_model)
    check_model(tiny_model, spec)
    assert list(spec.class_names) == list("0123456789")
    assert set(spec.versions) == {"python", "tensorflow", "keras", "numpy", "pillow", "nightscore"}
    training = spec.training
    assert training["images"] == {
        "training": 1294, "validation": 144, "test": 359, "left_out": 0, "copies": 0, "test_copies": 0,
    }  # fmt: skip
    assert training["recipe"] == {
        "network": "classic", "epochs": 2, "batch_size": 32, "seed": 0, "learning_rate": 0.001,
        "schedule": "constant", "augment": "none", "averaging": 0.0, "weight_decay": 0.0,
        "label_smoothing": 0.0, "class_weight": "none", "monitor": "val_loss",
        "patience": None, "precision": "float32", "calibrate": False,
        "with_embedding": False, "optimizer": "adam", "loss": "sparse_categorical_crossentropy",
    }  # fmt: skip
    assert (training["dataset"], training["classes"], training["parameters"]) == ("digits", 10, 121_930)
    low, high = training["test_accuracy_interval_95"]
    assert 0.8 < low < training["test_accuracy"] < high < 1
    assert 0 < training["test_loss"] < 1


def test_golden_images_give_their_pixels_and_scores(tiny_model: str) -> None:
    golden, spec = read_golden(tiny_model), read_spec(tiny_model)
    assert (np.stack([decode(data, spec.input) for data in golden.encoded]) == golden.pixels).all()
    score = load_score(os.path.join(tiny_model, "saved_model"))
    assert score(golden.pixels) == pytest.approx(golden.scores["tensorflow"], abs=1e-4)
    network = LiteRTNetwork(os.path.join(tiny_model, "model.tflite"), spec.input.shape)
    assert network(golden.pixels).scores == pytest.approx(golden.scores["litert"], abs=1e-4)
    assert (golden.scores["litert"] != golden.scores["tensorflow"]).any()  # each engine has its own


def test_keras_model_goes_on_where_training_ended(tiny_model: str, digits: RawImages) -> None:
    import keras

    network = keras.models.load_model(os.path.join(tiny_model, "model.keras"))
    pixels = pixels_of(from_raw(digits).test)[:20]
    score = load_score(os.path.join(tiny_model, "saved_model"))
    assert np.asarray(network(pixels)) == pytest.approx(score(pixels), abs=1e-5)
    assert int(network.optimizer.iterations.numpy()) == 2 * 41


@pytest.mark.heavy
def test_scoring_the_test_images_gives_the_reported_accuracy(
    tiny_model: str, digits: RawImages, tmp_path: Path
) -> None:
    for i in np.flatnonzero(digits.is_test).tolist():
        path = tmp_path / "archive" / str(digits.labels[i]) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(digits.encoded(i))
    output = tmp_path / "night"
    flags = ["--input", str(tmp_path / "archive"), "--model", tiny_model, "--output", str(output)]
    assert score_cli.main(flags) == 0
    summary = output.joinpath("summary.json").read_text()
    assert f'"accuracy": {read_spec(tiny_model).training["test_accuracy"]}' in summary


# --- that it appears whole or not at all

SPEC = "model_spec.json"


def publish(location: str, **files: str) -> None:
    """Publish a model directory of a spec and other files."""
    with staged(location) as folder:
        for name, text in {SPEC: "{}", **files}.items():
            path = Path(folder, name.replace("__", "/"))
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def test_model_appears_at_the_end(tmp_path: Path) -> None:
    location = check_output(str(tmp_path / "deep" / "model"))
    assert files_of(tmp_path) == []
    with staged(location) as folder:
        Path(folder, SPEC).write_text("{}")
        assert not os.path.exists(location)
    assert files_of(tmp_path) == ["deep/model/model_spec.json"]


def test_model_that_is_there_is_replaced_whole(tmp_path: Path) -> None:
    location = check_output(str(tmp_path / "model"))
    publish(location, golden__old="1")
    with staged(check_output(location)) as folder:
        Path(folder, SPEC).write_text("new")
        assert files_of(location) == ["golden/old", SPEC]
    assert files_of(tmp_path) == [f"model/{SPEC}"]
    assert Path(location, SPEC).read_text() == "new"
    assert os.listdir(tmp_path) == ["model"]


def test_empty_folder_and_link_to_a_folder_are_used(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        publish(check_output(str(tmp_path / "link")))
    assert (tmp_path / "link").is_symlink()
    assert files_of(tmp_path / "real") == [SPEC]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_broken_off_it_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    location = check_output(str(tmp_path / "model"))
    publish(location, training__a="1")

    def broken_off() -> None:
        with staged(location) as folder:
            Path(folder, SPEC).write_text("half")
            raise error

    with pytest.raises(error):
        broken_off()
    assert os.listdir(tmp_path) == ["model"]
    assert (Path(location, SPEC).read_text(), files_of(location)) == ("{}", [SPEC, "training/a"])


def test_place_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    location = str(tmp_path / "model")

    def taken() -> None:
        with staged(location) as folder:
            Path(folder, SPEC).write_text("{}")
            Path(location).write_text("somebody's")

    with pytest.raises(OSError, match="model"):
        taken()
    assert os.listdir(tmp_path) == ["model"]
    assert Path(location).read_text() == "somebody's"


def test_interrupt_waits_for_the_renames() -> None:
    seen = []

    def body() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            seen.append("after")

    with pytest.raises(KeyboardInterrupt):
        body()
    assert seen == ["after"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_publish_too(tmp_path: Path) -> None:
    thread = threading.Thread(target=publish, args=(str(tmp_path / "model"),))
    thread.start()
    thread.join()
    assert files_of(tmp_path) == [f"model/{SPEC}"]


Taken = Callable[[Path], Path]


def a_file(folder: Path) -> Path:
    (folder / "model").write_text("mine")
    return folder / "model"


def under_a_file(folder: Path) -> Path:
    return a_file(folder) / "deeper" / "model"


def somebodys_folder(folder: Path) -> Path:
    (folder / "model").mkdir()
    (folder / "model" / "photo.png").write_text("mine")
    return folder / "model"


def model_with_notes(folder: Path) -> Path:
    (somebodys_folder(folder) / SPEC).write_text("{}")
    return folder / "model"


def the_current_folder(folder: Path) -> Path:
    (folder / "model").mkdir()
    os.chdir(folder / "model")
    return Path()


@pytest.mark.parametrize(
    ("take", "reason"),
    [
        (a_file, "is a file: give a folder"),
        (under_a_file, "cannot be made: .*model' is a file"),
        (somebodys_folder, "is a folder with other things in it: give a new or empty one"),
        (model_with_notes, "holds what is no part of a model, 'photo.png'"),
        (the_current_folder, "is the folder you are in"),
        (lambda folder: Path("/proc"), "other things in it"),
    ],
)
def test_place_where_no_model_can_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, take: Taken, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    output = take(tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(UsageError, match=reason) as raised:
        check_output(str(output))
    assert "\n" not in str(raised.value)
    assert files_of(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_place_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(UsageError, match="no permission to write to"):
        check_output(str(tmp_path / "locked" / "model"))


# --- on gs://


def test_model_on_gcs_is_uploaded_with_the_spec_last(gcs_bucket: str, emulator: Emulator) -> None:
    location = check_output(f"{gcs_bucket}/model/")
    publish(location, golden__a="1", training__old="2")
    emulator.requests.clear()
    publish(check_output(location), golden__a="3", saved_model__pb="4")
    names = [o.location.removeprefix(location + "/") for o in storage.list_objects(location)]
    assert names == ["golden/a", SPEC, "saved_model/pb"]
    assert storage.read(f"{location}/golden/a") == b"3"
    writes = [line for line in emulator.requests if not line.startswith("GET")]
    assert (writes[0].split()[0], SPEC in writes[0]) == ("DELETE", True)
    assert [line.split()[0] for line in writes].count("DELETE") == 2
    assert SPEC in writes[-1] or "upload_id" in writes[-1] or writes[-1].startswith("POST")
    uploads = [o.version for o in storage.list_objects(location)]
    assert uploads[1] == max(uploads)


def test_upload_that_fails_keeps_the_model_and_says_where(gcs_bucket: str, emulator: Emulator) -> None:
    location = f"{gcs_bucket}/model"
    emulator.fail("POST", status=403)
    with pytest.raises(NightscoreError, match=r"cannot be written: .*; the model is in '.*'") as raised:
        publish(location)
    kept = str(raised.value).rsplit("'", 2)[1]
    assert files_of(kept) == [SPEC]
    os.unlink(os.path.join(kept, SPEC))
    os.rmdir(kept)


def test_broken_off_it_is_not_uploaded(gcs_bucket: str) -> None:
    folders = []

    def broken_off() -> None:
        with staged(f"{gcs_bucket}/model") as folder:
            folders.append(folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert not os.path.exists(folders[0])
    assert list(storage.list_objects(gcs_bucket)) == []


def test_place_on_gcs_with_other_things_is_refused(gcs_bucket: str) -> None:
    storage.create(f"{gcs_bucket}/photos/1.png", b"mine")
    for output, reason in (
        (f"{gcs_bucket}/photos", "no part of a model, '1.png'"),
        (f"{gcs_bucket}/photos/1.png", "object"),
    ):
        with pytest.raises(UsageError, match=reason):
            check_output(output)


# --- all of it


def test_refused_output_stops_before_training(tmp_path: Path, digits: RawImages) -> None:
    started: list[Any] = []
    with pytest.raises(UsageError, match="is a file"):
        build(from_raw(digits), Recipe(1), str(a_file(tmp_path)), started)
    assert files_of(tmp_path) == ["model"]


@pytest.mark.heavy
def test_color_images_and_other_sizes_make_a_model(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    raw = RawImages("digits", random.integers(0, 256, (20, 8, 8), np.uint8), np.arange(20) % 2, np.arange(20) % 5 == 4)
    dataset = from_raw(raw)
    images = held(random.integers(0, 256, (4, 12, 16, 3), np.uint8), np.arange(4) % 2)
    rule = replace(images.rule, decode="reduced")
    wide = replace(
        dataset, input=rule, train=images, validation=images, test=images, class_names=("even", "odd"), listed=None
    )
    run = build(wide, Recipe(1), str(tmp_path / "model"))
    spec = read_spec(str(tmp_path / "model"))
    check_model(str(tmp_path / "model"), spec)
    assert spec.to_json() == run.spec.to_json()
    assert read_golden(str(tmp_path / "model")).pixels.shape[1:] == (12, 16, 3)
