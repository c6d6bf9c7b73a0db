"""A network of TensorFlow from elsewhere as saved_model/: uint8 pixels in, scores out, its weights kept.

In the graph stand, in this order: cast, scale and offset, the order of the axes, the network, and what makes
probabilities of its output. Must not know where the folder will be published.
"""

from __future__ import annotations

from typing import Any

from model_import.graph_model import GraphModel
from model_import.pick import Scores
from model_import.scaling import Scaling
from model_import.start import tf
from pipeline.model.engines.network import EMBEDDING
from pipeline.model.feed import Head
from pipeline.model.input_rule import InputSpec

SIGNATURE = "serving_default"

SCORES = "scores"
"""Name of the signature's output with the scores."""


def write_saved_model(
    model: GraphModel, rule: InputSpec, scaling: Scaling, scores: Scores | None, embedding: Scores | None, folder: str
) -> None:
    """Write a SavedModel whose only signature takes uint8 [n, height, width, channels] and gives float32 [n, k].

    If the network takes encoded files, the signature takes strings [n], as they are.

    Args:
        model: that was read.
        rule: its input rule.
        scaling: how pixels become its values.
        scores: which output has the scores, and what is put behind it; None: it gives an embedding alone.
        embedding: which output is the embedding; None: there is none.
        folder: that is made.

    Raises:
        OSError: it cannot be written.
        ValueError: TensorFlow cannot write this network.
    """
    library = tf()
    images_spec = library.TensorSpec([None, *rule.shape], library.uint8, name="images")
    if model.takes == "encoded":
        images_spec = library.TensorSpec([None], library.string, name="files")
    named = {name: one for name, one in ((SCORES, scores), (EMBEDDING, embedding)) if one is not None}

    def serve(images: Any) -> dict[str, Any]:
        values = images if model.takes == "encoded" else scaled(images, scaling.for_channels(rule.channels))
        found = model.tensors(values)
        rows = {name: library.reshape(found[one.output], [-1, one.width]) for name, one in named.items()}
        return {name: with_head(rows[name], one.head) for name, one in named.items()}

    module = library.Module()
    module.kept = model.kept
    module.serve = library.function(serve, input_signature=[images_spec], autograph=False)
    try:
        library.saved_model.save(module, folder, signatures={SIGNATURE: module.serve})
    except library.errors.OpError as error:
        raise OSError(error.message.rpartition("}} ")[2]) from error


def scaled(images: Any, scaling: Scaling) -> Any:
    """Return values of pixels, within a graph: float32 of the same shape."""
    library = tf()
    values = library.cast(images, library.float32)
    if set(scaling.scale) != {1.0}:
        values = values * library.constant(scaling.scale, library.float32)
    if set(scaling.offset) != {0.0}:
        values = values + library.constant(scaling.offset, library.float32)
    return values


def with_head(rows: Any, head: Head) -> Any:
    """Return probabilities of a network's output, within a graph: float32 [n, classes]."""
    library = tf()
    if head == "softmax":
        return library.nn.softmax(rows)
    if head in ("sigmoid", "sigmoid_pair"):
        rows = library.sigmoid(rows)
    if head in ("pair", "sigmoid_pair"):
        rows = library.concat([1.0 - rows, rows], axis=1)
    return rows
