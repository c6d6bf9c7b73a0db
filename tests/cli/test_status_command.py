"""`nightscore status` as a command: what it prints, its exit codes, and what it does without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import WriteImages

from model_training.data.datasets import RawImages
from pipeline import storage
from pipeline.cli import command, score, status
from pipeline.storage.local import LocalStore

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def night(tiny_model: str, digits: RawImages, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An OUTPUT after two runs; nobody writes into it."""
    folder = tmp_path_factory.mktemp("status")
    (folder / "archive" / "3").mkdir(parents=True)
    for i in range(40):
        (folder / "archive" / "3" / f"{i:05d}.png").write_bytes(digits.encoded(i))
    (folder / "archive" / "3" / "\x1b[2J[red].png").write_bytes(b"no image")
    output = str(folder / "night")
    flags = ["--input", str(folder / "archive"), "--model", tiny_model, "--output", output, "--unit_images", "8"]
    assert score.main([*flags, "--max_failed_fraction", "1"]) == 0
    assert score.main([*flags, "--max_failed_fraction", "0"]) == 3
    return output


def test_it_prints_facts_and_the_nights_before(night: str, capsys: Captured) -> None:
    assert status.main([night]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    lines = shown.out.splitlines()
    assert lines[1] == "state        finished; exit code 3"
    assert lines[2].startswith("reason       1 of 41 images failed")
    assert lines[3].startswith("images       41 of 41 (100%), 41 kept from earlier runs; ")
    assert "failed       1" in lines
    assert "             1 not decodable, such as" in lines
    assert any(line.startswith(r"               3/\x1b[2J[red].png: not a PNG") for line in lines)
    assert max(len(line) for line in lines if not line.startswith(("reason", "next"))) <= 80
    head = next(i for i, line in enumerate(lines) if line.startswith("nights before"))
    assert lines[head].split()[2:] == ["images", "failed", "accuracy", "images/s", "exit"]
    assert lines[head + 1].split()[2:4] == ["41", "1"]
    assert lines[head + 1].split()[-1] == "0"
    assert lines[-1] == f"next         nightscore verify {night}"


def test_it_answers_a_program_with_one_line(night: str, capsys: Captured) -> None:
    assert status.main([night, "--json"]) == 0
    shown = capsys.readouterr()
    assert (shown.out.count("\n"), shown.err) == (1, "")
    found = json.loads(shown.out)
    assert (found["exit_code"], found["state"], found["run_exit_code"]) == (0, "finished", 3)
    assert (found["images"], found["failed"], len(found["nights"])) == (41, 1, 1)
    assert found["failures"][0]["examples"][0]["key"].endswith("/3/\x1b[2J[red].png")


@pytest.mark.heavy
def test_units_that_are_unfinished_are_counted_and_the_next_run_does_them(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capsys: Captured
) -> None:
    output = tmp_path / "night"
    flags = ["--input", str(write_images(40)), "--model", tiny_model, "--output", str(output), "--unit_images", "8"]
    assert score.main(flags) == 0
    (unit, *others) = sorted((output / "receipts").iterdir())
    part = output / "predictions" / f"part-{unit.stem}.parquet"
    unit.unlink()
    part.unlink()
    part.symlink_to(part)  # a loop: neither there nor creatable
    assert score.main([*flags, "--retry_deadline", "0.05"]) == 3
    capsys.readouterr()
    assert status.main([str(output)]) == 0
    shown = capsys.readouterr().out
    assert "\nstate        ended, 1 work unit unfinished; exit code 3\n" in shown
    assert f"{len(others)} of {len(others) + 1} work units\n" in shown
    assert "\nreason       1 unit is unfinished (" in shown
    assert shown.endswith("next         run the same nightscore score command again: what is committed stays\n")
    part.unlink()
    assert score.main(flags) == 0


@pytest.mark.parametrize("arguments", [["/no/such/night"], [], ["a", "b"], ["ftp://bucket/night"], ["--what", "x"]])
def test_bad_usage_is_one_line_and_exit_code_2(arguments: list[str], capsys: Captured) -> None:
    assert status.main(arguments) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert shown.err.startswith("nightscore status: ")
    assert status.main(["/no/such/night", "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 2
    assert "is not the OUTPUT of a run" in answer["error"]


def test_storage_that_fails_is_exit_code_3(night: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise storage.local.TransientError("Input/output error")  # type: ignore[attr-defined]

    monkeypatch.setattr(command, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(LocalStore, "list", fail)
    assert status.main([night]) == 3
    assert "storage fails: Input/output error; run it again" in capsys.readouterr().err


def test_it_needs_neither_beam_nor_tensorflow(night: str) -> None:
    program = (
        "import sys; from pipeline.cli import status; code = status.main(sys.argv[1:]); "
        "heavy = {'apache_beam', 'tensorflow', 'PIL'} & set(sys.modules); assert not heavy, heavy; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, night], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.heavy
def test_run_that_was_killed_is_told_and_its_rerun_finishes(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "night"
    flags = ["--input", str(write_images(700)), "--model", tiny_model, "--output", str(output), "--unit_images", "8"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nightscore", "score", *flags], stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(list((output / "receipts").glob("*.json"))) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert status.main([str(output)]) == 0
    assert "\nstate        under way, unless it was killed: last work unit stored " in capsys.readouterr().out
    late = time.time() + 3 * 3600
    monkeypatch.setattr(time, "time", lambda: late)
    assert status.main([str(output)]) == 0
    shown = capsys.readouterr().out
    assert "\nstate        under way or interrupted: last work unit stored 3 h" in shown
    assert "next         if its process or job is gone, run the same nightscore score command again" in shown
    monkeypatch.undo()
    assert score.main(flags) == 0
    capsys.readouterr()
    assert status.main([str(output), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["done"]) == ("finished", 700)
    assert 0 < found["kept"] < 700
    assert [night["exit_code"] for night in found["nights"]] == [None]
