"""How a night stands, told from real OUTPUTs: half done, done, resumed, broken, in a bucket."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, WriteImages

from pipeline import storage
from pipeline.cli import score as cli
from pipeline.errors import UsageError
from pipeline.output import plan_file
from pipeline.output.records import start
from pipeline.output.remote_progress import Follower
from pipeline.output.run import Run
from pipeline.output.status import status
from pipeline.scoring.planning import pin
from pipeline.scoring.score import Receipt, score

STEP = 10.0
"""Seconds between two receipts."""


def begin(run: Run, units: int) -> tuple[float, list[Receipt]]:
    """Do as a run does that comes as far as so many units, STEP seconds each; return when it began, and those."""
    start(run)
    pin(run)
    planned = [unit for unit, _ in zip(plan_file.read_units(run), range(units), strict=False)]
    done = [receipt for receipt in score(planned, run) if isinstance(receipt, Receipt)]
    started = datetime.fromisoformat(json.loads(storage.read(run.record))["started"]).timestamp()
    for number, receipt in enumerate(done, 1):
        os.utime(run.receipt(receipt.unit), (0, started + STEP * number))
    return started, done


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {p: (p.read_bytes() if p.is_file() else b"", p.stat().st_mtime_ns) for p in folder.rglob("*")}


def test_run_under_way_says_how_far_how_fast_and_how_long(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(60), unit_images=8)
    started, done = begin(run, 4)
    found = status(run.output, started + 4 * STEP + 3)
    rows = [receipt.rows for receipt in done]
    assert (found.state, found.run_exit_code, found.run) == ("running", None, run.id)
    assert (found.images, found.done, found.kept, found.units_done) == (60, sum(rows), 0, 4)
    assert found.units == len(plan_file.read_ids(run))
    assert found.silent_seconds == pytest.approx(3, abs=0.1)
    assert found.images_per_second == pytest.approx(sum(rows[1:]) / (3 * STEP + 3), rel=0.01)
    assert found.images_per_second is not None
    assert found.seconds_left == pytest.approx((60 - sum(rows)) / found.images_per_second)
    assert found.nights == []


def test_run_that_is_silent_for_long_may_be_dead_and_nothing_is_foretold(
    make_run: MakeRun, write_images: WriteImages
) -> None:
    run = make_run(write_images(60), unit_images=8)
    started, _ = begin(run, 4)
    last = started + 4 * STEP
    states = [status(run.output, last + silent).state for silent in (59, 99, 101, 3 * 3600)]
    assert states == ["running", "running", "running_or_interrupted", "running_or_interrupted"]
    found = status(run.output, last + 3 * 3600)
    assert (found.images_per_second, found.seconds_left) == (None, None)
    assert found.silent_seconds == pytest.approx(3 * 3600, abs=0.1)


def test_run_that_has_not_planned_yet(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(10))
    start(run)
    started = datetime.fromisoformat(json.loads(storage.read(run.record))["started"]).timestamp()
    found = status(run.output, started + 20)
    assert (found.state, found.units, found.images, found.done) == ("running", None, None, 0)
    assert (found.has_receipt, found.silent_seconds) == (False, pytest.approx(20, abs=0.1))
    assert status(run.output, started + 3600).state == "running_or_interrupted"


def test_what_an_earlier_run_has_done_is_kept_and_no_part_of_the_rate(
    make_run: MakeRun, write_images: WriteImages
) -> None:
    archive = write_images(60)
    first = make_run(archive, unit_images=8)
    _, before = begin(first, 3)
    for receipt in before:
        os.utime(first.receipt(receipt.unit), (0, 1_700_000_000))
    second = make_run(archive, unit_images=8, name="run-2")
    start(second)
    pin(second)
    started = datetime.fromisoformat(json.loads(storage.read(second.record))["started"]).timestamp()
    found = status(second.output, started + 5)
    kept = sum(receipt.rows for receipt in before)
    assert (found.run, found.done, found.kept, found.has_receipt) == ("run-2", kept, kept, False)
    assert found.images_per_second is None
    assert [(night.run, night.exit_code, night.images) for night in found.nights] == [("run-1", None, None)]


def test_finished_run_agrees_with_its_summary(write_images: WriteImages, tiny_model: str, tmp_path: Path) -> None:
    archive = write_images(60)
    for i in range(5):
        (archive / "3" / f"broken-{i}.png").write_bytes(b"no image")
    (archive / "5" / "short.png").write_bytes(next((archive / "5").iterdir()).read_bytes()[:40])
    night = tmp_path / "night"
    flags = ["--input", str(archive), "--model", tiny_model, "--output", str(night), "--unit_images", "8"]
    assert cli.main(flags) == 3
    before = contents(night)
    found = status(str(night), 4e9)
    assert contents(night) == before
    summary = json.loads((night / "summary.json").read_text())
    record = json.loads((night / "run.json").read_text())
    assert (found.state, found.run_exit_code, found.reasons) == ("finished", 3, record["verdict"]["reasons"])
    assert (found.done, found.images, found.failed, found.units_done) == (66, 66, 6, found.units)
    assert found.accuracy == summary["accuracy"]
    assert list(found.accuracy_interval_95 or ()) == summary["accuracy_interval_95"]
    assert found.images_per_second == record["images_per_second"]
    (reason,) = found.failures
    assert (reason["code"], reason["images"], len(reason["examples"])) == ("INVALID_ARGUMENT", 6, 3)
    assert reason["examples"][0]["key"] == f"{archive}/3/broken-0.png"
    assert found.silent_seconds is None


def test_run_that_ended_without_all_its_units(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(60), unit_images=8)
    begin(run, 2)
    verdict = {"exit_code": 3, "reasons": ["5 units are unfinished (HTTP 503)"]}
    record = {**json.loads(storage.read(run.record)), "verdict": verdict, "complete": False, "images": 9, "failed": 0}
    for place in (run.record, run.result("run.json")):
        storage.replace(place, json.dumps(record).encode())
    found = status(run.output, 4e9)
    assert (found.state, found.run_exit_code, found.reasons) == ("unfinished", 3, verdict["reasons"])
    assert found.units_done == 2


def test_nights_before_are_the_last_few_in_their_order(
    write_images: WriteImages, tiny_model: str, tmp_path: Path
) -> None:
    night = tmp_path / "night"
    assert cli.main(["--input", str(write_images(5)), "--model", tiny_model, "--output", str(night)]) == 0
    record = json.loads((night / "run.json").read_text())
    for day in range(10, 17):
        more: dict[str, Any] = {"run": f"202001{day}T000000Z-aaaaaa", "started": f"2020-01-{day}T00:00:00.000+00:00"}
        more["night"] = {"accuracy": day / 100} if day == 15 else None
        (night / "runs" / f"{more['run']}.json").write_text(json.dumps({**record, **more}))
    (night / "runs" / "20200117T000000Z-bbbbbb.json").write_text("{")
    found = status(str(night), 4e9)
    assert found.run == record["run"]
    assert [before.started[:10] for before in found.nights] == [f"2020-01-{day}" for day in range(13, 17)]
    assert [before.accuracy for before in found.nights] == [None, None, 0.15, None]
    assert found.nights[-1].images_per_second == record["images_per_second"]


@pytest.mark.heavy
def test_images_that_only_reading_counts_are_no_total_until_all_is_done(
    write_images: WriteImages, make_run: MakeRun, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(write_images(12), "a")
    run = make_run(tmp_path / "a.tar.gz")
    started, _ = begin(run, 0)
    assert (status(run.output, started + 1).images, status(run.output, started + 1).units) == (None, 1)
    command = ["--input", str(tmp_path / "a.tar.gz"), "--model", run.model, "--output", run.output]
    assert cli.main(command) == 0
    found = status(run.output, 4e9)
    assert (found.images, found.done) == (12, 12)


def test_damaged_receipt_is_passed_over(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(60), unit_images=8)
    started, done = begin(run, 3)
    Path(run.receipt(done[0].unit)).write_bytes(b"{}")
    assert status(run.output, started + 50).units_done == 2


@pytest.mark.parametrize("place", ["none", "file", "empty"])
def test_what_is_no_output_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is not the OUTPUT of a run"):
        status(str(tmp_path / place), 4e9)


def test_output_whose_only_record_is_damaged_says_which(make_run: MakeRun, tmp_path: Path) -> None:
    start(make_run(tmp_path))
    (tmp_path / "night" / "runs" / "run-1.json").write_text("{}")
    with pytest.raises(UsageError, match=r"run-1\.json' does not say what was run"):
        status(str(tmp_path / "night"), 4e9)


@pytest.mark.parametrize("started", [None, *(pytest.param(it, marks=pytest.mark.heavy) for it in ("yesterday", 7))])
def test_record_that_does_not_say_when_is_told_all_the_same(
    make_run: MakeRun, write_images: WriteImages, started: Any
) -> None:
    run = make_run(write_images(20), unit_images=8)
    begin(run, 2)
    record = {**json.loads(storage.read(run.record)), "started": started}
    storage.replace(run.record, json.dumps(record).encode())
    assert status(run.output, 4e9).units_done == 2


@pytest.mark.heavy
def test_night_in_a_bucket_is_told_like_one_on_disk(
    gcs_bucket: str, write_images: WriteImages, make_run: MakeRun
) -> None:
    run = make_run(write_images(60), output=f"{gcs_bucket}/night", unit_images=8)
    start(run)
    pin(run)
    planned = [unit for unit, _ in zip(plan_file.read_units(run), range(4), strict=False)]
    done = [receipt for receipt in score(planned, run) if isinstance(receipt, Receipt)]
    now = max(o.version for o in storage.list_objects(run.result("receipts"))) / 1e9  # the emulator's unit
    found = status(run.output, now + 7)
    assert (found.state, found.done) == ("running", sum(receipt.rows for receipt in done))
    assert found.silent_seconds == pytest.approx(7, abs=0.1)
    assert found.images_per_second


@pytest.mark.parametrize(
    ("version", "moment"),
    [(1_795_416_230_123_456_789, 1_795_416_230.1), (1_795_416_230_123_456, 1_795_416_230.1), (7, None), (10**25, None)],
    ids=["ns, of a disk", "microseconds, of Cloud Storage", "a number", "another"],
)
def test_version_tells_a_time_where_it_is_one(version: int, moment: float | None) -> None:
    from pipeline.output.work_done import _moment

    found = _moment(version)
    assert found is moment is None or found == pytest.approx(moment, abs=0.1)


@pytest.mark.heavy
def test_follower_counts_failures_by_reason(make_run: MakeRun, write_images: WriteImages) -> None:
    archive = write_images(60)
    (archive / "3" / "broken.png").write_bytes(b"no image")
    run = make_run(archive, unit_images=8)
    start(run)
    follower = Follower(run)
    assert follower.look().total is None
    pin(run)
    planned = list(plan_file.read_units(run))
    looks = [_scored(planned[:3], run, follower), _scored(planned[3:], run, follower), follower.look()]
    assert [count.done for count in looks] == sorted(count.done for count in looks)
    assert (looks[-1].total, looks[-1].scored, dict(looks[-1].failures)) == (
        61, 61, {("preprocess", "INVALID_ARGUMENT"): 1}
    )  # fmt: skip
    assert looks[-1].failed == 1


def _scored(units: Sequence[Any], run: Run, follower: Follower) -> Any:
    list(score(units, run))
    return follower.look()
