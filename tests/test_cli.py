"""What a person sees: one line where something is wrong, a table where nothing is, and the exit code."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WriteImages

COMMAND = [sys.executable, "-m", "nightscore", "score"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_good_run_prints_a_table_and_no_banner(tiny_model: str, write_images: WriteImages, tmp_path: Path) -> None:
    archive = write_images(30)
    (archive / "5" / "broken.png").write_bytes(b"no image")
    done = run(
        "--input", archive, "--model", tiny_model, "--output", tmp_path / "night", "--max_failed_fraction", "0.1"
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.search(r"^images +31 in ", done.stdout, re.MULTILINE)
    assert re.search(r"^failed +1 \(1 INVALID_ARGUMENT in preprocess\)", done.stdout, re.MULTILINE)
    assert re.search(r"^accuracy +[01]\.\d{4} \(95 % interval", done.stdout, re.MULTILINE)
    assert f"{archive}/5/broken.png: preprocess INVALID_ARGUMENT: not a PNG" in done.stdout
    assert done.stdout.rstrip().endswith(f"{tmp_path}/night/report.html")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--input", "{tmp}/none", "--model", "{model}", "--output", "{tmp}/o"], "none' does not exist or is empty"),
        (["--input", "{tmp}", "--model", "{tmp}", "--output", "{tmp}/o"], "is not a model directory"),
        (["--input", "{tmp}", "--model", "{model}", "--output", "{tmp}/o", "--top_k", "0"], "--top_k 0"),
        (["--input", "{tmp}", "--model", "{model}", "--output", "{tmp}/o", "--what"], "unknown argument '--what'"),
    ],
)
def test_bad_usage_is_one_line_exit_code_2_and_nothing_written(
    tiny_model: str, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = run(*(a.format(tmp=tmp_path, model=tiny_model) for a in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.startswith("nightscore score: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_progress_bar_is_drawn_on_a_terminal(tiny_model: str, write_images: WriteImages, tmp_path: Path) -> None:
    archive = write_images(1500)
    controller, terminal = pty.openpty()
    command = [*COMMAND, "--input", str(archive), "--model", tiny_model, "--output", str(tmp_path / "night")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal) as process:
        os.close(terminal)
        seen = b""
        while True:
            try:
                more = os.read(controller, 65536)
            except OSError:  # Linux says EIO when the other side of a terminal is closed
                break
            if not more:
                break
            seen += more
    os.close(controller)
    assert process.returncode == 0
    assert b"planning" in seen
    assert re.search(rb"1,500|starting", seen)
    assert b"oneDNN" not in seen


def test_reader_of_the_result_may_leave_early(tiny_model: str, write_images: WriteImages, tmp_path: Path) -> None:
    command = [*COMMAND, "--input", str(write_images(10)), "--model", tiny_model, "--output", str(tmp_path / "night")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        errors = process.stderr.read() if process.stderr else b""
    assert (process.returncode, errors) == (0, b"")


def test_module_runs_like_the_command() -> None:
    for command in (["-m", "pipeline", "score"], ["-m", "pipeline"], ["-m", "pipeline", "verify"]):
        done = subprocess.run([sys.executable, *command, "--top_k", "0"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
