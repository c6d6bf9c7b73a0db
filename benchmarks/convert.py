"""A SavedModel as a file for LiteRT, in a process of its own: the converter is TensorFlow's.

python -m benchmarks.convert SAVED_MODEL NETWORK
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(saved_model: str, network: str) -> None:
    """Write the network of a SavedModel to a file, whole or not at all."""
    import tensorflow as tf

    half = Path(f"{network}.half")
    half.write_bytes(tf.lite.TFLiteConverter.from_saved_model(saved_model).convert())
    half.rename(network)


if __name__ == "__main__":
    main(*sys.argv[1:])
