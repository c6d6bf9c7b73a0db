"""What a first run needs, at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline.api import head_start
from pipeline.cli import score
from pipeline.errors import UsageError
from pipeline.output import plan_file
from pipeline.output.run import Run
from pipeline.scoring.planning import pin
from pipeline.scoring.prepare import is_first, prepare


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages) -> Run:
    return prepare(make_run(write_images(60), unit_images=8).options)


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
    assert score.main(words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"nightscore score: model '{model}' is damaged: golden/")
