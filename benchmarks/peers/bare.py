"""The least that a script with the same libraries does: import them, load the model, predict a few images.

    python benchmarks/peers/bare.py --input FOLDER --model MODEL --output OUTPUT

No pipeline and no checks; for the seconds that a small job takes at least.
"""

from __future__ import annotations

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import apache_beam  # noqa: F401 - imported for its seconds
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from PIL import Image


def main() -> None:
    """Score a folder of images that have the model's size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="folder of images")
    parser.add_argument("--kind", choices=("png",), default="png")
    parser.add_argument("--model", required=True, help="model directory")
    parser.add_argument("--output", required=True, help="folder for rows.parquet")
    parser.add_argument("--batch", type=int, help="not used: all at once")
    arguments = parser.parse_args()
    paths = sorted(str(path) for path in pathlib.Path(arguments.input).rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])[..., np.newaxis]
    loaded = tf.saved_model.load(os.path.join(arguments.model, "saved_model"))
    (probabilities,) = loaded.signatures["serving_default"](images=tf.constant(pixels)).values()
    scores = probabilities.numpy()
    os.makedirs(arguments.output, exist_ok=True)
    rows = {"key": paths, "predicted": scores.argmax(1).astype(np.int32), "score": scores.max(1)}
    pq.write_table(pa.table(rows), os.path.join(arguments.output, "rows.parquet"))


if __name__ == "__main__":
    main()
