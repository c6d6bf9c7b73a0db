"""What is stored of an interrupted run stays when it goes on with another number of images in a work unit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline.cli import plan, score
from pipeline.output import plan_file, records
from pipeline.output.run import Run
from pipeline.scoring import forecast
from pipeline.scoring.planning import pin
from pipeline.scoring.prepare import check
from pipeline.scoring.score import Receipt
from pipeline.scoring.score import score as score_units

IMAGES = 60
KEPT = ("--unit_images is 8, as before: so {} stored rows can stay;", "40 counts only in another --output")


def flags_of(run: Run, *more: str) -> list[str]:
    return ["--input", *run.options.input, "--model", run.options.model, "--output", run.output, *more]


@pytest.fixture
def archive(write_images: WriteImages) -> Path:
    return write_images(IMAGES)


@pytest.fixture
def interrupted(make_run: MakeRun, archive: Path) -> tuple[Run, int]:
    """A run that was interrupted after three of its units, and how many rows it has stored."""
    run = make_run(archive, unit_images=8, name="20260101T000000Z-000000")
    records.start(run)
    pin(run)
    planned = [unit for unit, _ in zip(plan_file.read_units(run), range(3), strict=False)]
    return run, sum(one.rows for one in score_units(planned, run) if isinstance(one, Receipt))


def ended(output: str) -> dict[str, object]:
    record: dict[str, object] = json.loads((Path(output) / "run.json").read_text())
    return record


def test_no_stored_row_is_scored_again_because_of_another_number_of_images_in_a_unit(
    interrupted: tuple[Run, int], capfd: pytest.CaptureFixture[str]
) -> None:
    run, stored = interrupted
    assert 0 < stored < IMAGES
    assert score.main(flags_of(run, "--unit_images", "40")) == 0
    shown = capfd.readouterr()
    assert [line.format(stored) for line in KEPT] == shown.err.splitlines()
    record = ended(run.output)
    assert (record["kept"], record["scored"], record["options"]["unit_images"]) == (stored, IMAGES - stored, 8)  # type: ignore[index]
    assert score.main(flags_of(run, "--unit_images", "40", "--quiet")) == 0
    assert ended(run.output)["kept"] == IMAGES, "the same command a second time scores nothing"
    assert capfd.readouterr().err == "", "who wants nothing but errors is not told"
    assert score.main(flags_of(run)) == 0
    assert ended(run.output)["kept"] == IMAGES, "nor does one that names no number"


def test_plan_says_before_anything_happens_that_the_rows_stay(
    interrupted: tuple[Run, int], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, stored = interrupted
    for name in ("DECODE_SECONDS", "PREDICT_SECONDS"):
        monkeypatch.setattr(forecast, name, 0.01)
    assert plan.main(flags_of(run, "--unit_images", "40")) == 0
    shown = capfd.readouterr().out
    first, second = (line.format(stored) for line in KEPT)
    assert f"\nstored       {stored} images in 3 of " in shown
    assert f"\nnote         {first}\n             {second}\n" in shown
    assert "\nkept" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert plan.main(flags_of(run, "--unit_images", "8")) == 0
    assert "note" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("options", "keeps"),
    [
        ({"top_k": 2}, "--top_k 5, --unit_images 8 would keep them"),
        ({"top_k": 2, "unit_images": 8}, "--top_k 5 would keep them"),
        ({"format": "jsonl", "exif": True, "unit_images": 8}, "--format parquet, no --exif would keep them"),
    ],
)
def test_rows_of_other_options_are_named_with_the_options_that_keep_them(
    interrupted: tuple[Run, int], make_run: MakeRun, archive: Path, options: dict[str, object], keeps: str
) -> None:
    stored = interrupted[1]
    run = check(make_run(archive, **{"unit_images": 40, **options}).options)
    assert run.note == (f"{stored} stored rows of other options no longer count;", keeps)
    assert run.options.unit_images == options.get("unit_images", 40), "no row would stay: what is asked for counts"
    assert forecast.images_before(run) == stored


def test_a_trial_does_not_decide_how_the_archive_is_cut(make_run: MakeRun, archive: Path) -> None:
    trial = make_run(archive, unit_images=4, limit=10)
    assert score.main(flags_of(trial, "--unit_images", "4", "--limit", "10", "--quiet")) == 0
    run = check(make_run(archive, unit_images=40).options)
    said = ("10 stored rows of other work units no longer count;", "--unit_images 4 would keep them")
    assert (run.note, run.options.unit_images) == (said, 40)
    assert check(make_run(archive, unit_images=4).options).note == ()
    again = check(make_run(archive, unit_images=40, limit=10).options)
    assert again.options.unit_images == 4, "the same trial again scores nothing again"


def test_nothing_is_said_where_no_row_could_stay(
    make_run: MakeRun, write_images: WriteImages, archive: Path, interrupted: tuple[Run, int]
) -> None:
    def found(*inputs: Path, output: str | None = None) -> tuple[Sequence[str], int]:
        run = check(make_run(*inputs, unit_images=40, output=output).options)
        return run.note, run.options.unit_images

    assert found(write_images(5, "others")) == ((), 40), "rows of other inputs"
    assert found(archive, output="elsewhere") == ((), 40)
    for receipt in Path(interrupted[0].output, "receipts").iterdir():
        receipt.unlink()
    assert found(archive) == ((), 40), "that run has stored nothing"
    Path(interrupted[0].plan).unlink()
    assert found(archive) == ((), 40), "it has planned nothing"
