"""A few images first."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline.output.run import Run
from pipeline.scoring.canary import Canary, send_canary, spread
from pipeline.scoring.planning import units_of
from pipeline.sources import sample


def canary_of(run: Run) -> Canary:
    """As the pipeline sends it."""
    units = {unit.id: unit for unit in units_of(run, Counter())}
    return send_canary((sample(units[unit], n) for unit, n in spread(list(units)).items()), run)


@pytest.mark.parametrize("unit_images", [1, 30, 1000])
def test_canary_is_64_images_spread_over_the_plan(
    make_run: MakeRun, write_images: WriteImages, write_records: WriteImages, unit_images: int
) -> None:
    run = make_run(write_images(200), write_records(100), unit_images=unit_images)
    units = list(units_of(run, Counter()))
    assert len(spread([unit.id for unit in units])) == min(64, len(units))
    assert canary_of(run).images == 64


def test_canary_writes_nothing_and_is_content_with_good_images(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(100))
    canary = canary_of(run)
    assert (canary.images, list(canary.failures), canary.alarming) == (64, [], False)
    assert not [path for path in Path(run.output).rglob("*") if path.is_file()]


def test_half_broken_is_borne_and_one_more_is_not(make_run: MakeRun, write_images: WriteImages) -> None:
    archive = write_images(10)
    for i in range(10):
        (archive / f"x{i}.png").write_bytes(b"no")
    run = make_run(archive)
    assert not canary_of(run).alarming
    (archive / "y.png").write_bytes(b"")
    canary = canary_of(run)
    assert canary.alarming
    assert canary.reason().startswith("canary: 11 of 21 images failed")
    assert "INVALID_ARGUMENT in preprocess" in canary.reason()
    assert "\n" not in canary.reason()


def test_wrong_key_alarms_with_the_keys_that_are_there(make_run: MakeRun, write_records: WriteImages) -> None:
    run = make_run(write_records(10), image_key="picture")
    reason = canary_of(run).reason()
    assert "10 of 10" in reason
    assert "image/encoded" in reason
    assert "--image_key" in reason


def test_no_units_no_canary(make_run: MakeRun) -> None:
    assert spread([]) == {}
    assert not send_canary([], make_run("x")).alarming
