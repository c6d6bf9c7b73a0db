"""The pull generator, without Beam."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline.output.commit import committed
from pipeline.output.progress import tally
from pipeline.output.receipts import Receipt, Unfinished
from pipeline.output.run import Run
from pipeline.scoring import planning
from pipeline.scoring.score import score
from pipeline.units import WorkUnit


def units_of(run: Run) -> list[WorkUnit]:
    return list(planning.units_of(run, Counter()))


def parts(run: Run) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in Path(run.output).rglob("*") if p.suffix == ".parquet"}


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages) -> Run:
    return make_run(write_images(60), unit_images=8)


def test_every_unit_gets_its_receipt_in_order(run: Run) -> None:
    units = units_of(run)
    outcomes = list(score(units, run))
    assert [outcome.unit for outcome in outcomes] == [unit.id for unit in units]
    assert committed(run) == {unit.id for unit in units}


def test_scoring_again_keeps_everything(run: Run) -> None:
    first = list(score(units_of(run), run))
    before = parts(run)
    again = list(score(units_of(run), run))
    assert again == first
    assert all(isinstance(receipt, Receipt) and receipt.kept for receipt in again)
    assert parts(run) == before


def test_generator_that_is_left_early_leaves_nothing_running_and_can_be_resumed(run: Run, make_run: MakeRun) -> None:
    units = units_of(run)
    outcomes = score(units, run)
    next(outcomes)
    outcomes.close()
    done = len(committed(run))
    assert 1 <= done < len(units)
    assert not list(Path(run.output).rglob("*.tmp"))
    assert len(list(score(units, run))) == len(units)
    uninterrupted = make_run(*run.options.input, unit_images=8, output=f"{run.output}-2")
    list(score(units, uninterrupted))
    assert parts(run) == parts(uninterrupted)


def test_two_attempts_at_once_end_with_one_part_and_receipts_that_fit(run: Run) -> None:
    units, results = units_of(run), []
    threads = [threading.Thread(target=lambda: results.append(list(score(units, run)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert results[0] == results[1] == results[2]
    assert len(parts(run)) == len(units)
    assert all(receipt.kept for receipt in score(units, run) if isinstance(receipt, Receipt))


def test_file_that_vanishes_or_changes_after_planning_is_a_failed_row(run: Run) -> None:
    units = units_of(run)
    gone, changed = Path(units[0].locations[0]), Path(units[0].locations[1])
    gone.unlink()
    os.utime(changed, ns=(1, 1))
    receipt = next(iter(score(units, run)))
    assert isinstance(receipt, Receipt)
    assert {f["key"]: (f["stage"], f["code"]) for f in receipt.failures} == {
        str(gone): ("read", "NOT_FOUND"),
        str(changed): ("read", "FAILED_PRECONDITION"),
    }
    assert receipt.rows == units[0].images


def test_part_that_cannot_be_stored_leaves_its_unit_unfinished_and_others_done(run: Run) -> None:
    """A folder in the way of a part's name: the disk says EISDIR to whoever reads it."""
    units = units_of(run)
    blocked = Path(run.part(units[1].id))
    (blocked.parent).mkdir(parents=True)
    os.symlink(blocked, blocked)  # a loop: neither there nor creatable
    outcomes = list(score(units, run))
    assert [outcome.unit for outcome in outcomes if isinstance(outcome, Unfinished)] == [units[1].id]
    assert committed(run) == {unit.id for unit in units} - {units[1].id}
    blocked.unlink()
    assert all(isinstance(outcome, Receipt) for outcome in score(units, run))


def test_tally_knows_what_was_scored_and_what_was_kept(run: Run) -> None:
    units = units_of(run)
    Path(units[0].locations[0]).write_bytes(b"broken")
    units = units_of(run)
    tally().start(60)
    list(score(units[:3], run))
    list(score(units, run))
    count = tally().count()
    kept = sum(unit.images or 0 for unit in units[:3])
    assert (count.total, count.scored, count.kept, count.failed) == (60, 60, kept, 1)


def test_nothing_to_score_is_nothing(run: Run) -> None:
    assert list(score([], run)) == []
