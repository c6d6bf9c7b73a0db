"""A .tflite file that scales its images itself is told by its first operators, and is not scaled twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_models import write_tflite

from model_import import cli
from model_import.declared_layers import folded_notes
from model_import.foreign import FIRST_WEIGHTS, GRAPH, Layer
from model_import.scaling import SCALINGS
from model_import.start import keras
from model_import.tflite_file import read_tflite_file

SIDE = 16


def network(*first: Any) -> Any:
    """Return a network with layers before its first convolution, which is padded: an offset is not folded into it."""
    layers = keras().layers
    keras().utils.set_random_seed(1)
    images = keras().Input((SIDE, SIDE, 3))
    values = images
    for layer in first:
        values = layer(values)
    values = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, padding="same")(values))
    return keras().Model(images, layers.Dense(3, activation="softmax")(values))


def check(path: Path, scale: Any, offset: Any) -> None:
    (found,) = read_tflite_file(str(path)).layers
    assert found.kind == GRAPH
    np.testing.assert_allclose(found.config["scale"], np.broadcast_to(scale, len(found.config["scale"])), rtol=1e-3)
    np.testing.assert_allclose(
        found.config["offset"], np.broadcast_to(offset, len(found.config["offset"])), rtol=1e-3, atol=1e-6
    )


@pytest.mark.heavy
def test_first_operators_give_their_numbers(tmp_path: Path) -> None:
    layers, path = keras().layers, tmp_path / "a.tflite"
    write_tflite(path, network(layers.Rescaling(1 / 127.5, -1)))
    check(path, 1 / 127.5, -1)
    normal = layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.04, 0.09, 0.16])
    write_tflite(path, network(layers.Resizing(8, 8), layers.Rescaling(1 / 255), normal))
    check(path, np.divide([1 / 0.2, 1 / 0.3, 1 / 0.4], 255), [-0.4 / 0.2, -0.5 / 0.3, -0.6 / 0.4])
    write_tflite(path, network(lambda images: images[..., ::-1] - np.float32([103, 116, 123])))
    check(path, 1, [-103, -116, -123])


@pytest.mark.heavy
def test_quantized_operators_give_their_numbers(tmp_path: Path) -> None:
    write_tflite(tmp_path / "a.tflite", network(keras().layers.Rescaling(1 / 127.5, -1)), "uint8")
    (found,) = read_tflite_file(str(tmp_path / "a.tflite")).layers
    np.testing.assert_allclose([found.config["scale"][0] * 255, found.config["offset"][0]], [2, -1], atol=0.02)


@pytest.mark.heavy
def test_network_that_scales_nothing_or_later_tells_of_its_weights(tmp_path: Path) -> None:
    layers = keras().layers
    for first in ((), (layers.Conv2D(3, 3, activation="relu"), layers.Rescaling(1 / 255))):
        write_tflite(tmp_path / "a.tflite", network(*first))
        (found,) = read_tflite_file(str(tmp_path / "a.tflite")).layers
        assert (found.kind, found.name) == (FIRST_WEIGHTS, "CONV_2D")
        assert 0.1 < found.config["size"] < 2
    write_tflite(tmp_path / "a.tflite", network(layers.Rescaling(1 / 255)))  # which the converter folds into them
    (found,) = read_tflite_file(str(tmp_path / "a.tflite")).layers
    assert found.kind == FIRST_WEIGHTS
    assert 0.1 / 255 < found.config["size"] < 2 / 255


@pytest.mark.heavy
@pytest.mark.parametrize("scaling", ["", "unit", "sign", "raw"])
def test_scaling_twice_is_refused(scaling: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_tflite(tmp_path / "a.tflite", network(keras().layers.Rescaling(1 / 127.5, -1)))
    words = [str(tmp_path / "a.tflite"), "--explain", *(["--scaling", scaling] if scaling else [])]
    capfd.readouterr()  # what the converter says
    code = cli.main(words)
    out, err = capfd.readouterr()
    if scaling in ("unit", "sign"):
        assert code == 2
        assert f"--scaling {scaling} contradicts" in err
        assert "scales its images itself by operations at the start of its graph (MUL, ADD)" in err
        assert err.count("\n") == 1
    else:
        assert code == 0
        assert "scaling raw" in " ".join(out.split())


@pytest.mark.parametrize(("scaling", "is_told"), [("unit", True), pytest.param("raw", False, marks=pytest.mark.heavy)])
def test_scaling_that_a_converter_folded_into_weights_is_told(
    scaling: str, is_told: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_tflite(tmp_path / "a.tflite", network(keras().layers.Rescaling(1 / 255)))
    assert cli.main([str(tmp_path / "a.tflite"), "--explain", "--scaling", scaling]) == 0
    out = " ".join(capfd.readouterr().out.split())
    assert ("the scaling unit is done twice, and --scaling raw is right" in out) is is_told


def test_weights_of_usual_size_are_no_reason_for_a_note() -> None:
    usual, small = ([Layer(FIRST_WEIGHTS, "CONV_2D", {"size": size})] for size in (0.3, 0.001))
    assert folded_notes(SCALINGS["unit"], usual) == ()
    assert folded_notes(SCALINGS["caffe"], small) == ()
    assert len(folded_notes(SCALINGS["sign"], small)) == 1
