"""The sweep: how many requests it makes, and for how long it trusts what it saw."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MakeRun
from gcs_emulator import Emulator

from pipeline import storage
from pipeline.output import sweep
from pipeline.output.records import start
from pipeline.output.run import Run
from pipeline.output.sweep import GROUP, Claim

ROUND_TRIP = 0.05


def claim_of(run: Run) -> Claim:
    start(run)
    return Claim(run, frozenset(), json.loads(storage.read(run.record))["started"])


def results_of(run: Run, units: int) -> Iterator[str]:
    for number in range(units):
        yield run.part(f"{number:032x}")
        yield run.receipt(f"{number:032x}")


def write_results(run: Run, units: int) -> None:
    for location in results_of(run, units):
        storage.replace(location, b"x")


def left(run: Run) -> list[str]:
    return [found.location for found in storage.list_objects(run.folder())]


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path, gcs_bucket: str) -> Run:
    return make_run(tmp_path, output=f"{gcs_bucket}/night")


@pytest.mark.heavy
def test_many_objects_cost_two_requests_each_and_a_few_for_each_group(run: Run, emulator: Emulator) -> None:
    """Each is read, to see that it is not of a newer format, and removed."""
    emulator.page_size = 4 * GROUP + 2  # a listing is one request
    others = []
    for units in (10, GROUP, 2 * GROUP):
        claim = claim_of(run)
        write_results(run, units)
        emulator.requests.clear()
        sweep.sweep(claim)
        assert emulator.count("DELETE ") == 2 * units
        others.append(len(emulator.requests) - 4 * units)
        assert left(run) == [run.record]
    look = 2  # requests: one lists the records, one reads this run's own
    assert others == [others[0], others[0], others[0] + 2 * look]
    assert others[0] <= 4 + 2 * look


@pytest.mark.heavy
def test_objects_are_removed_side_by_side(run: Run, emulator: Emulator) -> None:
    claim = claim_of(run)
    write_results(run, 64)
    emulator.latency = ROUND_TRIP
    before = time.monotonic()
    sweep.sweep(claim)
    assert time.monotonic() - before < 128 * ROUND_TRIP / 2
    assert left(run) == [run.record]


def test_later_run_stops_the_sweep_at_the_next_group(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "GROUP", 4)
    claim = claim_of(run)
    write_results(run, 10)
    remove_in_time = sweep._remove_in_time

    def interfere(group: list[storage.StoredObject], run: Run) -> list[storage.StoredObject]:
        start(Run.of("run-2", run.options, run.spec))
        return remove_in_time(group, run)

    monkeypatch.setattr(sweep, "_remove_in_time", interfere)
    sweep.sweep(claim)
    assert len(set(results_of(run, 10)) & set(left(run))) == 2 * 10 - 4


def test_process_that_stood_still_looks_again_before_it_removes_more(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    claim = claim_of(run)
    write_results(run, 10)
    clock = iter(range(0, 1_000_000, 4))  # seconds: the second removal of a group is too late
    monkeypatch.setattr(sweep.time, "time", lambda: next(clock))
    looks = []
    monkeypatch.setattr(Claim, "is_last", property(lambda _: looks.append("look") or len(looks) <= 5))
    sweep.sweep(claim)
    assert len(set(results_of(run, 10)) & set(left(run))) == 2 * 10 - 5
