"""Networks of every task by both engines: outputs by their names, goldens, and images whose output is no number."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mostly_heavy import mostly_heavy
from PIL import Image

from model_training.publishing import converter
from pipeline.batches import ImageColumns, PixelBatch
from pipeline.errors import GoldenMismatchError, UsageError
from pipeline.model.directory import EXPECTED, GOLDEN, SPEC, TFLITE, Golden, read_golden, read_spec
from pipeline.model.engines.litert import LiteRTNetwork
from pipeline.model.engines.network import Outputs
from pipeline.model.engines.tensorflow import TensorFlowNetwork
from pipeline.model.input_rule import InputSpec
from pipeline.model.loaded import Model, is_sure_of_labels
from pipeline.model.predict import predict
from pipeline.model.spec import Conversion, ModelSpec, model_id
from pipeline.options import Engine
from pipeline.task import Embedding

SHAPE = (2, 2, 1)
ENGINES = pytest.mark.parametrize("engine", ["litert", "tensorflow"])
GOLDENS = np.stack([np.full(SHAPE, value, np.uint8) for value in (51, 102, 153, 204)])
NAMED: dict[str, Callable[[Any], dict[str, Any]]] = {
    "scores and embedding": lambda x: {"scores": x, "embedding": x * 1000},
    "their names the other way around in the alphabet": lambda x: {"a": x, "embedding": x * 1000},
    "embedding alone": lambda x: {"embedding": x * 1000},
    "scores alone": lambda x: {"whatever": x},
}


def save(function: Callable[[Any], dict[str, Any]], folder: Path) -> None:
    """Write FOLDER/saved_model and FOLDER/model.tflite of a function of the first two pixels, as shares of 255."""
    import tensorflow as tf

    class Small(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), tf.uint8)])  # type: ignore[untyped-decorator]
        def serve(self, pixels: Any) -> dict[str, Any]:
            return function(tf.cast(pixels[:, 0, :, 0], tf.float32) / 255.0)

    module = Small()
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.serve})
    (folder / TFLITE).write_bytes(converter.tflite_of(str(folder / "saved_model")))


def network_of(folder: Path, engine: Engine) -> LiteRTNetwork | TensorFlowNetwork:
    if engine == "litert":
        return LiteRTNetwork(str(folder / TFLITE), SHAPE)
    return TensorFlowNetwork(str(folder / "saved_model"), SHAPE)


def write_model(function: Callable[[Any], dict[str, Any]], folder: Path, **fields: Any) -> str:
    import hashlib

    save(function, folder)
    root = folder / "saved_model"
    files = [(path.relative_to(root).as_posix(), path.read_bytes()) for path in root.rglob("*") if path.is_file()]
    lite = Conversion(hashlib.sha256((folder / TFLITE).read_bytes()).hexdigest(), 1)
    spec = ModelSpec(InputSpec(2, 2, "grayscale"), **{"class_names": (), "model_id": "", "litert": lite, **fields})
    spec = replace(spec, model_id=model_id(spec.input, spec.class_names, files, spec.outputs()))
    (folder / SPEC).write_text(spec.to_json())
    (folder / GOLDEN).mkdir()
    for i, image in enumerate(GOLDENS):
        Image.fromarray(image[:, :, 0]).save(folder / GOLDEN / f"{i:03d}.png")
    golden = Golden([b""] * len(GOLDENS), GOLDENS, {})
    for engine in ("litert", "tensorflow"):
        golden = golden.with_outputs(engine, network_of(folder, engine)(GOLDENS))
    (folder / GOLDEN / EXPECTED).write_bytes(golden.files()[EXPECTED])
    return str(folder)


@pytest.mark.parametrize("names", mostly_heavy(NAMED, kept=["their names the other way around in the alphabet"]))
def test_outputs_are_told_apart_by_their_names_for_any_number_of_images(names: str, tmp_path: Path) -> None:
    save(NAMED[names], tmp_path)
    engines: tuple[Engine, ...] = ("litert", "tensorflow")
    for network in (network_of(tmp_path, engine) for engine in engines):
        for n in (1, 4, 2):
            outputs = network(GOLDENS[:n])
            expected = GOLDENS[:n, 0, :, 0].astype(np.float32) / 255
            np.testing.assert_allclose(
                outputs.scores, expected[:, :0] if "alone" in names and "emb" in names else expected
            )
            assert (outputs.embedding is None) == (names == "scores alone")
            if outputs.embedding is not None:
                np.testing.assert_allclose(outputs.embedding, expected * 1000, rtol=1e-6)


def test_network_with_other_outputs_is_refused(tmp_path: Path) -> None:
    save(lambda x: {"a": x, "b": x * 2}, tmp_path)
    engines: tuple[Engine, ...] = ("litert", "tensorflow")
    for engine in engines:
        with pytest.raises(ValueError, match="its outputs are 'a', 'b', expected scores, 'embedding', or both"):
            network_of(tmp_path, engine)


@ENGINES
def test_embedding_of_another_machine_is_a_golden_mismatch_and_a_missing_one_is_refused(
    engine: Engine, tmp_path: Path
) -> None:
    folder = write_model(NAMED["scores and embedding"], tmp_path, class_names=("a", "b"), embedding=Embedding(2))
    Model(folder, read_spec(folder), engine)
    golden = read_golden(folder)
    right = golden.outputs(engine)
    assert right is not None
    assert right.embedding is not None
    for vectors, error in ((right.embedding * 1.01, GoldenMismatchError), (right.embedding[:, :1], UsageError)):
        wrong = golden.with_outputs(engine, Outputs(right.scores, vectors))
        (tmp_path / GOLDEN / EXPECTED).write_bytes(wrong.files()[EXPECTED])
        with pytest.raises(error):
            Model(folder, read_spec(folder), engine)
    spec = json.loads((tmp_path / SPEC).read_text())
    assert spec["embedding"] == {"size": 2, "dtype": "float32"}


def predicted(folder: str, engine: Engine, *values: int) -> Any:
    pixels = np.zeros((len(values), *SHAPE), np.uint8)
    pixels[:, 0, 0, 0] = values
    model = Model(folder, read_spec(folder), engine)
    return predict(PixelBatch(ImageColumns.of([str(i) for i in range(len(values))]), pixels), model, 5)


@ENGINES
def test_image_whose_value_or_embedding_is_no_number_fails_alone(engine: Engine, tmp_path: Path) -> None:
    import tensorflow as tf

    def both(x: Any) -> dict[str, Any]:
        first = x[:, :1]
        value = tf.where(first > 0.99, float("inf"), first)
        return {"scores": value, "embedding": tf.where(first > 0.95, 1e6, x)}

    folder = write_model(both, tmp_path, task="value", value_unit=2.0**-10, embedding=Embedding(2, "float16"))
    batch = predicted(folder, engine, 51, 255, 245, 102)
    assert {i: (why.stage, why.code) for i, why in batch.images.failures.items()} == dict.fromkeys(
        (1, 2), ("predict", "INTERNAL")
    )
    assert "none that float16 can hold" in batch.images.failures[2].message
    np.testing.assert_allclose(batch.values[[0, 3]], [0.2, 0.4], rtol=1e-6)
    assert batch.embedding.dtype == np.float16
    np.testing.assert_allclose(batch.embedding, [[0.2, 0], [0, 0], [0, 0], [0.4, 0]], rtol=1e-3)
    assert batch.top_labels.shape == (4, 0)


@ENGINES
def test_label_is_chosen_at_its_own_threshold(engine: Engine, tmp_path: Path) -> None:
    folder = write_model(
        lambda x: {"p": x}, tmp_path, class_names=("a", "b"), task="labels", thresholds=(float(np.float32(0.4)), 1.0)
    )
    batch = predicted(folder, engine, 101, 102, 103)
    assert batch.chosen[:, 0].tolist() == [False, True, True]
    assert not batch.chosen[:, 1].any()


def test_labels_near_their_threshold_are_not_sure() -> None:
    scores = np.array([[0.2, 0.8], [0.46, 0.9], [0.9, 0.84], [np.nan, 0.1]], np.float32)
    assert is_sure_of_labels(scores, (0.5, 0.8)).tolist() == [False, False, False, False]
    assert is_sure_of_labels(scores, (0.5, 0.5)).tolist() == [True, False, True, False]
