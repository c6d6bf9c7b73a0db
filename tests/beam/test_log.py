"""What workers log: what they are, once; which units have failed images, now and then; nothing harmful."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from conftest import MakeRun, WriteImages

from pipeline import machine
from pipeline.beam import job, log
from pipeline.beam.log import FailedUnits
from pipeline.cli import score as cli
from pipeline.cli.command import calm
from pipeline.concurrency import cores
from pipeline.metrics.accuracy import Metrics
from pipeline.model.engines import litert
from pipeline.output.receipts import Extras, Receipt
from pipeline.scoring.planning import units_of
from pipeline.scoring.prepare import prepare
from pipeline.scoring.score import score
from pipeline.sources.skipped import Skipped


@pytest.fixture(autouse=True)
def elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    """As on a worker: the command line turns these lines off."""
    caplog.set_level(logging.INFO, "pipeline.beam.log")


def receipt(failed: int = 2, kept: int = 0, key: str = "a.png", message: str = "gone") -> Receipt:
    metrics = Metrics(images=9, scored=9 - failed, failures={("read", "NOT_FOUND"): failed} if failed else {})
    failures = [{"row": 0, "key": key, "stage": "read", "code": "NOT_FOUND", "message": message}] if failed else []
    return Receipt("u" * 32, 9, 0, metrics, [], failures, Extras(), kept=kept)


def test_unit_with_failed_images_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    FailedUnits().note(receipt(), 0.0)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"unit {'u' * 32}: 2 of 9 images failed (2 not found), such as a.png: gone"
    )  # fmt: skip


@pytest.mark.parametrize("of", [receipt(failed=0), receipt(kept=9)], ids=["all is well", "it was done before"])
def test_other_units_are_none_of_its_business(of: Receipt, caplog: pytest.LogCaptureFixture) -> None:
    FailedUnits().note(of, 0.0)
    assert caplog.records == []


def test_lines_come_once_a_second_and_end_with_one_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    units = FailedUnits()
    for tenth in range(1_000):
        units.note(receipt(), tenth / 10)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 50
    assert "passed over" not in texts[0]
    assert texts[1].endswith("(9 units with failed images before it were passed over)")
    assert texts[-1].endswith("; this process says no more of such units: `nightscore status` tells of all of them")


def test_names_and_secrets_do_not_reach_a_log_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    FailedUnits().note(receipt(key="\x1b[2J\n.png", message="403 https://host/a?token=secret \u202e"), 0.0)
    text = caplog.records[0].getMessage()
    assert r"\x1b[2J\n.png" in text
    assert "secret" not in text
    assert "\u202e" not in text


@pytest.mark.heavy
@pytest.mark.usefixtures("new_processes")
def test_process_says_once_what_it_scores_with(
    write_images: WriteImages, make_run: MakeRun, tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = make_run(write_images(30), model=tiny_model, memory_mb=1 << 20)
    units = list(units_of(run, Skipped()))
    for output in ("a", "b"):
        list(score(units, run.at(f"{run.output}-{output}")))
    loads = [record for record in caplog.records if "scores with model" in record.getMessage()]
    assert [record.name for record in loads] == ["pipeline.scoring.arrangement"] * 2, "one for each run"
    text = loads[0].getMessage()
    n = cores()
    assert text.startswith(
        f"scores with model {run.spec.model_id[:12]} by {litert.version()} in float32, in {n} of {n} local processes: "
    )
    assert "ai-edge-litert " in text
    assert "threads, CPU flags: " in text
    assert text.endswith(machine.describe())


def test_nothing_is_logged_per_image_and_a_line_per_unit_at_most(
    write_images: WriteImages, make_run: MakeRun, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    archive = write_images(30)
    for i in range(10):
        (archive / "3" / f"broken-{i}.png").write_bytes(b"no image")
    run = make_run(archive)
    log.failed_units.cache_clear()
    flags = ["--input", str(archive), "--model", run.model, "--output", run.output]
    asked = job.parse(flags)
    job.run_job(asked, prepare(asked.options))
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("pipeline")]
    assert [line for line in lines if not line.startswith("scores with model")] == [
        line for line in lines if line.startswith("unit ")
    ]
    (line,) = [line for line in lines if line.startswith("unit ")]
    assert "10 of 40 images failed (10 not decodable)" in line


@pytest.mark.heavy
def test_command_line_shows_progress_instead(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive = write_images(30)
    (archive / "3" / "broken.png").write_bytes(b"no image")
    flags = ["--input", str(archive), "--model", tiny_model, "--output", str(tmp_path / "night")]
    assert cli.main([*flags, "--max_failed_fraction", "1"]) == 0
    assert capfd.readouterr().err == ""
    calm()
    assert not logging.getLogger("pipeline.beam.log").isEnabledFor(logging.WARNING)
