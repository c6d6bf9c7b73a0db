"""The counters that an engine shows: all of them documented, and true on the local runner."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import WriteImages

from pipeline.beam import job
from pipeline.beam.counters import COUNTERS, DISTRIBUTIONS, NAMESPACE
from pipeline.scoring.prepare import prepare

DOCUMENT = Path(__file__).parents[2] / "docs" / "counters.md"


def test_every_counter_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert documented == [*COUNTERS, *DISTRIBUTIONS]
    assert f"namespace `{NAMESPACE}`" in DOCUMENT.read_text()


def counted(flags: list[str]) -> dict[str, int]:
    asked = job.parse(flags)
    found = job.start(asked, prepare(asked.options)).metrics().query()
    assert all(metric.key.metric.namespace == NAMESPACE for metric in found["counters"])
    sums = {metric.key.metric.name: metric.committed for metric in found["counters"]}
    return sums | {metric.key.metric.name: metric.committed.sum for metric in found["distributions"]}


@pytest.mark.heavy
def test_counters_tell_what_was_planned_scored_failed_and_kept(
    write_images: WriteImages, tiny_model: str, tmp_path: Path
) -> None:
    archive = write_images(40)
    (archive / "3" / "broken.png").write_bytes(b"broken")
    (archive / "notes.txt").write_text("no image")
    flags = ["--input", str(archive), "--model", tiny_model, "--output", str(tmp_path / "night"), "--unit_images", "8"]
    counters = counted([*flags, "--max_failed_fraction=1"])
    size = sum(path.stat().st_size for path in archive.rglob("*.png"))
    units = counters["planned_units"]
    assert units >= 41 / 8
    assert counters | {name: 0 for name in counters if name.endswith("_milliseconds")} == {
        "planned_units": units,
        "planned_images": 41,
        "planned_bytes": size,
        "skipped_objects": 1,
        "units_committed": units,
        "images_scored": 40,
        "images_failed_preprocess": 1,
        "images_kept": 0,
        "images_rescored": 0,
        "unit_images": 41,
        **{name: 0 for name in counters if name.endswith("_milliseconds")},
    }
    assert counters["predict_milliseconds"] > 0
    again = counted([*flags, "--max_failed_fraction=1"])
    assert (again["units_kept"], again["images_kept"], again.get("images_scored", 0)) == (units, 41, 0)


@pytest.mark.heavy
def test_failed_images_that_are_scored_again_are_counted_apart_from_those_that_are_kept(
    write_images: WriteImages, tiny_model: str, tmp_path: Path
) -> None:
    archive = write_images(20)
    (archive / "3" / "broken.png").write_bytes(b"broken")
    flags = ["--input", str(archive), "--model", tiny_model, "--output", str(tmp_path / "night")]
    counted([*flags, "--max_failed_fraction=1"])
    again = counted([*flags, "--max_failed_fraction=1", "--retry_failed"])
    done = again["images_kept"] + again["images_scored"] + again["images_failed_preprocess"]
    assert (again["images_kept"], again["images_scored"], done) == (20, 0, again["planned_images"])
