"""The canary tries a few images first."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline.output.run import Run
from pipeline.scoring.canary import Canary, send_canary, spread
from pipeline.scoring.planning import pin, units_of
from pipeline.sources.skipped import Skipped

SERIAL = itertools.count()


def canary_of(run: Run) -> Canary:
    """As the pipeline sends it, with a plan of its own."""
    run = replace(run, id=f"{run.id}-{next(SERIAL)}")
    pin(run)
    return send_canary(run, frozenset())


@pytest.mark.heavy
@pytest.mark.parametrize("unit_images", [1, 30, 1000])
def test_canary_is_16_images_spread_over_the_plan_and_64_if_one_of_them_fails(
    make_run: MakeRun, write_images: WriteImages, write_records: WriteImages, unit_images: int
) -> None:
    run = make_run(write_images(200), write_records(100), unit_images=unit_images)
    units = list(units_of(run, Skipped()))
    assert len(spread([unit.id for unit in units])) == min(64, len(units))
    assert canary_of(run).images == 16
    Path(units[0].locations[0]).write_bytes(b"broken")  # the first image of all is among the first
    canary = canary_of(run)
    shares = spread([unit.id for unit in units])
    there = sum(min(shares.get(unit.id, 0), unit.images or 0) for unit in units)  # a small unit has less than its share
    assert there >= 50
    assert (canary.images, len(canary.failures), canary.alarming) == (there, 1, False)


def test_canary_writes_nothing_and_is_content_with_good_images(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(100))
    canary = canary_of(run)
    assert (canary.images, list(canary.failures), canary.alarming) == (16, [], False)
    assert {path.parent.name for path in Path(run.output).rglob("*") if path.is_file()} == {"plan"}, (
        "which the canary reads"
    )


def test_half_broken_is_borne_and_one_more_is_not(make_run: MakeRun, write_images: WriteImages) -> None:
    archive = write_images(10)
    for i in range(10):
        (archive / f"x{i}.png").write_bytes(b"no")
    run = make_run(archive)
    assert not canary_of(run).alarming
    (archive / "y.png").write_bytes(b"")
    canary = canary_of(run)
    assert canary.alarming
    assert canary.reason().startswith("11 of the 21 images that were tried first failed")
    assert "not decodable, such as" in canary.reason()
    assert "\n" not in canary.reason()


def test_wrong_key_alarms_with_the_keys_that_are_there(make_run: MakeRun, write_records: WriteImages) -> None:
    run = make_run(write_records(10), image_key="picture")
    reason = canary_of(run).reason()
    assert "10 of the 10" in reason
    assert "image/encoded" in reason
    assert "--image_key" in reason


def test_what_is_committed_is_not_tried(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(40), unit_images=10)
    pin(run)
    units = list(units_of(run, Skipped()))
    assert send_canary(run, {unit.id for unit in units[1:]}).images == units[0].images
    assert send_canary(run, {unit.id for unit in units}).images == 0


def test_no_units_no_canary(make_run: MakeRun, tmp_path: Path) -> None:
    assert spread([]) == {}
    (tmp_path / "empty").mkdir()
    assert not canary_of(make_run(tmp_path / "empty")).alarming
