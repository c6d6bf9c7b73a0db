"""Summary and report from receipts alone, and the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline.cli import report
from pipeline.output import plan_file
from pipeline.output.finish import finish
from pipeline.output.receipts import Receipt
from pipeline.output.records import start
from pipeline.output.run import Run
from pipeline.output.summary import Summary
from pipeline.scoring.planning import pin
from pipeline.scoring.score import score


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages) -> Run:
    archive = write_images(40)
    (archive / "3" / "broken.png").write_bytes(b"no")
    return make_run(archive, unit_images=10, max_failed_fraction=0.5)


def begun(run: Run, units: int | None = None) -> Summary:
    """Score the first units, as the pipeline does."""
    start(run)
    pin(run)
    summary = Summary()
    for outcome in score(list(plan_file.read_units(run))[:units], run):
        summary = summary.merge(Summary.of(outcome))
    return summary


def test_files_of_a_whole_run_come_out_the_same_without_archive_and_model(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(begun(run), run)
    output = Path(run.output)
    names = ("summary.json", "report.html")
    before = {name: (output / name).read_bytes() for name in names}
    assert b"data:image/png" in before["report.html"]
    for name in names:
        (output / name).unlink()
    shutil.rmtree(run.options.input[0])
    assert report.main([run.output]) == 0
    assert {name: (output / name).read_bytes() for name in names} == before
    assert capsys.readouterr().out.splitlines() == [f"{run.output}/{name}" for name in names]


def test_moved_output_gives_a_report_where_it_is_asked_for(run: Run, tmp_path: Path) -> None:
    finish(begun(run), run)
    moved, here = tmp_path / "moved", tmp_path / "here it is"
    shutil.move(run.output, moved)
    assert report.main([str(moved), "--to", str(here)]) == 0
    assert (here / "summary.json").read_bytes() == (moved / "summary.json").read_bytes()
    assert not Path(run.output).exists()


def test_run_that_is_not_done_is_told_as_far_as_it_has_come(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(run, 2)
    assert report.main([run.output]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    units = len(plan_file.read_ids(run))
    assert f"{units - 2} of {units} work units in {run.output!r} are not done" in line
    assert "--to FOLDER" in line
    assert report.main([run.output, "--to", str(tmp_path / "so far")]) == 0
    summary = json.loads((tmp_path / "so far" / "summary.json").read_text())
    receipts = [Receipt.from_json(path.read_bytes()) for path in Path(run.output, "receipts").iterdir()]
    assert summary["images"] == sum(receipt.rows for receipt in receipts) > 0
    assert "units are unfinished" in (tmp_path / "so far" / "report.html").read_text()
    assert not Path(run.output, "summary.json").exists()


def test_receipt_that_is_lost_or_damaged_is_not_passed_over(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    finish(begun(run), run)
    first, second, *_ = sorted(Path(run.output, "receipts").iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes()[:-9])
    before = Path(run.output, "summary.json").read_bytes()
    assert report.main([run.output]) == 3
    assert capsys.readouterr().err.startswith("nightscore report: 2 of ")
    assert Path(run.output, "summary.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: OUTPUT"),
        (["--from", "x"], "'nightscore report --help'"),
        (["/nonexistent"], "is not the OUTPUT of a run"),
        (["ftp://bucket/x"], "neither gs://"),
    ],
)
def test_bad_usage_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_plan_that_is_gone_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    finish(begun(run), run)
    Path(run.plan).unlink()
    assert report.main([run.output]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"the plan of run {run.id}" in line


@pytest.mark.heavy
def test_report_without_pictures_is_made_of_receipts_that_have_them(run: Run, tmp_path: Path) -> None:
    finish(begun(run), run)
    assert report.main([run.output, "--to", str(tmp_path / "here"), "--no_pictures"]) == 0
    page = (tmp_path / "here" / "report.html").read_text()
    assert "data:image" not in page
    assert "no picture" not in page
    assert "Least certain images" in page


@pytest.mark.heavy
@pytest.mark.parametrize("archive", ["files", "tar"])
def test_run_without_pictures_makes_none(make_run: MakeRun, write_images: WriteImages, archive: str) -> None:
    folder = write_images(20)
    if archive == "tar":
        shutil.make_archive(str(folder), "gztar", folder)
        folder = folder.with_suffix(".tar.gz")
    run = make_run(folder, no_pictures=True)
    finish(begun(run), run)
    receipts = [Receipt.from_json(path.read_bytes()) for path in Path(run.output, "receipts").iterdir()]
    assert [len(receipt.examples) > 0 for receipt in receipts] == [True]
    assert not any(receipt.extras.thumbnails for receipt in receipts)
    assert "data:image" not in Path(run.output, "report.html").read_text()
