"""A training that starts from a trained network: what is kept, what learns when, and what it is worth."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from foreign_models import photographs
from gcs_emulator import upload
from mnist_files import mnist_folder

from model_import.start import keras
from model_training import cli
from model_training.base.asked import Asked
from model_training.base.backbone import backbone_of
from model_training.base.opening import about, open_base
from model_training.build import build
from model_training.data.datasets import Dataset, RawImages, from_raw, load, raw_images
from model_training.data.image_set import HeldImages
from model_training.data.options import DataOptions
from model_training.learning.base import Base
from model_training.learning.checkpoint import Checkpoint
from model_training.learning.recipe import Recipe, recipe_of
from model_training.learning.training import train
from pipeline.errors import UsageError
from pipeline.model.directory import read_spec
from pipeline.model.input_rule import InputSpec
from pipeline.model.presets import rule_like
from pipeline.model.trained_on import read_hashes

SIDE = 10
RULE = InputSpec(SIDE, SIDE, "grayscale")


def small_base() -> Base:
    """A network with batch normalization, as it is before any training."""
    library = keras()
    library.utils.set_random_seed(3)
    layers = library.layers
    images = library.Input((SIDE, SIDE, 1))
    values = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False)(images)))
    values = layers.Conv2D(6, 3, activation="relu")(values)
    outputs = layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(values))
    backbone, _ = backbone_of(library.Model(images, outputs), "it")
    return Base("it", RULE, backbone, ((1 / 255,), (0.0,)), facts={"name": "it", "kind": "made here"})


def small_dataset() -> Dataset:
    """Dark and light images."""
    random = np.random.default_rng(0)
    labels = np.arange(48) % 2
    pixels = (random.integers(0, 100, (48, SIDE, SIDE, 1)) + 60 * labels[:, None, None, None]).astype(np.uint8)

    def images(start: int, stop: int) -> HeldImages:
        return HeldImages(RULE, pixels, labels, np.arange(start, stop), str, lambda i: b"")

    return Dataset("here", ["dark", "light"], RULE, images(0, 32), images(32, 40), images(40, 48))


def weights_of(network: Any) -> list[npt.NDArray[np.float32]]:
    return [np.array(weight) for weight in network.get_weights()]


def changed(before: Sequence[Any], after: Sequence[Any]) -> list[bool]:
    return [not np.array_equal(one, other) for one, other in zip(before, after, strict=True)]


@pytest.mark.heavy
def test_frozen_base_stays_and_a_tuned_one_learns_but_for_its_batch_normalization() -> None:
    base, dataset = small_base(), small_dataset()
    before = weights_of(base.backbone)
    frozen = Recipe(epochs=1, fine_tune="none", monitor="last")
    network = train(dataset, frozen, base=base).network
    assert [layer.name for layer in network.layers][-1] == "probabilities"
    assert not any(changed(before, weights_of(base.backbone)))
    train(dataset, replace(frozen, frozen_epochs=0, fine_tune="all", learning_rate=0.1), base=base)
    names = [weight.path.split("/")[-1] for weight in base.backbone.weights]
    learns = dict(zip(names, changed(before, weights_of(base.backbone)), strict=True))
    assert {name for name, one in learns.items() if one} == {"kernel", "bias"}


def test_top_is_the_last_third_of_the_layers_with_weights() -> None:
    base = small_base()
    assert [base.tuned("none"), base.tuned("top"), base.tuned("all")] == [0, 1, 2]
    base.unfreeze("top")
    assert {weight.path.split("/")[0] for weight in base.backbone.trainable_weights} == {base.backbone.layers[-2].name}
    base.unfreeze("none")
    assert base.backbone.trainable_weights == []


class BrokenOffError(Exception):
    """Breaks a training off."""


def stopping(after: int) -> Any:
    """Return a callback that breaks a training off in the epoch of a number."""

    def stop(epoch: int, logs: Any) -> None:
        if epoch == after:
            raise BrokenOffError

    return keras().callbacks.LambdaCallback(on_epoch_begin=stop)


@pytest.mark.heavy
@pytest.mark.parametrize("after", [1, 2, 3])
def test_training_that_was_broken_off_in_any_stage_goes_on_as_if_it_had_not_been(after: int, tmp_path: Path) -> None:
    recipe, dataset = Recipe(epochs=4, batch_size=8, patience=3), small_dataset()
    whole = train(dataset, recipe, base=small_base())
    assert [round(rate, 6) for rate in whole.history.columns["learning_rate"]] == [1e-3, 1e-3, 1e-4, 1e-4]
    checkpoint = Checkpoint(str(tmp_path / "model.unfinished"))
    checkpoint.begin({}, resume=False)
    with pytest.raises(BrokenOffError):
        train(dataset, recipe, checkpoint, stopping(after), small_base())
    assert len(checkpoint.epochs()) == after
    resumed = train(dataset, recipe, checkpoint, base=small_base())
    assert resumed.history.columns["loss"] == pytest.approx(whole.history.columns["loss"], rel=1e-4)
    for one, other in zip(weights_of(resumed.network), weights_of(whole.network), strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


def test_files_tell_their_rule_or_it_is_asked_for(foreign: Path) -> None:
    base = open_base(str(foreign / "plain.keras"), Asked())
    assert base.rule == rule_like("keras.image_dataset_from_directory", 32, 32)
    assert base.facts["left_out"].startswith("dense")
    assert len(base.facts["sha256"]) == 64
    assert about(base).startswith("base plain.keras: 1 layer with weights, 32 x 32 pixels, rgb, scaling raw; decoded")
    asked = Asked(image_size=24, like="torchvision")
    assert open_base(str(foreign / "free.keras"), asked).rule == rule_like("torchvision", 24, 24)
    assert open_base(str(foreign / "logits.keras"), Asked(scaling="sign")).scaling == ((1 / 127.5,), (-1.0,))


@pytest.mark.parametrize(
    ("name", "asked", "reason"),
    [
        ("logits.keras", {}, "wants pixels scaled: give --scaling, one of raw, unit, sign"),
        ("free.keras", {}, "takes images of any size: give --image_size N"),
        ("plain.keras", {"image_size": 64}, "--image_size 64 contradicts --base .* takes 32 x 32 pixels"),
        ("plain.keras", {"color_mode": "grayscale"}, "--color_mode grayscale contradicts .* whose images have 3"),
        ("plain.keras", {"scaling": "unit"}, "--scaling unit contradicts .* scales its images itself"),
        ("plain.keras", {"like": "nowhere"}, "unknown loader 'nowhere'"),
        ("plain.keras", {"decode": "reduced"}, "the input rule contradicts itself: .* only antialiased"),
        ("two.keras", {}, "takes 2 inputs for a prediction"),
        ("lambda.keras", {}, "has the Lambda layer 'scale it'"),
        ("only.weights.h5", {}, "holds weights and no network"),
        ("float.tflite", {}, "is a .tflite file, whose layers cannot be trained on"),
        ("strings", {}, "decodes its images itself: give the network of Keras"),
        ("signatures", {}, "has several signatures"),
    ],
)
def test_base_that_does_not_fit_is_refused_in_one_line(
    foreign: Path, name: str, asked: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason) as refused:
        open_base(str(foreign / name), Asked(**asked))
    assert "\n" not in str(refused.value)


def test_what_the_user_asks_for_must_be_what_the_base_has() -> None:
    rule = rule_like("torchvision", 32, 32)
    Asked(32, "rgb", "full", "torchvision").check(rule, "it")
    for asked, reason in (
        (Asked(like="timm"), "--like timm contradicts the input rule of --base it, which is kept"),
        (Asked(decode="reduced"), "--decode reduced contradicts --base it, which takes 32 x 32 pixels, rgb, decode"),
        (Asked(color_mode="grayscale"), "--color_mode grayscale contradicts --base it"),
    ):
        with pytest.raises(UsageError, match=reason):
            asked.check(rule, "it")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--fine_tune", "top"], "--fine_tune is for --base MODEL"),
        (["--scaling", "raw"], "--scaling is for --base MODEL"),
        (["--base", "no/where"], "--base 'no/where' does not exist: give a model directory"),
        (["--base", "MobileNetV2", "--network", "compact"], "--network builds a network, and --base brings one"),
        (["--base", "MobileNetV2", "--epochs", "3", "--frozen_epochs", "3"], "3 of 3 epochs leaves no epoch to tune"),
        (["--base", "MobileNetV2", "--fine_tune_rate", "-1"], "--fine_tune_rate -1 is out of range"),
        (["--base", "new/old"], "lie in one another: give two separate folders"),
        (["--base", "MobileNetV9"], "no network of keras.applications: nearest are MobileNetV2"),
    ],
)
def test_bad_usage_of_a_base_is_one_line(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new" / "old").mkdir(parents=True)
    output = "new" if "new/old" in arguments else "model"
    (tmp_path / "new" / "model_spec.json").write_text("{}")
    monkeypatch.setattr("model_training.publishing.publish._check_names", lambda location, names: None)
    assert cli.main(["--dataset", "digits", *arguments, "--output", output]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert reason in err


def digits_of(raw: RawImages, classes: Sequence[int], n: int, seed: int, validate: int) -> Dataset:
    """Return some classes of the digits: n images of each to learn from, some to validate, and the others to test."""
    whole = from_raw(raw).train
    assert isinstance(whole, HeldImages)
    labels, random = whole.all_labels, np.random.default_rng(seed)
    rows: list[list[int]] = [[], [], []]
    numbers = np.zeros(len(labels), np.int64)
    for number, one in enumerate(classes):
        mine = random.permutation(np.flatnonzero(labels == one)).tolist()
        numbers[labels == one] = number
        for split, part in zip(rows, (mine[:n], mine[n : n + validate], mine[n + validate :]), strict=True):
            split += part
    sets = [replace(whole, all_labels=numbers, rows=np.sort(np.array(split, np.int64))) for split in rows]
    return Dataset("digits", [str(one) for one in classes], whole.rule, *sets)


def accuracy(network: Any, dataset: Dataset) -> float:
    pixels = dataset.test.pixels(range(len(dataset.test)))
    return float((network.predict(pixels, verbose=0).argmax(axis=1) == dataset.test.labels).mean())


@pytest.mark.heavy
def test_model_directory_as_a_base(digits: RawImages, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    half = digits_of(digits, range(5), 100, 0, 20)
    build(half, Recipe(epochs=2), str(old))
    learned = read_hashes(str(old))
    assert learned is not None
    assert cli.main(["--dataset", "digits", "--base", str(old), "--epochs", "2", "--output", str(new)]) == 0
    assert capfd.readouterr().err.startswith("base old: 3 layers with weights, 28 x 28 pixels, grayscale\n")
    spec = read_spec(str(new))
    assert spec.input == read_spec(str(old)).input
    base = spec.training["base"]
    assert (base["model_id"], base["left_out"]) == (read_spec(str(old)).model_id, "probabilities")
    assert base["layers"] == 3
    dataset = load(DataOptions(("digits",)))
    assert base["test_images_seen"] == int(learned.contains(dataset.test.hashes).sum()) > 0
    known = read_hashes(str(new))
    assert known is not None
    assert known.contains(learned.hashes["train"], ["train"]).all()
    assert "old (a model directory): " in (new / "training" / "report.html").read_text()
    again = open_base(str(new), Asked())
    assert again.facts["left_out"] == "probabilities"
    assert again.tuned("all") == 3


@pytest.mark.heavy
def test_base_may_lie_in_a_bucket_and_a_file_there_is_refused_in_one_line(
    tiny_model: str, gcs_bucket: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    upload(Path(tiny_model), f"{gcs_bucket}/old")
    new = tmp_path / "new"
    flags = ["--dataset", "digits", "--epochs", "2", "--output", str(new)]
    assert cli.main([*flags, "--base", f"{gcs_bucket}/old"]) == 0
    assert read_spec(str(new)).training["base"]["model_id"] == read_spec(tiny_model).model_id
    capfd.readouterr()
    for name in ("old/model.keras", "gone.h5"):
        assert cli.main([*flags, "--base", f"{gcs_bucket}/{name}"]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert f"'{gcs_bucket}/{name}'" in line
        assert "model directory" in line


@pytest.mark.heavy
def test_imported_model_directory_is_a_frozen_base(
    foreign: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from model_import.cli import main

    photos = tmp_path / "photos"
    for name, start in (("one", 0), ("two", 12)):
        (photos / name).mkdir(parents=True)
        for path in sorted(photographs(tmp_path / f"of {name}", 24, 0).iterdir())[start : start + 12]:
            path.rename(photos / name / path.name)
    old, new = str(tmp_path / "old"), tmp_path / "new"
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\ne\n")
    assert main([str(foreign / "plain.keras"), "--labels", str(names), "--output", old]) == 0
    assert cli.main(["--dataset", str(photos), "--base", old, "--epochs", "1", "--output", str(new)]) == 0
    assert "is a graph without layers, which cannot be tuned" in caplog.text
    spec = read_spec(str(new))
    assert spec.has_litert
    assert spec.training["base"]["layers"] == 0
    assert not (new / "model.keras").exists()
    assert open_base(str(new), Asked()).is_fixed


CACHED = """
import os, sys, numpy as np, keras
from model_training.base.asked import Asked
from model_training.base.opening import about, open_base
network = keras.applications.MobileNetV2((64, 64, 3), include_top=False, weights=None, pooling="avg")
os.makedirs(os.path.join(os.environ["KERAS_HOME"], "models"))
name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
network.save(os.path.join(os.environ["KERAS_HOME"], "models", name))
base = open_base("mobilenetv2", Asked(image_size=64))
told = about(base)
assert told.startswith("base MobileNetV2: 52 layers with weights, 64 x 64 pixels, rgb, scaling sign"), told
for one, other in zip(base.backbone.get_weights(), network.get_weights(), strict=True):
    assert np.array_equal(one, other)
"""


@pytest.mark.heavy
def test_application_has_the_weights_of_the_keras_cache(tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", CACHED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.heavy
def test_weights_that_cannot_be_had_are_one_line(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    environment = {**os.environ, "KERAS_HOME": str(tmp_path / "keras"), "https_proxy": nobody, "no_proxy": ""}
    words = ["train", "--dataset", "digits", "--base", "resnet50", "--output", str(tmp_path / "model")]
    done = subprocess.run(
        [sys.executable, "-m", "model_training", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "the weights of ResNet50 are not in" in done.stderr
    assert "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5" in done.stderr
    assert not (tmp_path / "model").exists()


def mnist_of(raw: RawImages, classes: Sequence[int], n: int, seed: int) -> Dataset:
    """Return some classes of MNIST: n images of each to learn from, 5 to validate, and 500 to test."""
    whole = digits_of(raw, classes, n, seed, 5)
    assert isinstance(whole.test, HeldImages)
    few = [whole.test.rows[whole.test.labels == number][:500] for number in range(len(classes))]
    return replace(whole, test=replace(whole.test, rows=np.concatenate(few)))


@pytest.mark.heavy
@pytest.mark.skipif(mnist_folder() is None, reason="MNIST is not here")
def test_backbone_of_half_of_the_classes_beats_from_scratch_on_20_images_of_each_other_class() -> None:
    """Measured: 0.952 and 0.930 with the base, 0.886 and 0.892 from scratch."""
    raw = raw_images("mnist", mnist_folder())
    learned = Recipe(epochs=5, batch_size=64, learning_rate=2e-3, network="compact")
    network = train(mnist_of(raw, range(5), 3000, 0), learned).network
    trained = network.get_weights()
    begun, scratch = [], []
    for seed in (2, 3):
        few = mnist_of(raw, range(5, 10), 20, seed)
        network.set_weights(trained)
        base = Base("it", few.input, backbone_of(network, "it")[0], facts={"name": "it", "kind": "made here"})
        begun.append(accuracy(train(few, recipe_of("transfer", seed=seed), base=base).network, few))
        scratch.append(accuracy(train(few, replace(recipe_of("transfer", seed=seed), learning_rate=1e-3)).network, few))
    assert np.mean(begun) > np.mean(scratch) + 0.02, (begun, scratch)
