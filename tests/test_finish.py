"""The last step: what it writes, and what it dares to remove."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline import plan
from pipeline.finish import finish, start
from pipeline.run import Run
from pipeline.score import Unfinished, score
from pipeline.summarize import Summary


def scored(run: Run) -> Summary:
    """Plan and score everything, as the pipeline does."""
    start(run)
    plan.pin(run)
    summary = Summary()
    for outcome in score(list(plan.read_units(run)), run):
        summary = summary.merge(Summary.of(outcome))
    return summary


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages) -> Run:
    return make_run(write_images(40), unit_images=10)


def read(run: Run, name: str) -> dict[str, object]:
    content: dict[str, object] = json.loads(Path(run.output, name).read_text())
    return content


def test_everything_is_written_and_run_json_is_the_record(run: Run) -> None:
    record = finish(scored(run), run)
    assert read(run, "run.json") == record == read(run, f"runs/{run.id}.json")
    assert record["verdict"] == {"exit_code": 0, "reasons": []}
    assert (record["complete"], record["images"], record["scored"], record["kept"]) == (True, 40, 40, 0)
    assert record["plan"]["images"] == 40
    assert "seconds" not in read(run, "summary.json")
    table = Path(run.output, "table.txt").read_text().splitlines()
    assert table == [run.part(unit.id) for unit in plan.read_units(run)]
    assert all(Path(part).exists() for part in table)


def test_results_of_units_that_are_not_planned_are_removed_and_nothing_else(run: Run) -> None:
    summary = scored(run)
    output = Path(run.output)
    stale = [
        output / "predictions" / f"part-{'0' * 32}.parquet",
        output / "receipts" / f"{'0' * 32}.json",
        output / "predictions" / ".part-x.parquet.12-34-5.tmp",
        output / ".summary.json.1-2-3.tmp",
    ]
    foreign = [
        output / "predictions" / "part-mine.parquet",
        output / "predictions" / "notes.txt",
        output / "notes.tmp",
        output / "other" / f"part-{'0' * 32}.parquet",
    ]
    for path in (*stale, *foreign):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    finish(summary, run)
    assert [path for path in stale if path.exists()] == []
    assert [path for path in foreign if not path.exists()] == []
    assert len(list((output / "receipts").iterdir())) == summary.units


def test_with_a_unit_unfinished_nothing_is_removed_and_no_summary_is_written(run: Run) -> None:
    summary = scored(run).merge(Summary.of(Unfinished("a" * 32, 3, "HTTP 503 at gs://b/x")))
    stale = Path(run.output, "receipts", f"{'0' * 32}.json")
    stale.write_bytes(b"x")
    record = finish(summary, run)
    assert record["verdict"]["exit_code"] == 3
    assert record["complete"] is False
    assert "HTTP 503 at gs://b/x" in record["verdict"]["reasons"][0]
    assert stale.exists()


def test_unit_that_never_ended_is_noticed(run: Run) -> None:
    start(run)
    plan.pin(run)
    units = list(plan.read_units(run))
    summary = Summary()
    for outcome in score(units[1:], run):
        summary = summary.merge(Summary.of(outcome))
    record = finish(summary, run)
    assert record["verdict"]["exit_code"] == 3
    assert "40 images were planned" in record["verdict"]["reasons"][0]
    assert not Path(run.output, "summary.json").exists()


def test_receipts_removed_by_another_run_are_noticed_and_nothing_is_removed(run: Run) -> None:
    summary = scored(run)
    unit = next(plan.read_units(run))
    Path(run.receipt(unit.id)).unlink()
    stale = Path(run.output, "predictions", f"part-{'0' * 32}.parquet")
    stale.write_bytes(b"x")
    record = finish(summary, run)
    assert record["verdict"]["exit_code"] == 3
    assert "1 receipts of this run are gone" in record["verdict"]["reasons"][0]
    assert stale.exists()


def test_summary_of_a_rerun_is_the_same_to_the_byte(run: Run, make_run: MakeRun) -> None:
    Path(run.options.input[0], "0", "broken.png").write_bytes(b"no image")
    finish(scored(run), run)
    before = Path(run.output, "summary.json").read_bytes()
    again = make_run(*run.options.input, unit_images=10, name="run-2")
    record = finish(scored(again), again)
    assert (record["scored"], record["kept"]) == (0, 41)
    assert (record["units_scored"], record["units_kept"]) == (0, record["plan"]["units"])
    assert Path(run.output, "summary.json").read_bytes() == before
    assert {p.name for p in Path(run.output, "runs").iterdir()} == {"run-1.json", "run-2.json"}
