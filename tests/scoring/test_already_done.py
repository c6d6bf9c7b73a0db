"""A run with nothing left to score ends with the Beam job's result, without the job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, WriteImages, rows_of

from pipeline import storage
from pipeline.beam import job
from pipeline.cli import score as cli
from pipeline.errors import TransientError
from pipeline.output.records import start
from pipeline.scoring import planning
from pipeline.scoring.already_done import finish_if_done
from pipeline.scoring.prepare import prepare

RESULTS = ("summary.json", "table.txt")


class Night:
    """An archive that is scored into one OUTPUT."""

    def __init__(self, archive: Path, model: str, output: Path) -> None:
        self.archive = archive
        self.output = output
        self.flags = ["--input", str(archive), "--model", model, "--output", str(output), "--unit_images", "8"]

    def score(self, *more: str) -> dict[str, Any]:
        """Score from the command line; return the run's record."""
        assert cli.main([*self.flags, *more]) == 0
        record: dict[str, Any] = json.loads((self.output / "run.json").read_text())
        return record

    def score_by_pipeline(self) -> dict[str, Any]:
        """Score by the pipeline, whatever there is to do."""
        job_options = job.parse(self.flags)
        return job.run_job(job_options, prepare(job_options.options))

    def finish_if_done(self, *more: str) -> dict[str, Any] | None:
        """Prepare the next run, and finish it if nothing is left to score."""
        return finish_if_done(prepare(job.parse([*self.flags, *more]).options))

    def results(self) -> list[bytes]:
        return [(self.output / name).read_bytes() for name in RESULTS]

    def parts(self) -> list[Path]:
        return sorted((self.output / "predictions").iterdir())


@pytest.fixture
def night(write_images: WriteImages, tiny_model: str, tmp_path: Path) -> Night:
    return Night(write_images(40), tiny_model, tmp_path / "night")


@pytest.mark.heavy
@pytest.mark.parametrize("more", [(), ("--runner", "DirectRunner")])
def test_run_with_nothing_to_do_imports_neither_tensorflow_nor_beam(night: Night, more: tuple[str, ...]) -> None:
    night.score()
    before = night.results()
    program = (
        "import sys, nightscore.__main__; code = nightscore.__main__.main(sys.argv[1:]); "
        "assert not {'tensorflow', 'apache_beam', 'keras'} & set(sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "score", *night.flags, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "40 kept from earlier runs" in done.stdout
    assert night.results() == before


@pytest.mark.heavy
def test_record_and_results_are_those_of_the_pipeline(night: Night) -> None:
    night.score()
    by_pipeline = night.score_by_pipeline()
    expected = night.results()
    record = night.finish_if_done()
    assert record is not None
    assert record == json.loads((night.output / "run.json").read_text())
    changing = {"run", "started", "ended", "seconds", "images_per_second", "previous", "drift"}
    for one in (record, by_pipeline):
        del one["plan"]["run"]
    assert {k: v for k, v in record.items() if k not in changing} == {
        k: v for k, v in by_pipeline.items() if k not in changing
    }
    assert night.results() == expected


@pytest.mark.heavy
def test_run_with_nothing_to_do_replaces_run_json_once(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.score()
    replaced = []
    replace = storage.replace
    monkeypatch.setattr(
        storage, "replace", lambda location, data: replaced.append(Path(location).name) or replace(location, data)
    )
    night.score()
    assert replaced.count("run.json") == 1
    (night.archive / "5" / "new.png").write_bytes((night.archive / "0" / "00000.png").read_bytes())
    night.score()
    assert replaced.count("run.json") == 3, "it is under way, and then it has ended"


@pytest.mark.heavy
def test_one_new_image_is_scored_by_the_pipeline_on_the_plan_that_is_pinned(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.score()
    (night.archive / "5" / "new.png").write_bytes((night.archive / "0" / "00000.png").read_bytes())
    planned = []
    units_of = planning.units_of
    monkeypatch.setattr(planning, "units_of", lambda *arguments: planned.append(arguments) or units_of(*arguments))
    record = night.score()
    assert len(planned) == 1
    assert record["images"] == 41
    assert record["units_kept"] > 0
    assert sorted(row["key"] for row in rows_of(night.output)) == sorted(map(str, night.archive.rglob("*.png")))


@pytest.mark.heavy
@pytest.mark.parametrize("damage", ["part lost", "receipt lost", "part changed"])
def test_what_is_damaged_is_healed(night: Night, damage: str) -> None:
    night.score()
    before, part = night.results(), night.parts()[2]
    data = part.read_bytes()
    if damage == "part lost":
        part.unlink()
    elif damage == "receipt lost":
        (night.output / "receipts" / f"{part.stem.removeprefix('part-')}.json").unlink()
    else:
        part.write_bytes(data[:-9] + bytes(9))
    assert night.finish_if_done() is None
    record = night.score()
    assert (record["images"], record["complete"]) == (40, True)
    assert night.results() == before
    assert part.read_bytes() == data


def test_images_that_failed_and_storage_that_fails_are_the_pipelines(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.score()
    assert night.finish_if_done("--retry_failed") is None

    def fail(*_: object) -> None:
        raise TransientError("HTTP 503")

    monkeypatch.setattr("pipeline.scoring.already_done.recall", fail)
    assert night.finish_if_done() is None


def test_plan_without_a_unit_ends_as_by_the_pipeline(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(b"")
    run = make_run(tmp_path / "a.tfrecord")
    start(run)
    record = finish_if_done(run)
    assert record is not None
    assert (record["verdict"]["exit_code"], record["complete"]) == (3, False)
    assert not os.path.exists(storage.join(run.output, "table.txt"))
