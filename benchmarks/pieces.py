"""The bare pieces of the work, each alone in a process of its own: what an image costs at least.

    python -m benchmarks.pieces read|decode|predict|import --kind png --input FOLDER --model MODEL

Prints one JSON object. No Beam, no rows, no checks, one thread; the fastest decoder that gives Pillow's pixels.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.model.directory import SAVED_MODEL, read_spec
from pipeline.model.spec import InputSpec

Decoder = Callable[[bytes], npt.NDArray[np.uint8]]

SAMPLE_BYTES = 16 << 20
"""Of encoded images are read and decoded."""

BATCHES = (8, 16, 32, 64, 128, 256, 512, 1024)
BATCH_VALUES = 13_000_000
"""Most values of pixels in a batch that is tried."""

SECONDS = 0.5
PASSES = 3
_PNG = b"\x89PNG\r\n\x1a\n"


def sample(folder: Path) -> list[Path]:
    """Return some of the files, in order: enough to measure with."""
    found, size = [], 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.append(path)
        size += path.stat().st_size
        if size > SAMPLE_BYTES:
            break
    return found


def read(paths: list[Path], kind: str) -> list[bytes]:
    """Return the encoded images of files."""
    if kind == "tfrecord":
        return [image for path in paths for image in _records(path.read_bytes())]
    images = []
    largest = max(path.stat().st_size for path in paths)
    for path in map(str, paths):
        file = os.open(path, os.O_RDONLY)
        data = os.read(file, largest)
        os.close(file)
        images.append(data)
    return images


def decoder(kind: str, spec: InputSpec) -> tuple[str, Decoder]:
    """Return the fastest decoder that is installed, and its name."""
    name, load = _loader(kind, spec)
    size = spec.width, spec.height

    def decode(data: bytes) -> npt.NDArray[np.uint8]:
        pixels = load(data)
        if pixels.shape[:2] != spec.shape[:2]:
            pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        return pixels.reshape(spec.shape)

    return name, decode


def predict(spec: InputSpec, model: Path, precision: str) -> dict[str, Any]:
    """Return the best batch and the CPU seconds of an image in it."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if precision == "bfloat16":
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    loaded = tf.saved_model.load(str(model / SAVED_MODEL))
    function = loaded.signatures["serving_default"]
    (name,) = function.structured_input_signature[1]
    found = {}
    for batch in BATCHES:
        if batch == BATCHES[0] or batch * int(np.prod(spec.shape)) <= BATCH_VALUES:
            pixels = np.random.default_rng(0).integers(0, 256, (batch, *spec.shape), np.uint8)
            found[batch] = _repeated(lambda pixels=pixels: function(**{name: tf.constant(pixels)})) / batch  # type: ignore[misc]
    best = min(found, key=lambda batch: found[batch])
    return {"cpu_seconds": found[best], "batch": best}


def _repeated(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call, the least of a few times half a second of them."""
    call()
    best = float("inf")
    for _ in range(PASSES):
        started, calls = time.process_time(), 0
        while calls == 0 or time.process_time() - started < SECONDS:
            call()
            calls += 1
        best = min(best, (time.process_time() - started) / calls)
    return best


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the images of a TFRecord file; what follows one in its record is left on it, decoders do not mind."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield data[data.index(_PNG, at + 12) : at + 12 + length]
        at += 16 + length


def _loader(kind: str, spec: InputSpec) -> tuple[str, Decoder]:
    if kind == "jpeg" and spec.channels == 3:
        try:
            from simplejpeg import decode_jpeg

            return "simplejpeg", decode_jpeg
        except ImportError:
            pass
    if kind != "jpeg":
        try:
            from pyspng import load

            return "pyspng", load
        except ImportError:
            pass
    mode = "L" if spec.channels == 1 else "RGB"
    return "pillow", lambda data: np.asarray(Image.open(io.BytesIO(data)).convert(mode))


def measured(piece: str, kind: str, source: Path, model: Path, precision: str) -> dict[str, Any]:
    """Return what a piece costs, as JSON values."""
    started = time.perf_counter()
    if piece == "import":
        import tensorflow as tf

        tf.config.list_logical_devices()
        return {"wall_seconds": time.perf_counter() - started}
    spec = read_spec(str(model)).input
    if piece == "predict":
        return predict(spec, model, precision)
    paths = sample(source)
    images = read(paths, kind)
    if piece == "read":
        return {"cpu_seconds": _repeated(lambda: read(paths, kind)) / len(images)}
    name, decode = decoder(kind, spec)
    return {"cpu_seconds": _repeated(lambda: [decode(image) for image in images]) / len(images), "decoder": name}


def main() -> None:
    """Measure a piece and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("piece", choices=("read", "decode", "predict", "import"))
    parser.add_argument("--kind", choices=("png", "jpeg", "tfrecord"), required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    asked = parser.parse_args()
    print(json.dumps(measured(asked.piece, asked.kind, asked.input, asked.model, asked.precision)))


if __name__ == "__main__":
    main()
