"""The last step: what it writes, and what it dares to remove."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline.output import plan_file
from pipeline.output.commit import committed
from pipeline.output.finish import finish, go_to_work
from pipeline.output.receipts import Unfinished
from pipeline.output.records import start
from pipeline.output.run import Run
from pipeline.output.summary import Summary
from pipeline.scoring.planning import pin
from pipeline.scoring.score import score


def scored(run: Run) -> Summary:
    """Plan and score everything, as the pipeline does."""
    start(run)
    pin(run)
    summary = Summary()
    for outcome in score(list(plan_file.read_units(run)), run):
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
    assert table == [run.part(unit.id) for unit in plan_file.read_units(run)]
    assert all(Path(part).exists() for part in table)


def test_plan_without_a_unit_removes_nothing(run: Run, make_run: MakeRun, tmp_path: Path) -> None:
    finish(scored(run), run)
    before = {path: path.read_bytes() for path in Path(run.output).rglob("*.parquet")}
    (tmp_path / "nothing").mkdir()
    empty = make_run(tmp_path / "nothing", name="run-2")
    record = finish(scored(empty), empty)
    assert (record["complete"], record["verdict"]["exit_code"]) == (False, 3)
    assert {path: path.read_bytes() for path in Path(run.output).rglob("*.parquet")} == before


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
    pin(run)
    units = list(plan_file.read_units(run))
    summary = Summary()
    for outcome in score(units[1:], run):
        summary = summary.merge(Summary.of(outcome))
    record = finish(summary, run)
    assert record["verdict"]["exit_code"] == 3
    assert "40 images were planned" in record["verdict"]["reasons"][0]
    assert not Path(run.output, "summary.json").exists()


@pytest.mark.parametrize("what", [Run.receipt, Run.part])
def test_results_removed_by_another_run_are_noticed_and_nothing_is_removed(
    run: Run, what: Callable[[Run, str], str]
) -> None:
    summary = scored(run)
    unit = next(plan_file.read_units(run))
    Path(what(run, unit.id)).unlink()
    stale = Path(run.output, "predictions", f"part-{'0' * 32}.parquet")
    stale.write_bytes(b"x")
    record = finish(summary, run)
    assert record["verdict"]["exit_code"] == 3
    assert "results of 1 units are gone" in record["verdict"]["reasons"][0]
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


@pytest.fixture
def other(run: Run, make_run: MakeRun, write_images: WriteImages) -> Run:
    """A run into the same OUTPUT that starts later and has other images."""
    return make_run(write_images(30, "others", start=100), unit_images=10, name="run-2")


def test_run_json_tells_of_a_run_from_its_first_work_to_its_end(run: Run, other: Run) -> None:
    first = finish(scored(run), run)
    results = {name: Path(run.output, name).read_bytes() for name in ("summary.json", "report.html", "table.txt")}
    start(other)
    assert read(run, "run.json") == first, "it may have nothing to score"
    go_to_work(other)
    under_way = read(run, "run.json")
    assert under_way == read(run, "runs/run-2.json")
    assert (under_way["run"], under_way["complete"], under_way["verdict"]) == ("run-2", False, None)
    assert {name: Path(run.output, name).read_bytes() for name in results} == results
    record = finish(scored(other), other)
    assert read(run, "run.json") == record
    assert record["complete"] is True


def test_earlier_run_that_ends_leaves_run_json_to_a_later_one_under_way(run: Run, other: Run) -> None:
    summary = scored(run)
    start(other)
    go_to_work(other)
    record = finish(summary, run)
    assert (record["complete"], record["verdict"]["exit_code"]) == (True, 0)
    assert read(run, "run.json")["run"] == "run-2"
    assert Path(run.output, "table.txt").exists()


def test_earlier_run_does_not_say_that_it_is_under_way_once_a_later_one_has_started(run: Run, other: Run) -> None:
    start(run)
    start(other)
    go_to_work(other)
    go_to_work(run)
    assert read(run, "run.json")["run"] == "run-2"


def content(run: Run) -> set[str]:
    return {str(path.relative_to(run.output)) for path in Path(run.output).rglob("*") if path.is_file()}


@pytest.mark.heavy
def test_run_is_superseded_by_a_later_one_with_other_units_and_leaves_everything_to_it(run: Run, other: Run) -> None:
    summary, later = scored(run), scored(other)
    before = content(run)
    record = finish(summary, run)
    assert (record["verdict"]["exit_code"], record["complete"]) == (3, False)
    (reason,) = record["verdict"]["reasons"]
    assert "run run-2 has started" in reason
    assert "rerun" in reason
    assert content(run) == before
    assert finish(later, other)["verdict"]["exit_code"] == 0
    assert len(committed(other)) == later.units
    assert read(other, "run.json")["run"] == "run-2"


@pytest.mark.heavy
def test_run_is_superseded_by_a_later_one_that_has_its_results(run: Run, other: Run) -> None:
    summary = scored(run)
    finish(scored(other), other)
    before = content(run), Path(run.output, "table.txt").read_bytes()
    assert finish(summary, run)["verdict"]["exit_code"] == 3
    assert (content(run), Path(run.output, "table.txt").read_bytes()) == before


def test_later_run_without_a_plan_loses_nothing_to_this_one(run: Run, other: Run) -> None:
    stale = Path(run.output, "receipts", f"{'0' * 32}.json")
    summary = scored(run)
    stale.write_bytes(b"x")
    start(other)
    record = finish(summary, run)
    assert (record["verdict"]["exit_code"], record["complete"]) == (0, True)
    assert Path(run.output, "table.txt").exists()
    assert stale.exists()


def test_runs_with_the_same_units_both_end_well_and_the_last_one_sweeps(run: Run, make_run: MakeRun) -> None:
    again = make_run(*run.options.input, unit_images=10, name="run-2")
    first, second = scored(run), scored(again)
    stale = Path(run.output, "receipts", f"{'0' * 32}.json")
    stale.write_bytes(b"x")
    assert finish(first, run)["verdict"]["exit_code"] == 0
    assert stale.exists()
    assert finish(second, again)["verdict"]["exit_code"] == 0
    assert not stale.exists()


@pytest.mark.heavy
def test_run_that_was_over_before_does_not_count_whatever_its_name(run: Run, other: Run) -> None:
    finish(scored(other), other)
    summary = scored(run)
    assert finish(summary, run)["verdict"]["exit_code"] == 0
    assert len(list(Path(run.output, "receipts").iterdir())) == summary.units


@pytest.mark.heavy
def test_later_run_that_ended_without_a_result_supersedes_nobody_and_loses_nothing(run: Run, other: Run) -> None:
    summary = scored(run)
    assert not finish(scored(other).merge(Summary.of(Unfinished("a" * 32, 3, "HTTP 503"))), other)["complete"]
    units = committed(other)
    assert finish(summary, run)["verdict"]["exit_code"] == 0
    assert committed(other) == units


@pytest.mark.heavy
def test_last_step_done_again_returns_what_was_said_then(run: Run, other: Run) -> None:
    summary = scored(run)
    record = finish(summary, run)
    finish(scored(other), other)
    assert not Path(run.plan).exists()
    assert finish(summary, run) == record
    assert read(run, "run.json")["run"] == "run-2"


@pytest.mark.heavy
def test_plans_of_earlier_runs_are_removed_once_they_have_ended_or_died(run: Run, other: Run) -> None:
    assert not finish(scored(run).merge(Summary.of(Unfinished("a" * 32, 3, "HTTP 503"))), run)["complete"]
    for name, age in {"run-0": 8, "run-00": 1}.items():
        early = Run.of(name, run.options, run.spec)
        start(early)
        pin(early)
        record = json.loads(Path(early.record).read_text())
        started = datetime.fromisoformat(record["started"]) - timedelta(days=age)
        Path(early.record).write_text(json.dumps({**record, "started": started.isoformat(timespec="milliseconds")}))
    finish(scored(other), other)
    assert {path.name for path in Path(run.output, "plan").iterdir()} == {"run-00.jsonl.gz", "run-2.jsonl.gz"}
