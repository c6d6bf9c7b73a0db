"""Ray Data: images read and resized by tasks, the model in actors, the rows into Parquet.

    python benchmarks/peers/ray_data.py --input FOLDER --kind png --model MODEL --output OUTPUT --batch 1024

As Ray's documentation has it for batch inference: read_images, map_batches with a callable class, write_parquet.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_DATA_DISABLE_PROGRESS_BARS"] = "1"

import numpy as np
import ray

SUFFIX = {"png": "png", "jpeg": "jpg"}
Batch = dict[str, Any]


class Scorer:
    """The model in an actor."""

    def __init__(self, path: str) -> None:
        """Load it."""
        import keras

        self.model = keras.models.load_model(path)

    def __call__(self, batch: Batch) -> Batch:
        """Return the rows of a batch."""
        images = np.asarray(batch["image"]).reshape(-1, *self.model.input_shape[1:])
        probabilities = self.model.predict_on_batch(images)
        predicted = probabilities.argmax(1).astype(np.int32)
        return {"key": batch["path"], "predicted": predicted, "score": probabilities.max(1)}


def input_shape(model: str) -> tuple[int, int, int]:
    """Return height, width and channels of a model's input."""
    with open(os.path.join(model, "model_spec.json"), encoding="utf-8") as file:
        rule = json.load(file)["input"]
    return rule["height"], rule["width"], 1 if rule["color_mode"] == "grayscale" else 3


def score(arguments: argparse.Namespace) -> None:
    """Score a folder on the Ray that is connected."""
    height, width, channels = input_shape(arguments.model)
    images = ray.data.read_images(
        arguments.input,
        mode="L" if channels == 1 else "RGB",
        size=(height, width) if arguments.kind == "jpeg" else None,
        include_paths=True,
        file_extensions=[SUFFIX[arguments.kind]],
    )
    rows = images.map_batches(
        Scorer,
        fn_constructor_args=(os.path.join(arguments.model, "model.keras"),),
        batch_size=arguments.batch,
        compute=ray.data.ActorPoolStrategy(size=1),
    )
    rows.write_parquet(arguments.output)


def main() -> None:
    """Start Ray on this machine and score a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="folder of images")
    parser.add_argument("--kind", choices=tuple(SUFFIX), default="png")
    parser.add_argument("--model", required=True, help="model directory")
    parser.add_argument("--output", required=True, help="folder for the rows")
    parser.add_argument("--batch", type=int, default=1024)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        ray.init(include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1", _temp_dir=folder)
        score(arguments)
        ray.shutdown()


if __name__ == "__main__":
    main()
