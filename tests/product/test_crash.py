"""Processes that are killed, interrupted, or die of an image: what is left, and what the next run makes of it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import WriteImages, rows_of

from pipeline.cli import score as cli
from pipeline.model.directory import read_golden
from pipeline.output.status import status

ROOT = Path(__file__).parents[2]
POISONED = ROOT / "tests" / "tools" / "poisoned"
UNIT_IMAGES = 50
UNITS_UNDER_WAY = 14
"""As many batches, here units, as `score` has between reading and the receipt at most."""

MOST_DONE = 0.8
"""Share of the units that are done at the last kill at most: what is left takes longer than the kill."""

SOAK_KILLS = int(os.environ.get("SOAK_KILLS", "50"))
"""Kills of the soak test; fewer for a quick look."""

Score = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def score(tiny_model: str, tmp_path: Path) -> Score:
    """Start `nightscore score` with the decoder of tests/tools/poisoned."""

    def start(archive: Path, output: str, *flags: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "nightscore", "score", "--input", str(archive), "--model", tiny_model]
        return subprocess.Popen(
            [*command, "--output", str(tmp_path / output), "--unit_images", str(UNIT_IMAGES), *flags],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{POISONED}{os.pathsep}{ROOT}", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process; return its exit code and what it wrote to stderr."""
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def score_here(archive: Path, model: str, output: Path, *flags: str) -> int:
    """Run `nightscore score` in this process, which nobody disturbs; return its exit code."""
    needed = ["--input", str(archive), "--model", model, "--output", str(output)]
    return cli.main([*needed, "--unit_images", str(UNIT_IMAGES), *flags])


def parts(output: Path) -> Mapping[str, bytes]:
    return {p.name: p.read_bytes() for p in (output / "predictions").iterdir()}


def receipts(output: Path) -> Mapping[str, Any]:
    found = {p.name: json.loads(p.read_text()) for p in (output / "receipts").iterdir()}
    return {
        name: {k: v for k, v in content.items() if k in {"unit", "rows", "crc32c"}} for name, content in found.items()
    }


def leftovers(output: Path) -> list[str]:
    found = [p for p in output.rglob("*") if p.is_file() and p.name.endswith(".tmp")]
    return sorted(map(str, found))


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@dataclass(frozen=True)
class Kills:
    """How often a run is killed, and in which work.

    Attributes:
        times: that it is killed; each fifth time while the process starts, else at shares of the work.
        images: in the archive.
        unit_images: in a unit; there must be several units for each kill.
        decode_seconds: that an image takes, so that a unit takes longer than it takes to see that one is done.
    """

    times: int
    images: int
    unit_images: int
    decode_seconds: float

    def goals(self, units: int) -> list[int]:
        """Return how many units are to be done at each kill: one number from each of as many slices of the work."""
        choose = random.Random(self.times)
        work = MOST_DONE * units
        return [int((kill + choose.random()) * work / self.times) for kill in range(self.times)]


def units_done(output: Path) -> int:
    return len(list((output / "receipts").glob("*.json")))


def killed_again_and_again(kills: Kills, score: Score, archive: Path, tmp_path: Path, model: str) -> None:
    """Kill `score` at shares of its work, run it to its end, and compare with a run that nobody disturbed."""
    flags = ("--no_canary", "--unit_images", str(kills.unit_images))
    calm = score(archive, "calm", *flags)
    started = time.monotonic()
    wait_for(lambda: units_done(tmp_path / "calm") > 0, calm)
    start_seconds = time.monotonic() - started
    assert ended(calm) == (0, "")
    counter = tmp_path / "decoded"
    counter.write_bytes(b"")
    environment = {"DECODED": str(counter), "DECODE_SECONDS": str(kills.decode_seconds)}
    night, golden = tmp_path / "night", len(read_golden(model).encoded)
    choose = random.Random(kills.times)
    for kill, goal in enumerate(kills.goals(units_done(tmp_path / "calm"))):
        process = score(archive, "night", *flags, **environment)
        if kill % 5 == 4:  # in the middle of imports, planning and the start of TensorFlow
            time.sleep(choose.uniform(0, start_seconds))
        else:
            decoding = counter.stat().st_size + golden
            wait_for(lambda at=decoding: counter.stat().st_size > at, process)  # type: ignore[misc]
            wait_for(lambda goal=goal: units_done(night) >= goal, process)  # type: ignore[misc]
        assert process.poll() is None, "it is done before it is killed"
        process.kill()
        ended(process)
    last = score(archive, "night", *flags, **environment)
    assert ended(last) == (0, "")
    assert parts(night) == parts(tmp_path / "calm")
    assert receipts(night) == receipts(tmp_path / "calm")
    assert (night / "summary.json").read_bytes() == (tmp_path / "calm" / "summary.json").read_bytes()
    assert leftovers(night) == []
    decoded = counter.stat().st_size - golden * (kills.times + 1)
    assert decoded <= kills.images + kills.times * UNITS_UNDER_WAY * kills.unit_images
    print(f"{kills.times} kills: {decoded} images decoded of {kills.images}")


@pytest.mark.heavy
def test_killed_runs_end_in_the_same_bytes(
    score: Score, write_images: WriteImages, tmp_path: Path, tiny_model: str
) -> None:
    kills = Kills(times=2, images=1_000, unit_images=UNIT_IMAGES, decode_seconds=0.002)
    killed_again_and_again(kills, score, write_images(kills.images), tmp_path, tiny_model)


@pytest.mark.soak
def test_fifty_killed_runs_end_in_the_same_bytes(
    score: Score, write_images: WriteImages, tmp_path: Path, tiny_model: str
) -> None:
    kills = Kills(times=SOAK_KILLS, images=1_700, unit_images=10, decode_seconds=0.02)
    killed_again_and_again(kills, score, write_images(kills.images), tmp_path, tiny_model)


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_ends_within_seconds_and_says_how_to_go_on(
    score: Score, write_images: WriteImages, tmp_path: Path, tiny_model: str, number: signal.Signals
) -> None:
    archive = write_images(600)
    process = score(archive, "night", "--no_canary", DECODE_SECONDS="0.01")
    wait_for(lambda: len(list((tmp_path / "night" / "receipts").glob("*.json"))) >= 2, process)
    process.send_signal(number)
    asked = time.monotonic()
    code, errors = ended(process)
    assert time.monotonic() - asked < 10
    assert code == 128 + number
    expected = "nightscore score: interrupted; what is committed stays, run the same command to go on\n"
    assert errors.endswith(expected)
    assert "Traceback" not in errors
    assert leftovers(tmp_path / "night") == []
    told = json.loads((tmp_path / "night" / "run.json").read_text())
    assert (told["complete"], told["verdict"]) == (False, None)
    stands = status(str(tmp_path / "night"), time.time())
    assert (stands.state, stands.interrupted_by, stands.run_exit_code) == ("interrupted", number.name, code)
    done = len(list((tmp_path / "night" / "receipts").glob("*.json")))
    assert 2 <= done < 600 // UNIT_IMAGES
    assert score_here(archive, tiny_model, tmp_path / "night", "--no_canary") == 0
    record = json.loads((tmp_path / "night" / "run.json").read_text())
    assert record["images"] == 600
    assert record["kept"] >= done


def poison(archive: Path, *notes: bytes) -> list[Path]:
    poisoned = sorted(archive.rglob("*.png"))[:: len(list(archive.rglob("*.png"))) // len(notes)][: len(notes)]
    for path, note in zip(poisoned, notes, strict=True):
        path.write_bytes(path.read_bytes() + note)
    return poisoned


@pytest.mark.heavy
def test_images_that_kill_their_decoder_are_rows_in_the_first_run(
    write_images: WriteImages,
    tmp_path: Path,
    tiny_model: str,
    poisoned: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    archive = write_images(120)
    abort, killed = poison(archive, b"ABORT", b"KILLED")
    assert score_here(archive, tiny_model, tmp_path / "night", "--max_failed_fraction", "0.1") == 0
    assert capfd.readouterr().err == ""
    failed = {row["key"]: row["error_message"] for row in rows_of(tmp_path / "night") if row["status"] == "failed"}
    assert failed == {
        str(abort): "the decoder crashed on this image (SIGABRT)",
        str(killed): "the decoder was killed, probably because memory ran out (SIGKILL)",
    }
    assert len(rows_of(tmp_path / "night")) == 120
    assert leftovers(tmp_path / "night") == []


@pytest.mark.heavy
def test_image_that_never_ends_is_a_row_in_the_first_run(
    write_images: WriteImages,
    tmp_path: Path,
    tiny_model: str,
    poisoned: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    archive = write_images(120)
    sleepers = poison(archive, b"SLEEP", b"SLEEP")
    flags = ("--image_timeout", "2", "--max_failed_fraction", "0.1")
    assert score_here(archive, tiny_model, tmp_path / "night", *flags) == 0
    assert capfd.readouterr().err == ""
    failed = {row["key"]: row["error_code"] for row in rows_of(tmp_path / "night") if row["status"] == "failed"}
    assert failed == {str(path): "DEADLINE_EXCEEDED" for path in sleepers}
    assert len(rows_of(tmp_path / "night")) == 120
