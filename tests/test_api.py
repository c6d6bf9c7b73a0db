"""A run from options to its record, and what a first run needs, at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline.api import Scored, head_start, score
from pipeline.cli import score as command
from pipeline.errors import UsageError
from pipeline.output import plan_file
from pipeline.output.run import Run
from pipeline.scoring.planning import pin
from pipeline.scoring.prepare import is_first, prepare


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages) -> Run:
    return prepare(make_run(write_images(60), unit_images=8).options)


def test_score_returns_the_run_and_its_record_by_either_way(make_run: MakeRun, write_images: WriteImages) -> None:
    options = make_run(write_images(30), unit_images=8).options
    first = score(options)
    again = score(options)
    by_beam = score(options, ["--direct_num_workers=1"])
    assert [type(scored) for scored in (first, again, by_beam)] == [Scored] * 3
    records = [scored.record for scored in (first, again, by_beam)]
    assert [record and (record["scored"], record["kept"]) for record in records] == [(30, 0), (0, 30), (0, 30)]
    assert records[0] is not None
    assert records[0]["run"] == first.run.id


def test_flag_that_beam_does_not_know_is_refused_before_anything_is_written(
    make_run: MakeRun, write_images: WriteImages
) -> None:
    options = make_run(write_images(3)).options
    with pytest.raises(UsageError, match="unknown argument '--nonsense'"):
        score(options, ["--nonsense"])
    assert not Path(options.output).exists()


def test_the_plan_is_pinned_as_this_process_would(run: Run) -> None:
    assert is_first(run)
    head_start(run)
    ids = plan_file.read_ids(run)
    Path(run.plan).unlink()
    pin(run)
    assert plan_file.read_ids(run) == ids
    assert len(ids) > 5


def test_a_second_run_into_the_same_output_is_not_the_first(run: Run) -> None:
    assert not is_first(prepare(run.options))


def test_a_plan_that_cannot_be_made_is_left_to_whoever_says_why(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path / "nothing")
    Path(run.output).write_text("a file where the plan should go")
    head_start(run)
    with pytest.raises(UsageError):
        pin(run)


def test_a_model_that_cannot_be_loaded_is_told_before_anything_is_scored(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "golden" / "expected.npz").write_bytes(b"no")
    words = ["--input", str(write_images(20)), "--model", str(model), "--output", str(tmp_path / "night")]
    assert command.main(words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"nightscore score: model '{model}' is damaged: golden/")
