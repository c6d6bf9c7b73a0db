"""Where the backbone of a network ends, of a Keras model and of a graph alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model_import.start import keras, tf
from model_training.base.backbone import backbone_of
from model_training.base.graph import graph_backbone
from pipeline.errors import UsageError

SHAPE = (12, 12, 3)


def chain(*layers: Any) -> Any:
    library = keras()
    library.utils.set_random_seed(5)
    return library.Sequential([library.Input(SHAPE), *layers])


def layers() -> Any:
    return keras().layers


def dense() -> Any:
    """A classifier as most are: dropout before its last layer."""
    one = layers()
    return chain(one.Conv2D(4, 3), one.GlobalAveragePooling2D(), one.Dropout(0.5), one.Dense(3, "softmax", name="last"))


def apart() -> Any:
    """A softmax of its own, and features that are a map."""
    one = layers()
    return chain(one.Conv2D(4, 9, activation="relu"), one.Flatten(), one.Dense(3, name="last"), one.Softmax())


def one_place() -> Any:
    """MobileNet's end: a convolution over a single place."""
    one = layers()
    end = [one.Conv2D(3, 1, name="last"), one.Reshape((3,)), one.Activation("softmax")]
    return chain(one.Conv2D(4, 3), one.GlobalAveragePooling2D(keepdims=True), *end)


def squeezed() -> Any:
    """SqueezeNet's end: a map of each class, and their means."""
    one = layers()
    return chain(
        one.Conv2D(4, 3), one.Conv2D(3, 1, name="last"), one.GlobalAveragePooling2D(), one.Activation("softmax")
    )


def nested() -> Any:
    """A classifier within a model that scales for it."""
    return chain(layers().Rescaling(1 / 255), dense())


def without_top() -> Any:
    one = layers()
    return chain(one.Conv2D(4, 3), one.BatchNormalization(), one.ReLU())


def embedding() -> Any:
    one = layers()
    return chain(one.Conv2D(4, 3), one.GlobalAveragePooling2D(), one.Dense(8), one.UnitNormalization())


@pytest.mark.parametrize(
    ("make", "last", "shape"),
    [
        (dense, "last", (4,)),
        (apart, "last", (64,)),
        (one_place, "last", (1, 1, 4)),
        (squeezed, "last", (10, 10, 4)),
        (nested, "last", (4,)),
        (without_top, "", (10, 10, 4)),
        (embedding, "", (8,)),
    ],
)
def test_last_layer_is_left_out_and_nothing_else(make: Callable[[], Any], last: str, shape: tuple[int, ...]) -> None:
    network = make()
    backbone, left_out = backbone_of(network, "it")
    assert (left_out, tuple(backbone.output.shape[1:])) == (last, shape)
    assert len(network.weights) - len(backbone.weights) == (2 if last else 0)
    assert all(any(weight is other for other in network.weights) for weight in backbone.weights)


@pytest.mark.parametrize("make", [dense, apart, one_place, squeezed, nested, without_top])
def test_graph_gives_the_same_features(make: Callable[[], Any]) -> None:
    network, library = make(), tf()
    backbone, _ = backbone_of(network, "it")
    spec = library.TensorSpec((None, *SHAPE), library.uint8)
    function = library.function(
        lambda images: network(library.cast(images, library.float32), training=False), input_signature=[spec]
    )
    layer, _ = graph_backbone(function.get_concrete_function(), "", False, "it")
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), np.uint8)
    features = np.asarray(backbone(images.astype(np.float32), training=False))
    features = features.mean((1, 2)) if features.ndim == 4 else features
    assert np.asarray(layer(images)) == pytest.approx(features, rel=1e-4, abs=1e-5)


def test_graph_of_one_probability_ends_before_its_last_layer() -> None:
    library = tf()
    weights = library.constant(np.ones((27, 1), np.float32))

    def serve(images: Any) -> Any:
        features = library.reshape(library.cast(images, library.float32), (-1, 27))
        rows = library.sigmoid(library.matmul(library.tanh(library.matmul(features, library.eye(27))), weights))
        return {"scores": library.concat([1.0 - rows, rows], axis=1)}

    spec = library.TensorSpec((None, 3, 3, 3), library.uint8)
    function = library.function(serve, input_signature=[spec], autograph=False).get_concrete_function()
    layer, _ = graph_backbone(function, "", False, "it")
    assert layer(np.ones((2, 3, 3, 3), np.uint8)).shape == (2, 27)


def test_network_that_is_no_beginning_is_refused() -> None:
    one = layers()
    with pytest.raises(UsageError, match="it has no layer with weights without its last layer, 'last': it has learned"):
        backbone_of(chain(one.Flatten(), one.Dense(2, name="last")), "it")
    network = dense()
    with pytest.raises(UsageError, match="it has 1 inputs and 2 outputs: give a network with one of each"):
        backbone_of(keras().Model(network.inputs, [network.outputs[0], network.layers[0].output]), "it")
