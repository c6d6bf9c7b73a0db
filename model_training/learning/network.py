"""The convolutional network. Must not know which data it learns or where it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

SMALLEST_SIDE = 10
"""Pixels: two 3 x 3 convolutions and two halvings leave one value of ten."""

LARGEST_SIDE = 512
"""Pixels: the first dense layer grows with the area, and has 65 million weights here."""


def build_network(input_shape: tuple[int, int, int], classes: int) -> keras.Sequential:
    """Return the compiled network, its weights drawn from the seed that Keras has.

    For (28, 28, 1) and 10 classes it has 121,930 parameters.

    Args:
        input_shape: (height, width, channels) of its uint8 pixels; they are divided by 255 inside.
        classes: how many probabilities it gives, float32.
    """
    import keras

    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input(input_shape, dtype="uint8", name="images"),
            layers.Rescaling(1 / 255, name="scale"),
            layers.Conv2D(32, 3, activation="relu", name="convolution_1"),
            layers.MaxPooling2D(2, name="pooling_1"),
            layers.Conv2D(64, 3, activation="relu", name="convolution_2"),
            layers.MaxPooling2D(2, name="pooling_2"),
            layers.Flatten(name="flatten"),
            layers.Dense(64, activation="relu", name="dense"),
            layers.Dense(classes, activation="softmax", name="probabilities"),
        ],
        name="nightscore",
    )
    network.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return network
