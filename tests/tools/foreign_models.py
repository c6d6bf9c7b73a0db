"""Networks as people bring them, made here by the libraries that they use, and photographs to score."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from model_import.start import keras, tf

Rows = npt.NDArray[np.float32]


def photographs(folder: Path, n: int = 24, broken: int = 3) -> Path:
    """Write pieces of two photographs of odd sizes into a folder, and files that are cut short."""
    from sklearn.datasets import load_sample_images

    folder.mkdir(parents=True)
    random = np.random.default_rng(7)
    for i in range(n):
        photo = load_sample_images().images[i % 2]
        height, width = (int(side) for side in random.integers(40, 300, 2))
        top, left = int(random.integers(427 - height)), int(random.integers(640 - width))
        image = Image.fromarray(photo[top : top + height, left : left + width])
        image.save(folder / f"{i:03d}.{'png' if i % 4 == 3 else 'jpg'}")
    for i, path in enumerate(sorted(folder.glob("*.jpg"))[:broken]):
        (folder / f"broken{i}.jpg").write_bytes(path.read_bytes()[: 300 + 20 * i])
    return folder


def small_network(
    shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 5,
    activation: str | None = "softmax",
    rescale: bool = True,
) -> Any:
    """Return a network of Keras whose answers differ from image to image.

    Args:
        shape: of its input.
        classes: units of its last layer.
        activation: of its last layer.
        rescale: whether it scales pixels to -1 to 1 itself.
    """
    library = keras()
    library.utils.set_random_seed(11)
    layers = library.layers
    images = library.Input(tuple(shape), name="images")
    values = layers.Rescaling(1 / 127.5, -1)(images) if rescale else images
    values = layers.Conv2D(8, 5, 3, activation="relu", name="conv")(values)
    values = layers.GlobalAveragePooling2D(name="features")(values)
    wide = library.initializers.RandomNormal(stddev=4.0)
    return library.Model(images, layers.Dense(classes, activation=activation, kernel_initializer=wide)(values))


def write_signatures(folder: Path, **signatures: tuple[Sequence[int | None], str]) -> str:
    """Write a SavedModel with a signature for each name, which takes a shape and a type and has two outputs."""
    library = tf()
    module = library.Module()
    module.network = small_network()
    made = {}
    for name, (shape, dtype) in signatures.items():

        def serve(images: Any) -> Mapping[str, Any]:
            if images.dtype == library.string:
                decoded = library.map_fn(lambda data: library.io.decode_jpeg(data, 3), images, library.uint8)
                images = library.image.resize(decoded, (32, 32))
            scores = module.network(library.cast(images, library.float32))
            return {"probabilities": scores, "logits": library.math.log(scores)}

        spec = library.TensorSpec(shape, dtype, name="images")
        made[name] = library.function(serve, input_signature=[spec], autograph=False)
    library.saved_model.save(module, str(folder), signatures=made)
    return str(folder)


def write_tflite(path: Path, network: Any, dtype: str = "float32") -> str:
    """Write a network as a .tflite file, whose input and output are of a type; a whole number is quantized."""
    library = tf()
    converter = library.lite.TFLiteConverter.from_keras_model(network)
    if dtype != "float32":
        random = np.random.default_rng(3)
        shape = (1, *network.input_shape[1:])

        def some() -> Any:
            for _ in range(16):
                yield [random.uniform(0, 255, shape).astype(np.float32)]

        converter.optimizations = [library.lite.Optimize.DEFAULT]
        converter.representative_dataset = some
        converter.target_spec.supported_ops = [library.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = library.dtypes.as_dtype(dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        path.write_bytes(converter.convert())
    return str(path)


def written(folder: Path, network: Any, name: str = "model.keras") -> str:
    """Save a network of Keras under a name; returns the path."""
    folder.mkdir(parents=True, exist_ok=True)
    network.save(folder / name)
    return str(folder / name)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """24 photographs of odd sizes, JPEG and PNG, and 3 files that are cut short."""
    from conftest import made_once

    def make(folder: Path) -> None:
        photographs(folder / "of")

    return made_once(tmp_path_factory, worker_id, "photographs", make) / "of"


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of models: see `make`."""
    from conftest import made_once

    def make(folder: Path) -> None:
        layers = keras().layers
        network = small_network()
        written(folder, network, "plain.keras")
        written(folder, network, "old.h5")
        written(folder, small_network(classes=1, activation="sigmoid"), "binary.keras")
        written(folder, small_network(activation=None, rescale=False), "logits.keras")
        written(folder, small_network((None, None, 3)), "free.keras")
        small_network().save_weights(folder / "only.weights.h5")
        images = keras().Input((8, 8, 3))
        code = layers.Lambda(lambda x: x / 255.0, name="scale it")(images)
        written(folder, keras().Model(images, layers.Dense(2)(layers.Flatten()(code))), "lambda.keras")
        written(folder, keras().Model(images, layers.Dense(2)(layers.Flatten()(code))), "lambda.h5")
        left, right = keras().Input((8, 8, 3), name="left"), keras().Input((8, 8, 3), name="right")
        both = layers.Dense(2)(layers.Flatten()(layers.Add()([left, right])))
        written(folder, keras().Model([left, right], both), "two.keras")
        written(folder, keras().Model(images, layers.Conv2D(4, 3)(images)), "map.keras")
        write_signatures(folder / "signatures", a=((None, 32, 32, 3), "float32"), b=((1, 32, 32, 3), "uint8"))
        write_signatures(folder / "strings", serving_default=((None,), "string"))
        write_tflite(folder / "float.tflite", network)
        write_tflite(folder / "quantized.tflite", network, "uint8")

    return made_once(tmp_path_factory, worker_id, "foreign", make)


def write_signatures_of_files(folder: Path) -> None:
    """Write a SavedModel with a signature that takes files, one that takes a file, and one that takes text."""
    import tensorflow as tf

    def decode(data: Any) -> Any:
        return tf.image.resize(tf.io.decode_image(data, 3, expand_animations=False), (16, 16))

    class Network(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def files(self, image_bytes: Any) -> dict[str, Any]:
            images = tf.map_fn(decode, image_bytes, fn_output_signature=tf.float32)
            return {"logits": tf.reduce_mean(images, (1, 2)) / 16}

        @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="image_bytes")])
        def one(self, image_bytes: Any) -> dict[str, Any]:
            return {"logits": tf.reduce_mean(decode(image_bytes), (0, 1)) / 16}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def words(self, text: Any) -> dict[str, Any]:
            return {"logits": tf.strings.to_number(text)[:, None] * tf.ones((1, 3))}

    network = Network()
    signatures = {"files": network.files, "one": network.one, "words": network.words}
    tf.saved_model.save(network, str(folder), signatures=signatures)
