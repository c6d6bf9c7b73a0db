"""Local processes give the pixels, the rows and the parts that would come about here."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeRun, WriteImages
from encoded_batches import batch, noise
from PIL import Image

from pipeline import sources
from pipeline.batches import Failure, PixelBatch
from pipeline.errors import DamagedPartError, TransientError
from pipeline.machine import cpu_kind
from pipeline.metrics.figures import Candidate
from pipeline.model.directory import TFLITE
from pipeline.model.loaded import acquire
from pipeline.model.preprocess import preprocess
from pipeline.model.stored_facts import with_facts
from pipeline.output.run import Run
from pipeline.scoring import arrangement, requests
from pipeline.scoring.arrangement import arrange
from pipeline.scoring.parts import make_part
from pipeline.scoring.piece import PieceRows, from_stream, make_rows
from pipeline.scoring.planning import read_rule, units_of
from pipeline.scoring.process_pool import processes
from pipeline.scoring.requests import (
    is_one_request,
    make_part_in_process,
    measure_in_process,
    piece_images,
    preprocess_in_process,
    score_in_process,
    score_unit_in_process,
)
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit

PLENTY, LITTLE = 1 << 20, 1
"""Megabytes with which every process scores, and with which only one does."""


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages, tiny_model: str) -> Run:
    return make_run(write_images(40), image_timeout=60, model=tiny_model, memory_mb=PLENTY)


def alive() -> set[int]:
    """Return the numbers of this process's local processes."""
    return {process._process.pid for process in processes()._all}


def with_damage(run: Run) -> WorkUnit:
    """Return the run's only unit, of whose images one is gone and one is no image."""
    (unit,) = units_of(run, Skipped())
    Path(unit.locations[3]).unlink()
    Path(unit.locations[5]).write_bytes(b"broken")
    os.utime(unit.locations[5], ns=(unit.versions[5],) * 2)
    return unit


def test_what_is_read_here_has_the_pixels_and_failures_that_preprocess_gives(run: Run) -> None:
    images = batch(noise(10), b"broken", noise(30, size=(700, 900)), b"", noise(50, size=(5, 4)))
    images = replace(images, images=images.images.failed({4: Failure("read", "NOT_FOUND", "gone")}))
    expected, actual = preprocess(images, run.spec.input), preprocess_in_process(images, run)
    assert np.array_equal(actual.pixels, expected.pixels)
    assert actual.images.failures == expected.images.failures
    assert sorted(actual.images.failures) == [1, 3, 4]


def test_what_is_read_there_is_what_reading_here_gives(run: Run) -> None:
    unit = with_damage(run)
    (here,) = sources.read(unit, read_rule(run))
    expected, actual = preprocess(here, run.spec.input), preprocess_in_process(unit, run)
    assert np.array_equal(actual.pixels, expected.pixels)
    assert actual.images.keys == expected.images.keys
    assert actual.images.label_names == expected.images.label_names
    assert np.array_equal(actual.images.labels, expected.images.labels)
    assert np.array_equal(actual.images.labelled, expected.images.labelled)
    assert {i: f.code for i, f in actual.images.failures.items()} == {3: "NOT_FOUND", 5: "INVALID_ARGUMENT"}
    assert actual.images.failures == expected.images.failures


def test_seconds_are_noted_by_step(run: Run) -> None:
    seconds = preprocess_in_process(batch(noise(1, size=(2000, 2000))), run).seconds
    assert set(seconds) == {"read", "decode"}
    assert 0 <= seconds["read"] < seconds["decode"]


def test_options_of_another_run_hold_for_it_alone(run: Run, make_run: MakeRun) -> None:
    strict = make_run("x", max_pixels=100)
    for chosen, codes in ((run, {}), (strict, {0: "RESOURCE_EXHAUSTED"}), (run, {})):
        actual = preprocess_in_process(batch(noise(10, size=(20, 20)), noise(10)), chosen)
        assert {i: f.code for i, f in actual.images.failures.items()} == codes


@pytest.mark.usefixtures("new_processes")
def test_error_of_storage_there_is_raised_here_and_the_process_goes_on(
    make_run: MakeRun, write_images: WriteImages
) -> None:
    run = make_run(write_images(40), retry_deadline=0.1)
    (unit,) = units_of(run, Skipped())
    assert not preprocess_in_process(unit, run).images.failures
    (pid,) = alive()
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))  # it has more open than that
    with pytest.raises(TransientError, match="Too many open files"):
        preprocess_in_process(unit, run)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert not preprocess_in_process(unit, run).images.failures
    assert alive() == {pid}


def test_a_bug_there_is_raised_here_with_its_trace(run: Run) -> None:
    unit = WorkUnit("", "no such source", ("/x",), (1,), (1,), 1)
    with pytest.raises(RuntimeError, match=r"a local process failed:\nTraceback(.|\n)*KeyError: 'no such source'"):
        preprocess_in_process(unit, run)


def naive_rows(unit: WorkUnit, run: Run) -> Iterable[dict[str, Any]]:
    """Open, resize and score the images of a unit one by one, and yield what a row says of the prediction."""
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(f"{run.model}/{TFLITE}", num_threads=1)
    feed, fetch = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]
    network.allocate_tensors()
    for location in unit.locations:
        try:
            image = Image.open(location).convert("L").resize((28, 28), Image.Resampling.BILINEAR)
        except OSError:
            yield {"key": location, "status": "failed", "predicted": None, "score": None, "top_k": []}
            continue
        network.set_tensor(feed, np.asarray(image)[None, :, :, None])
        network.invoke()
        scores = network.get_tensor(fetch)[0]
        best = np.argsort(-scores, kind="stable")[: run.top_k].tolist()
        top = [{"label": i, "name": str(i), "score": float(scores[i])} for i in best]
        yield {"key": location, "status": "ok", "predicted": best[0], "score": top[0]["score"], "top_k": top}


def like_naive(rows: PieceRows) -> list[dict[str, Any]]:
    names = ("key", "status", "predicted", "score", "top_k")
    return [{name: row[name] or [] if name == "top_k" else row[name] for name in names} for row in rows_in(rows)]


def rows_in(rows: PieceRows) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = from_stream(rows.stream).to_pylist()
    assert len(table) == rows.count
    return table


def rounded(value: Any) -> Any:
    """Return the same with 4 decimals: on some CPUs a call of the model rounds otherwise with other threads."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


@pytest.mark.heavy
@pytest.mark.usefixtures("new_processes")
def test_rows_are_those_of_a_naive_loop_in_one_step_and_in_two(run: Run) -> None:
    unit = with_damage(run)
    (encoded,) = sources.read(unit, read_rule(run))
    expected = list(naive_rows(unit, run))
    seen = []
    for memory_mb, shares in ((PLENTY, (3, 0)), (LITTLE, (1, 2))):
        one = replace(run, options=replace(run.options, memory_mb=memory_mb))
        arrange(one, 3)
        assert (processes().scorers, processes().decoders) == shares
        for piece in (unit, encoded):
            rows = score_in_process(piece, one, ())
            assert like_naive(rows) == expected
            assert {i: why.code for i, why in rows.failures.items()} == {3: "NOT_FOUND", 5: "INVALID_ARGUMENT"}
            assert rows.rescored == 0
            seen.append((bytes(rows.stream), rows.pictures, rows.examples))
    assert seen[0][1]
    assert all(one == seen[0] for one in seen)


def test_rows_and_pictures_are_those_that_come_about_here(run: Run) -> None:
    unit = with_damage(run)
    (encoded,) = sources.read(unit, read_rule(run))
    model = acquire(run.model, run.spec, "litert")
    pixels = with_facts(preprocess(encoded, run.spec.input), encoded.encoded, run.spec.input)
    first = make_rows(pixels, model, run, ())
    others: list[Candidate] = [{**example, "key": f"a{i}"} for i in range(20) for example in first.examples]
    for examples in ((), others):
        expected = make_rows(pixels, model, run, examples)
        actual = score_in_process(unit, run, examples)
        assert bytes(actual.stream) == expected.stream
        assert (actual.count, actual.failures, actual.pictures.small) == (
            40,
            expected.failures,
            expected.pictures.small,
        )
        assert actual.examples == expected.examples
        assert {"read", "decode", "predict", "commit"} <= set(actual.seconds)
    assert 0 < len(expected.pictures.small) < len(first.pictures.small), "the lists of the unit were almost full"


@pytest.mark.heavy
@pytest.mark.usefixtures("new_processes")
def test_tensorflow_on_a_gpu_scores_in_threads_here_and_gives_the_rows_of_its_local_process(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threads of a GPU, without a GPU."""
    run = replace(run, options=replace(run.options, engine="tensorflow"))
    unit = with_damage(run)
    shared = arrange(run, 2)
    assert (shared.in_threads, processes().scorers, processes().decoders) == (False, 1, 2)
    there = score_in_process(unit, run, ())
    arrangement._arranged.clear()
    monkeypatch.setattr(arrangement, "sees_gpu", lambda: True)
    shared = arrange(run, 2)
    assert (shared.in_threads, processes().scorers, processes().decoders) == (True, 0, 2)
    assert shared.maker.startswith("TensorFlow ")
    assert shared.maker.endswith(f" on cpu, {cpu_kind()}")
    here = score_in_process(unit, run, ())
    assert rounded(rows_in(here)) == rounded(rows_in(there))
    assert (here.failures, here.pictures) == (there.failures, there.pictures)
    assert rounded(here.examples) == rounded(there.examples)
    pixels = preprocess_in_process(batch(noise(1), noise(2)), run)
    assert measure_in_process(pixels, run, 0.0) > 0
    assert not any(process.is_scorer for process in processes()._all)


@pytest.mark.heavy
def test_tensorflow_on_a_cpu_is_in_one_local_process_and_not_in_this_one(
    tiny_model: str, write_images: WriteImages
) -> None:
    program = """if True:
        import sys
        from pipeline.model.directory import read_spec
        from pipeline.options import ScoreOptions
        from pipeline.output.run import Run
        from pipeline.scoring.process_pool import processes
        from pipeline.scoring.planning import units_of
        from pipeline.scoring.score import score
        model, archive = sys.argv[1:]
        options = ScoreOptions(input=(archive,), model=model, output=archive + "-night", engine="tensorflow")
        run = Run.of("run-1", options, read_spec(model))
        print(sum(receipt.metrics.scored for receipt in score(list(units_of(run, {})), run)))
        print(sum(process.has_model for process in processes()._all))
        print(*{"tensorflow", "ai_edge_litert", "apache_beam"} & set(sys.modules))
    """
    done = subprocess.run(
        [sys.executable, "-c", program, tiny_model, str(write_images(20))], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["20", "1"], done.stderr


@pytest.mark.usefixtures("new_processes")
def test_model_is_loaded_by_as_many_processes_as_memory_allows_and_again_for_another_number(run: Run) -> None:
    first = arrange(run, 2)
    assert first.maker.startswith("LiteRT ")
    assert first.maker.endswith(cpu_kind())
    assert arrange(run) is first
    assert arrange(replace(run)) is first
    assert (processes().scorers, processes().decoders) == (2, 0)
    before = alive()
    assert arrange(run, 4).maker == first.maker
    assert (processes().scorers, processes().decoders) == (4, 0)
    assert alive() == before, "what has loaded the model goes on"
    assert arrange(run).most == 4


@pytest.mark.heavy
@pytest.mark.usefixtures("new_processes")
def test_process_with_another_engine_is_ended(run: Run) -> None:
    arrange(run, 1)
    before = alive()
    assert before
    arrange(replace(run, options=replace(run.options, engine="tensorflow")), 1)
    assert not before & alive()


def test_measured_is_the_time_of_an_image(run: Run) -> None:
    pixels = preprocess_in_process(batch(*[noise(1)] * 30), run)
    few = PixelBatch(pixels.images, pixels.pixels)
    assert 1e-7 < measure_in_process(few, run, 0.05) < 1


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_part_and_receipt_are_those_that_are_made_here(run: Run, form: str) -> None:
    run = replace(run, options=replace(run.options, format=form))
    unit = with_damage(run)
    rows = score_in_process(unit, run, ())
    part, receipt, seconds = make_part_in_process(unit, [rows.stream], (), run)
    assert (bytes(part), receipt) == make_part(unit, [rows.stream], (), run)
    assert receipt.rows == 40
    assert set(seconds) == {"commit"}
    again, same, _ = make_part_in_process(unit, [part, score_in_process(unit, run, ()).stream], list(range(40)), run)
    assert (bytes(again), same) == (bytes(part), receipt)


def test_part_of_too_few_rows_is_refused(run: Run) -> None:
    (unit,) = units_of(run, Skipped())
    rows = score_in_process(unit, run, ())
    with pytest.raises(DamagedPartError, match="has 39 images but its part has 40 rows"):
        make_part_in_process(replace(unit, images=39), [rows.stream], (), run)


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_unit_in_one_request_is_that_of_its_pieces(run: Run, form: str) -> None:
    run = replace(run, options=replace(run.options, format=form))
    unit = with_damage(run)
    rows = score_in_process(unit, run, ())
    part, receipt, _ = make_part_in_process(unit, [rows.stream], (), run)
    whole = score_unit_in_process(unit, run)
    assert (bytes(whole.part), whole.receipt) == (bytes(part), receipt)
    assert (whole.failures, whole.rescored) == (rows.failures, rows.rescored)
    shown = {row: picture for row, picture in rows.pictures.small.items() if row in receipt.pictured}
    assert whole.receipt.extras.thumbnails == shown
    assert shown
    assert {"read", "decode", "predict", "commit"} <= set(whole.seconds)


def test_unit_of_other_images_than_planned_is_refused(run: Run) -> None:
    (unit,) = units_of(run, Skipped())
    with pytest.raises(DamagedPartError, match="has 39 images but its part has 40 rows"):
        score_unit_in_process(replace(unit, images=39), run)


@pytest.mark.usefixtures("new_processes")
def test_unit_is_one_request_if_it_is_small_and_soon_done(run: Run) -> None:
    (unit,) = units_of(run, Skipped())
    arrangement._arranged.clear()
    assert not is_one_request(unit, run), "nobody knows yet how long it takes"
    score_in_process(unit, run, ())
    pace = arrange(run).pace
    assert 0 < pace.seconds(40) < 60
    pace.note(10**9, {})  # from now on an image takes no time
    assert is_one_request(unit, run)
    assert not is_one_request(replace(unit, images=None), run)
    assert not is_one_request(replace(unit, images=4 << 20), run)
    assert not is_one_request(replace(unit, sizes=(1 << 20,) * 40), run)
    pace.note(1, {"predict": 1e9})
    assert not is_one_request(unit, run)
    little = replace(run, options=replace(run.options, memory_mb=LITTLE))
    arrange(little, 3).pace.note(1, {})
    assert not is_one_request(unit, little), "one process decodes what another one scores"


@pytest.mark.heavy
@pytest.mark.usefixtures("new_processes")
def test_pieces_are_as_large_as_a_quarter_of_a_second_allows(run: Run) -> None:
    arrangement._arranged.clear()
    assert piece_images(run) == 8, "nobody knows yet how long an image takes"
    arrange(run).pace.note(100, {"predict": 1.0, "load": 60.0})
    assert piece_images(run) == 25
    arrange(run).pace.note(100, {"predict": 1e9})
    assert piece_images(run) == 8
    by_tensorflow = replace(run, options=replace(run.options, engine="tensorflow"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "arrange", lambda _: replace(arrange(run), run=by_tensorflow))
        assert piece_images(by_tensorflow) is None
    little = replace(run, options=replace(run.options, memory_mb=LITTLE))
    arrange(little, 3)
    score_in_process(batch(noise(1), noise(2)), little, ())
    assert arrange(little).pace.seconds(2) < 60, "noted, too, where one process decodes what another one scores"


def test_a_unit_of_which_only_reading_tells_the_images_is_never_one_request(run: Run) -> None:
    (unit,) = units_of(run, Skipped())
    pieces_of = arrange(run).pace
    pieces_of.note(1000, {"predict": 0.001})
    small = replace(unit, images=1, sizes=(1,), locations=unit.locations[:1], versions=unit.versions[:1])
    assert is_one_request(small, run)
    assert not is_one_request(replace(small, images=None), run)
