"""From costs to a range and a recommendation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from conftest import MakeRun, WriteImages
from encoded_batches import noise
from hypothesis import given
from hypothesis import strategies as st
from pictures import saved
from PIL import Image

from pipeline.concurrency import cores
from pipeline.output.plan_file import read_units
from pipeline.output.run import Run
from pipeline.scoring import forecast
from pipeline.scoring.canary import Canary
from pipeline.scoring.forecast import (
    Rehearsal,
    Work,
    count_readers,
    decode_cost,
    measure_ways,
    rehearse,
    try_reduced,
)
from pipeline.scoring.planning import units_of
from pipeline.scoring.process_pool import processes
from pipeline.scoring.ways import ROW_COST, WAYS, Costs, Way, recommend
from pipeline.sources.skipped import Skipped

LITE, EXACT, COARSE = WAYS
COSTS = Costs(start=3.0, read=0.0, readers=1, decode=2e-3, predict={LITE: 1e-3}, cores=2)


def test_shortest_time_is_that_of_reading_or_of_all_cores_at_work() -> None:
    assert COSTS.seconds(1_000, LITE)[0] == pytest.approx(3 + 1 + 1 + 500 * ROW_COST)
    slow = replace(COSTS, read=0.1, readers=10)
    assert slow.seconds(1_000, LITE)[0] == pytest.approx(3 + 10)


def test_longest_time_is_that_of_all_steps_one_after_the_other() -> None:
    costs = replace(COSTS, read=0.1, readers=10)
    assert costs.seconds(1_000, LITE)[1] == pytest.approx(3 + 10 + 1 + 1 + 500 * ROW_COST)


positive = st.floats(1e-7, 10.0)


@given(positive, positive, positive, st.integers(1, 64), st.integers(0, 10**9))
def test_shortest_is_never_longer_than_longest_and_more_images_never_take_less(
    read: float, decode: float, predict: float, cores: int, images: int
) -> None:
    costs = Costs(1.0, read, 4, decode, {LITE: predict}, cores)
    shortest, longest = costs.seconds(images, LITE)
    assert 1.0 <= shortest <= longest
    assert costs.seconds(images + 1, LITE) >= (shortest, longest)


@pytest.mark.parametrize(
    ("predict", "usual", "recommended", "line"),
    [
        ({LITE: 1e-3}, LITE, LITE, "--engine litert"),
        (
            {LITE: 1e-3, EXACT: 2e-3},
            LITE,
            LITE,
            "--engine litert: here the model is 2.0 times as fast as tensorflow",
        ),
        (
            {LITE: 1e-3, EXACT: 2e-3, COARSE: 0.95e-3},
            LITE,
            LITE,
            "--engine litert: here the model is 2.0 times as fast as tensorflow, 0.9 times as fast as tensorflow in "
            "bfloat16",
        ),
        (
            {LITE: 1e-3, EXACT: 2e-3, COARSE: 0.5e-3},
            LITE,
            COARSE,
            "--engine tensorflow --precision bfloat16: the model is 2.0 times as fast here as with litert",
        ),
        (
            {EXACT: 2e-3, COARSE: 0.5e-3},
            EXACT,
            COARSE,
            "--engine tensorflow --precision bfloat16: the same classes, and the model is 4.0 times as fast here as "
            "with tensorflow",
        ),
        (
            {LITE: 1e-3, EXACT: 2e-3},
            EXACT,
            LITE,
            "--engine litert: the model is 2.0 times as fast here as with tensorflow",
        ),
        (
            {EXACT: 1e-3},
            EXACT,
            EXACT,
            "--engine tensorflow",
        ),
    ],
)
def test_another_way_is_recommended_where_it_is_there_and_worth_it(
    predict: Mapping[Way, float], usual: Way, recommended: Way, line: str
) -> None:
    assert recommend(replace(COSTS, predict=predict), usual) == (recommended, line)


def test_way_is_told_as_a_person_reads_it_and_as_flags() -> None:
    assert list(map(str, WAYS)) == ["litert", "tensorflow", "tensorflow in bfloat16"]
    assert [way.flags for way in WAYS] == [
        "--engine litert",
        "--engine tensorflow",
        "--engine tensorflow --precision bfloat16",
    ]


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages, tiny_model: str) -> Run:
    archive = write_images(30)
    (archive / "broken.png").write_bytes(b"no")
    return make_run(archive, model=tiny_model, unit_images=8)


@pytest.mark.usefixtures("new_processes")
def test_rehearsal_measures_with_the_images_that_can_be_decoded_and_writes_nothing_else(run: Run) -> None:
    work = Work.of(run, run)
    assert work.left == 31
    rehearsal = rehearse(run, work.done)
    assert (rehearsal.canary.images, len(rehearsal.canary.failures)) == (31, 1)
    assert rehearsal.inputs.shape == (30, 28, 28, 1)
    assert len(rehearsal.encoded) == 30
    assert rehearsal.inputs.any(axis=(1, 2, 3)).all()
    assert os.listdir(run.output) == ["plan"]


def rehearsal_of(*encoded: bytes) -> Rehearsal:
    return Rehearsal(Canary(len(encoded), ()), np.zeros((3, 28, 28, 1), np.uint8), encoded)


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DECODE_SECONDS", "PREDICT_SECONDS"):
        monkeypatch.setattr(forecast, name, 0.01)


@pytest.mark.heavy
@pytest.mark.usefixtures("new_processes", "quickly")
def test_each_way_that_is_possible_is_measured_by_processes_of_its_own_and_the_others_say_why_not(run: Run) -> None:
    costs, absent = measure_ways(rehearsal_of(), run, run, None)
    assert {LITE, EXACT} <= costs.keys()
    assert costs.keys() | absent.keys() == set(WAYS)
    assert COARSE in costs or "--precision bfloat16 needs a CPU" in absent[COARSE]
    assert all(1e-8 < seconds < 1 for seconds in costs.values())
    assert processes().scorers == 1, "TensorFlow was the last"


@pytest.mark.heavy
@pytest.mark.usefixtures("quickly")
def test_engine_of_output_is_the_only_way(run: Run) -> None:
    costs, absent = measure_ways(rehearsal_of(), run, run, "litert")
    assert (list(costs), absent) == ([LITE], {})


@pytest.mark.heavy
@pytest.mark.usefixtures("quickly")
def test_model_without_a_network_for_litert_is_scored_otherwise(make_run: MakeRun, tiny_model: str) -> None:
    run = make_run("x", model=tiny_model)
    run = replace(run, spec=replace(run.spec, litert=None), options=replace(run.options, engine="tensorflow"))
    costs, absent = measure_ways(rehearsal_of(), run, run, None)
    assert EXACT in costs
    assert "the model was made without model.tflite" in absent[LITE]


@pytest.mark.usefixtures("quickly")
def test_what_decoding_reduced_would_change_is_tried_where_it_is_a_choice(run: Run) -> None:
    large = saved(Image.linear_gradient("L").resize((900, 700)), "JPEG")
    assert run.spec.input.decode == "reduced"
    assert try_reduced(rehearsal_of(large), run) is None
    full = replace(run, spec=replace(run.spec, input=replace(run.spec.input, decode="full")))
    reduction = try_reduced(rehearsal_of(large, large), full)
    assert reduction is not None
    assert (reduction.images, reduction.changed) == (2, 0)
    assert 0 < reduction.reduced < 1
    assert 0 < reduction.full < 1


def test_decoding_is_measured_for_one_process(run: Run) -> None:
    assert 1e-7 < decode_cost([noise(9)] * 3, run) < 1


def test_image_files_have_a_reader_a_core_and_a_container_has_one(
    run: Run, write_records: WriteImages, make_run: MakeRun
) -> None:
    assert count_readers(next(iter(units_of(run, Skipped())))) == cores()
    assert count_readers(next(iter(units_of(make_run(write_records(5)), Skipped())))) == 1


def test_rehearsal_is_of_images_that_are_not_scored_yet(run: Run) -> None:
    work = Work.of(run, run)
    first, *others = read_units(run)
    assert rehearse(run, frozenset(unit.id for unit in others)).canary.images == first.images
    assert work.totals.units == 1 + len(others) > 1
