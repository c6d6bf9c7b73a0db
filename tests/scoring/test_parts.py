"""A part is made of the rows of its pieces, and its receipt of the part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from conftest import MakeRun, WriteImages

from pipeline.errors import DamagedPartError
from pipeline.output.receipts import Extras, receipt_of
from pipeline.output.rows import read_part, row_schema
from pipeline.output.run import Run
from pipeline.scoring.parts import make_part
from pipeline.scoring.piece import from_stream, to_stream
from pipeline.scoring.planning import units_of
from pipeline.scoring.requests import score_in_process
from pipeline.sources import pieces
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit


@pytest.fixture(params=["parquet", "jsonl"])
def run(request: pytest.FixtureRequest, make_run: MakeRun, write_images: WriteImages, tiny_model: str) -> Run:
    archive = write_images(30)
    (archive / "9" / "broken.png").write_bytes(b"no")
    return make_run(archive, model=tiny_model, format=request.param)


@pytest.fixture
def unit(run: Run) -> WorkUnit:
    (unit,) = units_of(run, Skipped())
    return unit


@pytest.fixture
def table(run: Run, unit: WorkUnit) -> pa.Table:
    """All rows of the unit."""
    (piece,) = pieces(unit, ReadRule())
    return from_stream(score_in_process(piece, run, ()).stream)


def rows(part: bytes, run: Run) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = read_part(part, run.options.format, row_schema("classes", run.options)).to_pylist()
    return table


def test_rows_survive_their_stream(table: pa.Table) -> None:
    assert from_stream(to_stream(table)).equals(table)
    assert from_stream(memoryview(to_stream(table[:0]))).equals(table[:0])


@pytest.mark.parametrize("cuts", [[31], [10, 10, 11], [0, 31], [1, 29, 1]])
def test_part_holds_the_rows_of_its_pieces_in_their_order(
    table: pa.Table, unit: WorkUnit, run: Run, cuts: list[int]
) -> None:
    starts = [sum(cuts[:i]) for i in range(len(cuts))]
    streams = [to_stream(table[start : start + n]) for start, n in zip(starts, cuts, strict=True)]
    part, receipt = make_part(unit, streams, (), run)
    assert rows(part, run) == table.to_pylist()
    assert receipt == receipt_of(unit, part, run, Extras())
    assert (receipt.unit, receipt.rows, receipt.metrics.failed) == (unit.id, 31, 1)
    assert receipt.extras == Extras()


def test_rows_that_are_scored_again_take_the_place_of_the_old_ones(table: pa.Table, unit: WorkUnit, run: Run) -> None:
    there, _ = make_part(unit, [to_stream(table)], (), run)
    expected = table.to_pylist()
    for row, other in ((7, 1), (30, 0)):
        expected[row] = {**expected[other], "key": expected[row]["key"]}
    other = pa.Table.from_pylist([expected[7], expected[30]], table.schema)
    part, receipt = make_part(unit, [there, to_stream(other[:1]), to_stream(other[1:])], [7, 30], run)
    assert rows(part, run) == expected
    assert table["status"].to_pylist().index("failed") == 30
    assert receipt.metrics.failed == 0
    whole, same = make_part(unit, [to_stream(pa.Table.from_pylist(expected, table.schema))], (), run)
    assert (part, receipt) == (whole, same)


@pytest.mark.parametrize("n", [0, 30])
def test_part_of_too_few_rows_is_damaged(table: pa.Table, unit: WorkUnit, run: Run, n: int) -> None:
    with pytest.raises(DamagedPartError, match=f"has 31 images but its part has {n} rows"):
        make_part(unit, [to_stream(table[:n])], (), run)


def test_unit_of_which_only_reading_tells_how_many_takes_any_number(table: pa.Table, unit: WorkUnit, run: Run) -> None:
    assert make_part(replace(unit, images=None), [to_stream(table[:5])], (), run)[1].rows == 5


def test_rows_of_other_images_do_not_replace_those_of_a_part(table: pa.Table, unit: WorkUnit, run: Run) -> None:
    there, _ = make_part(unit, [to_stream(table)], (), run)
    for new in (0, 1, 3):
        with pytest.raises(DamagedPartError):
            make_part(unit, [there, to_stream(table[:new])], [7, 30], run)
