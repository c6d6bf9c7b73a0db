"""A trained network as the files of a model directory. Must not know where the directory will be published."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from model_training.learning.evaluation import Score
from model_training.publishing.convert import Converted, with_engines
from pipeline.batches import EncodedBatch
from pipeline.machine import versions
from pipeline.model import directory
from pipeline.model.directory import Golden
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.model.spec import ModelSpec, model_id

_VERSIONED = ("tensorflow", "keras", "numpy", "pillow", "nightscore")


def save_network(network: Any, folder: str) -> None:
    """Write saved_model/ and model.keras.

    The SavedModel's only signature is serving_default: uint8 [batch, height, width, channels] to float32
    [batch, classes]. It holds the weights and no optimizer.

    Args:
        network: a keras.Sequential from `build_network`.
        folder: of the model directory; it exists.

    Raises:
        OSError: they cannot be written.
    """
    pixels = tf.TensorSpec([None, *network.input_shape[1:]], tf.uint8, name="images")

    @tf.function(input_signature=[pixels])  # type: ignore[untyped-decorator]
    def serve(images: Any) -> dict[str, Any]:
        return {"probabilities": network(images, training=False)}

    module = tf.Module()
    module.weights = [weight.value for weight in network.weights]
    module.serve = serve
    try:
        tf.saved_model.save(module, os.path.join(folder, directory.SAVED_MODEL), signatures={"serving_default": serve})
    except tf.errors.OpError as error:  # how TensorFlow says that a disk is full
        raise OSError(error.message.rpartition("}} ")[2]) from error
    with warnings.catch_warnings():  # tf.Variable does not know NumPy 2's copy keyword, and Keras asks it for arrays
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
        network.save(os.path.join(folder, directory.KERAS_MODEL))


def make_golden(examples: Sequence[bytes], spec: InputSpec, score: Score) -> Golden:
    """Return encoded images with the pixels and scores that they have here.

    Raises:
        ValueError: one of them cannot be decoded.
    """
    made = preprocess(EncodedBatch.of(examples), spec)
    if made.images.failures:
        raise ValueError(f"golden images that cannot be decoded: {made.images.failures}")
    return Golden(examples, made.pixels, {"tensorflow": score(made.pixels)})


def make_spec(
    folder: str,
    spec: InputSpec,
    class_names: Sequence[str],
    training: Mapping[str, Any],
    converted: Converted | None = None,
) -> ModelSpec:
    """Return the spec of the model whose saved_model/ lies in a folder.

    Args:
        folder: of the model directory.
        spec: the input rule.
        class_names: in the order of the network's output.
        training: what people may want to know of its training, as JSON values.
        converted: what became of model.tflite; None: nobody tried to make one.
    """
    root = Path(folder, directory.SAVED_MODEL)
    files = [(path.relative_to(root).as_posix(), path.read_bytes()) for path in root.rglob("*") if path.is_file()]
    made_by = {**versions(_VERSIONED), "tensorflow": str(tf.__version__)}  # also where it is tensorflow-cpu
    made = ModelSpec(spec, tuple(class_names), model_id(spec, class_names, files), made_by, training)
    return made if converted is None else with_engines(made, converted)
