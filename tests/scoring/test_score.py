"""The pull generator, without Beam."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from conftest import SCHEMA, MakeRun, WriteImages

from model_training.data.datasets import RawImages
from pipeline.machine import cpu_kind
from pipeline.metrics.left_out import LeftOut
from pipeline.model.engines import litert
from pipeline.output.commit import committed
from pipeline.output.progress import tally
from pipeline.output.receipts import Receipt, Unfinished
from pipeline.output.rows import read_part
from pipeline.output.run import Run
from pipeline.scoring import planning
from pipeline.scoring import score as score_module
from pipeline.scoring.process_pool import processes
from pipeline.scoring.score import score
from pipeline.sources.skipped import OTHER, Skipped, pictures_beside
from pipeline.units import WorkUnit


def units_of(run: Run) -> list[WorkUnit]:
    return list(planning.units_of(run, Skipped()))


def parts(run: Run) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in Path(run.output).rglob("*") if p.suffix == ".parquet"}


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages, tiny_model: str) -> Run:
    return make_run(write_images(60), unit_images=8, model=tiny_model)


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


@pytest.mark.heavy
def test_generator_that_is_left_early_leaves_nothing_running_and_can_be_resumed(
    run: Run, make_run: MakeRun, tiny_model: str
) -> None:
    units = units_of(run)
    outcomes = score(units, run)
    next(outcomes)
    outcomes.close()
    done = len(committed(run))
    assert 1 <= done < len(units)
    assert not list(Path(run.output).rglob("*.tmp"))
    assert len(list(score(units, run))) == len(units)
    uninterrupted = make_run(*run.options.input, unit_images=8, output=f"{run.output}-2", model=tiny_model)
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


def receipts(run: Run, units: list[WorkUnit] | None = None) -> list[Receipt]:
    """Score all units of a run, which is to give receipts."""
    outcomes = list(score(units or units_of(run), run))
    assert all(isinstance(outcome, Receipt) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Receipt)]


def test_units_in_one_request_give_the_bytes_of_their_pieces(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (Path(run.options.input[0]) / "broken.png").write_bytes(b"no")
    units, asked = units_of(run), []
    ask = score_module.score_unit_in_process
    monkeypatch.setattr(score_module, "score_unit_in_process", lambda *args: asked.append(0) or ask(*args))
    made = []
    for as_one in (False, True):
        monkeypatch.setattr(score_module, "is_one_request", lambda unit, run, as_one=as_one: as_one)
        one = run.at(f"{run.output}-{as_one}")
        tally().start(61)
        outcomes = receipts(one, units)
        pictures = [outcome.extras.thumbnails for outcome in outcomes]
        made.append((outcomes, pictures, parts(one), tally().count().scored, tally().count().failures))
        assert len(asked) == (len(units) if as_one else 0)
        assert all(outcome.extras.seconds >= 0 and outcome.spent.steps["read"] for outcome in outcomes)
    assert made[0] == made[1]
    assert made[0][3] == 61


def test_receipts_that_are_there_keep_their_places_among_new_ones(run: Run) -> None:
    units = units_of(run)
    assert len(units) > 4
    first = receipts(run, [*units[:1], *units[2:4]])
    again = receipts(run, units)
    assert [receipt.unit for receipt in again] == [unit.id for unit in units]
    assert [bool(receipt.kept) for receipt in again[:5]] == [True, False, True, True, False]
    assert [again[0], *again[2:4]] == first
    assert [bool(receipt.spent.capacity) for receipt in again[:5]] == [False, True, False, False, True]


def test_units_are_planned_no_further_ahead_than_they_are_scored(run: Run) -> None:
    """A plan of ten million images is never held whole."""
    units = units_of(run)
    taken: list[WorkUnit] = []

    def endless() -> Iterator[WorkUnit]:
        for unit in chain.from_iterable(repeat(units)):
            taken.append(unit)
            yield unit

    outcomes = score(endless(), run)
    for _ in range(3):
        next(outcomes)
    outcomes.close()
    assert len(taken) < 60


@pytest.mark.heavy
@pytest.mark.usefixtures("new_processes")
def test_where_memory_is_scarce_one_process_scores_what_others_decode_and_every_byte_is_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "cores", lambda: 3)
    (Path(run.options.input[0]) / "broken.png").write_bytes(b"no")
    units, made = units_of(run), []
    for memory_mb, shares in ((1 << 20, (3, 0)), (1, (1, 2))):
        one = replace(run, options=replace(run.options, memory_mb=memory_mb)).at(f"{run.output}-{memory_mb}")
        outcomes = receipts(one, units)
        assert (processes().scorers, processes().decoders) == shares
        assert sum(process.has_model for process in processes()._all) <= shares[0]
        made.append((outcomes, [outcome.extras.thumbnails for outcome in outcomes], parts(one)))
    assert made[0] == made[1]
    assert sum(outcome.metrics.failed for outcome in made[0][0]) == 1


@pytest.mark.heavy
def test_receipt_tells_who_made_it_and_has_a_picture_of_every_image_that_it_names(run: Run) -> None:
    (Path(run.options.input[0]) / "broken.png").write_bytes(b"no")
    for receipt in receipts(run):
        assert receipt.extras.maker == f"{litert.version()}, {cpu_kind()}"
        without = [failure["row"] for failure in receipt.failures]
        assert set(receipt.extras.thumbnails) == set(receipt.pictured) - set(without)
        assert receipt.extras.thumbnails or len(without) == receipt.rows
        assert receipt.extras.seconds >= 0
        assert {"read", "decode", "predict", "commit"} <= set(receipt.spent.steps)
        assert receipt.kept == 0


@pytest.mark.heavy
def test_engines_give_the_same_classes_and_scores_within_rounding(run: Run) -> None:
    units = units_of(run)
    other = replace(run, options=replace(run.options, engine="tensorflow")).at(f"{run.output}-2")
    receipts(run, units)
    assert all(receipt.extras.maker.startswith("TensorFlow ") for receipt in receipts(other, units))
    one, two = ([row for part in sorted(parts(r)) for row in rows_of_part(r, part)] for r in (run, other))
    assert [(row["key"], row["predicted"]) for row in one] == [(row["key"], row["predicted"]) for row in two]
    assert max(abs(a["score"] - b["score"]) for a, b in zip(one, two, strict=True)) < 1e-4


def rows_of_part(run: Run, name: str) -> list[dict[str, Any]]:
    table = read_part(Path(run.output, "predictions", name).read_bytes(), "parquet", SCHEMA)
    return sorted(table.to_pylist(), key=lambda row: str(row["key"]))


def test_receipt_of_a_compressed_archive_tells_what_in_it_is_no_image(
    make_run: MakeRun, digits: RawImages, tmp_path: Path
) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for i in range(40):
            add(archive, f"{i:03d}.png", digits.encoded(i))
            add(archive, f"{i:03d}.seg.png", digits.encoded(i))
        add(archive, "last.txt", b"behind the last image")
    run = make_run(path)
    (unit,) = units_of(run)
    assert unit.images is None
    (first,) = score([unit], run)
    (kept,) = score([unit], run)
    (again,) = score([unit], make_run(path, retry_failed=True))
    assert isinstance(first, Receipt)
    assert first.extras.left_out == LeftOut(
        {pictures_beside("seg.png"): 40, OTHER: 1},
        {pictures_beside("seg.png"): f"{path}!000.seg.png", OTHER: f"{path}!last.txt"},
    )
    for other in (kept, again):
        assert isinstance(other, Receipt)
        assert (other.kept, other.extras.left_out) == (40, first.extras.left_out)


def test_failed_images_of_a_compressed_archive_are_scored_again_and_its_files_counted_once(
    make_run: MakeRun, digits: RawImages, tmp_path: Path
) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (("a.png", digits.encoded(0)), ("b.png", b"broken"), ("c.txt", b"c")):
            add(archive, name, data)
    for _ in range(2):
        run = make_run(path, retry_failed=True)
        (receipt,) = score(units_of(run), run)
        assert isinstance(receipt, Receipt)
        assert (receipt.kept, receipt.metrics.failed, receipt.extras.left_out.counts) == (0, 1, {OTHER: 1})


def test_receipts_of_what_planning_has_counted_tell_nothing(run: Run) -> None:
    Path(run.options.input[0], "0", "notes.txt").write_text("n")
    for receipt in score(units_of(run), run):
        assert isinstance(receipt, Receipt)
        assert not receipt.extras.left_out


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
