"""The models that workloads score with: real model directories, made by the training package's own functions.

    python -m benchmarks.make_model mnist MODEL [DATA_DIR]    the seed's CNN after an epoch of MNIST
    python -m benchmarks.make_model wide MODEL [DATA_DIR]     the same network with a thousand classes
    python -m benchmarks.make_model jpeg MODEL PHOTOS         the seed's CNN at 64 x 64 after an epoch of photographs
    python -m benchmarks.make_model mobilenet MODEL PHOTOS    MobileNetV2 at 224 x 224, weights from a seed

A process of its own, so that the benchmark's stays free of TensorFlow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.archives import PHOTOGRAPHS
from model_training.build import build
from model_training.data.datasets import DataOptions, load
from model_training.learning.evaluation import load_outputs
from model_training.learning.recipe import Recipe
from model_training.publishing import export
from model_training.publishing.check_images import check_images
from model_training.publishing.convert import convert, with_scores
from model_training.publishing.publish import check_output, staged, write_files
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.model import directory
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess

MOBILENET = InputSpec(224, 224, "rgb", decode="reduced")
CLASSES = 1000
EXAMPLES = 8
PHOTOS = 300
EPOCHS = 40


def build_mobilenet(location: str, photos: Path) -> None:
    """Write MobileNetV2 as a model directory: weights from a seed, but it tells the photographs apart.

    Args:
        location: of the model directory.
        photos: folder of class folders of JPEG files; a few become the golden images.
    """
    paths = sorted(photos.rglob("*.jpg"), key=lambda path: path.name)[:PHOTOS]
    encoded = [path.read_bytes() for path in paths]
    batch = EncodedBatch(ImageColumns.of([str(path) for path in paths]), encoded)
    labels = np.array([PHOTOGRAPHS.index(path.parent.name) for path in paths])
    pixels = preprocess(batch, MOBILENET).pixels
    network = _mobilenet(pixels, labels)
    names = _thousand(PHOTOGRAPHS)
    with staged(check_output(location)) as folder:
        export.save_network(network, folder)
        run = load_outputs(os.path.join(folder, directory.SAVED_MODEL))
        golden = export.make_golden(encoded[:EXAMPLES], MOBILENET, run)
        converted = convert(folder, golden.pixels, check_images([pixels[EXAMPLES:], pixels]))
        golden = with_scores(golden, converted)
        spec = export.make_spec(folder, MOBILENET, names, {"dataset": "photographs"}, converted)
        write_files(os.path.join(folder, directory.GOLDEN), golden.files())
        write_files(folder, {directory.SPEC: spec.to_json().encode()})


def _mobilenet(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Any:
    """Return the network; its last layer knows the classes of these images, all others are as they were drawn.

    With the last one as drawn, too, all images would have nearly the same scores: no agreement could be checked. (And
    with the normalization fitted, a grey level more or less would change the class.)
    """
    import keras

    keras.utils.set_random_seed(0)
    inner = keras.applications.MobileNetV2(input_shape=MOBILENET.shape, weights=None, classes=CLASSES)
    scale = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")
    body = keras.Model(inner.input, inner.layers[-2].output)
    _fit_last(inner.layers[-1], body.predict(scale(pixels), batch_size=EXAMPLES, verbose=0), labels)
    return keras.Sequential([keras.Input(MOBILENET.shape, dtype="uint8", name="images"), scale, inner])


def _fit_last(layer: Any, features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> None:
    """Train a dense layer on features of mean 0 and variance 1, then make its weights those for the features as given.

    Args:
        layer: dense, with softmax.
        features: float32 [n, values].
        labels: int64 [n].
    """
    import keras

    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.maximum(deviation, deviation.mean())  # what hardly varies is mostly noise
    alone = keras.Sequential([keras.Input(features.shape[1:]), layer])
    alone.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy")
    alone.fit((features - mean) / deviation, labels, epochs=EPOCHS, verbose=0)
    weights, bias = layer.get_weights()
    weights = weights / deviation[:, np.newaxis]
    layer.set_weights([weights, bias - mean @ weights])


def _thousand(names: Sequence[str]) -> list[str]:
    """Return class names, and more of them up to a thousand."""
    return [*names, *(f"class-{i:04d}" for i in range(len(names), CLASSES))]


def main(kind: str, location: str, *source: str) -> None:
    """Make a model."""
    if kind == "mobilenet":
        build_mobilenet(location, Path(source[0]))
    elif kind == "jpeg":
        build(load(DataOptions((source[0],), image_size=64, color_mode="rgb")), Recipe(epochs=1), location)
    else:
        digits = load(DataOptions(("mnist",), data_dir=source[0] if source else None))
        names = _thousand(digits.class_names) if kind == "wide" else digits.class_names
        build(replace(digits, class_names=names), Recipe(epochs=1), location)


if __name__ == "__main__":
    main(*sys.argv[1:])
