"""Tell what this machine makes of images: `python tell_pixels_and_scores.py MODEL FOLDER` prints one JSON object.

It has the CPU's kind, the SHA-256 of the pixels of each file by each preset, and the scores of the files by
`model.tflite`. The model refuses to load if this machine does not reproduce its golden images.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from pathlib import Path

import numpy as np

from pipeline.batches import EncodedBatch
from pipeline.model.directory import read_spec
from pipeline.model.loaded import Model
from pipeline.model.preprocess import preprocess
from pipeline.model.presets import PRESETS, rule_like


def main(model: str, folder: Path) -> None:
    """Print the object."""
    paths = sorted(folder.iterdir())
    files = [path.read_bytes() for path in paths]
    pixels = {}
    for preset in PRESETS:
        batch = preprocess(EncodedBatch.of(files), rule_like(preset, 96, 96))
        assert not batch.images.failures, batch.images.failures
        pixels[preset] = {
            path.name: hashlib.sha256(one.tobytes()).hexdigest() for path, one in zip(paths, batch.pixels, strict=True)
        }
    spec = read_spec(model)
    loaded = Model(model, spec, "litert")
    batch = preprocess(EncodedBatch.of(files), spec.input)
    outputs, _ = loaded.score(np.ascontiguousarray(batch.pixels))
    print(json.dumps({"machine": platform.machine(), "pixels": pixels, "scores": outputs.scores.tolist()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
