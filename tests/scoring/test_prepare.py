"""What is refused before a run: a trial with --limit where the results of more images lie."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline.cli import score
from pipeline.errors import UsageError
from pipeline.options import ScoreOptions
from pipeline.output.records import start
from pipeline.output.run import Run
from pipeline.scoring.prepare import check

IMAGES = 20


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages) -> Run:
    return make_run(write_images(IMAGES), unit_images=4)


def options(run: Run, limit: int | None) -> ScoreOptions:
    return ScoreOptions(**{**vars(run.options), "limit": limit})


def record_run(run: Run, name: str, limit: int | None, **content: object) -> None:
    """Write the record of a run that has ended."""
    one = Run.of(name, options(run, limit), run.spec)
    start(one)
    record = json.loads(Path(one.record).read_text())
    Path(one.record).write_text(json.dumps({**record, **content}))


def is_refused(run: Run, limit: int | None) -> bool:
    try:
        check(options(run, limit))
    except UsageError as error:
        return "choose another --output" in str(error)
    return False


@pytest.mark.heavy
def test_trial_into_the_output_of_all_images_is_one_line_and_changes_nothing(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--input", *run.options.input, "--model", run.options.model, "--output", run.output, "--unit_images", "4"]
    assert score.main(flags) == 0
    before = {path: path.read_bytes() for path in Path(run.output).rglob("*") if path.is_file()}
    capsys.readouterr()
    assert score.main([*flags, "--limit", "10"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"nightscore score: --output {run.output!r} holds results of 20 images; a run with --limit 10 would replace "
        "them: choose another --output"
    )
    assert {path: path.read_bytes() for path in Path(run.output).rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("earlier", "images", "limit", "refused"),
    [
        (None, 20, 10, True),
        (None, 20, 20, False),
        (None, 20, None, False),
        (15, 15, 10, True),
        (10, 10, 10, False),
        (10, 12, 10, False),
        (10, 10, 15, False),
        (10, 10, None, False),
    ],
)
def test_smaller_limit_is_refused_where_it_would_replace_something(
    run: Run, earlier: int | None, images: int, limit: int | None, refused: bool
) -> None:
    record_run(run, "run-1", earlier, images=images, complete=True, verdict={"exit_code": 0, "reasons": []})
    assert is_refused(run, limit) is refused


def test_what_an_interrupted_run_has_done_is_not_replaced_either(run: Run) -> None:
    record_run(run, "run-1", None)
    assert not is_refused(run, 10), "it has done nothing yet"
    receipt = Path(run.receipt("0" * 32))
    receipt.parent.mkdir()
    receipt.write_bytes(b"{}")
    assert is_refused(run, 10)
    record_run(run, "run-2", 10, images=10, complete=True, verdict={"exit_code": 0, "reasons": []})
    assert not is_refused(run, 10), "that has replaced it already"


def test_run_that_its_canary_stopped_is_no_obstacle_to_a_trial(run: Run) -> None:
    record_run(run, "run-1", None, images=0, verdict={"exit_code": 3, "reasons": ["20 of 20 images failed"]})
    assert not is_refused(run, 10)
