"""A run that a signal ended says so in its own record; nobody else's record, and no other run's state, changes."""

from __future__ import annotations

import json
import logging
import signal
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline import storage
from pipeline.api import score
from pipeline.cli import status as status_command
from pipeline.cli import verify as verify_command
from pipeline.cli.command import stop
from pipeline.cli.interrupt import interruptible
from pipeline.output import records
from pipeline.output.finish import go_to_work
from pipeline.output.interrupted import interruption_noted
from pipeline.output.run import Run
from pipeline.output.status import status
from pipeline.storage.local import LocalStore

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages) -> Run:
    run = make_run(write_images(10), name="20260101T000000Z-000000")
    records.start(run)
    go_to_work(run)
    return run


def interrupt(run: Run, number: signal.Signals = signal.SIGTERM) -> None:
    """Let a signal end what the run does, as `nightscore score` lets it."""
    with pytest.raises(KeyboardInterrupt), interruptible(lambda: None), interruption_noted(run):
        signal.raise_signal(number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_status_names_the_signal_and_the_moment(run: Run, number: signal.Signals, code: int, capsys: Captured) -> None:
    assert status(run.output, time.time()).state != "interrupted", "it is under way"
    started = datetime.now(timezone.utc).replace(microsecond=0)
    interrupt(run, number)
    found = status(run.output, time.time() + 9_999)
    assert (found.state, found.run_exit_code, found.interrupted_by) == ("interrupted", code, number.name)
    assert found.interrupted_at is not None
    assert started <= datetime.fromisoformat(found.interrupted_at) <= datetime.now(timezone.utc)
    assert (found.silent_seconds, found.images_per_second, found.seconds_left) == (None, None, None)
    assert status_command.main([run.output]) == 0
    shown = capsys.readouterr().out
    assert f"\nstate        interrupted ({number.name}) at 20" in shown
    assert shown.endswith("next         run the same nightscore score command again: what is committed stays\n")
    assert status_command.main([run.output, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "interrupted"


def test_verify_says_that_it_was_interrupted_and_finds_run_json_in_order(run: Run, capsys: Captured) -> None:
    before = storage.read(run.result("run.json"))
    interrupt(run)
    assert storage.read(run.result("run.json")) == before, "that file is of all runs"
    assert verify_command.main([run.output]) == 3
    shown = capsys.readouterr().out
    assert "this run was interrupted (SIGTERM); run the same" in shown
    assert "record_damaged" not in shown


def test_the_next_run_comes_after_it(run: Run) -> None:
    interrupt(run)
    assert score(run.options).record is not None
    found = status(run.output, time.time())
    assert (found.state, found.interrupted_by, found.run_exit_code) == ("finished", None, 0)
    assert [(night.run, night.exit_code) for night in found.nights] == [(run.id, 143)]


def test_of_two_runs_at_once_each_speaks_for_itself(run: Run, make_run: MakeRun) -> None:
    later = make_run(*run.options.input, name="20990101T000000Z-000000")
    records.start(later)
    go_to_work(later)
    interrupt(run)
    assert status(run.output, time.time()).state == "running", "the later one is under way"
    assert json.loads(storage.read(run.result("run.json")))["run"] == later.id
    interrupt(later)
    assert status(run.output, time.time()).state == "interrupted"


def test_run_that_has_ended_stays_as_it_ended(run: Run) -> None:
    ended = {**json.loads(storage.read(run.record)), "verdict": {"exit_code": 0, "reasons": []}}
    storage.replace(run.record, json.dumps(ended).encode())
    interrupt(run)
    assert json.loads(storage.read(run.record)) == ended


def test_other_errors_leave_no_note(run: Run) -> None:
    before = storage.read(run.record)
    with pytest.raises(ValueError, match="a bug"), interruption_noted(run):
        raise ValueError("a bug")
    assert storage.read(run.record) == before


def test_storage_that_fails_leaves_the_interruption_as_it_is(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError("Input/output error")

    monkeypatch.setattr(LocalStore, "replace", fail)
    with caplog.at_level(logging.WARNING):
        interrupt(run)
    assert "cannot say that the run was interrupted: Input/output error" in caplog.text
    monkeypatch.undo()
    assert status(run.output, time.time()).interrupted_by is None


def test_run_of_the_api_notes_it(make_run: MakeRun, write_images: WriteImages, monkeypatch: pytest.MonkeyPatch) -> None:
    def be_interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    options = make_run(write_images(10)).options
    monkeypatch.setattr("pipeline.api.finish_if_done", be_interrupted)
    monkeypatch.setattr("pipeline.api.head_start", lambda *_: None)
    with pytest.raises(KeyboardInterrupt), interruptible(stop):
        score(options)
    assert status(options.output, time.time()).interrupted_by == "SIGINT"
    assert len(list(Path(options.output, "runs").iterdir())) == 1
