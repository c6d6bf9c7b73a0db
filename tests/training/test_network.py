"""The network is the one that the project promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model_training.learning.head import head_of
from model_training.learning.network import LARGEST_SIDE, SMALLEST_SIDES, build_network
from model_training.learning.recipe import NetworkName
from pipeline.errors import UsageError


def classic(shape: tuple[int, int, int], classes: int) -> Any:
    return build_network("classic", shape, head_of("classes", classes))


def test_network_for_mnist_has_121930_parameters() -> None:
    assert classic((28, 28, 1), 10).count_params() == 121_930


def test_compact_network_has_at_most_122000_parameters_and_no_large_dense_layer() -> None:
    network = build_network("compact", (28, 28, 1), head_of("classes", 10))
    assert network.count_params() == 103_514
    assert build_network("compact", (96, 64, 3), head_of("classes", 10)).count_params() == 103_514 + 2 * 9 * 16


def test_layers_are_the_promised_ones() -> None:
    network = classic((28, 28, 1), 10)
    layers = [(type(layer).__name__, layer.output.shape[1:], layer.get_config()) for layer in network.layers]
    assert [(kind, shape) for kind, shape, _ in layers] == [
        ("Rescaling", (28, 28, 1)),
        ("Conv2D", (26, 26, 32)),
        ("MaxPooling2D", (13, 13, 32)),
        ("Conv2D", (11, 11, 64)),
        ("MaxPooling2D", (5, 5, 64)),
        ("Flatten", (1600,)),
        ("Dense", (64,)),
        ("Dense", (10,)),
    ]
    configs = [config for _, _, config in layers]
    assert (configs[0]["scale"], configs[0]["offset"]) == (1 / 255, 0.0)
    assert [config.get("activation") for config in configs] == [
        None, "relu", None, "relu", None, None, "relu", "softmax",
    ]  # fmt: skip
    assert (configs[1]["kernel_size"], configs[2]["pool_size"], configs[3]["kernel_size"]) == ((3, 3), (2, 2), (3, 3))


def test_network_takes_uint8_and_gives_probabilities() -> None:
    network = classic((12, 16, 3), 4)
    assert str(network.inputs[0].dtype) == "uint8"
    pixels = np.random.default_rng(0).integers(0, 256, (5, 12, 16, 3), np.uint8)
    scores = np.asarray(network(pixels))
    assert (scores.shape, scores.dtype) == ((5, 4), np.float32)
    assert scores.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)


def test_pixels_are_divided_by_255_inside() -> None:
    network = classic((12, 12, 1), 2)
    scaled = np.asarray(network.layers[0](np.array([[[[0], [51], [255]]]], np.uint8)))
    assert scaled.ravel().tolist() == pytest.approx([0.0, 0.2, 1.0])


@pytest.mark.parametrize(("name", "smallest"), SMALLEST_SIDES.items())
def test_smallest_side_is_the_smallest_that_builds(name: NetworkName, smallest: int) -> None:
    head = head_of("classes", 2)
    assert build_network(name, (smallest, smallest + 9, 1), head).output_shape == (None, 2)
    with pytest.raises(UsageError, match=f"--network {name} takes images of at least {smallest} pixels a side, and"):
        build_network(name, (smallest + 9, smallest - 1, 1), head)


def test_no_smaller_side_could_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, smallest in SMALLEST_SIDES.items():
        monkeypatch.setitem(SMALLEST_SIDES, name, 1)  # type: ignore[index]
        with pytest.raises(ValueError, match="zero or negative"):
            build_network(name, (smallest - 1, smallest - 1, 1), head_of("classes", 2))


def test_largest_side_has_65_million_weights_in_its_dense_layer() -> None:
    convolved = ((LARGEST_SIDE - 2) // 2 - 2) // 2
    assert 60e6 < convolved**2 * 64 * 64 < 66e6
