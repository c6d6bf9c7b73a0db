"""The models that workloads score with: real model directories, made by the training package's own functions.

    python -m benchmarks.make_model mnist MODEL [DATA_DIR]    the seed's CNN after an epoch of MNIST
    python -m benchmarks.make_model jpeg MODEL PHOTOS         the seed's CNN at 64 x 64 after an epoch of photographs
    python -m benchmarks.make_model mobilenet MODEL PHOTOS    MobileNetV2 at 224 x 224, weights from a seed

A process of its own, so that the benchmark's stays free of TensorFlow.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_training import export
from model_training.build import build
from model_training.datasets import load
from model_training.evaluation import load_score
from model_training.publish import check_output, staged
from model_training.training import Recipe
from pipeline import model_dir
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.model_dir import InputSpec
from pipeline.preprocess import preprocess

MOBILENET = InputSpec(224, 224, "rgb")
CLASSES = 1000
EXAMPLES = 8


def build_mobilenet(location: str, photos: Path) -> None:
    """Write MobileNetV2 with weights from a seed as a model directory.

    Args:
        location: of the model directory.
        photos: folder of JPEG files; the first become the golden images.
    """
    encoded = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))[:EXAMPLES]]
    batch = EncodedBatch(ImageColumns.of([str(i) for i in range(len(encoded))]), encoded)
    network = _mobilenet(preprocess(batch, MOBILENET).pixels)
    with staged(check_output(location)) as folder:
        export.save_network(network, folder)
        score = load_score(os.path.join(folder, model_dir.SAVED_MODEL))
        golden = export.make_golden(encoded, MOBILENET, score)
        spec = export.make_spec(folder, MOBILENET, [f"class-{i:04d}" for i in range(CLASSES)], {"dataset": "none"})
        export.write_files(os.path.join(folder, model_dir.GOLDEN), golden.files())
        export.write_files(folder, {model_dir.SPEC: spec.to_json().encode()})


def _mobilenet(pixels: npt.NDArray[np.uint8]) -> Any:
    """Return the network; its normalization fits these pixels.

    With means and variances as they are drawn, nothing of an image would reach the last layer, and all images would
    have nearly the same scores: no agreement could be checked.
    """
    import keras

    keras.utils.set_random_seed(0)
    inner = keras.applications.MobileNetV2(input_shape=MOBILENET.shape, weights=None, classes=CLASSES)
    network = keras.Sequential(
        [
            keras.Input(MOBILENET.shape, dtype="uint8", name="images"),
            keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale"),
            inner,
        ],
        name="mobilenet_v2",
    )
    normalizations = [layer for layer in inner.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momentum = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 0.0
    network(pixels, training=True)
    for layer, before in zip(normalizations, momentum, strict=True):
        layer.momentum = before
    return network


def main(kind: str, location: str, *source: str) -> None:
    """Make a model."""
    if kind == "mobilenet":
        build_mobilenet(location, Path(source[0]))
    elif kind == "jpeg":
        build(load(source[0], image_size=64, color_mode="rgb"), Recipe(epochs=1), location)
    else:
        build(load("mnist", data_dir=source[0] if source else None), Recipe(epochs=1), location)


if __name__ == "__main__":
    main(*sys.argv[1:])
