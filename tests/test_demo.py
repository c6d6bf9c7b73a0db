"""`nightscore demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from model_training import demo


def test_demo_trains_scores_and_keeps_everything_the_second_time(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nightscore", "demo", "--output", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "$ nightscore train --dataset digits" in done.stdout
    summary = json.loads((tmp_path / "demo" / "night" / "summary.json").read_text())
    assert (summary["images"], summary["failed"]) == (2 * 1_797 + 6, 6)
    assert summary["accuracy"] > 0.95
    assert f"{summary['images']:,} kept from earlier runs" in done.stdout
    assert (tmp_path / "demo" / "night" / "report.html").exists()
    assert "Traceback" not in done.stderr


def test_folder_that_is_no_demo_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photo.png").write_bytes(b"mine")
    assert demo.main(["--output", str(tmp_path)]) == 2
    assert "is a folder of yours" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


def test_unknown_data_set_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--dataset", "cifar"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
