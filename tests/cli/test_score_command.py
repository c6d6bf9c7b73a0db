"""What a person sees: one line where something is wrong, a few facts where nothing is; and what a program gets."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import WriteImages

from pipeline.cli import score as cli

COMMAND = [sys.executable, "-m", "nightscore", "score"]


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `nightscore score` in this process; what C++ libraries say counts as well."""

    def score(*arguments: object) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        words = [str(argument) for argument in arguments]
        code = cli.main(words)
        said = capfd.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return score


def test_good_run_prints_facts_and_no_banner(tiny_model: str, write_images: WriteImages, tmp_path: Path) -> None:
    archive = write_images(30)
    (archive / "5" / "broken.png").write_bytes(b"no image")
    flags = ["--input", str(archive), "--model", tiny_model, "--output", str(tmp_path / "night")]
    done = subprocess.run(
        [*COMMAND, *flags, "--max_failed_fraction", "0.1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.search(r"^images +31 in ", done.stdout, re.MULTILINE)
    assert re.search(r"^failed +1 of 31: 1 not decodable$", done.stdout, re.MULTILINE)
    assert re.search(r"^accuracy +[01]\.\d{4} \(95 % interval", done.stdout, re.MULTILINE)
    assert re.search(r"^example +5/broken.png: not a PNG", done.stdout, re.MULTILINE)
    assert re.search(rf"^report +{tmp_path}/night/report.html$", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1] == f"next         nightscore verify {tmp_path}/night"
    assert len(done.stdout.splitlines()) <= 18


@pytest.mark.heavy
def test_quiet_says_nothing_but_errors(run: Run, tiny_model: str, write_images: WriteImages, tmp_path: Path) -> None:
    archive = write_images(30)
    flags = ["--input", archive, "--model", tiny_model, "--output", tmp_path / "night", "--quiet"]
    done = run(*flags)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (archive / "5" / "broken.png").write_bytes(b"no image")
    done = run(*flags)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("nightscore score: 1 of 31 images failed")
    assert done.stderr.count("\n") == 1


def test_json_is_one_line_whatever_comes(run: Run, tiny_model: str, write_images: WriteImages, tmp_path: Path) -> None:
    archive, night = write_images(30), tmp_path / "night"
    (archive / "5" / "broken.png").write_bytes(b"no image")
    flags = ["--input", archive, "--model", tiny_model, "--output", night, "--json"]
    first = run(*flags)
    assert (first.returncode, first.stdout.count("\n")) == (3, 1)
    assert first.stderr.count("\n") == 1, "the reason, for a person"
    said = json.loads(first.stdout)
    record, summary = (json.loads((night / name).read_text()) for name in ("run.json", "summary.json"))
    assert (said["exit_code"], said["reasons"]) == (3, record["verdict"]["reasons"])
    assert (said["images"], said["scored"], said["kept"], said["failed"]) == (31, 31, 0, 1)
    for name in ("run", "seconds", "images_per_second", "complete"):
        assert said[name] == record[name]
    for name in ("failures", "accuracy", "accuracy_interval_95", "labelled"):
        assert said[name] == summary[name]
    assert (said["output"], said["report"]) == (str(night), f"{night}/report.html")
    again = json.loads(run(*flags, "--quiet", "--max_failed_fraction", "1").stdout)
    assert (again["exit_code"], again["kept"], again["scored"]) == (0, 31, 0)


def test_json_tells_an_error_too(run: Run, tiny_model: str, tmp_path: Path) -> None:
    done = run("--input", tmp_path / "none", "--model", tiny_model, "--output", tmp_path / "night", "--json")
    assert done.returncode == 2
    assert "does not exist or is empty" in done.stderr
    assert json.loads(done.stdout) == {"exit_code": 2, "error": done.stderr.strip().removeprefix("nightscore score: ")}
    done = run("--json", "--nonsense")
    assert json.loads(done.stdout)["exit_code"] == 2


def test_json_of_a_run_that_the_canary_stops(run: Run, tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    for i in range(20):
        (tmp_path / "archive" / f"{i}.png").write_bytes(b"no image")
    done = run("--input", tmp_path / "archive", "--model", tiny_model, "--output", tmp_path / "night", "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["exit_code"], said["complete"], said["report"]) == (3, 3, False, None)
    assert said["reasons"][0].startswith("20 of the 20 images that were tried first failed")
    assert done.stderr == f"nightscore score: {said['reasons'][0]}\n"


@pytest.mark.heavy
def test_rerun_for_a_program_imports_neither_beam_nor_tensorflow(
    run: Run, tiny_model: str, write_images: WriteImages, tmp_path: Path
) -> None:
    flags = ["--input", str(write_images(5)), "--model", tiny_model, "--output", str(tmp_path / "night"), "--json"]
    assert run(*flags).returncode == 0
    program = (
        "import sys; from pipeline.cli import score; assert score.main(sys.argv[1:]) == 0; "
        "assert not {'apache_beam', 'tensorflow'} & set(sys.modules)"
    )
    for more in ([], ["--quiet"]):
        subprocess.run([sys.executable, "-c", program, *flags, *more], check=True, capture_output=True)


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
    run: Run, tiny_model: str, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = run(*(a.format(tmp=tmp_path, model=tiny_model) for a in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.startswith("nightscore score: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.heavy
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


@pytest.mark.heavy
def test_reader_of_the_result_may_leave_early(tiny_model: str, write_images: WriteImages, tmp_path: Path) -> None:
    night = tmp_path / "night"
    command = [*COMMAND, "--input", str(write_images(10)), "--model", tiny_model, "--output", str(night)]
    assert into_nobody(command) == (0, b"")
    assert into_nobody([*command, "--json"]) == (0, b"")
    for part in (night / "predictions").iterdir():
        part.unlink()
    for name in ("verify", "status"):
        code, errors = into_nobody([sys.executable, "-m", "nightscore", name, str(night)])
        assert code in (0, 3, 141)
        assert errors == b""


def into_nobody(command: list[str]) -> tuple[int, bytes]:
    """Run a command whose stdout nobody reads; return its exit code and stderr."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        errors = process.stderr.read() if process.stderr else b""
    return process.returncode, errors


@pytest.mark.heavy
def test_module_runs_like_the_command() -> None:
    for command in (
        ["-m", "pipeline", "score"],
        ["-m", "pipeline"],
        ["-m", "pipeline", "verify"],
        ["-m", "pipeline", "status"],
    ):
        done = subprocess.run([sys.executable, *command, "--top_k", "0"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
