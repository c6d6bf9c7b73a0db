"""A model is loaded once, by one engine, if its files and its golden images are as they were when it was made."""

from __future__ import annotations

import functools
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import batch, first_pixels, write_model

from model_training.publishing.export import make_spec
from pipeline.errors import GoldenMismatchError, UsageError
from pipeline.machine import CPUINFO, has_bfloat16
from pipeline.model.directory import EXPECTED, GOLDEN, TFLITE, read_golden, read_spec
from pipeline.model.engines.litert import LiteRTNetwork
from pipeline.model.engines.tensorflow import TensorFlowNetwork
from pipeline.model.loaded import BFLOAT16_TOLERANCE, SURE_MARGIN, Model, acquire, is_sure
from pipeline.model.predict import predict
from pipeline.options import Engine, Precision

ENGINES: tuple[Engine, ...] = ("litert", "tensorflow")


def load(folder: Path | str, engine: Engine = "tensorflow", precision: Precision = "float32") -> Model:
    return Model(str(folder), read_spec(str(folder)), engine, precision)


@pytest.fixture
def copied_model(tiny_model: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.mark.parametrize("engine", ENGINES)
def test_model_gives_its_golden_scores(tiny_model: str, engine: Engine) -> None:
    golden, model = read_golden(tiny_model), load(tiny_model, engine)
    (scores, _), rescored = model.score(golden.pixels[: model.call_images])
    np.testing.assert_allclose(scores, golden.scores[engine][: model.call_images], atol=1e-5)
    assert rescored == 0
    assert (model.engine, model.device) == (engine, "cpu")
    assert model.version.startswith("LiteRT " if engine == "litert" else "TensorFlow ")
    assert 0 < model.slowest_call < 60
    assert MemoryError in model.errors


@pytest.mark.parametrize("engine", ENGINES)
def test_model_is_loaded_once_by_many_threads(tiny_model: str, engine: Engine) -> None:
    spec, found = read_spec(tiny_model), []
    threads = [threading.Thread(target=lambda: found.append(acquire(tiny_model, spec, engine))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_machine_that_does_not_reproduce_the_golden_scores_is_named(copied_model: Path, engine: Engine) -> None:
    golden = read_golden(str(copied_model))
    wrong = replace(golden, scores={**golden.scores, engine: golden.scores[engine][:, ::-1].copy()})
    (copied_model / GOLDEN / EXPECTED).write_bytes(wrong.files()[EXPECTED])
    with pytest.raises(
        GoldenMismatchError, match=r"in float32 gives the model's golden images .* stored with the model: by "
    ):
        load(copied_model, engine)
    load(copied_model, "tensorflow" if engine == "litert" else "litert")


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_golden_scores_may_differ_by_the_tolerance_and_no_more(copied_model: Path, factor: float) -> None:
    """One score of 10 is off by a share of the tolerance, measured as outputs before the softmax."""
    golden, spec = read_golden(str(copied_model)), read_spec(str(copied_model))
    outputs = np.log(golden.scores["litert"].astype(np.float64))
    deviation = np.sqrt(np.mean((outputs - outputs.mean(axis=0)) ** 2))
    outputs[1, 2] += factor * spec.golden_tolerance * deviation
    wrong = replace(golden, scores={**golden.scores, "litert": np.exp(outputs).astype(np.float32)})
    (copied_model / GOLDEN / EXPECTED).write_bytes(wrong.files()[EXPECTED])
    if factor < 1:
        load(copied_model, "litert")
        return
    with pytest.raises(
        GoldenMismatchError, match=r"by 0\.00\d+ of the spread of its outputs, more than the 0\.001 allowed; "
    ):
        load(copied_model, "litert")


def test_machine_that_decodes_other_pixels_is_named(copied_model: Path) -> None:
    golden = read_golden(str(copied_model))
    wrong = replace(golden, pixels=golden.pixels ^ np.uint8(1))
    (copied_model / GOLDEN / EXPECTED).write_bytes(wrong.files()[EXPECTED])
    for engine in ENGINES:
        with pytest.raises(GoldenMismatchError, match=r"LiteRT|TensorFlow .* to pixels that differ"):
            load(copied_model, engine)


def test_model_without_golden_scores_of_an_engine_is_not_loaded_by_it(copied_model: Path) -> None:
    golden = read_golden(str(copied_model))
    without = replace(golden, scores={"tensorflow": golden.scores["tensorflow"]})
    (copied_model / GOLDEN / EXPECTED).write_bytes(without.files()[EXPECTED])
    with pytest.raises(UsageError, match="has no golden scores of litert"):
        load(copied_model, "litert")
    load(copied_model, "tensorflow")


@pytest.mark.parametrize("engine", ENGINES)
def test_model_of_fewer_class_names_than_scores_is_refused(copied_model: Path, engine: Engine) -> None:
    spec = read_spec(str(copied_model))
    fewer = make_spec(str(copied_model), spec.input, list(spec.class_names)[:9], {})
    with pytest.raises(UsageError, match="does not give one score for each of its class names"):
        Model(str(copied_model), replace(fewer, litert=spec.litert), engine)


def test_saved_model_that_cannot_be_loaded_is_one_clear_line(copied_model: Path) -> None:
    (copied_model / "saved_model" / "saved_model.pb").write_bytes(b"garbage")
    before = read_spec(str(copied_model))
    spec = make_spec(str(copied_model), before.input, before.class_names, {})
    with pytest.raises(UsageError, match="cannot be loaded by tensorflow") as caught:
        Model(str(copied_model), spec, "tensorflow")
    assert "train or copy it again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_model_that_is_not_the_one_its_id_names_is_never_loaded(
    copied_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    loaded: list[str] = []
    monkeypatch.setattr(tf.saved_model, "load", loaded.append)
    (copied_model / "saved_model" / "more.txt").write_text("x")
    with pytest.raises(UsageError, match=f"model '{copied_model}' is damaged: .* have the id"):
        acquire(str(copied_model), read_spec(str(copied_model)), "tensorflow")
    assert loaded == []


@pytest.mark.parametrize("place", [10, -10, 0.3, 0.7])
def test_network_for_litert_of_which_a_bit_has_changed_is_never_loaded(
    copied_model: Path, monkeypatch: pytest.MonkeyPatch, place: float
) -> None:
    """LiteRT itself loads three quarters of such files."""
    loaded: list[Any] = []
    monkeypatch.setattr(LiteRTNetwork, "__init__", lambda *arguments: loaded.append(arguments))
    data = bytearray((copied_model / TFLITE).read_bytes())
    data[place if isinstance(place, int) else int(place * len(data))] ^= 1
    (copied_model / TFLITE).write_bytes(data)
    with pytest.raises(UsageError, match=r"is damaged: model\.tflite has the SHA-256 .*; train or copy it again"):
        load(copied_model, "litert")
    assert loaded == []


def test_model_for_which_memory_does_not_suffice_gets_smaller_calls_from_the_start(
    tiny_model: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    call, most = LiteRTNetwork.__call__, [5]

    def called(network: LiteRTNetwork, pixels: Any) -> Any:
        if len(pixels) > most[0]:
            raise MemoryError("no memory")
        return call(network, pixels)

    monkeypatch.setattr(LiteRTNetwork, "__call__", called)
    model = load(tiny_model, "litert")
    assert model.call_images == 4
    assert caplog.messages == [
        "memory does not suffice for 16 images in a call of the model: now 8",
        "memory does not suffice for 8 images in a call of the model: now 4",
    ]
    most[0] = 0
    with pytest.raises(
        UsageError, match=r"memory does not suffice for one image in model .*; give the run more memory"
    ):
        load(tiny_model, "litert")


def test_error_of_a_thread_that_shrank_before_does_not_shrink_again(tiny_model: str) -> None:
    model = load(tiny_model, "litert")
    for images, then in ((16, 8), (16, 8), (9, 8), (8, 4), (4, 2), (2, 1), (1, 1)):
        model.shrink(images)
        assert model.call_images == then


def test_model_of_a_single_class_is_always_sure() -> None:
    assert is_sure(np.ones((3, 1), np.float32)).all()


@pytest.mark.parametrize("scores", [[0.59, 0.5, 0], [np.nan, 1, 0], [np.inf, 0, 0], [np.inf, np.inf, 0]])
def test_small_margin_or_none_is_not_sure(scores: list[float]) -> None:
    assert is_sure(np.array([scores, [0.7, 0.55, 0]], np.float32)).tolist() == [False, True]


@pytest.mark.skipif(has_bfloat16(Path(CPUINFO).read_text()), reason="this CPU has bfloat16")
def test_bfloat16_is_refused_where_the_cpu_has_none(tiny_model: str) -> None:
    with pytest.raises(UsageError, match="--precision bfloat16 needs a CPU"):
        load(tiny_model, "tensorflow", "bfloat16")


needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(Path(CPUINFO).read_text()), reason="no such CPU")


def whole(model: Model, pixels: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int]:
    """Return the scores of any number of images, and how many were scored again."""
    calls = [model.score(pixels[i : i + model.call_images]) for i in range(0, len(pixels), model.call_images)]
    return np.concatenate([outputs.scores for outputs, _ in calls]), sum(rescored for _, rescored in calls)


@functools.cache
def near_ties(model: str) -> np.ndarray[Any, Any]:
    """Pairs of digits laid over each other, of which float32 cannot tell well which is above."""
    exact = TensorFlowNetwork(f"{model}/saved_model", (28, 28, 1))
    golden = read_golden(model).pixels.astype(np.float64)
    random = np.random.default_rng(1)
    pairs = random.integers(0, len(golden), (20_000, 2))
    share = random.random((20_000, 1, 1, 1))
    blends = np.rint(golden[pairs[:, 0]] * share + golden[pairs[:, 1]] * (1 - share)).astype(np.uint8)
    best = np.sort(exact(blends).scores, axis=1)
    return blends[best[:, -1] - best[:, -2] < 0.02]


@pytest.mark.heavy
@needs_bfloat16
def test_every_class_in_bfloat16_is_that_of_float32_although_bfloat16_alone_gets_some_wrong(tiny_model: str) -> None:
    assert SURE_MARGIN == 0.1
    pixels = near_ties(tiny_model)
    exact, none = whole(load(tiny_model), pixels)
    alone = TensorFlowNetwork(f"{tiny_model}/saved_model", (28, 28, 1), "bfloat16")(pixels).scores
    assert (alone.argmax(1) != exact.argmax(1)).any(), "these images do not show it"
    found, rescored = whole(load(tiny_model, "tensorflow", "bfloat16"), pixels)
    np.testing.assert_array_equal(found.argmax(1), exact.argmax(1))
    assert (rescored, none) == (len(pixels), 0)
    np.testing.assert_array_equal(found, exact)


@pytest.mark.heavy
@needs_bfloat16
def test_only_images_with_a_small_margin_are_scored_again(tiny_model: str) -> None:
    close, clear = near_ties(tiny_model)[:1], read_golden(tiny_model).pixels[:1]
    alone = TensorFlowNetwork(f"{tiny_model}/saved_model", (28, 28, 1), "bfloat16")
    best = np.sort(alone(clear).scores, axis=1)[0]
    assert best[-1] - best[-2] > 0.2, "this image does not show it"
    model, exact = load(tiny_model, "tensorflow", "bfloat16"), load(tiny_model)
    for n in (0, 1, 2):
        pixels = np.concatenate([*[clear] * 3, *[close] * n, *[clear] * 3])
        found = predict(batch(pixels), model, 5)
        assert found.rescored == n
        np.testing.assert_array_equal(found.top_scores[:3, 0], np.sort(alone(pixels).scores, axis=1)[:3, -1])
        np.testing.assert_array_equal(
            found.top_scores[3 : 3 + n], predict(batch(pixels), exact, 5).top_scores[3 : 3 + n]
        )


@needs_bfloat16
def test_bisection_and_scores_that_are_no_numbers_are_the_same_in_bfloat16(fussy_model: str) -> None:
    model = load(fussy_model, "tensorflow", "bfloat16")
    values = [10] * 200
    values[3], values[77], values[150] = 255, 253, 127
    found = predict(batch(first_pixels(*values)), model, 1)
    assert {i: f.code for i, f in found.images.failures.items()} == {3: "INVALID_ARGUMENT", 77: "INTERNAL"}
    assert found.rescored == 2, "that without a number, and that of scores 0.498 and 0.502"
    assert (found.top_labels[found.images.ok, 0] == 1).all()


@needs_bfloat16
def test_model_that_bfloat16_does_not_suit_is_refused_in_bfloat16_only(tmp_path: Path) -> None:
    folder = write_model(tmp_path, lambda first: None, gain=256.0)  # 257 is 256 or 258 there
    assert load(folder).score(first_pixels(51))[0].scores[0, 0] == pytest.approx(0.2, abs=1e-4)
    text = rf"in bfloat16 gives the model's golden images .*, more than the {BFLOAT16_TOLERANCE:g} allowed; "
    with pytest.raises(GoldenMismatchError, match=text):
        load(folder, "tensorflow", "bfloat16")
