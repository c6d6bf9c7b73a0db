"""An epoch of training batches as TensorFlow's guides recommend: a tf.data pipeline over files in class folders.

    python benchmarks/peers/tfdata_epochs.py --input FOLDER --kind png --side 28 --shuffle_mb 64

Reads, decodes and resizes in parallel, as many calls at once as tf.data finds best, shuffles the names, and the pixels
in a buffer, and prefetches. JPEG files are decoded as TensorFlow does by default, or with `--dct INTEGER_ACCURATE`.
Prints a line when it is ready; each line that comes asks for an epoch, whose number of images it prints.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

BATCH = 32
SUFFIX = {"png": ".png", "jpeg": ".jpg"}


def decoder(kind: str, side: int, dct: str) -> Any:
    """Return the function from a path and a label to pixels, uint8 [side, side, channels], and the label."""

    def decode(path: Any, label: Any) -> Any:
        data = tf.io.read_file(path)
        if kind == "png":  # already of the model's size
            return tf.ensure_shape(tf.io.decode_png(data, channels=1), (side, side, 1)), label
        pixels = tf.io.decode_jpeg(data, channels=3, dct_method=dct)
        pixels = tf.image.resize(pixels, (side, side), antialias=True)
        return tf.cast(tf.round(pixels), tf.uint8), label

    return decode


def main() -> None:
    """Serve epochs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="folder of class folders")
    parser.add_argument("--kind", choices=tuple(SUFFIX), required=True)
    parser.add_argument("--side", type=int, required=True, help="pixels of each side of the batches")
    parser.add_argument("--shuffle_mb", type=int, required=True)
    parser.add_argument("--dct", default="")
    asked = parser.parse_args()
    files = sorted(str(path) for path in pathlib.Path(asked.input).rglob("*" + SUFFIX[asked.kind]))
    names = sorted({path.rsplit("/", 2)[1] for path in files})
    labels = [names.index(path.rsplit("/", 2)[1]) for path in files]
    image_bytes = asked.side * asked.side * (1 if asked.kind == "png" else 3)
    batches = (
        tf.data.Dataset.from_tensor_slices((files, labels))
        .shuffle(len(files))
        .map(decoder(asked.kind, asked.side, asked.dct), num_parallel_calls=tf.data.AUTOTUNE)
        .shuffle(min(len(files), (asked.shuffle_mb << 20) // image_bytes))
        .batch(BATCH)
        .prefetch(tf.data.AUTOTUNE)
    )
    print("ready", flush=True)
    for _ in sys.stdin:
        print(sum(len(found) for _, found in batches), flush=True)


if __name__ == "__main__":
    main()
