"""From pixels to the rows of a piece, as one local process makes them."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import MakeRun

from model_training.data.datasets import RawImages
from pipeline.batches import Failure, ImageColumns, PixelBatch
from pipeline.model.directory import read_golden
from pipeline.model.loaded import Model, acquire
from pipeline.model.predict import predict
from pipeline.output.rows import row_schema, to_table
from pipeline.output.run import Run
from pipeline.scoring.pictures import choose, draw
from pipeline.scoring.piece import from_stream, make_rows, measure


@pytest.fixture
def run(make_run: MakeRun, tiny_model: str) -> Run:
    return make_run("x", model=tiny_model)


@pytest.fixture
def model(run: Run) -> Model:
    return acquire(run.model, run.spec, "litert")


@pytest.fixture
def pixels(run: Run, digits: RawImages) -> PixelBatch:
    golden = read_golden(run.model).pixels
    many = np.concatenate([golden] * 5)[:40]
    n = len(many)
    columns = ImageColumns(
        [f"{i}.png" for i in range(n)], np.arange(n, dtype=np.int32) % 10, np.ones(n, bool), [""] * n
    )
    why = {3: Failure("preprocess", "INVALID_ARGUMENT", "cut"), 7: Failure("predict", "INTERNAL", "died")}
    return PixelBatch(columns.failed(why), many, {"read": 1.0, "decode": 2.0})


def test_rows_are_those_of_the_predictions(pixels: PixelBatch, model: Model, run: Run) -> None:
    expected = predict(pixels, model, run.top_k)
    rows = make_rows(pixels, model, run, ())
    assert from_stream(rows.stream).equals(to_table(expected, run.spec.class_names, row_schema("classes", run.options)))
    entered, pictured, enlarged = choose(expected, ())
    assert rows.examples == entered
    assert rows.pictures == draw(pixels, pictured, run.spec.input, large=enlarged)
    assert 7 in rows.pictures.small, "the image of which the model died"
    assert (rows.count, rows.rescored, dict(rows.failures)) == (len(pixels.images), 0, expected.images.failures)


def test_seconds_are_added_to_those_that_were_spent_before(pixels: PixelBatch, model: Model, run: Run) -> None:
    seconds = make_rows(pixels, model, run, ()).seconds
    assert (seconds["read"], seconds["decode"]) == (1.0, 2.0)
    assert set(seconds) == {"read", "decode", "predict", "commit"}


def test_ranges_that_are_scored_are_told_and_give_the_same_rows_alone(
    pixels: PixelBatch, model: Model, run: Run
) -> None:
    begun: list[tuple[int, int]] = []
    alone = make_rows(pixels, model, run, (), lambda first, stop: begun.append((first, stop)), [(0, 40)])
    assert begun == [*[(i, i + 1) for i in range(40) if i not in (3, 7)], (40, 40)]
    assert bytes(alone.stream) == bytes(make_rows(pixels, model, run, ()).stream)


def test_measured_is_the_time_of_one_image_in_at_least_one_round(pixels: PixelBatch, model: Model, run: Run) -> None:
    assert 0 < measure(pixels, model, run, 0.0) < 1
