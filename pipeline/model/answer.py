"""What a model says of one image that somebody looks at; it is predicted as in a run, but in this process."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.batches import EncodedBatch, PixelBatch, PredictionBatch
from pipeline.model.directory import local_copy
from pipeline.model.engines import litert, tensorflow
from pipeline.model.loaded import acquire
from pipeline.model.predict import predict
from pipeline.model.spec import ModelSpec
from pipeline.options import Engine


def engine_here(spec: ModelSpec) -> Engine | None:
    """Return the engine that runs a model on this machine: LiteRT if it can, as it starts at once; None: none can."""
    if spec.has_litert and litert.is_installed():
        return "litert"
    return "tensorflow" if spec.feed is None and tensorflow.is_installed() else None


def answer(
    location: str, spec: ModelSpec, engine: Engine, data: bytes, pixels: npt.NDArray[np.uint8]
) -> PredictionBatch:
    """Return what a model says of an image, as a batch of one; it lists all classes, the best first.

    Args:
        location: of the model directory.
        spec: of the model.
        engine: that runs it.
        data: content of the image file.
        pixels: what the model takes of it, uint8 [height, width, channels].

    Raises:
        UsageError: the model cannot be loaded.
        GoldenMismatchError: this machine does not reproduce its golden images.
    """
    model = acquire(local_copy(location), spec, engine)
    files = EncodedBatch.of([data])
    batch = PixelBatch.of_files(files) if spec.takes == "encoded" else PixelBatch(files.images, pixels[np.newaxis])
    return predict(batch, model, len(spec.class_names))
