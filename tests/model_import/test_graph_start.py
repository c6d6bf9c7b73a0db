"""A SavedModel that scales its images itself is told by its graph, whoever wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_import import cli
from model_import.foreign import GRAPH
from model_import.graph_model import GraphModel
from model_import.saved_model_folder import Wanted, read_saved_model
from model_import.start import keras, tf

SIDE = 16


def exported(folder: Path, *first: Any) -> GraphModel:
    """Write a network of Keras with layers before its first convolution by `model.export`, and read it."""
    layers = keras().layers
    images = keras().Input((SIDE, SIDE, 3))
    values = images
    for layer in first:
        values = layer(values)
    values = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(values))
    network = keras().Model(images, layers.Dense(3, activation="softmax")(values))
    network.export(str(folder), verbose=False)
    return read_saved_model(str(folder), Wanted())


def check(model: GraphModel, scale: Any, offset: Any) -> None:
    (found,) = model.layers
    assert found.kind == GRAPH
    np.testing.assert_allclose(found.config["scale"], np.atleast_1d(scale), rtol=1e-4)
    np.testing.assert_allclose(found.config["offset"], np.atleast_1d(offset), rtol=1e-4, atol=1e-6)


@pytest.mark.heavy
def test_layers_of_keras_leave_their_numbers_in_the_graph(tmp_path: Path) -> None:
    layers = keras().layers
    check(exported(tmp_path / "a", layers.Rescaling(1 / 255)), 1 / 255, 0)
    resized = exported(tmp_path / "b", layers.Resizing(8, 8), layers.Rescaling(1 / 127.5, -1), layers.ReLU())
    check(resized, 1 / 127.5, -1)
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(0).uniform(0, 255, (8, SIDE, SIDE, 3)))
    mean, variance = (np.array(side).ravel() for side in (adapted.mean, adapted.variance))
    check(exported(tmp_path / "c", adapted), 1 / np.sqrt(variance), -mean / np.sqrt(variance))


def test_network_that_scales_nothing_or_later_tells_nothing(tmp_path: Path) -> None:
    layers = keras().layers
    plain = exported(tmp_path / "a")
    assert (plain.layers, plain.may_be_hub) == ((), False)
    assert exported(tmp_path / "b", layers.Conv2D(3, 3), layers.Rescaling(1 / 255)).layers == ()


def by_hand(folder: Path, start: Any) -> GraphModel:
    library = tf()
    module = library.Module()
    module.kernel = library.Variable(np.ones((3, 3, 3, 4), np.float32))
    module.mean = library.Variable(np.full(3, 0.5, np.float32))

    def serve(images: Any) -> Any:
        return library.reduce_mean(library.nn.conv2d(start(images, module), module.kernel, 1, "SAME"), (1, 2))

    spec = library.TensorSpec((None, SIDE, SIDE, 3), library.float32, name="images")
    module.serve = library.function(serve, input_signature=[spec], autograph=False)
    library.saved_model.save(module, str(folder), signatures=module.serve)
    return read_saved_model(str(folder), Wanted())


def test_operations_of_any_code_are_read_and_variables_are_named(tmp_path: Path) -> None:
    check(by_hand(tmp_path / "a", lambda images, _: (images - 127.5) / 127.5), 1 / 127.5, -1)
    check(by_hand(tmp_path / "b", lambda images, _: images[..., ::-1] - [103.0, 116.0, 123.0]), 1, [-103, -116, -123])
    check(by_hand(tmp_path / "c", lambda images, _: 2 * images - 1), 2, -1)
    (found,) = by_hand(tmp_path / "d", lambda images, module: images - module.mean).layers
    assert (found.kind, found.config) == (GRAPH, {})
    assert by_hand(tmp_path / "e", lambda images, _: images).may_be_hub


@pytest.mark.parametrize("scaling", ["", pytest.param("unit", marks=pytest.mark.heavy)])
def test_exported_rescaling_is_taken_and_never_done_twice(
    scaling: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exported(tmp_path / "model", keras().layers.Rescaling(1 / 255))
    words = [str(tmp_path / "model"), "--explain", *(["--scaling", scaling] if scaling else [])]
    code = cli.main(words)
    out, err = capfd.readouterr()
    if scaling:
        assert code == 2
        assert "--scaling unit contradicts" in err
    else:
        assert code == 0
        assert "scaling raw (declared: from operations at the start of its graph" in " ".join(out.split())


def test_exported_network_that_tells_nothing_is_asked_for_without_tf_hub(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exported(tmp_path / "model")
    assert cli.main([str(tmp_path / "model"), "--explain"]) == 2
    err = capfd.readouterr().err
    assert "TF-Hub" not in err
    assert (
        "raw if the network has a Rescaling layer or scales its images for itself, unit if your code divided by 255"
        in err
    )
