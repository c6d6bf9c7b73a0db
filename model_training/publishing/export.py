"""A trained network as the files of a model directory. Must not know where the directory will be published."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from model_training.data.datasets import Dataset
from model_training.learning.evaluation import Run
from model_training.learning.training import Trained
from model_training.publishing.convert import Converted, with_engines
from pipeline.batches import EncodedBatch
from pipeline.machine import versions
from pipeline.model import directory
from pipeline.model.directory import Golden
from pipeline.model.engines.network import EMBEDDING
from pipeline.model.input_rule import InputSpec
from pipeline.model.outputs import value_unit
from pipeline.model.preprocess import preprocess
from pipeline.model.spec import ModelSpec, model_id
from pipeline.task import WITH_CLASSES, Embedding

_VERSIONED = ("tensorflow", "keras", "numpy", "pillow", "nightscore")


def draft_spec(dataset: Dataset, trained: Trained) -> ModelSpec:
    """Return what is known of a network's spec before anything was measured: no model id, and 0.5 for thresholds.

    Args:
        dataset: what was learned.
        trained: the network.
    """
    task, embedding = dataset.task, None
    if trained.recipe.with_embedding or task == "embedding":
        embedding = Embedding(int(_before_last(trained.network).shape[-1]))
    return ModelSpec(
        dataset.input,
        tuple(dataset.class_names) if task in WITH_CLASSES else (),
        "",
        task=task,
        value_unit=value_unit(dataset.train.labels) if task == "value" else 0.0,
        embedding=embedding,
    )


def outputs_of(trained: Trained, spec: ModelSpec) -> dict[str, Any]:
    """Return name in the SavedModel -> the network's tensor, of all that a model gives for an image.

    The embedding is what enters the dense layer at the network's end: the output of the layer before it.
    """
    given = {} if spec.task == "embedding" else {trained.head.output: trained.network.outputs[0]}
    if spec.embedding is not None:
        given[EMBEDDING] = _before_last(trained.network)
    return given


def _before_last(network: Any) -> Any:
    """Return the tensor that enters the last dense layer of a network."""
    import keras

    return [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)][-1].input


def save_network(network: Any, folder: str, outputs: Mapping[str, Any] | None = None, has_graph: bool = False) -> None:
    """Write saved_model/ and model.keras.

    The SavedModel's only signature is serving_default: uint8 [batch, height, width, channels] to float32 arrays of
    [batch, ...] by name. It holds the weights that these need, and no optimizer. model.keras is the whole network.

    Args:
        network: a Keras network from images to one output.
        folder: of the model directory; it exists.
        outputs: from `outputs_of`; None: the output of the network, as "probabilities".
        has_graph: whether its base is a graph, which model.keras cannot hold: then there is none.

    Raises:
        OSError: they cannot be written.
    """
    import keras

    served = network if outputs is None else keras.Model(network.inputs, dict(outputs))
    pixels = tf.TensorSpec([None, *network.input_shape[1:]], tf.uint8, name="images")

    @tf.function(input_signature=[pixels])  # type: ignore[untyped-decorator]
    def serve(images: Any) -> dict[str, Any]:
        given = served(images, training=False)
        return {"probabilities": given} if outputs is None else dict(given)

    module = tf.Module()
    module.weights = [weight.value for weight in served.weights]
    module.serve = serve
    try:
        tf.saved_model.save(module, os.path.join(folder, directory.SAVED_MODEL), signatures={"serving_default": serve})
    except tf.errors.OpError as error:  # how TensorFlow says that a disk is full
        raise OSError(error.message.rpartition("}} ")[2]) from error
    if has_graph:
        return
    with warnings.catch_warnings():  # tf.Variable does not know NumPy 2's copy keyword, and Keras asks it for arrays
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
        network.save(os.path.join(folder, directory.KERAS_MODEL))


def make_golden(examples: Sequence[bytes], spec: InputSpec, run: Run) -> Golden:
    """Return encoded images with the pixels and the outputs that they have here.

    Raises:
        ValueError: one of them cannot be decoded.
    """
    made = preprocess(EncodedBatch.of(examples), spec)
    if made.images.failures:
        raise ValueError(f"golden images that cannot be decoded: {made.images.failures}")
    return Golden(examples, made.pixels, {}).with_outputs("tensorflow", run(made.pixels))


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
    return finish_spec(ModelSpec(spec, tuple(class_names), ""), folder, training, converted)


def finish_spec(
    draft: ModelSpec, folder: str, training: Mapping[str, Any], converted: Converted | None = None
) -> ModelSpec:
    """Return a spec with its model id, and with what is known of the making of the model.

    Args:
        draft: what the model's input and its outputs are.
        folder: of the model directory; its saved_model/ is there.
        training: as of `make_spec`.
        converted: as of `make_spec`.
    """
    root = Path(folder, directory.SAVED_MODEL)
    files = [(path.relative_to(root).as_posix(), path.read_bytes()) for path in root.rglob("*") if path.is_file()]
    made_by = {**versions(_VERSIONED), "tensorflow": str(tf.__version__)}  # also where it is tensorflow-cpu
    identity = model_id(draft.input, draft.class_names, files, draft.identity())
    made = replace(draft, model_id=identity, versions=made_by, training=training)
    return made if converted is None else with_engines(made, converted)
