"""What kills or holds up a local process costs one row, and what has nothing to do with an image costs none."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeRun, forget_processes, rows_of
from encoded_batches import batch, beginning_with, noise
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.batches import Failure
from pipeline.cli import score as cli
from pipeline.errors import TransientError, UsageError
from pipeline.machine import cpu_kind
from pipeline.model.input_rule import InputSpec
from pipeline.model.predict import Range
from pipeline.model.spec import ModelSpec
from pipeline.model.thumbnails import thumbnail
from pipeline.options import ScoreOptions
from pipeline.output.run import Run
from pipeline.scoring.arrangement import arrange
from pipeline.scoring.deaths import DEATHS, LOADS, Deaths, cause
from pipeline.scoring.local_process import DeadError
from pipeline.scoring.piece import from_stream
from pipeline.scoring.planning import units_of
from pipeline.scoring.process_pool import processes
from pipeline.scoring.process_start import Stage
from pipeline.scoring.requests import (
    preprocess_in_process,
    score_in_process,
    score_unit_in_process,
)
from pipeline.sources.skipped import Skipped

PLENTY, LITTLE = 1 << 20, 1
"""Megabytes with which every process scores, and with which only one does, and others decode."""

ABORT, KILLED, ALARM = -signal.SIGABRT, -signal.SIGKILL, -signal.SIGALRM


@pytest.fixture
def run(make_run: MakeRun, tiny_model: str) -> Run:
    return make_run("x", model=tiny_model, memory_mb=PLENTY)


@pytest.fixture
def deaths(run: Run) -> Deaths:
    return Deaths(run)


def death(stage: Stage, images: Range = (0, 0), code: int = ABORT, was_alone: bool = False) -> DeadError:
    return DeadError(stage, *images, code, was_alone)


@pytest.mark.parametrize(
    ("stage", "failure"),
    [
        ("decode", Failure("preprocess", "INTERNAL", "the decoder crashed on this image (SIGABRT)")),
        ("predict", Failure("predict", "INTERNAL", "the model (litert) crashed on this image (SIGABRT)")),
    ],
)
def test_image_is_blamed_when_two_processes_have_died_of_it_alone(
    deaths: Deaths, stage: Stage, failure: Failure
) -> None:
    assert not deaths.note(death(stage, (4, 9)))
    assert (deaths.alone, deaths.failures) == ([(4, 9)], {})
    deaths.note(death(stage, (7, 8)))
    deaths.note(death(stage, (5, 6)))
    assert deaths.failures == {}
    deaths.note(death(stage, (7, 8)))
    assert deaths.failures == {7: failure}
    deaths.note(death(stage, (5, 6)))
    assert deaths.failures == {7: failure, 5: failure}
    assert not deaths.is_alone


def test_two_deaths_of_an_image_in_different_stages_are_one_of_each(deaths: Deaths) -> None:
    deaths.note(death("decode", (3, 4)))
    deaths.note(death("predict", (3, 4)))
    assert deaths.failures == {}


@pytest.mark.parametrize(
    ("stage", "failure"),
    [
        (
            "decode",
            Failure("preprocess", "DEADLINE_EXCEEDED", "not decoded within --image_timeout 300 seconds"),
        ),
        (
            "predict",
            Failure("predict", "DEADLINE_EXCEEDED", "the model (litert) took many times as long as for a golden image"),
        ),
    ],
)
def test_alarm_is_final_for_an_image_alone_and_for_several_tells_nothing(
    deaths: Deaths, stage: Stage, failure: Failure
) -> None:
    deaths.note(death(stage, (0, 16), ALARM))
    assert (deaths.alone, deaths.failures) == ([(0, 16)], {})
    deaths.note(death(stage, (2, 3), ALARM))
    assert deaths.failures == {2: failure}


def test_who_is_killed_while_others_work_blames_nobody_and_is_tried_alone(deaths: Deaths) -> None:
    for stage, images in (("predict", (2, 3)), ("decode", (0, 9)), ("load", (0, 0)), ("idle", (0, 0))):
        assert deaths.note(death(stage, images, KILLED)), "one process fewer"
        assert deaths.is_alone
    assert (deaths.failures, deaths.alone) == ({}, [])


def test_who_is_killed_alone_is_like_one_that_dies(deaths: Deaths) -> None:
    deaths.note(death("predict", (0, 9), KILLED))
    deaths.note(death("predict", (0, 9), KILLED, was_alone=True))
    assert deaths.alone == [(0, 9)]
    for _ in range(DEATHS):
        assert deaths.failures == {}
        assert not deaths.note(death("predict", (2, 3), KILLED, was_alone=True))
    text = "the model (litert) was killed, probably because memory ran out (SIGKILL)"
    assert deaths.failures == {2: Failure("predict", "RESOURCE_EXHAUSTED", text)}


@pytest.mark.parametrize(("code", "was_alone"), [(ABORT, False), (KILLED, True), (3, False)])
@pytest.mark.parametrize("stage", ["idle", "read", "encode", "decode"])
def test_deaths_of_nothing_in_particular_are_a_bug(deaths: Deaths, stage: Stage, code: int, was_alone: bool) -> None:
    deaths.note(death(stage, code=code, was_alone=was_alone))
    with pytest.raises(RuntimeError, match=rf"local processes die in the step '{stage}' \({cause(code)}\)"):
        deaths.note(death(stage, code=code, was_alone=was_alone))


@pytest.mark.parametrize(
    ("engine", "code", "remedy"),
    [
        ("litert", ABORT, "score with --engine tensorflow and another --output"),
        ("litert", KILLED, "give the run more memory"),
        ("tensorflow", ABORT, "look whether TensorFlow works on this machine"),
        ("tensorflow", KILLED, "give the run more memory"),
    ],
)
def test_third_death_while_loading_ends_the_run_in_one_line(run: Run, engine: str, code: int, remedy: str) -> None:
    deaths = Deaths(replace(run, options=replace(run.options, engine=engine)))
    for _ in range(LOADS - 1):
        deaths.note(death("load", code=code, was_alone=True))
    with pytest.raises(UsageError) as caught:
        deaths.note(death("load", code=code, was_alone=True))
    assert str(caught.value) == (
        f"engine {engine} dies on this machine while it loads model {run.model!r} ({cause(code)}, 3 times; "
        f"CPU: {cpu_kind()}): {remedy}"
    )


def test_death_in_an_interrupted_run_is_no_death(deaths: Deaths) -> None:
    storage.patience().end()
    with pytest.raises(TransientError, match="interrupted"):
        deaths.note(death("predict", (1, 2)))


@given(st.sets(st.integers(0, 39), max_size=5), st.sets(st.integers(0, 39), max_size=5), st.integers(1, 40))
def test_images_that_kill_are_found_one_by_one_and_no_others(bad: set[int], worse: set[int], size: int) -> None:
    """A process that dies at the first image that it cannot stand, of 40 in calls of `size`."""
    deaths, tries = Deaths(_run_with_litert()), 0
    while (fault := _first_death(deaths, bad, worse, size)) is not None:
        deaths.note(fault)
        tries += 1
    assert set(deaths.failures) == bad | worse
    assert tries <= (DEATHS + 1) * len(bad | worse)


def _run_with_litert() -> Run:
    options = ScoreOptions(input=("x",), model="m", output="o", engine="litert")
    return Run.of("run-1", options, ModelSpec(InputSpec(2, 2, "rgb"), ["a", "b"], "id"))


def _first_death(deaths: Deaths, bad: set[int], worse: set[int], size: int) -> DeadError | None:
    left = [i for i in range(40) if i not in deaths.failures]
    alone = {i for first, stop in deaths.alone for i in range(first, stop)}
    calls: list[list[int]] = []
    for i in left:
        if calls and i not in alone and len(calls[-1]) < size and calls[-1][-1] not in alone:
            calls[-1].append(i)
        else:
            calls.append([i])
    for call in calls:
        if (bad | worse) & set(call):
            return DeadError("predict", call[0], call[-1] + 1, ABORT)
    return None


def test_cause_is_the_name_of_a_signal_or_an_exit_code() -> None:
    assert (cause(-6), cause(-9), cause(7)) == ("SIGABRT", "SIGKILL", "exit code 7")


@pytest.mark.heavy
@pytest.mark.usefixtures("poisoned")
def test_images_that_kill_or_hold_up_a_decoder_are_failed_rows_and_the_others_are_decoded(make_run: MakeRun) -> None:
    images = batch(noise(1), noise(2, b"ABORT"), noise(3), noise(4, b"SLEEP"), noise(5, b"KILLED"), noise(6))
    actual = preprocess_in_process(images, make_run("x", image_timeout=1.5))
    assert {i: (f.stage, f.code, f.message) for i, f in actual.images.failures.items()} == {
        1: ("preprocess", "INTERNAL", "the decoder crashed on this image (SIGABRT)"),
        3: ("preprocess", "DEADLINE_EXCEEDED", "not decoded within --image_timeout 1.5 seconds"),
        4: ("preprocess", "RESOURCE_EXHAUSTED", "the decoder was killed, probably because memory ran out (SIGKILL)"),
    }
    assert [bool(pixels.any()) for pixels in actual.pixels] == [True, False, True, False, False, True]


DIED = Failure("predict", "INTERNAL", "the model (litert) crashed on this image (SIGABRT)")
SLOW = Failure("predict", "DEADLINE_EXCEEDED", "the model (litert) took many times as long as for a golden image")
BAD = {
    3: (251, DIED),
    4: (251, DIED),
    20: (
        252,
        Failure(
            "predict", "RESOURCE_EXHAUSTED", "the model (litert) was killed, probably because memory ran out (SIGKILL)"
        ),
    ),
    40: (253, SLOW),
    55: (250, Failure("predict", "INTERNAL", "the model raised RuntimeError: there is a 250")),
}
"""Number of an image -> its first pixel, and what the model does at such a one."""


@pytest.mark.parametrize(
    ("memory_mb", "bad"),
    [(PLENTY, (40, 55)), (PLENTY, tuple(BAD)), (LITTLE, tuple(BAD))],
)
@pytest.mark.heavy
def test_images_that_kill_or_hold_up_the_model_are_failed_rows_and_the_others_are_scored(
    poisoned: pytest.MonkeyPatch, run: Run, memory_mb: int, bad: tuple[int, ...]
) -> None:
    run = replace(run, options=replace(run.options, memory_mb=memory_mb))
    values = [BAD[i][0] if i in bad else 0 for i in range(60)]
    good = score_in_process(batch(*[beginning_with(0)] * 60), run, ())
    forget_processes()
    poisoned.setenv("MODEL_DIES", "1")
    poisoned.setenv("ALARM_FACTOR", "20")  # 3 seconds, instead of a minute
    arrange(run, 3)
    actual = score_in_process(batch(*map(beginning_with, values)), run, ())
    assert actual.failures == {i: BAD[i][1] for i in bad}
    rows, expected = (from_stream(piece.stream).to_pylist() for piece in (actual, good))
    assert [i for i, row in enumerate(rows) if row["status"] == "failed"] == list(bad)
    assert all(row == other for i, (row, other) in enumerate(zip(rows, expected, strict=True)) if values[i] == 0)
    shown = set(actual.failures) & set(actual.pictures.small)
    assert shown
    assert all(actual.pictures.small[i] != thumbnail_of_nothing() for i in shown), "what was decoded has its picture"


@pytest.mark.heavy
def test_images_that_kill_the_model_are_failed_rows_of_a_unit_in_one_request(
    poisoned: pytest.MonkeyPatch, make_run: MakeRun, tiny_model: str, tmp_path: Path
) -> None:
    (tmp_path / "archive").mkdir()
    for i in range(60):
        data = noise(5, b"ABORT") if i == 9 else beginning_with({3: 251, 40: 250}.get(i, 0))
        (tmp_path / "archive" / f"{i:02d}.png").write_bytes(data)
    run = make_run(tmp_path / "archive", image_timeout=60, model=tiny_model)
    poisoned.setenv("MODEL_DIES", "1")
    arrange(run, 1)
    (unit,) = units_of(run, Skipped())
    whole = score_unit_in_process(unit, run)
    assert {i: f.message for i, f in whole.failures.items()} == {
        3: "the model (litert) crashed on this image (SIGABRT)",
        9: "the decoder crashed on this image (SIGABRT)",
        40: "the model raised RuntimeError: there is a 250",
    }
    assert whole.receipt.metrics.scored == 57
    assert {3, 40} <= set(whole.receipt.extras.thumbnails), "what was decoded has its picture"
    assert 9 not in whole.receipt.extras.thumbnails


def thumbnail_of_nothing() -> bytes:
    return thumbnail(np.zeros((28, 28, 1), np.uint8))


@pytest.mark.usefixtures("new_processes")
def test_process_that_is_killed_once_costs_no_image(run: Run) -> None:
    """The kernel may kill it for the memory that others took."""
    preprocess_in_process(batch(noise(1)), run)
    for process in processes()._idle:
        process.kill()
        process._process.wait()
    assert not preprocess_in_process(batch(noise(2), noise(3)), run).images.failures


@pytest.mark.heavy
def test_process_that_is_killed_while_others_work_leaves_one_fewer_and_all_rows_right(
    poisoned: pytest.MonkeyPatch, run: Run, tmp_path: Path
) -> None:
    poisoned.setenv("KILLED_ONCE", str(tmp_path / "killed"))
    poisoned.setenv("DECODE_SECONDS", "0.01")
    arrange(run, 3)
    images = [noise(10 + i, b"ONCE" if i == 3 else b"") for i in range(20)]
    with ThreadPoolExecutor(3) as pool:
        rows = list(pool.map(lambda i: score_in_process(batch(*images), run, ()), range(6)))
    assert (tmp_path / "killed").exists()
    assert all(not piece.failures for piece in rows)
    assert len({bytes(piece.stream) for piece in rows}) == 1
    assert (processes().scorers, processes().decoders) == (2, 0)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("poison", "text"),
    [("ABORT", "SIGABRT, 3 times"), ("KILLED", "SIGKILL, 3 times")],
)
def test_engine_that_dies_while_it_loads_is_one_line_and_exit_code_2(
    poisoned: pytest.MonkeyPatch,
    tiny_model: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    poison: str,
    text: str,
) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.png").write_bytes(noise(1))
    poisoned.setenv("LOAD", poison)
    flags = ["--input", str(tmp_path / "archive"), "--model", tiny_model, "--output", str(tmp_path / "night")]
    assert cli.main(flags) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("nightscore score: engine litert dies on this machine while it loads model ")
    assert text in line
    assert f"CPU: {cpu_kind()}" in line
    assert ("--engine tensorflow" if poison == "ABORT" else "more memory") in line


@pytest.mark.heavy
def test_image_that_kills_the_model_is_a_row_of_the_result(
    poisoned: pytest.MonkeyPatch, tiny_model: str, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for i in range(30):
        (archive / f"{i:02d}.png").write_bytes(beginning_with(251 if i == 7 else 0))
    poisoned.setenv("MODEL_DIES", "1")
    flags = ["--input", str(archive), "--model", tiny_model, "--output", str(tmp_path / "night")]
    assert cli.main([*flags, "--max_failed_fraction", "1"]) == 0
    rows = rows_of(tmp_path / "night")
    assert [os.path.basename(row["key"]) for row in rows if row["status"] == "failed"] == ["07.png"]
    (row,) = [row for row in rows if row["status"] == "failed"]
    assert (row["error_stage"], row["error_code"]) == ("predict", "INTERNAL")
    assert len({row["score"] for row in rows if row["status"] == "ok"}) == 1
