"""Marks of attempts: counted, taken back, and left by whoever dies."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline import attempts, plan
from pipeline.commit import Receipt
from pipeline.run import Run
from pipeline.score import score


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages) -> Run:
    return make_run(write_images(60), unit_images=8)


def marks(run: Run) -> list[str]:
    return sorted(path.name for path in Path(run.output, "attempts").glob("*"))


def test_attempts_that_nobody_took_back_are_counted_up_to_the_careful_one(run: Run) -> None:
    assert not attempts.left(run)
    assert [attempts.begin("unit", run) for _ in range(4)] == [0, 1, attempts.CAREFUL, attempts.CAREFUL]
    assert attempts.begin("other", run) == 0
    assert marks(run) == ["other.0", "unit.0", "unit.1"]
    assert attempts.left(run)


@pytest.mark.parametrize("died", [0, 1, 2, 3])
def test_attempt_that_ends_makes_up_for_those_that_died(run: Run, died: int) -> None:
    for _ in range(died):
        attempts.begin("unit", run)
    attempts.end("unit", run, attempts.begin("unit", run))
    assert marks(run) == []
    assert attempts.begin("unit", run) == 0


def test_scored_units_leave_no_mark(run: Run) -> None:
    list(score(plan.plan_units(run, Counter()), run))
    assert marks(run) == []


def test_generator_that_is_left_takes_back_what_it_began(run: Run) -> None:
    outcomes = score(plan.plan_units(run, Counter()), run)
    next(outcomes)
    assert marks(run)
    outcomes.close()
    assert marks(run) == []


def test_unit_that_took_two_attempts_with_it_is_decoded_with_care_to_the_same_rows(
    run: Run, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = list(plan.plan_units(run, Counter()))
    for _ in range(2):
        attempts.begin(units[3].id, run)
    careful: list[int] = []

    scoring = importlib.import_module("pipeline.score")

    isolated = scoring.preprocess_isolated
    monkeypatch.setattr(
        scoring,
        "preprocess_isolated",
        lambda batch, *rest: careful.append(len(batch.encoded)) or isolated(batch, *rest),
    )
    receipts = list(score(units, run))
    assert careful == [units[3].images]
    calm = make_run(*run.options.input, unit_images=8, output=f"{run.output}-calm")
    assert receipts == list(score(units, calm))
    assert all(isinstance(receipt, Receipt) for receipt in receipts)
    assert marks(run) == []
