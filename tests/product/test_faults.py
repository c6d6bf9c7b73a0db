"""Storage that fails, in whole runs: now and then, in one place, everywhere, and for want of space."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import MakeRun, WriteImages, rows_of
from gcs_emulator import Emulator
from permissions import nobody
from small_disk import mounted

from pipeline import storage
from pipeline.beam import job
from pipeline.cli import score as cli
from pipeline.errors import NoSpaceError, StoreDownError, TransientError
from pipeline.output import plan_file
from pipeline.output.commit import committed
from pipeline.output.receipts import Receipt, Unfinished
from pipeline.output.run import Run
from pipeline.scoring import already_done, planning
from pipeline.scoring.prepare import prepare
from pipeline.scoring.process_pool import processes
from pipeline.scoring.score import score
from pipeline.sources.skipped import Skipped
from pipeline.storage.base import StoredObject
from pipeline.storage.gcs import GcsStore
from pipeline.storage.local import LocalStore
from pipeline.storage.retry import PatientStore
from pipeline.units import WorkUnit

SOME = 0.1
"""Of all requests, in a bad night."""

FOR_EVER = 10**9


def units_of(run: Run) -> list[WorkUnit]:
    return list(planning.units_of(run, Skipped()))


def night_of(model: str, output: Path | str, *inputs: Path | str, **options: Any) -> tuple[dict[str, Any], Run]:
    """Score with the real pipeline; return the record and the run."""
    flags = [f"--{name}={value}" for name, value in {"model": model, "output": output, **options}.items()]
    asked = job.parse([*(f"--input={place}" for place in inputs), *flags])
    run = prepare(asked.options)
    return job.run_job(asked, run), run


def upload(folder: Path, to: str) -> None:
    for path in folder.rglob("*.png"):
        storage.create(f"{to}/{path.relative_to(folder)}", path.read_bytes())


def comparable(rows: Sequence[dict[str, Any]], root: str) -> list[tuple[Any, ...]]:
    """Return rows without what depends on where the archive lies, or in which batch an image was scored."""
    return sorted((r["key"].removeprefix(root), r["label"], r["predicted"], r["status"], r["error_code"]) for r in rows)


def rows_at(output: str) -> list[dict[str, Any]]:
    from conftest import SCHEMA

    from pipeline.output.rows import read_part

    parts = storage.read(f"{output}/table.txt").decode().splitlines()
    return [row for part in parts for row in read_part(storage.read(part), "parquet", SCHEMA).to_pylist()]


# --- now and then


@pytest.mark.heavy
def test_run_on_a_bucket_that_fails_now_and_then_is_complete(
    gcs_bucket: str, emulator: Emulator, write_images: WriteImages, tiny_model: str, tmp_path: Path
) -> None:
    archive = write_images(120)
    night_of(tiny_model, tmp_path / "calm", archive)
    upload(archive, f"{gcs_bucket}/archive")
    emulator.trouble = (SOME, Random(4))
    before = len(emulator.requests)
    record, _ = night_of(tiny_model, f"{gcs_bucket}/night", f"{gcs_bucket}/archive", unit_images=16)
    asked = len(emulator.requests) - before
    emulator.trouble = None
    assert record["verdict"] == {"exit_code": 0, "reasons": []}
    assert asked > 200
    assert comparable(rows_at(f"{gcs_bucket}/night"), f"{gcs_bucket}/archive") == comparable(
        rows_of(tmp_path / "calm"), str(archive)
    )


class FaultyDisk(LocalStore):
    """A disk of which a share of all calls fails, before or after it took effect."""

    def __init__(self, share: float, seed: int) -> None:
        self.share, self.choose = share, Random(seed)
        self.failed = 0

    def _call(self, verb: Callable[[], Any]) -> Any:
        fails, after = self.choose.random() < self.share, self.choose.random() < 0.5
        result = verb() if not fails or after else None
        if fails:
            self.failed += 1
            raise TransientError(os.strerror(errno.EIO))
        return result

    def list(self, pattern: str) -> Iterator[StoredObject]:
        breaks_off = self.choose.randrange(50) if self.choose.random() < self.share else None
        for i, found in enumerate(super().list(pattern)):
            if i == breaks_off:
                self.failed += 1
                raise TransientError(os.strerror(errno.EIO))
            yield found

    def read(self, location: str, start: int = 0, stop: int | None = None, version: int | None = None) -> bytes:
        found: bytes = self._call(lambda: LocalStore.read(self, location, start, stop, version))
        return found

    def create(self, location: str, data: bytes) -> bool:
        created: bool = self._call(lambda: LocalStore.create(self, location, data))
        return created

    def replace(self, location: str, data: bytes) -> None:
        self._call(lambda: LocalStore.replace(self, location, data))

    def delete(self, location: str, version: int | None = None) -> None:
        self._call(lambda: LocalStore.delete(self, location, version))


@pytest.mark.heavy
def test_run_on_a_disk_that_fails_now_and_then_is_complete_and_the_same(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, poisoned: pytest.MonkeyPatch
) -> None:
    archive = write_images(100)
    calm, _ = night_of(tiny_model, tmp_path / "calm", archive, unit_images=8)
    disk = FaultyDisk(SOME, 7)
    poisoned.setattr(storage, "_local", lambda: PatientStore(disk))
    poisoned.setenv("READ_FAILS", "10")
    processes().close()
    record, _ = night_of(tiny_model, tmp_path / "night", archive, unit_images=8)
    poisoned.undo()
    assert disk.failed >= 5
    assert record["verdict"] == calm["verdict"] == {"exit_code": 0, "reasons": []}
    assert rows_of(tmp_path / "night") == rows_of(tmp_path / "calm")
    assert not list((tmp_path / "night").rglob("*.tmp"))


# --- in one place


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client library that does not try again by itself, so that only our patience counts."""
    monkeypatch.setattr(storage, "_gcs", lambda: PatientStore(GcsStore(retry_seconds=0)))
    monkeypatch.setenv("IMPATIENT", "0")


@pytest.mark.heavy
@pytest.mark.usefixtures("quick")
def test_prefix_that_is_down_leaves_its_units_unfinished_and_the_rerun_completes(
    gcs_bucket: str, emulator: Emulator, write_images: WriteImages, tiny_model: str, tmp_path: Path
) -> None:
    for name, start in (("up", 0), ("down", 40)):
        upload(write_images(40, name, start), f"{gcs_bucket}/{name}")
    places = [f"{gcs_bucket}/{name}" for name in ("up", "down")]
    emulator.fail("/o/down/", times=FOR_EVER)
    record, run = night_of(tiny_model, tmp_path / "night", *places, unit_images=10, retry_deadline=0.5)
    units = units_of(run)
    down = {unit.id for unit in units if f"{gcs_bucket}/down" in unit.locations[0]}
    assert committed(run) == {unit.id for unit in units} - down
    assert (record["complete"], record["unfinished_units"], record["images"]) == (False, len(down), 40)
    (reason,) = record["verdict"]["reasons"]
    assert record["verdict"]["exit_code"] == 3
    assert reason.startswith(f"{len(down)} units are unfinished (HTTP 503 at '{gcs_bucket}/down/")
    assert reason.endswith("rerun to finish them")
    assert not (tmp_path / "night" / "table.txt").exists()
    emulator.faults.clear()
    record, _ = night_of(tiny_model, tmp_path / "night", *places, unit_images=10)
    assert (record["complete"], record["scored"], record["kept"]) == (True, 40, 40)
    assert len(rows_of(tmp_path / "night")) == 80


# --- everywhere


@pytest.mark.usefixtures("quick")
@pytest.mark.heavy
def test_bucket_that_answers_nobody_ends_the_run_and_what_is_committed_stays(
    gcs_bucket: str, emulator: Emulator, write_images: WriteImages, make_run: MakeRun
) -> None:
    upload(write_images(60), f"{gcs_bucket}/archive")
    run = make_run(f"{gcs_bucket}/archive", unit_images=10, retry_deadline=0.2)
    units = units_of(run)
    emulator.fail(units[-1].locations[-1].removeprefix(gcs_bucket), times=FOR_EVER)  # so that not all is read ahead
    outcomes = score(units, run)
    first = next(outcomes)
    assert isinstance(first, Receipt)
    emulator.fail("", times=FOR_EVER)
    with pytest.raises(StoreDownError, match=f"HTTP 503 at '{gcs_bucket}/archive/.*', and nothing else answers there"):
        list(outcomes)
    assert first.unit in committed(run)
    emulator.faults.clear()
    assert all(isinstance(outcome, Receipt) for outcome in score(units, run))


@pytest.mark.heavy
@pytest.mark.usefixtures("quick")
def test_bucket_that_answers_nobody_is_one_line_and_exit_code_3(
    gcs_bucket: str,
    emulator: Emulator,
    write_images: WriteImages,
    tiny_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    upload(write_images(20), f"{gcs_bucket}/archive")
    pin = planning.pin

    def pin_then_fail(run: Run) -> plan_file.PlanTotals:
        totals = pin(run)
        emulator.fail("", times=FOR_EVER)
        return totals

    monkeypatch.setattr(already_done, "pin", pin_then_fail)
    flags = ["--model", tiny_model, "--output", str(tmp_path / "night"), "--retry_deadline", "0.2", "--no_canary"]
    assert cli.main(["--input", f"{gcs_bucket}/archive", *flags]) == 3
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"nightscore score: storage fails: HTTP 503 at '{gcs_bucket}/archive/")
    assert line.endswith("', and nothing else answers there; what is committed stays, run the same command to go on")


# --- for want of space


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    with mounted(tmp_path / "small", "200k") as folder:
        yield folder


@pytest.mark.heavy
def test_full_disk_is_one_line_leaves_no_half_part_and_can_be_resumed(
    small_disk: Path, write_images: WriteImages, tiny_model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive = write_images(250)
    (small_disk / "ballast").write_bytes(bytes(110_000))
    night = small_disk / "night"
    flags = ["--input", str(archive), "--model", tiny_model, "--output", str(night), "--unit_images", "20"]
    assert cli.main(flags) == 3
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"nightscore score: storage fails: No space left on device at '{night}/")
    assert line.endswith("': free some space; what is committed stays, run the same command to go on")
    done = [path.stem.removeprefix("part-") for path in (night / "predictions").glob("*.parquet")]
    assert done, "whole ones: a part without a receipt is adopted"
    assert not list(night.rglob(".*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert cli.main(flags) == 0
    record = json.loads((night / "run.json").read_text())
    images = {unit.id: unit.images or 0 for unit in units_of(Run.from_record(record))}
    assert record["kept"] == sum(images[unit] for unit in done)
    night_of(tiny_model, tmp_path / "calm", archive, unit_images=20)
    assert rows_of(night) == rows_of(tmp_path / "calm")


def test_output_that_must_not_be_written_is_refused_before_the_work(
    open_folder: Path,
    write_images: WriteImages,
    tiny_model: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    archive = Path(shutil.copytree(write_images(20), open_folder / "archive"))
    model = Path(shutil.copytree(tiny_model, open_folder / "model"))
    night = open_folder / "night"
    night.mkdir(mode=0o555)
    with nobody():
        assert cli.main(["--input", str(archive), "--model", str(model), "--output", str(night)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"nightscore score: --output '{night}' cannot be written: ")
    assert os.listdir(night) == []


def test_disk_that_is_mounted_read_only_is_refused_before_the_work(
    small_disk: Path, write_images: WriteImages, tiny_model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert cli.main(["--input", str(write_images(20)), "--model", tiny_model, "--output", str(small_disk / "n")]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "cannot be written: " in line
    assert "Read-only file system" in line


def test_receipts_are_not_lost_to_a_disk_that_fills_up_between_part_and_receipt(
    write_images: WriteImages, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(write_images(60), unit_images=10)
    units = units_of(run)
    create = LocalStore.create

    def full(self: LocalStore, location: str, data: bytes) -> bool:
        if location == run.receipt(units[2].id):
            raise NoSpaceError("No space left on device")
        return create(self, location, data)

    monkeypatch.setattr(LocalStore, "create", full)
    with pytest.raises(NoSpaceError):
        list(score(units, run))
    assert units[2].id not in committed(run)
    assert Path(run.part(units[2].id)).exists()
    monkeypatch.undo()
    outcomes = list(score(units, run))
    assert not [outcome for outcome in outcomes if isinstance(outcome, Unfinished)]
    assert isinstance(outcomes[2], Receipt)
    assert outcomes[2].kept, "the part was adopted"
