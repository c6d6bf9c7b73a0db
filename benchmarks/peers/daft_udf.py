"""Daft: files found, read, decoded and resized by the engine, the model in a class that is a batch function.

    python benchmarks/peers/daft_udf.py --input FOLDER --kind png --model MODEL --output OUTPUT --batch 1024

As Daft's documentation has it: from_glob_path, download, decode_image, @daft.cls and @daft.method.batch, write_parquet.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["DO_NOT_TRACK"] = "true"

import daft
import keras
import numpy as np
from daft import DataType, Series, col
from daft.functions import decode_image, download, resize

SUFFIX = {"png": "png", "jpeg": "jpg"}
ROW = DataType.struct({"predicted": DataType.int32(), "score": DataType.float32()})


def scorer(model: str, batch: int) -> Any:
    """Return the class with the model, one instance of it."""

    @daft.cls(max_concurrency=1, use_process=False)
    class Scorer:
        def __init__(self, path: str) -> None:
            self.model = keras.models.load_model(path)
            self.shape = self.model.input_shape[1:]

        @daft.method.batch(return_dtype=ROW, unnest=True, batch_size=batch)
        def score(self, images: Series) -> Any:
            storage = images.to_arrow()
            pixels = storage.storage.flatten() if hasattr(storage, "storage") else storage.flatten()
            probabilities = self.model.predict_on_batch(pixels.to_numpy().reshape(-1, *self.shape))
            predicted = probabilities.argmax(1).astype(np.int32)
            return [{"predicted": p, "score": s} for p, s in zip(predicted, probabilities.max(1), strict=True)]

    return Scorer(model)


def input_shape(model: str) -> tuple[int, int, int]:
    """Return height, width and channels of a model's input."""
    with open(os.path.join(model, "model_spec.json"), encoding="utf-8") as file:
        rule = json.load(file)["input"]
    return rule["height"], rule["width"], 1 if rule["color_mode"] == "grayscale" else 3


def main() -> None:
    """Score a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="folder of images")
    parser.add_argument("--kind", choices=tuple(SUFFIX), default="png")
    parser.add_argument("--model", required=True, help="model directory")
    parser.add_argument("--output", required=True, help="folder for the rows")
    parser.add_argument("--batch", type=int, default=1024)
    arguments = parser.parse_args()
    model = os.path.join(arguments.model, "model.keras")
    height, width, channels = input_shape(arguments.model)
    mode = "L" if channels == 1 else "RGB"
    image = decode_image(download(col("path")), mode=mode)
    if arguments.kind == "jpeg":
        image = resize(image, w=width, h=height)
    score = scorer(model, arguments.batch).score
    (
        daft.from_glob_path(f"{arguments.input}/**/*.{SUFFIX[arguments.kind]}")
        .select(col("path"), image.cast(DataType.image(mode, height, width)).alias("image"))
        .select(col("path").regexp_replace("^file://", "").alias("key"), score(col("image")))
        .write_parquet(arguments.output)
    )


if __name__ == "__main__":
    main()
