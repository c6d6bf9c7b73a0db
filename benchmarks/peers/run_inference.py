"""Apache Beam's RunInference with Beam's own TensorFlow handler, from files to Parquet.

    python benchmarks/peers/run_inference.py --input FOLDER --kind png --model MODEL --output OUTPUT --batch 1024

As Beam's documentation and examples have it: MatchFiles, ReadMatches, a Map that decodes, RunInference with a keyed
handler, WriteToParquet. The handler's `inference_fn` calls Keras' compiled function; by default it calls the model
eagerly, which takes longer. The runner is named: "DirectRunner" would first try to download another one. Further
arguments are Beam's.
"""

from __future__ import annotations

import argparse
import io
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.io import fileio
from apache_beam.ml.inference.base import KeyedModelHandler, PredictionResult, RunInference
from apache_beam.ml.inference.tensorflow_inference import TFModelHandlerNumpy
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image

SUFFIX = {"png": ".png", "jpeg": ".jpg"}
SCHEMA = pa.schema([("key", pa.string()), ("predicted", pa.int32()), ("score", pa.float32())])


def decode(file: Any, shape: tuple[int, int, int]) -> tuple[str, Any]:
    """Return a file's path and its pixels, uint8 [height, width, channels]."""
    height, width, channels = shape
    image = Image.open(io.BytesIO(file.read())).convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return file.metadata.path, np.asarray(image).reshape(shape)


def infer(model: Any, batch: Sequence[Any], arguments: Any, model_id: Any = None) -> Iterable[PredictionResult]:
    """Return a result for each image of a batch."""
    probabilities = model.predict_on_batch(np.stack(batch))
    return [PredictionResult(*pair) for pair in zip(batch, probabilities, strict=True)]


def row(keyed: tuple[str, PredictionResult]) -> dict[str, Any]:
    """Return an image's row."""
    key, result = keyed
    predicted = int(result.inference.argmax())
    return {"key": key, "predicted": predicted, "score": float(result.inference[predicted])}


def input_shape(model: str) -> tuple[int, int, int]:
    """Return height, width and channels of a model's input."""
    with open(os.path.join(model, "model_spec.json"), encoding="utf-8") as file:
        rule = json.load(file)["input"]
    return rule["height"], rule["width"], 1 if rule["color_mode"] == "grayscale" else 3


def main() -> None:
    """Score a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="folder of images, local or gs://")
    parser.add_argument("--kind", choices=tuple(SUFFIX), default="png")
    parser.add_argument("--model", required=True, help="model directory")
    parser.add_argument("--output", required=True, help="folder for the rows, local or gs://")
    parser.add_argument("--batch", type=int, default=1024)
    arguments, beams = parser.parse_known_args()
    model = os.path.join(arguments.model, "model.keras")
    shape = input_shape(arguments.model)
    handler = TFModelHandlerNumpy(model_uri=model, inference_fn=infer, max_batch_size=arguments.batch)
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *beams])) as pipeline:
        (
            pipeline
            | "Match" >> fileio.MatchFiles(f"{arguments.input}/**{SUFFIX[arguments.kind]}")
            | "Read" >> fileio.ReadMatches()
            | "Decode" >> beam.Map(decode, shape)
            | "Infer" >> RunInference(KeyedModelHandler(handler))
            | "Row" >> beam.Map(row)
            | "Write" >> beam.io.WriteToParquet(f"{arguments.output}/rows", SCHEMA, file_name_suffix=".parquet")
        )


if __name__ == "__main__":
    main()
