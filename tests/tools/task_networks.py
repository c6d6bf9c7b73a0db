"""Model directories of small Keras networks, one of each task, which were trained on digits at once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from model_training.data.datasets import RawImages
from model_training.publishing import converter
from model_training.publishing.check_images import check_images
from model_training.publishing.convert import tolerance
from model_training.publishing.publish import write_files
from pipeline.batches import EncodedBatch
from pipeline.model.directory import GOLDEN, SAVED_MODEL, SPEC, TFLITE, Golden
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.model.spec import Conversion, ModelSpec, model_id
from pipeline.task import Embedding

SHAPE = (8, 8, 1)
VECTOR = 6
GOLDENS = 12

LABELS = ("even", "large", "round")
"""What a digit may be: any of these, or none."""


def labels_of(digit: int) -> list[str]:
    """Return which of LABELS a digit is."""
    return [name for name, holds in zip(LABELS, (digit % 2 == 0, digit >= 5, digit in (0, 6, 8, 9))) if holds]  # noqa: B905


@dataclass(frozen=True)
class Kind:
    """A model to be made of the trained network.

    Attributes:
        outputs: name of the output -> name of the network's layer that gives it.
        fields: of the model's spec.
    """

    outputs: dict[str, str]
    fields: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "labels": Kind(
        {"probabilities": "labels"}, {"class_names": LABELS, "task": "labels", "thresholds": (0.5, 0.25, 0.75)}
    ),
    "value": Kind({"value": "value"}, {"task": "value", "value_unit": 2.0**-20}),
    "embedding": Kind({"embedding": "vector"}, {"task": "embedding", "embedding": Embedding(VECTOR)}),
    "classes": Kind(
        {"scores": "classes", "embedding": "vector"},
        {"class_names": tuple("0123456789"), "embedding": Embedding(VECTOR, "float16")},
    ),
}
"""Name of the task -> a model of it; the one of classes gives an embedding as well."""


def train(digits: RawImages) -> Any:
    """Return a Keras network of 8 x 8 grey images that tells classes, labels, a value and a vector of a digit."""
    import keras

    keras.utils.set_random_seed(7)
    n = 600
    images, numbers = digits.images[:n], np.asarray(digits.labels[:n])
    pixels = keras.Input(SHAPE, name="images")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    vector = keras.layers.Dense(VECTOR, name="vector")(keras.layers.Dense(32, "relu")(flat))
    heads = {
        "classes": keras.layers.Dense(10, "softmax", name="classes")(vector),
        "labels": keras.layers.Dense(len(LABELS), "sigmoid", name="labels")(vector),
        "value": keras.layers.Dense(1, name="value")(vector),
    }
    network = keras.Model(pixels, heads)
    network.compile(
        keras.optimizers.Adam(0.01),
        {"classes": "sparse_categorical_crossentropy", "labels": "binary_crossentropy", "value": "mse"},
        loss_weights={"classes": 1.0, "labels": 1.0, "value": 0.1},
    )
    hot = np.array([[name in labels_of(int(number)) for name in LABELS] for number in numbers], np.float32)
    known = {"classes": numbers, "labels": hot, "value": numbers.astype(np.float32)[:, None]}
    network.fit(images.astype(np.float32).reshape(-1, *SHAPE), known, batch_size=50, epochs=4, verbose=0)
    return network


def save(network: Any, kind: Kind, folder: Path) -> None:
    """Write FOLDER/saved_model."""
    import keras
    import tensorflow as tf

    part = keras.Model(network.input, {name: network.get_layer(layer).output for name, layer in kind.outputs.items()})

    class Module(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), tf.uint8, name="images")])  # type: ignore[untyped-decorator]
        def serve(self, images: Any) -> Any:
            return part(tf.cast(images, tf.float32), training=False)

    module = Module()
    module.weights = [weight.value for weight in part.weights]
    tf.saved_model.save(module, str(folder / SAVED_MODEL), signatures={"serving_default": module.serve})


def write_model(network: Any, kind: Kind, folder: Path, examples: Sequence[bytes]) -> ModelSpec:
    """Write a model directory with model.tflite and golden outputs of both engines."""
    save(network, kind, folder)
    rule = InputSpec(*SHAPE[:2], "grayscale")
    made = preprocess(EncodedBatch.of(examples), rule)
    spec = ModelSpec(rule, **{"class_names": (), "model_id": "", **kind.fields})
    with tempfile.TemporaryDirectory() as work:
        np.save(Path(work, converter.GOLDEN), made.pixels)
        np.save(Path(work, converter.IMAGES), check_images([made.pixels], 20))
        answer = converter.convert_and_compare(str(folder / SAVED_MODEL), work, spec.task)
        assert not answer.missing, answer
        outputs, data = converter.read_outputs(work), Path(work, TFLITE).read_bytes()
    golden = Golden(examples, made.pixels, {})
    for engine, given in outputs.items():
        golden = golden.with_outputs(engine, given)
    return finish(folder, replace(spec, golden_tolerance=tolerance(answer.difference)), data, golden, answer)


def finish(folder: Path, spec: ModelSpec, data: bytes, golden: Golden, answer: converter.Answer) -> ModelSpec:
    """Write what is left of a model directory."""
    import hashlib

    root = folder / SAVED_MODEL
    files = [(path.relative_to(root).as_posix(), path.read_bytes()) for path in root.rglob("*") if path.is_file()]
    conversion = Conversion(
        hashlib.sha256(data).hexdigest(), len(data), answer.difference, answer.images, answer.converter
    )
    spec = replace(spec, litert=conversion, model_id=model_id(spec.input, spec.class_names, files, spec.outputs()))
    write_files(os.path.join(folder, GOLDEN), golden.files())
    write_files(str(folder), {SPEC: spec.to_json().encode(), TFLITE: data})
    return spec


def write_all(digits: RawImages, folder: Path, names: Sequence[str] = tuple(KINDS)) -> None:
    """Write a model directory of each kind, by its name."""
    network = train(digits)
    examples = [digits.encoded(i) for i in range(GOLDENS)]
    for name in names:
        (folder / name).mkdir()
        write_model(network, KINDS[name], folder / name, examples)


Function = Callable[[Any], dict[str, Any]]


def function_of(model: str | Path) -> Function:
    """Return the SavedModel as the tests' own loop calls it: uint8 [n, 8, 8, 1] -> arrays by name."""
    import tensorflow as tf

    loaded = tf.saved_model.load(os.path.join(model, SAVED_MODEL))

    def call(pixels: Any) -> dict[str, Any]:
        signature = loaded.signatures["serving_default"]
        return {name: np.asarray(value) for name, value in signature(images=tf.constant(pixels)).items()}

    return call
