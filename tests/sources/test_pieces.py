"""The pieces of a unit hold its images in order, in whatever size they are asked for."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline import sources
from pipeline.batches import EncodedBatch
from pipeline.scoring.planning import read_rule, units_of
from pipeline.sources import Piece
from pipeline.sources.read_rule import ReadRule
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit


@pytest.fixture(params=["folder", "tfrecord", "tar"])
def archive(
    request: pytest.FixtureRequest, write_images: WriteImages, write_records: WriteImages, tmp_path: Path
) -> Path:
    if request.param == "tfrecord":
        return write_records(50)
    folder = write_images(50)
    if request.param == "folder":
        return folder
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        tar.add(folder, "images")
    return tmp_path / "images.tar"


def read(piece: Piece, rule: ReadRule) -> EncodedBatch:
    return EncodedBatch.joined(list(sources.read(piece, rule))) if isinstance(piece, WorkUnit) else piece


@pytest.mark.parametrize("most", [None, 1, 7, 1000])
def test_pieces_are_of_any_size_and_their_images_the_same(archive: Path, make_run: MakeRun, most: int | None) -> None:
    run = make_run(archive)
    rule = read_rule(run)
    (unit,) = units_of(run, Skipped())
    whole = read(unit, rule)
    pieces = [read(piece, rule) for piece in sources.pieces(unit, rule, most)]
    joined = EncodedBatch.joined(pieces)
    assert (joined.images.keys, joined.encoded) == (whole.images.keys, whole.encoded)
    assert joined.images.label_names == whole.images.label_names
    if unit.source != "tfrecord":  # it is cut where reading may begin
        assert max(len(piece.encoded) for piece in pieces) == min(most or 50, 50)


@pytest.mark.parametrize("rows", [[0], [49], [3, 8, 9, 10, 31], list(range(50))])
def test_some_images_are_found_in_whatever_batch_they_are(archive: Path, make_run: MakeRun, rows: list[int]) -> None:
    run = make_run(archive)
    rule = replace(read_rule(run), batch_images=7)
    (unit,) = units_of(run, Skipped())
    whole = read(unit, rule)
    found = [read(piece, rule) for piece in sources.some_pieces(unit, rows, rule)]
    assert [key for batch in found for key in batch.images.keys] == [whole.images.keys[row] for row in rows]
    assert [data for batch in found for data in batch.encoded] == [whole.encoded[row] for row in rows]
