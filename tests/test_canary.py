"""A few images first."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from conftest import MakeRun, WriteImages

from pipeline import plan
from pipeline.canary import send_canary, spread


def test_canary_is_spread_over_the_plan(
    make_run: MakeRun, write_images: WriteImages, write_records: WriteImages
) -> None:
    units = list(plan.plan_units(make_run(write_images(200), write_records(100), unit_images=30), Counter()))
    samples = spread(units, 64)
    assert len(samples) == len(units)
    assert sum(sample.images or 0 for sample in samples) == 64
    assert len(spread(list(plan.plan_units(make_run(write_images(200), unit_images=1), Counter())), 64)) == 64


def test_canary_writes_nothing_and_is_content_with_good_images(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(100))
    canary = send_canary(list(plan.plan_units(run, Counter())), run)
    assert (canary.images, list(canary.failures), canary.alarming) == (64, [], False)
    assert not Path(run.output).exists()


def test_half_broken_is_borne_and_one_more_is_not(make_run: MakeRun, write_images: WriteImages) -> None:
    archive = write_images(10)
    for i in range(10):
        (archive / f"x{i}.png").write_bytes(b"no")
    run = make_run(archive)
    assert not send_canary(list(plan.plan_units(run, Counter())), run).alarming
    (archive / "y.png").write_bytes(b"")
    canary = send_canary(list(plan.plan_units(run, Counter())), run)
    assert canary.alarming
    assert canary.reason().startswith("canary: 11 of 21 images failed")
    assert "INVALID_ARGUMENT in preprocess" in canary.reason()
    assert "\n" not in canary.reason()


def test_wrong_key_alarms_with_the_keys_that_are_there(make_run: MakeRun, write_records: WriteImages) -> None:
    run = make_run(write_records(10), image_key="picture")
    reason = send_canary(list(plan.plan_units(run, Counter())), run).reason()
    assert "10 of 10" in reason
    assert "image/encoded" in reason
    assert "--image_key" in reason


def test_no_units_no_canary(make_run: MakeRun) -> None:
    assert not send_canary([], make_run("x")).alarming
