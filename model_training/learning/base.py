"""A network that begins with a trained one, its base: scale, base, pooling, and a new last layer.

Batch normalization within the base never learns, so that it goes on with the statistics that it has, as Keras' guide to
transfer learning has it. Must not know where bases come from (`model_training.base`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model_training.learning.head import Head
from model_training.learning.recipe import FineTune, Recipe
from pipeline.formatting import counted
from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_hash import rule_id
from pipeline.model.trained_on import TrainedOn

TOP_SHARE = 1 / 3
"""Share of a base's layers that "top" tunes: the last ones."""

_NEVER_TUNED = ("BatchNormalization", "Normalization")
"""Kinds of layers that keep what they have learned: with few images, their statistics would get worse."""


@dataclass(frozen=True)
class Base:
    """A trained network without its last layer.

    A training changes its weights: open it anew for the next one.

    Attributes:
        name: what a person calls it.
        rule: its input rule, which the new network keeps.
        backbone: a Keras model or layer: values of images -> features, [n, d] or [n, height, width, d].
        scaling: factors and offsets that make its values of pixels, one for all channels or one a channel; None: it
            takes pixels as they are.
        is_fixed: whether it is a graph, none of whose weights can be tuned.
        facts: what model_spec.json says of it, as JSON values.
        learned: the pixels that it has learned from; None: not known.
    """

    name: str
    rule: InputSpec
    backbone: Any
    scaling: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    is_fixed: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    learned: TrainedOn | None = None

    def network(self, head: Head) -> Any:
        """Return a network that is not compiled: this base, and new last layers with weights of Keras' seed."""
        import keras

        layers = keras.layers
        images = keras.Input(self.rule.shape, dtype="uint8", name="images")
        values = images
        if self.scaling is not None:
            scale, offset = (one[0] if len(one) == 1 else list(one) for one in self.scaling)
            values = layers.Rescaling(scale, offset, name="scale")(images)
        features = self.backbone(values)
        if len(features.shape) == 4:
            features = layers.GlobalAveragePooling2D(name="pooling")(features)
        for layer in head.last_layers():
            features = layer(features)
        return keras.Model(images, features, name="nightscore")

    def tuned(self, part: FineTune) -> int:
        """Return how many of its layers learn as a part of it: the last ones.

        Args:
            part: "none", "top" = a third of them, or "all".
        """
        layers = len(self.layers)
        return {"none": 0, "top": math.ceil(layers * TOP_SHARE), "all": layers}[part]

    @property
    def layers(self) -> list[Any]:
        """Its layers that can learn, in their order."""
        every = [] if self.is_fixed else list(layers_with_weights(self.backbone))
        return [layer for layer in every if type(layer).__name__ not in _NEVER_TUNED]

    def unfreeze(self, part: FineTune) -> None:
        """Let a part of it learn, as `tuned` has it, and nothing else of it."""
        if self.is_fixed:
            return
        tuned = self.layers[len(self.layers) - self.tuned(part) :]
        self.backbone.trainable = bool(tuned)  # and with it all layers within
        for layer in layers_with_weights(self.backbone):
            layer.trainable = any(layer is one for one in tuned)


def base_facts(base: Base | None, recipe: Recipe, chosen: int, test: npt.NDArray[np.uint64]) -> dict[str, Any] | None:
    """Return what model_spec.json says of the base of a network that was trained, as JSON values.

    Args:
        base: of the network; None: it has none.
        recipe: of the training.
        chosen: index of the epoch whose weights are the network's.
        test: hashes of the pixels of the test images, uint64 [n].

    Returns:
        What the base says of itself, with "layers": how many of it can learn, "tuned": how many of these have learned
        by the chosen epoch, and "test_images_seen": how many test images the base has learned from itself;
        None: not known. None without a base.
    """
    if base is None:
        return None
    seen = None
    if base.learned is not None and base.learned.rule == rule_id(base.rule).hex():
        seen = int(base.learned.contains(test).sum())
    tuned = base.tuned(recipe.fine_tune) if chosen >= recipe.epochs_frozen else 0
    return {**base.facts, "layers": len(base.layers), "tuned": tuned, "test_images_seen": seen}


def told_of(facts: Mapping[str, Any]) -> str:
    """Return a phrase for people of what `base_facts` has."""
    tuned = f": {facts['tuned']} of {counted(facts['layers'], 'layer')} tuned" if facts["layers"] else ""
    return f"{facts['name']} ({facts['kind']}){tuned}"


def layers_with_weights(network: Any) -> Iterator[Any]:
    """Yield the layers of a Keras model that have weights, also those of models within it, in their order."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from layers_with_weights(layer)
        elif layer.weights:
            yield layer
