"""model.tflite: that it is the network of the SavedModel, that another one would be noticed, and what has none."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saved_networks
from image_sets import pixels_of
from mostly_heavy import mostly_heavy
from PIL import Image

from model_training import cli
from model_training.data.datasets import RawImages, from_raw
from model_training.learning import training
from model_training.learning.evaluation import load_score
from model_training.learning.head import Head, head_of
from model_training.learning.network import build_network
from model_training.learning.recipe import NetworkName
from model_training.publishing import converter
from model_training.publishing.check_images import check_images
from model_training.publishing.convert import Converted, convert, tolerance
from model_training.publishing.export import save_network
from pipeline.errors import GoldenMismatchError
from pipeline.model import agreement
from pipeline.model.directory import Golden, read_golden, read_spec
from pipeline.model.engines.litert import LiteRTNetwork
from pipeline.model.loaded import Model
from pipeline.model.spec import GOLDEN_TOLERANCE, LARGEST_TOLERANCE, Conversion
from pipeline.model.thumbnails import png

Change = Callable[[Any, list[Any]], None]
"""What is changed in a network of `build_network` and in its weights."""


# --- it is the same network


def test_trained_model_has_the_file_that_its_spec_tells_of(tiny_model: str) -> None:
    import tensorflow as tf

    spec = read_spec(tiny_model)
    assert spec.litert is not None
    data = Path(tiny_model, "model.tflite").read_bytes()
    assert (spec.litert.sha256, spec.litert.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (spec.litert.images, spec.litert.converter) == (10 + 256, f"tensorflow {tf.__version__}")
    assert 0 < spec.litert.difference < 1e-4
    assert spec.golden_tolerance == GOLDEN_TOLERANCE
    assert Model(tiny_model, spec, "litert").engine == "litert"  # each replays the golden images
    assert Model(tiny_model, spec, "tensorflow").engine == "tensorflow"


def test_both_engines_give_all_test_images_the_same_scores(tiny_model: str, digits: RawImages) -> None:
    images = pixels_of(from_raw(digits).test)
    network = LiteRTNetwork(os.path.join(tiny_model, "model.tflite"), images.shape[1:])
    expected = load_score(os.path.join(tiny_model, "saved_model"))(images)
    scores = network(images).scores
    assert agreement.difference(scores, expected) < 1e-4
    assert (scores.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert (network(images[:1]).scores == scores[:1]).all()  # whatever the number of images in a call


@pytest.mark.parametrize("kernels", ["BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"])
def test_other_kernels_stay_within_the_golden_tolerance(tiny_model: str, kernels: str) -> None:
    """They stand for another kind of CPU."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    golden, spec = read_golden(tiny_model), read_spec(tiny_model)
    interpreter = Interpreter(
        model_path=os.path.join(tiny_model, "model.tflite"), experimental_op_resolver_type=OpResolverType[kernels]
    )
    feed = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(feed, golden.pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(feed, golden.pixels)
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert (scores != golden.scores["litert"]).any()  # other kernels indeed
    assert agreement.difference(scores, golden.scores["litert"]) < spec.golden_tolerance / 10


# --- another network is noticed


def swapped_channel(network: Any, weights: list[Any]) -> None:
    weights[0][:, :, [0, 2]] = weights[0][:, :, [2, 0]]


def swapped_maps(network: Any, weights: list[Any]) -> None:
    weights[0][..., [0, 1]] = weights[0][..., [1, 0]]


def changed_weight(network: Any, weights: list[Any]) -> None:
    weights[0][1, 1, 0, 0] += 0.1


def changed_bias(network: Any, weights: list[Any]) -> None:
    weights[-1][0] += 0.01


def other_normalization(network: Any, weights: list[Any]) -> None:
    network.layers[0].scale, network.layers[0].offset = 1 / 127.5, -1.0


def normalization_off_by_one(network: Any, weights: list[Any]) -> None:
    network.layers[0].scale = 1 / 256


def unchanged(network: Any, weights: list[Any]) -> None:
    pass


DAMAGES = [
    swapped_channel,
    swapped_maps,
    changed_weight,
    changed_bias,
    other_normalization,
    normalization_off_by_one,
]


@pytest.fixture(scope="module")
def color(tmp_path_factory: pytest.TempPathFactory, digits: RawImages) -> Path:
    """The seed's CNN for color images, as it was drawn, with what its conversion is checked by."""
    import keras

    folder = tmp_path_factory.mktemp("color")
    tints = np.random.default_rng(1).uniform(0.3, 1, (60, 1, 1, 3))
    images = (pixels_of(from_raw(digits).test)[:60] * tints).astype(np.uint8)
    np.save(folder / converter.GOLDEN, images[:10])
    np.save(folder / converter.IMAGES, images[10:])
    keras.utils.set_random_seed(0)
    save_network(build_network("classic", (28, 28, 3), head_of("classes", 10)), str(folder))
    return folder


def difference_of(color: Path, change: Change, folder: Path) -> float:
    """Return by how much the check finds the model.tflite of a changed network to differ from the SavedModel."""
    import keras

    network = keras.models.load_model(color / "model.keras", compile=False)
    weights = network.get_weights()
    change(network, weights)
    network.set_weights(weights)
    save_network(network, str(folder))
    for name in (converter.GOLDEN, converter.IMAGES):
        shutil.copy(color / name, folder / name)
    assert converter.convert_and_compare(str(folder / "saved_model"), str(folder)).missing == ""
    tflite = str(folder / "model.tflite")
    return converter.compare(str(color / "saved_model"), tflite, str(folder), "").difference


@pytest.mark.heavy
@pytest.mark.parametrize("change", DAMAGES)
def test_conversion_to_another_network_is_refused(color: Path, tmp_path: Path, change: Change) -> None:
    assert tolerance(difference_of(color, change, tmp_path)) > LARGEST_TOLERANCE


def test_conversion_to_the_same_network_is_taken(color: Path, tmp_path: Path) -> None:
    assert tolerance(difference_of(color, unchanged, tmp_path)) == GOLDEN_TOLERANCE


@pytest.mark.parametrize("change", mostly_heavy([unchanged, *DAMAGES[1:]], kept=[normalization_off_by_one]))
def test_golden_images_catch_another_network_in_the_file(tiny_model: str, tmp_path: Path, change: Change) -> None:
    """Also where its SHA-256 is right: the file may be whole and the CPU wrong."""
    import keras

    folder = shutil.copytree(tiny_model, tmp_path / "model", ignore=shutil.ignore_patterns("training"))
    network = keras.models.load_model(folder / "model.keras", compile=False)
    weights = network.get_weights()
    change(network, weights)
    network.set_weights(weights)
    save_network(network, str(tmp_path))
    data = converter.tflite_of(str(tmp_path / "saved_model"))
    (folder / "model.tflite").write_bytes(data)
    spec = read_spec(str(folder))
    assert spec.litert is not None
    spec = replace(spec, litert=replace(spec.litert, sha256=hashlib.sha256(data).hexdigest()))
    if change is unchanged:
        assert Model(str(folder), spec, "litert").engine == "litert"
    else:
        with pytest.raises(
            GoldenMismatchError, match=r"by .* of the spread of its outputs, more than the 0\.001 allowed"
        ):
            Model(str(folder), spec, "litert")


@pytest.mark.parametrize(("difference", "expected"), [(0.0, 1e-3), (6e-6, 1e-3), (5e-4, 5e-3), (1e-3, 1e-2)])
def test_tolerance_is_ten_times_the_difference(difference: float, expected: float) -> None:
    assert tolerance(difference) == pytest.approx(expected)
    assert Converted(Conversion("c0ffee", difference=difference)).golden_tolerance == tolerance(difference)


# --- no model.tflite


LANCZOS = (
    saved_networks.lanczos,
    "the converter does not take the operation ScaleAndTranslate (a resize that is antialiased or of method lanczos)",
)
NOT_A_NUMBER = (saved_networks.not_a_number, "TensorFlow gives 4 of 4 images scores that are not finite")


@pytest.mark.parametrize(
    ("function", "reason"),
    mostly_heavy(
        [
            (saved_networks.bicubic, "the converter does not take the operation ResizeBicubic"),
            LANCZOS,
            (saved_networks.half, "the converter does not take the operation Conv2D in float16"),
            NOT_A_NUMBER,
        ],
        kept=[LANCZOS, NOT_A_NUMBER],
    ),
)
def test_network_that_cannot_be_converted_is_told_in_one_line(
    tmp_path: Path, function: Callable[[Any], Any], reason: str
) -> None:
    saved_networks.write_images(tmp_path)
    answer = converter.convert_and_compare(saved_networks.save(function, tmp_path), str(tmp_path))
    assert answer.missing == reason


@pytest.mark.heavy
def test_recurrent_network_is_named_as_such(tmp_path: Path) -> None:
    import keras

    layers = [keras.layers.Reshape((12, 36)), keras.layers.LSTM(3)]
    network = keras.Sequential([keras.Input(saved_networks.SHAPE), *layers])
    saved_networks.write_images(tmp_path)
    answer = converter.convert_and_compare(saved_networks.save(network, tmp_path), str(tmp_path))
    assert answer.missing == (
        "the converter does not take the operation TensorListReserve (a recurrent layer such as LSTM or GRU)"
    )


@pytest.mark.heavy
def test_training_publishes_without_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    import keras

    def network_with_bicubic(name: NetworkName, shape: tuple[int, int, int], head: Head) -> Any:
        layers = build_network(name, shape, head).layers
        resize = keras.layers.Resizing(*shape[:2], interpolation="bicubic")
        return keras.Sequential([keras.Input(shape, dtype="uint8"), layers[0], resize, *layers[1:]])

    monkeypatch.setattr(training, "build_network", network_with_bicubic)
    for i in range(40):
        path = tmp_path / "photos" / ("light" if i % 2 else "dark") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(Image.new("L", (12, 12), 50 + i % 2 * 100 + i)))
    model = str(tmp_path / "model")
    with caplog.at_level(logging.WARNING, "model_training.build"):
        assert cli.main(["--dataset", str(tmp_path / "photos"), "--epochs", "1", "--output", model]) == 0
    reason = "the converter does not take the operation ResizeBicubic"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("model_training")]
    assert ours == [f"the model has no model.tflite: {reason}"]
    out, _ = capfd.readouterr()
    assert f"engines       TensorFlow only: {reason}" in out.splitlines()
    spec = read_spec(model)
    assert (spec.has_litert, spec.litert and spec.litert.missing) == (False, reason)
    assert set(read_golden(model).scores) == {"tensorflow"}
    assert not os.path.exists(os.path.join(model, "model.tflite"))
    assert reason in Path(model, "training", "report.html").read_text(encoding="utf-8")
    assert Model(model, spec, "tensorflow").engine == "tensorflow"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a saved_model/ that can be converted."""
    saved_networks.save(saved_networks.means, tmp_path)
    return tmp_path


def missing_of(folder: Path, seconds: float = 600) -> str:
    """Return why there is no model.tflite for a folder; "" if there is one."""
    images = saved_networks.pictures(4)
    converted = convert(str(folder), images, images, seconds)
    missing = converted.conversion.missing
    assert (folder / "model.tflite").exists() == (not missing)
    assert bool(converted.golden) == (not missing)
    assert "\n" not in missing
    return missing


def children() -> list[int]:
    """Return the ids of this process's children that convert."""
    texts = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    found = [int(number) for text in texts for number in text.split()]
    return [
        child
        for child in found
        if b"model_training.publishing.converter" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@pytest.mark.parametrize(
    ("death", "reason"),
    [
        (signal.SIGKILL, "the conversion was killed; perhaps memory did not suffice"),
        (signal.SIGSEGV, "the conversion crashed (SIGSEGV)"),
    ],
)
def test_death_of_the_child_process_is_told(small: Path, death: signal.Signals, reason: str) -> None:
    def kill() -> None:
        while not (found := children()):
            time.sleep(0.01)
        os.kill(found[0], death)

    killer = threading.Thread(target=kill)
    killer.start()
    assert missing_of(small) == reason
    killer.join()


def test_conversion_that_takes_too_long_is_ended(small: Path) -> None:
    assert missing_of(small, seconds=0.1) == "the conversion was not done after 0.1 seconds"
    assert children() == []


@pytest.mark.heavy
def test_error_of_the_child_process_is_told(small: Path) -> None:
    (small / "saved_model" / "saved_model.pb").write_bytes(b"no graph")
    assert missing_of(small).startswith("the conversion failed: ")


@pytest.mark.heavy
def test_child_process_converts_and_says_so(small: Path) -> None:
    assert missing_of(small) == ""


def test_child_process_ends_with_its_parent(small: Path) -> None:
    saved_networks.write_images(small)
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "model_training.publishing.converter",
            str(small / "saved_model"),
            str(small),
            "classes",
        ],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _, err = child.communicate()  # closes its standard input, as the end of the parent would
    assert (child.returncode, b"Traceback" in err) == (1, False)
    assert not (small / converter.ANSWER).exists()


def test_without_litert_there_is_none(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    assert missing_of(small) == "the package ai-edge-litert is not installed where the model was made"


# --- the images it is checked by


def test_real_images_come_first_and_from_all_over() -> None:
    test = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
    train = test + 100
    assert check_images([test, train], 4).ravel().tolist() == [0, 13, 26, 39]
    taken = check_images([test, train], 60).ravel()
    assert taken[:40].tolist() == test.ravel().tolist()
    assert (len(set(taken.tolist())), taken[40], taken[-1]) == (60, 100, 139)


def test_few_images_are_mixed_to_many() -> None:
    few = saved_networks.pictures(3)
    images = check_images([few[:2], few[2:]])
    assert (images.dtype, images.shape) == (np.uint8, (256, *saved_networks.SHAPE))
    assert (images[:3] == few).all()
    assert len({image.tobytes() for image in images}) == 256
    assert (check_images([few[:2], few[2:]]) == images).all()


def test_golden_of_either_engine_is_stored_under_its_name(tmp_path: Path) -> None:
    scores = {"tensorflow": np.zeros((1, 2), np.float32), "litert": np.ones((1, 2), np.float32)}
    golden = Golden([b"png"], np.zeros((1, 2, 2, 1), np.uint8), scores)  # type: ignore[arg-type]
    (tmp_path / "golden").mkdir()
    for name, data in golden.files().items():
        (tmp_path / "golden" / name).write_bytes(data)
    found = read_golden(str(tmp_path))
    assert {engine: values.tolist() for engine, values in found.scores.items()} == {
        "tensorflow": [[0.0, 0.0]],
        "litert": [[1.0, 1.0]],
    }
