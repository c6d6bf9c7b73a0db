"""Files that Keras 2 wrote, `tests/fixtures/keras_2`, give the scores that Keras 2 gave."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from foreign_models import small_network

from model_import import cli
from model_import.keras_2 import ARITHMETIC, as_keras_3
from model_import.keras_config import read_h5_config, read_keras_config
from model_import.keras_file import read_keras_file
from model_import.keras_owned import operation_module
from model_import.start import keras

FILES = Path(__file__).parent.parent / "fixtures" / "keras_2"

Captured = pytest.CaptureFixture[str]


def pixels() -> Any:
    """Return the images whose scores were stored, see make.sh."""
    values = (np.arange(2 * 16 * 16 * 3) * 37 % 256).astype(np.float32).reshape(2, 16, 16, 3)
    values[1] = np.sqrt(values[1]) * 10
    return values


@pytest.mark.parametrize("name", ["transfer.h5", "transfer.keras"])
def test_models_within_a_model_and_arithmetic_score_as_in_keras_2(name: str) -> None:
    model = read_keras_file(str(FILES / name))
    (found,) = model(pixels()).values()
    np.testing.assert_allclose(found, json.loads((FILES / "scores.json").read_text())["scores"], atol=1e-5)
    kinds = [layer.kind for layer in model.layers]
    assert kinds[:4] == ["InputLayer", "TrueDivide", "Add", "TrueDivide"]
    assert "LayerScale" in kinds


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["transfer.h5", pytest.param("transfer.keras", marks=pytest.mark.heavy)])
def test_arithmetic_before_the_first_layer_is_not_done_twice(name: str, capfd: Captured) -> None:
    assert cli.main([str(FILES / name), "--explain"]) == 0
    assert "scaling raw (declared: from operations before the first layer" in " ".join(capfd.readouterr().out.split())
    assert cli.main([str(FILES / name), "--explain", "--scaling", "unit"]) == 2
    assert "--scaling unit contradicts" in capfd.readouterr().err


def test_file_of_keras_3_with_an_operator_is_read_from_hdf5(tmp_path: Path) -> None:
    layers = keras().layers
    images = keras().Input((16, 16, 3))
    values = layers.Conv2D(4, 3, padding="same")(images)
    values = layers.GlobalAveragePooling2D()(values + layers.Conv2D(4, 1)(values))
    network = keras().Model(images, layers.Dense(3, activation="softmax")(values))
    network.save(tmp_path / "net.h5")
    (found,) = read_keras_file(str(tmp_path / "net.h5"))(pixels()).values()
    np.testing.assert_allclose(found, network.predict(pixels(), verbose=0), atol=1e-6)


def test_configuration_of_keras_3_stays_as_it_is(tmp_path: Path) -> None:
    network = small_network()
    for name, read in (("net.keras", read_keras_config), ("net.h5", read_h5_config)):
        network.save(tmp_path / name)
        config = read(str(tmp_path / name))
        assert as_keras_3(config, operation_module) == config


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"name": "read", "function": "io.read_file"}},
        pytest.param(
            {"inbound_nodes": [["_CONSTANT_VALUE", -1, 1.0, {"y": ["input_2", 0, 0], "name": None}]]},
            marks=pytest.mark.heavy,
        ),
        pytest.param({"inbound_nodes": [["input_2", 0, 0, {"y": "text", "name": None}]]}, marks=pytest.mark.heavy),
        {"inbound_nodes": [["input_2", 0, 0, {"y": 2.0, "other": 3}]]},
    ],
)
def test_what_is_no_plain_arithmetic_is_refused(change: dict[str, Any], tmp_path: Path, capfd: Captured) -> None:
    shutil.copy(FILES / "transfer.h5", tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        entry = next(one for one in config["config"]["layers"] if one["class_name"] == "TFOpLambda")
        entry.update(change)
        file.attrs["model_config"] = json.dumps(config)
    assert cli.main([str(tmp_path / "net.h5"), "--explain"]) == 2
    err = capfd.readouterr().err
    assert "which Keras 3 does not load" in err
    assert err.count("\n") == 1


def test_every_operation_of_the_table_is_one_of_keras() -> None:
    assert {operation_module(kind) for kind, _ in ARITHMETIC.values()} == {"keras.src.ops.numpy"}
    assert operation_module("Lambda") == ""
