"""The convolutional networks that are trained from scratch. Must not know what they learn or where it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from model_training.learning.head import Head
from model_training.learning.recipe import NetworkName
from pipeline.errors import UsageError

if TYPE_CHECKING:
    import keras

SMALLEST_SIDE = 10
"""Pixels: two 3 x 3 convolutions and two halvings leave one value of ten."""

SMALLEST_SIDES: Mapping[NetworkName, int] = {"classic": SMALLEST_SIDE, "compact": 16}
"""Pixels of a side of the images that a network takes, at least, by its name."""

LARGEST_SIDE = 512
"""Pixels: the first dense layer grows with the area, and has 65 million weights here."""


def check_side(name: NetworkName, side: int) -> None:
    """Check that images are not too small for a network.

    Args:
        name: of the network.
        side: the shorter one of the images, in pixels.

    Raises:
        UsageError: they are.
    """
    if side < SMALLEST_SIDES[name]:
        raise UsageError(
            f"--network {name} takes images of at least {SMALLEST_SIDES[name]} pixels a side, and these have {side}: "
            f"give --image_size {SMALLEST_SIDES[name]}"
        )


def build_network(name: NetworkName, input_shape: tuple[int, int, int], head: Head) -> keras.Sequential:
    """Return a network that is not compiled, its weights drawn from the seed that Keras has.

    For (28, 28, 1) and 10 classes "classic" has 121,930 parameters and "compact" 103,514.

    Args:
        name: of the network.
        input_shape: (height, width, channels) of its uint8 pixels; they are divided by 255 inside.
        head: its end.

    Raises:
        UsageError: the images are too small for it.
    """
    import keras

    check_side(name, min(input_shape[:2]))
    layers = keras.layers
    start = [keras.Input(input_shape, dtype="uint8", name="images"), layers.Rescaling(1 / 255, name="scale")]
    body = _classic() if name == "classic" else _compact()
    return keras.Sequential([*start, *body, *head.last_layers()], name="nightscore")


def _classic() -> Sequence[Any]:
    """Return the layers of the classic CNN for MNIST between its scale and its last layer."""
    import keras

    layers = keras.layers
    return [
        layers.Conv2D(32, 3, activation="relu", name="convolution_1"),
        layers.MaxPooling2D(2, name="pooling_1"),
        layers.Conv2D(64, 3, activation="relu", name="convolution_2"),
        layers.MaxPooling2D(2, name="pooling_2"),
        layers.Flatten(name="flatten"),
        layers.Dense(64, activation="relu", name="dense"),
    ]


def _compact() -> Sequence[Any]:
    """Return five convolutions with batch normalization and global pooling: more layers, as many parameters."""
    import keras

    layers = keras.layers
    body: list[Any] = []
    for i, (filters, padding) in enumerate([(16, "valid"), (32, "valid"), (48, "valid"), (64, "valid"), (96, "same")]):
        body += [
            layers.Conv2D(filters, 3, padding=padding, use_bias=False, name=f"convolution_{i + 1}"),
            layers.BatchNormalization(name=f"normalization_{i + 1}"),
            layers.ReLU(name=f"activation_{i + 1}"),
        ]
        if i in (1, 3):
            body.append(layers.MaxPooling2D(2, name=f"pooling_{i // 2 + 1}"))
    return [*body, layers.GlobalAveragePooling2D(name="pooling")]
