"""How training images are changed at random, so that a network does not learn them by heart. Layers are Keras'.

    light    moved by up to 8 % of a side, turned by up to 10 degrees, width and height each changed by up to 10 %
    strong   the same with 12 %, 15 degrees and 20 %, mirrored left to right, brightness and contrast by up to 20 %

Must not know what is learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model_training.learning.recipe import Augment

if TYPE_CHECKING:
    from model_training.data.image_set import Pixels


def augmentation(name: Augment, seed: int) -> Any:
    """Return a Keras layer that changes batches of images with values from 0 to 255; None for "none".

    Args:
        name: how much they are changed.
        seed: of the changes.
    """
    if name == "none":
        return None
    import keras

    layers, is_strong = keras.layers, name == "strong"
    shift, degrees, zoom = (0.12, 15, 0.2) if is_strong else (0.08, 10, 0.1)
    edge: dict[str, Any] = {"fill_mode": "nearest"}
    steps = [
        layers.RandomTranslation(shift, shift, seed=seed, **edge),
        layers.RandomRotation(degrees / 360, seed=seed + 1, **edge),
        layers.RandomZoom((-zoom, zoom), (-zoom, zoom), seed=seed + 2, **edge),
    ]
    if is_strong:
        steps += [
            layers.RandomFlip("horizontal", seed=seed + 3),
            layers.RandomBrightness(0.2, value_range=(0, 255), seed=seed + 4),
            layers.RandomContrast(0.2, value_range=(0, 255), seed=seed + 5),
        ]
    return layers.Pipeline(steps)


def augmented(pixels: Any, augment: Any) -> Any:
    """Return a batch of images changed, as uint8 again: what a network is trained on is what it scores.

    Args:
        pixels: uint8 [n, height, width, channels].
        augment: from `augmentation`; not None.
    """
    import keras

    changed = augment(keras.ops.cast(pixels, "float32"), training=True)
    return keras.ops.cast(keras.ops.clip(keras.ops.round(changed), 0, 255), "uint8")


def examples(pixels: Pixels, name: Augment, copies: int, seed: int = 0) -> Pixels:
    """Return images as training sees them: uint8 [copies, n, height, width, channels], changed `copies` times."""
    augment = augmentation(name, seed)
    changed = [pixels if augment is None else np.asarray(augmented(pixels, augment)) for _ in range(copies)]
    return np.stack(changed)
