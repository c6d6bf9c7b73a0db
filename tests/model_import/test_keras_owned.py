"""Classes of Keras itself that do not stand in keras.layers are loaded; those of strangers are refused."""

from __future__ import annotations

import importlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mostly_heavy import mostly_heavy

from model_import import cli
from model_import.keras_file import read_keras_file
from model_import.keras_owned import application_layers, is_keras_class
from model_import.start import keras

CONVNEXT = "keras.src.applications.convnext"


def network(*inner: Any) -> Any:
    """Return a network with layers of keras.applications behind its first convolution."""
    layers = keras().layers
    images = keras().Input((16, 16, 3))
    values = layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(images))
    for layer in inner:
        values = layer(values)
    values = layers.GlobalAveragePooling2D()(values)
    return keras().Model(images, layers.Dense(3, activation="softmax")(values))


def layer_scale() -> Any:
    return importlib.import_module(CONVNEXT).LayerScale(0.5, 4, name="gamma")


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_layers_beside_networks_of_keras_are_loaded(name: str, tmp_path: Path) -> None:
    dropped = importlib.import_module(CONVNEXT).StochasticDepth(0.1)
    made = network(layer_scale(), dropped)
    made.save(tmp_path / name)
    images = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    read = read_keras_file(str(tmp_path / name))
    (found,) = read(images).values()
    np.testing.assert_allclose(found, made.predict(images, verbose=0), atol=1e-6)
    assert {"LayerScale", "StochasticDepth"} <= {layer.kind for layer in read.layers}


def test_operations_of_keras_are_loaded(tmp_path: Path) -> None:
    made = network(lambda values: keras().ops.sqrt(keras().ops.square(values) + 1.0))
    made.save(tmp_path / "net.keras")
    images = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    (found,) = read_keras_file(str(tmp_path / "net.keras"))(images).values()
    np.testing.assert_allclose(found, made.predict(images, verbose=0), atol=1e-6)


def test_every_layer_of_the_applications_is_known() -> None:
    assert {"LayerScale", "StochasticDepth", "CustomScaleLayer"} <= application_layers().keys()
    for kind, found in application_layers().items():
        for module in (found.__module__, "", "tf_keras.src.applications.convnext"):
            assert is_keras_class(kind, module)


@pytest.mark.parametrize(
    ("kind", "module"),
    mostly_heavy(
        [
            ("LayerScale", "keras.src.applications.nothing"),
            ("imagenet_utils", CONVNEXT),  # imported there, and no layer
            ("Evil", CONVNEXT),
            ("LayerScale", "stranger.convnext"),
            ("ApplicationsTest", "keras.src.applications.applications_test"),
            ("LambdaCallback", "keras.src.callbacks.lambda_callback"),
        ],
        kept=[("imagenet_utils", CONVNEXT), ("LayerScale", "stranger.convnext")],
    ),
)
def test_class_that_only_claims_to_be_of_keras_is_refused(
    kind: str, module: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network(layer_scale()).save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    for entry in config["config"]["layers"]:
        if entry["class_name"] == "LayerScale":
            entry.update(class_name=kind, module=module)
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        for name, data in (content | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, data)
    assert cli.main([str(tmp_path / "net.keras"), "--explain"]) == 2
    err = capfd.readouterr().err
    assert f"has the layer 'gamma' of the class {kind!r} of {module}: Keras has no such class" in err
    assert err.count("\n") == 1
