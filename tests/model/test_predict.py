"""Real models: a CNN, and small graphs that fail on purpose."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_training.export import make_spec
from pipeline.batches import Failure, ImageColumns, PixelBatch
from pipeline.errors import GoldenMismatchError, UsageError
from pipeline.machine import CPUINFO, has_bfloat16
from pipeline.model.directory import EXPECTED, GOLDEN, SPEC, read_golden, read_spec
from pipeline.model.engines.tensorflow import ScoreFunction
from pipeline.model.predict import Model, _is_sure, acquire, predict
from pipeline.model.spec import InputSpec
from pipeline.sources.labels import LabelRule


def batch(pixels: np.ndarray[Any, Any], labels: list[int | None] | None = None) -> PixelBatch:
    keys = [f"image {i}" for i in range(len(pixels))]
    if labels is None:
        return PixelBatch(ImageColumns.of(keys), pixels)
    rule = LabelRule([str(i) for i in range(10)])
    return PixelBatch(rule.columns(keys, labels, [""] * len(keys)), pixels)


def write_model(folder: Path, check: Callable[[Any], None], gain: float = 1.0) -> str:
    """Write a model of 2 x 2 grey images: its score is the first pixel's, NaN for 253; `check` may raise before.

    It is the difference of `gain` + 1 and `gain` times that score, so that with a large one little is left of it.
    """
    import tensorflow as tf
    from PIL import Image

    class Small(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, 2, 2, 1), tf.uint8)])  # type: ignore[untyped-decorator]
        def serve(self, pixels: Any) -> dict[str, Any]:
            first = pixels[:, 0, 0, 0]
            check(first)
            share = tf.cast(first, tf.float32) / 255.0
            if gain != 1.0:
                share = tf.matmul(tf.stack([share, share], axis=1), tf.constant([[gain + 1], [-gain]]))[:, 0]
            share = tf.where(first == 253, float("nan"), share)
            return {"scores": tf.stack([share, 1 - share], axis=1)}

    module = Small()
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.serve})
    spec = make_spec(str(folder), InputSpec(2, 2, "grayscale"), ["dark", "light"], {})
    (folder / SPEC).write_text(spec.to_json())
    (folder / GOLDEN).mkdir()
    Image.fromarray(np.full((2, 2), 51, np.uint8)).save(folder / GOLDEN / "000.png")
    np.savez(
        folder / GOLDEN / EXPECTED,
        pixels=np.full((1, 2, 2, 1), 51, np.uint8),
        scores=np.array([[0.2, 0.8]], np.float32),
    )
    return str(folder)


@pytest.fixture(scope="session")
def fussy_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Raises if any first pixel is 255."""
    import tensorflow as tf

    def check(first: Any) -> None:
        tf.debugging.Assert(tf.reduce_all(first < 255), ["there is a 255"])

    return write_model(tmp_path_factory.mktemp("fussy"), check)


@pytest.fixture(scope="session")
def hungry_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Is out of memory for more than 32 images at once, and for any that begins with 254."""
    import tensorflow as tf

    def check(first: Any) -> None:
        excess = tf.nn.relu(tf.size(first, tf.int64) - 32) + tf.reduce_sum(tf.cast(first == 254, tf.int64))
        tf.debugging.Assert(tf.size(tf.zeros(excess * 2**45), tf.int64) >= 0, ["cannot be"])

    return write_model(tmp_path_factory.mktemp("hungry"), check)


def first_pixels(*values: int) -> np.ndarray[Any, Any]:
    pixels = np.zeros((len(values), 2, 2, 1), np.uint8)
    pixels[:, 0, 0, 0] = values
    return pixels


def test_predictions_are_the_models_best_classes(tiny_model: str) -> None:
    model = acquire(tiny_model, read_spec(tiny_model))
    golden = read_golden(tiny_model)
    found = predict(batch(golden.pixels), model, 3)
    order = np.argsort(-golden.scores, axis=1)[:, :3]
    np.testing.assert_array_equal(found.top_labels, order)
    np.testing.assert_allclose(found.top_scores, np.take_along_axis(golden.scores, order, 1), atol=1e-5)
    assert np.isnan(found.label_scores).all()


def test_batches_larger_than_the_models_are_scored_whole(tiny_model: str) -> None:
    model = acquire(tiny_model, read_spec(tiny_model))
    golden = read_golden(tiny_model)
    many = np.tile(golden.pixels, (40, 1, 1, 1))
    np.testing.assert_allclose(model.score(many).scores, np.tile(golden.scores, (40, 1)), atol=1e-5)


def test_empty_batch_gives_an_empty_batch(tiny_model: str) -> None:
    model = acquire(tiny_model, read_spec(tiny_model))
    found = predict(batch(np.zeros((0, 28, 28, 1), np.uint8)), model, 5)
    assert found.top_labels.shape == (0, 5)


def test_label_score_is_the_labels_probability(tiny_model: str) -> None:
    model = acquire(tiny_model, read_spec(tiny_model))
    golden = read_golden(tiny_model)
    best = golden.scores.argmax(1)
    labels = [int(best[0]), int(best[1] + 1) % 10, None, 99]
    found = predict(batch(golden.pixels[:4], labels), model, 2)
    np.testing.assert_allclose(found.label_scores[:2], golden.scores[[0, 1], labels[:2]], atol=1e-5)
    assert np.isnan(found.label_scores[2:]).all()


def test_image_that_makes_the_model_raise_stands_alone(fussy_model: str) -> None:
    model = Model(fussy_model, read_spec(fussy_model))
    values = [10] * 300
    values[0] = values[77] = values[299] = 255
    found = predict(batch(first_pixels(*values)), model, 1)
    assert set(found.images.failures) == {0, 77, 299}
    failure = found.images.failures[77]
    assert (failure.stage, failure.code) == ("predict", "INVALID_ARGUMENT")
    assert "there is a 255" in failure.message
    assert (found.top_labels[found.images.ok, 0] == 1).all()


def exhausted_above_32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise what TensorFlow raises when memory is short, without its ten seconds of waiting."""
    import tensorflow as tf

    call = ScoreFunction.__call__

    def called(function: ScoreFunction, pixels: Any) -> Any:
        if len(pixels) > 32:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return call(function, pixels)

    monkeypatch.setattr(ScoreFunction, "__call__", called)


@pytest.mark.parametrize("is_real", [False, pytest.param(True, marks=pytest.mark.heavy)])
def test_where_memory_runs_out_smaller_batches_go_on_and_stay(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    fussy_model: str,
    caplog: pytest.LogCaptureFixture,
    is_real: bool,
) -> None:
    folder = request.getfixturevalue("hungry_model") if is_real else fussy_model
    model = Model(folder, read_spec(folder))
    if not is_real:
        exhausted_above_32(monkeypatch)
    for n in (36, 300):  # the real one waits 10 s each time
        found = predict(batch(first_pixels(*[10] * n)), model, 1)
        assert not found.images.failures
        assert (found.top_labels[:, 0] == 1).all()
    assert caplog.messages == ["memory does not suffice for 36 images in a call of the model: now 18"]


@pytest.mark.heavy
def test_image_that_alone_exhausts_memory_fails_and_does_not_make_batches_smaller(
    hungry_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model(hungry_model, read_spec(hungry_model))
    found = predict(batch(first_pixels(10, 254)), model, 1)
    assert {i: (f.stage, f.code) for i, f in found.images.failures.items()} == {1: ("predict", "RESOURCE_EXHAUSTED")}
    assert caplog.messages == []


def test_scores_that_are_no_numbers_are_failures(fussy_model: str) -> None:
    model = Model(fussy_model, read_spec(fussy_model))
    found = predict(batch(first_pixels(10, 253, 10)), model, 2)
    assert {i: (f.stage, f.code) for i, f in found.images.failures.items()} == {1: ("predict", "INTERNAL")}


def test_image_that_failed_before_is_not_shown_to_the_model(fussy_model: str) -> None:
    model = Model(fussy_model, read_spec(fussy_model))
    before = batch(first_pixels(10, 255, 10))
    failed = PixelBatch(before.images.failed({1: Failure("preprocess", "INVALID_ARGUMENT", "cut")}), before.pixels)
    found = predict(failed, model, 1)
    assert dict(found.images.failures) == {1: Failure("preprocess", "INVALID_ARGUMENT", "cut")}


needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(Path(CPUINFO).read_text()), reason="no such CPU")


@functools.cache
def near_ties(model: str) -> np.ndarray[Any, Any]:
    """Pairs of digits laid over each other, of which float32 cannot tell well which is above."""
    exact = ScoreFunction(f"{model}/saved_model", "float32")
    golden = read_golden(model).pixels.astype(np.float64)
    random = np.random.default_rng(1)
    pairs = random.integers(0, len(golden), (20_000, 2))
    share = random.random((20_000, 1, 1, 1))
    blends = np.rint(golden[pairs[:, 0]] * share + golden[pairs[:, 1]] * (1 - share)).astype(np.uint8)
    best = np.sort(exact(blends), axis=1)
    return blends[best[:, -1] - best[:, -2] < 0.02]


@needs_bfloat16
def test_every_class_in_bfloat16_is_that_of_float32_although_bfloat16_alone_gets_some_wrong(tiny_model: str) -> None:
    pixels = near_ties(tiny_model)
    spec = read_spec(tiny_model)
    exact = acquire(tiny_model, spec).score(pixels)
    alone = ScoreFunction(f"{tiny_model}/saved_model", "bfloat16")(pixels)
    assert (alone.argmax(1) != exact.scores.argmax(1)).any(), "these images do not show it"
    found = acquire(tiny_model, spec, "bfloat16").score(pixels)
    np.testing.assert_array_equal(found.scores.argmax(1), exact.scores.argmax(1))
    assert found.rescored == len(pixels)
    assert exact.rescored == 0
    np.testing.assert_array_equal(found.scores, exact.scores)


@needs_bfloat16
def test_only_images_with_a_small_margin_are_scored_again(tiny_model: str) -> None:
    close, clear = near_ties(tiny_model)[:1], read_golden(tiny_model).pixels[:1]
    alone = ScoreFunction(f"{tiny_model}/saved_model", "bfloat16")
    best = np.sort(alone(clear), axis=1)[0]
    assert best[-1] - best[-2] > 0.2, "this image does not show it"
    model, exact = (acquire(tiny_model, read_spec(tiny_model), p) for p in ("bfloat16", "float32"))
    for n in (0, 1, 2):
        pixels = np.concatenate([*[clear] * 3, *[close] * n, *[clear] * 3])
        found = predict(batch(pixels), model, 5)
        assert found.rescored == n
        np.testing.assert_array_equal(found.top_scores[:3, 0], np.sort(alone(pixels), axis=1)[:3, -1])
        np.testing.assert_array_equal(
            found.top_scores[3 : 3 + n], predict(batch(pixels), exact, 5).top_scores[3 : 3 + n]
        )


@needs_bfloat16
def test_either_precision_is_the_same_whatever_the_other_does_beside_it(tiny_model: str) -> None:
    import tensorflow as tf

    pixels = near_ties(tiny_model)[:64]
    eager = tf.saved_model.load(f"{tiny_model}/saved_model").signatures["serving_default"]
    (plain,) = (scores.numpy() for scores in eager(tf.constant(pixels)).values())
    coarse, exact = (ScoreFunction(f"{tiny_model}/saved_model", p) for p in ("bfloat16", "float32"))
    expected = coarse(pixels)
    assert 1e-4 < np.abs(expected - plain).max() < 5e-2
    wrong = []

    def work(number: int) -> None:
        for i in range(30):
            function, scores = ((coarse, expected), (exact, plain))[(number + i) % 2]
            if not np.array_equal(function(pixels), scores):
                wrong.append((number, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@needs_bfloat16
def test_bisection_and_scores_that_are_no_numbers_are_the_same_in_bfloat16(fussy_model: str) -> None:
    model = Model(fussy_model, read_spec(fussy_model), "bfloat16")
    values = [10] * 200
    values[3], values[77], values[150] = 255, 253, 127
    found = predict(batch(first_pixels(*values)), model, 1)
    assert {i: f.code for i, f in found.images.failures.items()} == {3: "INVALID_ARGUMENT", 77: "INTERNAL"}
    assert found.rescored == 2, "that without a number, and that of scores 0.498 and 0.502"
    assert (found.top_labels[found.images.ok, 0] == 1).all()


@needs_bfloat16
def test_model_that_bfloat16_does_not_suit_is_refused_in_bfloat16_only(tmp_path: Path) -> None:
    folder = write_model(tmp_path, lambda first: None, gain=256.0)  # 257 is 256 or 258 there
    assert Model(folder, read_spec(folder)).score(first_pixels(51)).scores[0, 0] == pytest.approx(0.2, abs=1e-4)
    with pytest.raises(GoldenMismatchError, match=r"golden images off by 0\.2 in bfloat16, allowed are 0\.05$"):
        Model(folder, read_spec(folder), "bfloat16")


def test_model_of_a_single_class_is_always_sure() -> None:
    assert _is_sure(np.ones((3, 1), np.float32)).all()


@pytest.mark.parametrize("scores", [[0.59, 0.5, 0], [np.nan, 1, 0], [np.inf, 0, 0], [np.inf, np.inf, 0]])
def test_small_margin_or_none_is_not_sure(scores: list[float]) -> None:
    assert _is_sure(np.array([scores, [0.7, 0.55, 0]], np.float32)).tolist() == [False, True]


def test_model_is_loaded_once_by_many_threads(tiny_model: str) -> None:
    spec, found = read_spec(tiny_model), []
    threads = [threading.Thread(target=lambda: found.append(acquire(tiny_model, spec))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


@pytest.fixture
def copied_model(tiny_model: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_machine_that_does_not_reproduce_the_golden_scores_is_named(copied_model: Path) -> None:
    golden = read_golden(str(copied_model))
    wrong = replace(golden, scores=golden.scores[:, ::-1].copy())
    (copied_model / GOLDEN / EXPECTED).write_bytes(wrong.files()[EXPECTED])
    with pytest.raises(GoldenMismatchError, match=r"TensorFlow .* golden images off by"):
        Model(str(copied_model), read_spec(str(copied_model)))


def test_machine_that_decodes_other_pixels_is_named(copied_model: Path) -> None:
    golden = read_golden(str(copied_model))
    wrong = replace(golden, pixels=golden.pixels ^ np.uint8(1))
    (copied_model / GOLDEN / EXPECTED).write_bytes(wrong.files()[EXPECTED])
    with pytest.raises(GoldenMismatchError, match="to other pixels"):
        Model(str(copied_model), read_spec(str(copied_model)))


def test_saved_model_that_cannot_be_loaded_is_one_clear_line(copied_model: Path) -> None:
    (copied_model / "saved_model" / "saved_model.pb").write_bytes(b"garbage")
    before = read_spec(str(copied_model))
    spec = make_spec(str(copied_model), before.input, before.class_names, {})
    with pytest.raises(UsageError, match="cannot be loaded") as caught:
        Model(str(copied_model), spec)
    assert "train or copy it again" in str(caught.value)


def test_model_that_is_not_the_one_its_id_names_is_never_loaded(
    copied_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    loaded: list[str] = []
    monkeypatch.setattr(tf.saved_model, "load", loaded.append)
    (copied_model / "saved_model" / "more.txt").write_text("x")
    with pytest.raises(UsageError, match=f"model '{copied_model}' is damaged: .* have the id"):
        acquire(str(copied_model), read_spec(str(copied_model)))
    assert loaded == []
