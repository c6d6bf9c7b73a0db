"""Models of 2 x 2 grey images that fail on purpose, and batches for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipeline.batches import ImageColumns, PixelBatch
from pipeline.model.directory import EXPECTED, GOLDEN, SPEC
from pipeline.model.input_rule import InputSpec
from pipeline.sources.labels import LabelRule

GOLDEN_PIXELS = (51, 102, 153, 204)


def batch(pixels: npt.NDArray[np.uint8], labels: Sequence[int | None] | None = None) -> PixelBatch:
    """Return a batch of these images, with labels of ten classes if there are any."""
    keys = [f"image {i}" for i in range(len(pixels))]
    if labels is None:
        return PixelBatch(ImageColumns.of(keys), pixels)
    rule = LabelRule([str(i) for i in range(10)])
    return PixelBatch(rule.columns(keys, labels, [""] * len(keys)), pixels)


def first_pixels(*values: int) -> npt.NDArray[np.uint8]:
    """Return images of 2 x 2 that begin with these values."""
    pixels = np.zeros((len(values), 2, 2, 1), np.uint8)
    pixels[:, 0, 0, 0] = values
    return pixels


def write_model(folder: Path, check: Callable[[Any], None], gain: float = 1.0) -> str:
    """Write a model of 2 x 2 grey images: its score is the first pixel's, NaN for 253; `check` may raise before.

    It is the difference of `gain` + 1 and `gain` times that score, so that with a large one little is left of it.
    """
    import tensorflow as tf

    from model_training.publishing.export import make_spec

    class Small(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, 2, 2, 1), tf.uint8)])  # type: ignore[untyped-decorator]
        def serve(self, pixels: Any) -> dict[str, Any]:
            first = pixels[:, 0, 0, 0]
            check(first)
            share = tf.cast(first, tf.float32) / 255.0
            if gain != 1.0:
                share = tf.matmul(tf.stack([share, share], axis=1), tf.constant([[gain + 1], [-gain]]))[:, 0]
            share = tf.where(first == 253, float("nan"), share)
            return {"scores": tf.stack([share, 1 - share], axis=1)}

    module = Small()
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.serve})
    spec = make_spec(str(folder), InputSpec(2, 2, "grayscale"), ["dark", "light"], {})
    (folder / SPEC).write_text(spec.to_json())
    (folder / GOLDEN).mkdir()
    pixels = np.stack([np.full((2, 2, 1), value, np.uint8) for value in GOLDEN_PIXELS])
    for i, image in enumerate(pixels):
        Image.fromarray(image[:, :, 0]).save(folder / GOLDEN / f"{i:03d}.png")
    share = np.array(GOLDEN_PIXELS) / 255
    np.savez(folder / GOLDEN / EXPECTED, pixels=pixels, scores=np.stack([share, 1 - share], axis=1).astype(np.float32))
    return str(folder)


@pytest.fixture(scope="session")
def fussy_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Raises if any first pixel is 255."""
    import tensorflow as tf

    def check(first: Any) -> None:
        tf.debugging.Assert(tf.reduce_all(first < 255), ["there is a 255"])

    return write_model(tmp_path_factory.mktemp("fussy"), check)


@pytest.fixture(scope="session")
def hungry_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Is out of memory for more than 32 images at once, and for any that begins with 254."""
    import tensorflow as tf

    def check(first: Any) -> None:
        excess = tf.nn.relu(tf.size(first, tf.int64) - 32) + tf.reduce_sum(tf.cast(first == 254, tf.int64))
        tf.debugging.Assert(tf.size(tf.zeros(excess * 2**45), tf.int64) >= 0, ["cannot be"])

    return write_model(tmp_path_factory.mktemp("hungry"), check)
