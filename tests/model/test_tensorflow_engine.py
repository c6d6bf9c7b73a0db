"""A SavedModel as a function from pixels to scores."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import first_pixels
from test_loaded import near_ties, needs_bfloat16

from pipeline.concurrency import cores
from pipeline.errors import UsageError
from pipeline.model.directory import read_golden
from pipeline.model.engines import tensorflow as engine
from pipeline.model.engines.tensorflow import TensorFlowNetwork, call_images

SHAPE = (28, 28, 1)


@pytest.fixture
def network(tiny_model: str) -> TensorFlowNetwork:
    return TensorFlowNetwork(f"{tiny_model}/saved_model", SHAPE)


def test_scores_are_those_of_the_saved_model(network: TensorFlowNetwork, tiny_model: str) -> None:
    import tensorflow as tf

    pixels = read_golden(tiny_model).pixels
    signature = tf.saved_model.load(f"{tiny_model}/saved_model").signatures["serving_default"]
    (expected,) = (scores.numpy() for scores in signature(tf.constant(pixels)).values())
    np.testing.assert_allclose(network(pixels).scores, expected, atol=1e-6)
    assert (network.device, network.threads, network.call_images) == ("cpu", cores(), 64)
    assert network.version == f"TensorFlow {tf.__version__}"


def test_calls_hold_at_least_a_few_large_images_and_at_most_many_small_ones() -> None:
    assert [call_images(shape) for shape in ((2, 2, 1), (160, 160, 3), (999, 999, 3))] == [64, 20, 8]


def test_image_that_the_network_does_not_take_is_one_of_its_errors(fussy_model: str) -> None:
    network = TensorFlowNetwork(f"{fussy_model}/saved_model", (2, 2, 1))
    with pytest.raises(network.errors, match="there is a 255"):
        network(first_pixels(10, 255))
    assert network(first_pixels(51)).scores[0, 0] == pytest.approx(0.2)


@pytest.mark.heavy
def test_want_of_memory_is_a_memory_error(hungry_model: str) -> None:
    """TensorFlow waits 10 s before it says so."""
    network = TensorFlowNetwork(f"{hungry_model}/saved_model", (2, 2, 1))
    with pytest.raises(MemoryError):
        network(first_pixels(254))
    assert network(first_pixels(51)).scores[0, 0] == pytest.approx(0.2)


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_folder_that_holds_no_saved_model_is_a_value_error(tmp_path: Path, damage: str) -> None:
    if damage == "garbage":
        (tmp_path / "saved_model.pb").write_bytes(b"garbage")
    with pytest.raises(ValueError, match=r"."):
        TensorFlowNetwork(str(tmp_path), SHAPE)


def test_saved_model_without_the_signature_is_a_value_error(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(ValueError, match="serving_default"):
        TensorFlowNetwork(str(tmp_path), SHAPE)


def test_where_the_package_is_missing_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tiny_model: str) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    engine.tensorflow.cache_clear()
    try:
        assert not engine.is_installed()
        with pytest.raises(UsageError, match=r"^--engine tensorflow needs the package tensorflow.*pip install") as info:
            TensorFlowNetwork(f"{tiny_model}/saved_model", SHAPE)
        assert "\n" not in str(info.value)
    finally:
        engine.tensorflow.cache_clear()


@pytest.mark.heavy
@needs_bfloat16
def test_either_precision_is_the_same_whatever_the_other_does_beside_it(tiny_model: str) -> None:
    import tensorflow as tf

    pixels = near_ties(tiny_model)[:64]
    eager = tf.saved_model.load(f"{tiny_model}/saved_model").signatures["serving_default"]
    (plain,) = (scores.numpy() for scores in eager(tf.constant(pixels)).values())
    folder = f"{tiny_model}/saved_model"
    coarse, exact = TensorFlowNetwork(folder, SHAPE, "bfloat16"), TensorFlowNetwork(folder, SHAPE)
    expected = coarse(pixels).scores
    assert 1e-4 < np.abs(expected - plain).max() < 5e-2
    wrong: list[Any] = []

    def work(number: int) -> None:
        for i in range(30):
            function, scores = ((coarse, expected), (exact, plain))[(number + i) % 2]
            if not np.array_equal(function(pixels).scores, scores):
                wrong.append((number, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
