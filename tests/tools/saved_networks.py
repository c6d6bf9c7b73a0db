"""Small networks of other kinds than ours, as SavedModels with the signature of a model directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model_training.publishing.check_images import check_images, mixtures
from model_training.publishing.export import make_spec
from model_training.publishing.publish import write_files
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.model.directory import GOLDEN, SPEC, Golden
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.model.spec import Conversion, ModelSpec, model_id

SHAPE = (12, 12, 3)


def save(function: Callable[[Any], Any], folder: Path | str) -> str:
    """Write FOLDER/saved_model of a function from float32 [n, 12, 12, 3] to three outputs before the softmax."""
    import tensorflow as tf

    class Network(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), tf.uint8)])  # type: ignore[untyped-decorator]
        def serve(self, images: Any) -> dict[str, Any]:
            return {"probabilities": tf.nn.softmax(function(tf.cast(images, tf.float32)))}

    module = Network()
    module.function = function  # with the variables that it may have
    tf.saved_model.save(module, os.path.join(folder, "saved_model"), signatures={"serving_default": module.serve})
    return os.path.join(folder, "saved_model")


def means(images: Any) -> Any:
    """Return how far the mean of each color is above the middle."""
    import tensorflow as tf

    return tf.reduce_mean(images, (1, 2)) / 32 - 4


def bicubic(images: Any) -> Any:
    import tensorflow as tf

    return means(tf.image.resize(images, (24, 24), method="bicubic"))


def lanczos(images: Any) -> Any:
    import tensorflow as tf

    return means(tf.image.resize(images, (24, 24), method="lanczos3"))


def half(images: Any) -> Any:
    """Convolve in float16."""
    import tensorflow as tf

    kernel = tf.constant(np.eye(3)[None, None], tf.float16)
    return means(tf.cast(tf.nn.conv2d(tf.cast(images, tf.float16), kernel, 1, "SAME"), tf.float32))


def not_a_number(images: Any) -> Any:
    import tensorflow as tf

    return tf.sqrt(means(images) - 100)


def pictures(n: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return n different images, uint8 [n, 12, 12, 3]."""
    random = np.random.default_rng(1)
    return np.concatenate(mixtures(random.integers(0, 256, (3, *SHAPE), np.uint8), n))


def write_model(function: Callable[[Any], Any], folder: Path) -> None:
    """Write a model directory of an earlier version: three classes, and nothing of LiteRT."""
    from PIL import Image

    from model_training.learning.evaluation import load_score
    from pipeline.model.thumbnails import png

    score = load_score(save(function, folder))
    encoded = [png(Image.fromarray(picture)) for picture in pictures()]
    rule = InputSpec(*SHAPE[:2], "rgb")
    pixels = preprocess(EncodedBatch(ImageColumns.of(["0", "1", "2"]), encoded), rule).pixels
    write_files(str(folder / GOLDEN), Golden(encoded, pixels, {"tensorflow": score(pixels)}).files())
    write_files(str(folder), {SPEC: make_spec(str(folder), rule, ["red", "green", "blue"], {}).to_json().encode()})


def write_encoded_model(folder: Path, encoded: Sequence[bytes]) -> None:
    """Write a model directory whose network gets files and decodes them: three classes, as those of `means`.

    Args:
        folder: that exists.
        encoded: the golden images.
    """
    import tensorflow as tf

    from pipeline.model.engines.tensorflow import TensorFlowNetwork

    class Network(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])  # type: ignore[untyped-decorator]
        def serve(self, image_bytes: Any) -> dict[str, Any]:
            return {"scores": tf.nn.softmax(means(tf.map_fn(decode, image_bytes, fn_output_signature=tf.float32)))}

    def decode(data: Any) -> Any:
        return tf.image.resize(tf.io.decode_image(data, 3, expand_animations=False), SHAPE[:2])

    module = Network()
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.serve})
    rule = InputSpec(32, 32, "rgb", decode="reduced")
    golden = Golden(encoded, preprocess(EncodedBatch.of(encoded), rule).pixels, {})
    network = TensorFlowNetwork(str(folder / "saved_model"), rule.shape)
    golden = golden.with_outputs("tensorflow", network(golden.inputs("encoded")))
    files = [
        (str(p.relative_to(folder / "saved_model")), p.read_bytes())
        for p in (folder / "saved_model").rglob("*")
        if p.is_file()
    ]
    names = ("red", "green", "blue")
    spec = ModelSpec(rule, names, "", litert=Conversion(missing="its network takes encoded files"), takes="encoded")
    spec = replace(spec, model_id=model_id(rule, names, files, spec.identity()))
    write_files(str(folder / GOLDEN), golden.files())
    write_files(str(folder), {SPEC: spec.to_json().encode()})


def write_images(folder: Path) -> None:
    """Write what `model_training.publishing.converter` expects to find."""
    from model_training.publishing import converter

    np.save(folder / converter.GOLDEN, pictures(4))
    np.save(folder / converter.IMAGES, check_images([pictures(4)], 20))
