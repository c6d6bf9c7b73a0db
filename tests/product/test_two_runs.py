"""Two real jobs at once into one OUTPUT."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import WriteImages, rows_of

from pipeline.cli import score


class Night:
    """Jobs that score archives into one OUTPUT."""

    def __init__(self, model: str, output: Path) -> None:
        self.model = model
        self.output = output

    def flags(self, archive: Path) -> list[str]:
        """Units of one image: many parts, so that the jobs meet."""
        return ["--input", str(archive), "--model", self.model, "--output", str(self.output), "--unit_images", "1"]

    def at_once(self, first: Path, second: Path) -> list[int]:
        """Start a job, and another when the first has its record; return their exit codes."""
        jobs = [self._start(first)]
        deadline = time.monotonic() + 60
        while not self.runs() and jobs[0].poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        jobs.append(self._start(second))
        return [job.wait(timeout=300) for job in jobs]

    def _start(self, archive: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pipeline", *self.flags(archive)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def runs(self) -> list[Path]:
        return sorted(self.output.glob("runs/*.json"))

    def is_exactly(self, archive: Path) -> bool:
        """Whether table and folders hold one row for each image, and nothing else."""
        parts = sorted(map(str, self.output.glob("predictions/*")))
        units = {path.stem for path in self.output.glob("receipts/*")}
        return (
            sorted(row["key"] for row in rows_of(self.output)) == sorted(map(str, archive.rglob("*.png")))
            and sorted(Path(self.output, "table.txt").read_text().split()) == parts
            and units == {Path(part).stem.removeprefix("part-") for part in parts}
        )


@pytest.fixture
def night(tiny_model: str, tmp_path: Path) -> Night:
    return Night(tiny_model, tmp_path / "night")


@pytest.mark.heavy
def test_two_runs_with_the_same_plan_at_once_both_end_well(night: Night, write_images: WriteImages) -> None:
    archive = write_images(100)
    assert night.at_once(archive, archive) == [0, 0]
    assert night.is_exactly(archive)
    records = [json.loads(path.read_text()) for path in night.runs()]
    assert [record["images"] for record in records] == [100, 100]
    summary = (night.output / "summary.json").read_bytes()
    assert score.main(night.flags(archive)) == 0
    assert json.loads((night.output / "run.json").read_text())["kept"] == 100
    assert (night.output / "summary.json").read_bytes() == summary


@pytest.mark.heavy
def test_two_runs_with_different_plans_at_once_are_noticed_and_not_mixed(
    night: Night, write_images: WriteImages
) -> None:
    many, few = write_images(300), write_images(40, "few", start=280)
    codes = night.at_once(many, few)
    assert 3 in codes
    assert set(codes) <= {0, 3}
    tables = [sorted(map(str, archive.rglob("*.png"))) for archive in (many, few)]
    assert sorted(row["key"] for row in rows_of(night.output)) in tables
    verdicts = [json.loads(path.read_text())["verdict"] for path in night.runs()]
    assert any("has started into" in reason and "rerun" in reason for v in verdicts for reason in v["reasons"])
    assert score.main(night.flags(many)) == 0
    assert night.is_exactly(many)
