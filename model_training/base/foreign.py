"""A model from elsewhere as a base: a Keras file, a SavedModel folder, or a folder of Teachable Machine.

It is read, and its input rule decided, as `nightscore import-model` does both (`model_import`).
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from model_import.decide import Decision, decide
from model_import.fact import Fact
from model_import.graph_model import GraphModel
from model_import.known import Known, read_known
from model_import.opening import source_hash
from model_import.request import Request
from model_import.scaling import SCALINGS, Scaling
from model_import.wrap import scaled
from model_training.base.asked import Asked
from model_training.base.backbone import backbone_of
from model_training.base.graph import graph_backbone
from model_training.learning.base import Base
from pipeline.errors import UsageError
from pipeline.text import shell_path


def open_foreign(path: str, asked: Asked) -> Base:
    """Return the base that a file or folder of another library holds.

    Args:
        path: of the file or folder.
        asked: what the user asks for beside it.

    Raises:
        UsageError: it cannot be read, its size or its scaling is not known, or it is no beginning for a network.
    """
    known = read_known(Request(path, like=asked.like or "", rule=asked.rule, scaling=asked.scaling or ""))
    model = known.opened.model
    if not isinstance(model, GraphModel) or model.takes == "encoded" or model.layout.batch is not None:
        raise UsageError(f"--base {path!r} {_unfit(model)}: give the network of Keras that it was made of")
    decision = decided(known.facts, asked, path, _hint(known))
    replace(asked, like=None).check(decision.rule, repr(path))  # what it says is in the rule already
    facts = {"name": os.path.basename(os.path.abspath(path)), "kind": known.opened.kind}
    facts["sha256"] = source_hash(known.opened.path)
    if model.network is None:
        backbone, left_out = _graph(model, decision, path)
        return Base(repr(path), decision.rule, backbone, None, True, facts | told(decision, left_out))
    backbone, left_out = backbone_of(model.network, repr(path))
    return of_keras(repr(path), backbone, decision, facts | told(decision, left_out), model.layout.order)


def decided(facts: dict[str, Fact[Any]], asked: Asked, path: str, hint: str = "") -> Decision:
    """Return the input rule of a network, and how pixels become its values.

    Args:
        facts: what is known, see `model_import.known`.
        asked: what the user asks for; its size counts where the network takes any.
        path: of the network, or what a person calls it.
        hint: what is said of the scaling without being enough, as a phrase; "": nothing.

    Raises:
        UsageError: the size or the scaling is not known.
    """
    if "height" not in facts or "width" not in facts:
        if asked.image_size is None:
            raise UsageError(f"--base {path!r} takes images of any size: give --image_size N, best as it was trained")
        side = Fact[Any](asked.image_size, "given", "by --image_size")
        facts = {"height": side, "width": side, **facts}
    if "scaling" not in facts:
        raise UsageError(
            f"nothing says to what range --base {path!r} wants pixels scaled{hint}: give --scaling, one of "
            f"{', '.join(SCALINGS)} or 'SCALE,OFFSET', or make a model directory of it first, with nightscore "
            f"import-model {shell_path(path)} --check FOLDER, and give that"
        )
    return decide(facts, asked.like or "", path)


def of_keras(name: str, backbone: Any, decision: Decision, facts: dict[str, Any], order: str = "nhwc") -> Base:
    """Return a base of a Keras network without its last layer.

    Args:
        name: what a person calls it.
        backbone: from `backbone_of`.
        decision: its input rule, and how pixels become its values.
        facts: for model_spec.json.
        order: of the axes of its input.

    Raises:
        UsageError: the channels of its images come first.
    """
    import keras

    rule = decision.rule
    if order == "nchw":
        raise UsageError(f"--base {name} takes images with their channels first, which cannot be trained on CPUs")
    if order == "nhw":
        values = keras.Input(rule.shape)
        backbone = keras.Model(values, backbone(keras.layers.Reshape(rule.shape[:2])(values)))
    scaling = decision.scaling.for_channels(rule.channels)
    return Base(name, rule, backbone, (_short(scaling.scale), _short(scaling.offset)), False, facts)


def told(decision: Decision, left_out: str) -> dict[str, Any]:
    """Return what model_spec.json says of how a base was read: its scaling, its last layer, and what was guessed."""
    return {"scaling": _name(decision.scaling), "left_out": left_out, "guessed": decision.guessed}


def _short(numbers: tuple[float, ...]) -> tuple[float, ...]:
    return numbers[:1] if len(set(numbers)) == 1 else numbers


def _name(scaling: Scaling) -> str:
    return scaling.name if scaling.name != "custom" else f"{scaling.scale}, {scaling.offset}"


def _hint(known: Known) -> str:
    said = known.said.scaling
    return "" if said is None else f" ({said.value.name} {said.source})"


def _unfit(model: Any) -> str:
    if not isinstance(model, GraphModel):
        return "is a .tflite file, whose layers cannot be trained on"
    return "decodes its images itself" if model.takes == "encoded" else "takes one image at a time"


def _graph(model: GraphModel, decision: Decision, path: str) -> tuple[Any, str]:
    """Return the frozen graph of a SavedModel, with the scaling before it, and the operation that was left out."""
    import tensorflow as tf

    if len(model.outputs) != 1:
        names = ", ".join(output.name for output in model.outputs)
        raise UsageError(
            f"--base {path!r} gives several outputs ({names}): make a model directory of it first, with nightscore "
            f"import-model {shell_path(path)} --output_name NAME, and give that"
        )
    scaling = decision.scaling.for_channels(decision.rule.channels)

    def serve(images: Any) -> Any:
        return model.tensors(scaled(images, scaling))[model.outputs[0].name]

    pixels = tf.TensorSpec((None, *decision.rule.shape), tf.uint8)
    function = tf.function(serve, input_signature=[pixels], autograph=False).get_concrete_function()
    return graph_backbone(function, "", False, repr(path))
