"""Parts and receipts: created once, adopted, found damaged, redone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import MakeRun, WriteImages
from mostly_heavy import mostly_heavy

from pipeline import storage
from pipeline.errors import DamagedPartError
from pipeline.machine import cpu_kind
from pipeline.metrics.examples import OF_UNIT, lists_of
from pipeline.output.commit import commit, committed, recall
from pipeline.output.receipts import Extras, Receipt, receipt_of
from pipeline.output.run import Run
from pipeline.scoring.planning import units_of
from pipeline.scoring.score import score
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit


@pytest.fixture
def run(make_run: MakeRun, write_images: WriteImages) -> Run:
    return make_run(write_images(20))


@pytest.fixture
def unit(run: Run) -> WorkUnit:
    (unit,) = units_of(run, Skipped())
    return unit


def files(run: Run) -> dict[str, bytes]:
    return {str(p.relative_to(run.output)): p.read_bytes() for p in Path(run.output).rglob("*") if p.is_file()}


def done(unit: WorkUnit, run: Run) -> Receipt:
    (receipt,) = score([unit], run)
    assert isinstance(receipt, Receipt)
    return receipt


@pytest.mark.heavy
def test_receipt_survives_its_file(unit: WorkUnit, run: Run) -> None:
    receipt = done(unit, run)
    assert not receipt.kept
    again = recall(unit, run)
    assert again == receipt
    assert again is not None
    assert again.kept
    assert again.extras.thumbnails == receipt.extras.thumbnails
    assert again.extras.seconds == pytest.approx(receipt.extras.seconds, abs=1e-3)
    assert again.extras.maker == receipt.extras.maker
    assert receipt.extras.maker.endswith(cpu_kind())
    assert committed(run) == {unit.id}


def test_nothing_is_recalled_where_nothing_is(unit: WorkUnit, run: Run) -> None:
    assert recall(unit, run) is None
    assert committed(run) == set()


def test_second_commit_adopts_the_first_ones_part(unit: WorkUnit, run: Run) -> None:
    receipt = done(unit, run)
    before = files(run)
    table = pq.read_table(run.part(unit.id))
    late = table.set_column(6, "score", [[score * 0.999 for score in table["score"].to_pylist()]]).cast(table.schema)
    pq.write_table(late, f"{run.output}/late.parquet")
    data = Path(run.output, "late.parquet").read_bytes()
    Path(run.output, "late.parquet").unlink()
    assert commit(unit, data, receipt_of(unit, data, run, Extras(1.0, maker="another")), run) == receipt
    assert files(run) == before


def test_part_without_receipt_is_adopted_without_scoring(unit: WorkUnit, run: Run) -> None:
    receipt = done(unit, run)
    Path(run.receipt(unit.id)).unlink()
    adopted = recall(unit, run)
    assert adopted == receipt
    assert adopted is not None
    assert adopted.extras.maker == "", "who adopts a part does not know who made it"
    assert committed(run) == {unit.id}


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    path.write_bytes(replace(Receipt.from_json(path.read_bytes()), unit="0" * 32).to_json())


def altered(path: Path) -> None:
    content = json.loads(path.read_text())
    content["metrics"]["correct"] += 1
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("what", "damage"),
    mostly_heavy(
        [
            ("part", Path.unlink),
            ("part", truncated),
            ("part", flipped),
            ("part", emptied),
            ("receipt", truncated),
            ("receipt", emptied),
            ("receipt", foreign),
            ("receipt", altered),
            ("receipt", flipped),
        ],
        kept=[("part", Path.unlink), ("part", flipped), ("receipt", truncated), ("receipt", altered)],
    ),
)
def test_damage_is_removed_and_scored_anew_to_the_same_bytes(
    unit: WorkUnit, run: Run, what: str, damage: object
) -> None:
    receipt = done(unit, run)
    part = Path(run.part(unit.id)).read_bytes()
    damage(Path(run.part(unit.id) if what == "part" else run.receipt(unit.id)))  # type: ignore[operator]
    assert recall(unit, run) is None
    assert files(run) == {}
    assert done(unit, run) == receipt
    assert Path(run.part(unit.id)).read_bytes() == part


@pytest.mark.heavy
@pytest.mark.parametrize("step", [5, 1])
def test_receipt_in_which_any_one_bit_flips_is_none(unit: WorkUnit, run: Run, step: int) -> None:
    text = done(unit, run).to_json()
    assert json.loads(text)["unit"] == unit.id
    for bit in range(0, 8 * len(text), step):
        changed = bytearray(text)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedPartError):
            Receipt.from_json(bytes(changed))


def test_who_dies_while_removing_damage_leaves_what_proves_it(
    run: Run, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(*run.options.input, format="jsonl")
    (unit,) = units_of(run, Skipped())
    done(unit, run)
    part = Path(run.part(unit.id))
    part.write_text(part.read_text().replace('"predicted": ', '"predicted": 1', 1))  # of good form, and wrong
    for times in (1, 2):
        deaths = iter([None] * (times - 1))
        with monkeypatch.context() as dying:
            dying.setattr(storage, "delete", dies_after(deaths))
            with pytest.raises(KeyboardInterrupt):
                recall(unit, run)
    assert not part.exists()
    assert recall(unit, run) is None
    assert files(run) == {}


def dies_after(times: Iterator[None]) -> Callable[..., None]:
    delete = storage.delete

    def die(location: str, version: int | None = None) -> None:
        if next(times, KeyboardInterrupt) is KeyboardInterrupt:
            raise KeyboardInterrupt
        delete(location, version)

    return die


def test_part_with_a_row_too_few_is_not_adopted(unit: WorkUnit, run: Run) -> None:
    done(unit, run)
    Path(run.receipt(unit.id)).unlink()
    table = pq.read_table(run.part(unit.id))
    pq.write_table(table.slice(1), run.part(unit.id))
    assert recall(unit, run) is None
    assert not Path(run.part(unit.id)).exists()


def test_there_is_no_receipt_for_rows_that_are_not_the_units(unit: WorkUnit, run: Run) -> None:
    done(unit, run)
    part = Path(run.part(unit.id)).read_bytes()
    with pytest.raises(DamagedPartError, match="21 images but its part has 20 rows"):
        receipt_of(replace(unit, id="f" * 32, images=21), part, run, Extras())


def test_receipt_names_images_to_look_at_and_an_example_of_every_failure(
    run: Run, unit: WorkUnit, write_images: WriteImages, make_run: MakeRun
) -> None:
    archive = write_images(300, "wrong")
    for i in range(5):
        (archive / "7" / f"broken{i}.png").write_bytes(b"no")
    run = make_run(archive)
    for folder in sorted(archive.iterdir()):
        folder.rename(archive / f"x{folder.name}")
    for folder in sorted(archive.iterdir()):
        folder.rename(archive / str((int(folder.name[1:]) + 1) % 10))
    (unit,) = units_of(run, Skipped())
    receipt = done(unit, run)
    wrong = receipt.metrics.labelled - receipt.metrics.correct
    assert wrong > 200
    lists = lists_of(receipt.examples, OF_UNIT)
    lengths = {"most_confident_mistakes": 16, "confused": 24, "doubtful_labels": 8, "least_certain": 8}
    assert {name: len(examples) for name, examples in lists.items()} == lengths
    assert receipt.extras.thumbnails
    undecoded = {failure["row"] for failure in receipt.failures}
    assert set(receipt.extras.thumbnails) == set(receipt.pictured) - undecoded
    assert all(png.startswith(b"\x89PNG") for png in receipt.extras.thumbnails.values())
    assert [(f["stage"], f["code"]) for f in receipt.failures] == [("preprocess", "INVALID_ARGUMENT")] * 3
    assert {folder.rpartition("/")[2] for folder in receipt.folders.slices} == set("0123456789")
