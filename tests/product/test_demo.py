"""`nightscore demo`, as a newcomer runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import DemoRun

from model_training import demo


@pytest.mark.heavy
def test_demo_trains_scores_and_keeps_everything_the_second_time(demo_run: DemoRun) -> None:
    assert demo_run.code == 0, demo_run.output
    summary = json.loads((demo_run.folder / "night" / "summary.json").read_text())
    assert (summary["images"], summary["failed"]) == (2 * 1_797 + 6, 6)
    assert summary["accuracy"] > 0.95
    assert f"{summary['images']:,} kept from earlier runs" in demo_run.output
    assert (demo_run.folder / "night" / "report.html").exists()


def test_folder_that_is_no_demo_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photo.png").write_bytes(b"mine")
    assert demo.main(["--output", str(tmp_path)]) == 2
    assert "is a folder of yours" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


def test_unknown_data_set_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--dataset", "cifar"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
