"""From pixels to predictions, by real models: a CNN, and small graphs that fail on purpose."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import batch, first_pixels

from pipeline.batches import Failure, PixelBatch
from pipeline.model.directory import read_golden, read_spec
from pipeline.model.engines.litert import LiteRTNetwork
from pipeline.model.engines.tensorflow import TensorFlowNetwork
from pipeline.model.loaded import Model, acquire
from pipeline.model.predict import calls_of, predict
from pipeline.options import Engine

Begun = list[tuple[int, int]]


@pytest.fixture(params=["litert", "tensorflow"])
def model(request: pytest.FixtureRequest, tiny_model: str) -> Model:
    return acquire(tiny_model, read_spec(tiny_model), request.param)


@pytest.fixture
def fussy(fussy_model: str) -> Model:
    return Model(fussy_model, read_spec(fussy_model), "tensorflow")


def one_call_at_a_time(model: Model) -> Model:
    """Return the same model as one whose calls are made one after the other."""
    model.threads = 1
    return model


def test_predictions_are_the_models_best_classes(model: Model, tiny_model: str) -> None:
    golden = read_golden(tiny_model)
    scores = golden.scores[model.engine]
    found = predict(batch(golden.pixels), model, 3)
    order = np.argsort(-scores, axis=1)[:, :3]
    np.testing.assert_array_equal(found.top_labels, order)
    np.testing.assert_allclose(found.top_scores, np.take_along_axis(scores, order, 1), atol=1e-5)
    assert np.isnan(found.label_scores).all()


def test_batches_larger_than_a_call_are_scored_whole(model: Model, tiny_model: str) -> None:
    golden = read_golden(tiny_model)
    many = np.tile(golden.pixels, (40, 1, 1, 1))
    assert len(many) > 2 * model.call_images
    found, few = predict(batch(many), model, 3), predict(batch(golden.pixels), model, 3)
    np.testing.assert_allclose(found.top_scores, np.tile(few.top_scores, (40, 1)), atol=1e-5)
    np.testing.assert_array_equal(found.top_labels, np.tile(few.top_labels, (40, 1)))


def test_litert_gives_the_same_bits_in_calls_of_any_size(tiny_model: str) -> None:
    model = acquire(tiny_model, read_spec(tiny_model), "litert")
    pixels = batch(np.tile(read_golden(tiny_model).pixels, (4, 1, 1, 1)))
    n = len(pixels.pixels)
    together = predict(pixels, model, 10)
    for alone in ([(0, n)], [(3, 5), (20, 21)], [(n - 1, n)]):
        np.testing.assert_array_equal(predict(pixels, model, 10, alone=alone).top_scores, together.top_scores)


def test_empty_batch_gives_an_empty_batch(model: Model) -> None:
    begun: Begun = []
    found = predict(batch(np.zeros((0, 28, 28, 1), np.uint8)), model, 5, lambda *images: begun.append(images))
    assert found.top_labels.shape == (0, 5)
    assert begun == [(0, 0)]


def test_label_score_is_the_labels_probability(model: Model, tiny_model: str) -> None:
    golden = read_golden(tiny_model)
    scores = golden.scores[model.engine]
    best = scores.argmax(1)
    labels = [int(best[0]), int(best[1] + 1) % 10, None, 99]
    found = predict(batch(golden.pixels[:4], labels), model, 2)
    np.testing.assert_allclose(found.label_scores[:2], scores[[0, 1], labels[:2]], atol=1e-5)
    assert np.isnan(found.label_scores[2:]).all()


@pytest.mark.parametrize("at_once", [False, True])
def test_image_that_makes_the_model_raise_stands_alone(fussy: Model, at_once: bool) -> None:
    model = fussy if at_once else one_call_at_a_time(fussy)
    values = [10] * 300
    values[0] = values[77] = values[299] = 255
    found = predict(batch(first_pixels(*values)), model, 1)
    assert set(found.images.failures) == {0, 77, 299}
    failure = found.images.failures[77]
    assert (failure.stage, failure.code) == ("predict", "INVALID_ARGUMENT")
    assert "there is a 255" in failure.message
    assert (found.top_labels[found.images.ok, 0] == 1).all()


@pytest.fixture(params=["litert", "tensorflow"])
def short_of_memory(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tiny_model: str, fussy_model: str
) -> tuple[Model, Any]:
    """A model whose engine has no memory for more than 12 images at once, and 24 good images for it."""
    engine: Engine = request.param
    folder = tiny_model if engine == "litert" else fussy_model
    model = Model(folder, read_spec(folder), engine)
    network: Any = LiteRTNetwork if engine == "litert" else TensorFlowNetwork
    call = network.__call__

    def called(self: Any, pixels: Any) -> Any:
        if len(pixels) > 12:
            raise MemoryError("no memory")
        return call(self, pixels)

    monkeypatch.setattr(network, "__call__", called)
    return model, np.resize(read_golden(folder).pixels, (24, *model.spec.input.shape))


def test_where_memory_runs_out_smaller_calls_go_on_and_stay(
    short_of_memory: tuple[Model, Any], caplog: pytest.LogCaptureFixture
) -> None:
    model, pixels = short_of_memory
    most = min(model.call_images, len(pixels))
    assert most > 12
    for _ in range(2):
        assert not predict(batch(pixels), model, 1).images.failures
    assert model.call_images == most // 2
    assert caplog.messages == [f"memory does not suffice for {most} images in a call of the model: now {most // 2}"]


@pytest.mark.heavy
def test_where_memory_really_runs_out_smaller_calls_go_on_and_stay(
    hungry_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    """TensorFlow waits 10 s each time."""
    model = Model(hungry_model, read_spec(hungry_model), "tensorflow")
    assert model.call_images == 32
    model.call_images = 36
    for n in (36, 300):
        found = predict(batch(first_pixels(*[10] * n)), model, 1)
        assert not found.images.failures
        assert (found.top_labels[:, 0] == 1).all()
    assert caplog.messages == [
        f"memory does not suffice for {n} images in a call of the model: now {n // 2}" for n in (64, 36)
    ]


@pytest.mark.heavy
def test_image_that_alone_exhausts_memory_fails_and_does_not_make_calls_smaller(
    hungry_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model(hungry_model, read_spec(hungry_model), "tensorflow")
    caplog.clear()
    found = predict(batch(first_pixels(10, 254)), model, 1)
    assert {i: (f.stage, f.code) for i, f in found.images.failures.items()} == {1: ("predict", "RESOURCE_EXHAUSTED")}
    assert caplog.messages == []


def test_scores_that_are_no_numbers_are_failures(fussy: Model) -> None:
    found = predict(batch(first_pixels(10, 253, 10)), fussy, 2)
    assert {i: (f.stage, f.code) for i, f in found.images.failures.items()} == {1: ("predict", "INTERNAL")}


def test_image_that_failed_before_is_not_shown_to_the_model(fussy: Model) -> None:
    before = batch(first_pixels(10, 255, 10))
    failed = PixelBatch(before.images.failed({1: Failure("preprocess", "INVALID_ARGUMENT", "cut")}), before.pixels)
    found = predict(failed, fussy, 1)
    assert dict(found.images.failures) == {1: Failure("preprocess", "INVALID_ARGUMENT", "cut")}


def test_each_call_is_told_with_its_images_and_the_end_with_none(fussy: Model) -> None:
    model = one_call_at_a_time(fussy)
    model.call_images = 4
    before = batch(first_pixels(*[10] * 11))
    failed = PixelBatch(before.images.failed({2: Failure("read", "NOT_FOUND", "gone")}), before.pixels)
    begun: Begun = []
    predict(failed, model, 1, lambda *images: begun.append(images))
    assert begun == [(0, 5), (5, 9), (9, 11), (11, 11)]
    begun.clear()
    predict(failed, model, 1, lambda *images: begun.append(images), [(3, 5), (10, 11)])
    assert begun == [(0, 2), (3, 4), (4, 5), (5, 9), (9, 10), (10, 11), (11, 11)]


def test_calls_that_are_made_at_once_are_told_together(fussy: Model) -> None:
    fussy.threads, fussy.call_images = 3, 4
    begun: Begun = []
    predict(batch(first_pixels(*[10] * 11)), fussy, 1, lambda *images: begun.append(images))
    assert begun == [(0, 11), (11, 11)]
    begun.clear()
    predict(batch(first_pixels(*[10] * 11)), fussy, 1, lambda *images: begun.append(images), [(0, 2)])
    assert begun == [(0, 1), (1, 2), (2, 6), (6, 10), (10, 11), (11, 11)]


ranges = st.tuples(st.integers(0, 40), st.integers(0, 40))


@given(st.sets(st.integers(0, 39)), st.integers(1, 9), st.lists(ranges, max_size=4))
def test_every_image_is_in_one_call_and_who_is_to_be_alone_is(
    images: set[int], size: int, alone: list[tuple[int, int]]
) -> None:
    calls = calls_of(np.array(sorted(images), np.intp), size, alone)
    assert [i for call in calls for i in call.tolist()] == sorted(images)
    assert all(0 < len(call) <= size for call in calls)
    single = {i for first, stop in alone for i in range(first, stop)}
    assert all(len(call) == 1 for call in calls if single & set(call.tolist()))
    whole = [call for call in calls if not single & set(call.tolist())]
    assert sum(len(call) < size for call in whole) <= 1 + len(single & images), "calls are full where they can be"


def test_pixels_are_freed_as_soon_as_they_are_scored(tiny_model: str) -> None:
    """Without waiting for the garbage collector: a unit's pixels are a megabyte, and several would pile up."""
    model = acquire(tiny_model, read_spec(tiny_model), "litert")
    pixels = np.zeros((40, 28, 28, 1), np.uint8)
    gone = weakref.ref(pixels)
    gc.disable()
    try:
        found = predict(batch(pixels), model, 3)
        del pixels
        assert len(found.images) == 40
        assert gone() is None
    finally:
        gc.enable()
