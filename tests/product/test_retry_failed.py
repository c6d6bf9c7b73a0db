"""--retry_failed: the images that have failed rows are scored again, and nothing else is."""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WriteImages, rows_of

from pipeline.beam import job, transforms
from pipeline.output import plan_file
from pipeline.output.run import Run
from pipeline.output.verify import verify
from pipeline.scoring import planning
from pipeline.scoring.prepare import prepare
from pipeline.scoring.process_pool import processes

IMAGES, FAILS = 130, 20


@pytest.fixture
def decoded(poisoned: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file with a byte for each image that is decoded."""
    count = tmp_path / "decoded"
    poisoned.setenv("DECODED", str(count))
    return count


def score(archive: Path, model: str, output: Path, *flags: str) -> dict[str, Any]:
    flags = ("--input", str(archive), "--model", model, "--output", str(output), "--no_canary", *flags)
    asked = job.parse([*flags, "--unit_images", "40", "--max_failed_fraction", "1"])
    return job.run_job(asked, prepare(asked.options))


def as_folder(folder: Path) -> Path:
    return folder


def as_tar(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "tar", folder))


def as_compressed_tar(folder: Path) -> Path:
    with tarfile.open(f"{folder}.tar.gz", "w:gz") as tar:
        tar.add(folder, ".")
    return Path(f"{folder}.tar.gz")


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("pack", "form"),
    [
        (as_folder, "parquet"),
        (as_tar, "jsonl"),
        (as_compressed_tar, "parquet"),
    ],
)
def test_images_that_failed_for_a_reason_that_is_gone_are_mended(
    write_images: WriteImages,
    tiny_model: str,
    tmp_path: Path,
    poisoned: pytest.MonkeyPatch,
    decoded: Path,
    pack: Callable[[Path], Path],
    form: str,
) -> None:
    folder = write_images(IMAGES)
    doomed = sum(zlib.crc32(file.read_bytes()) % FAILS == 0 for file in folder.rglob("*.png"))
    assert 0 < doomed < IMAGES
    archive = pack(folder)
    flags = ("--format", form)
    score(archive, tiny_model, tmp_path / "calm", *flags)
    poisoned.setenv("DECODE_FAILS", str(FAILS))
    processes().close()
    first = score(archive, tiny_model, tmp_path / "night", *flags)
    poisoned.delenv("DECODE_FAILS")
    processes().close()
    assert first["failed"] == doomed
    plain = score(archive, tiny_model, tmp_path / "night", *flags)
    assert (plain["failed"], plain["scored"]) == (doomed, 0)
    decoded.write_bytes(b"")
    retried = score(archive, tiny_model, tmp_path / "night", *flags, "--retry_failed")
    again = IMAGES if pack is as_compressed_tar else doomed  # of that only reading tells which row is which: all anew
    assert decoded.stat().st_size == again
    assert (retried["failed"], retried["scored"], retried["kept"]) == (0, again, IMAGES - again)
    assert close(rows_of(tmp_path / "night"), rows_of(tmp_path / "calm"))
    assert verify(str(tmp_path / "night")).findings == []


def close(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> bool:
    """Return whether rows are equal but for the low bits of their scores, which depend on the batch."""
    scores = [[[row["score"], row["label_score"]] for row in rows] for rows in (some, others)]
    exact = [[(row["key"], row["label"], row["predicted"], row["status"]) for row in rows] for rows in (some, others)]
    return exact[0] == exact[1] and np.allclose(*scores, atol=1e-5)


@pytest.mark.heavy
def test_image_that_fails_again_keeps_its_row(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, decoded: Path
) -> None:
    archive = write_images(90)
    broken = sorted(archive.rglob("*.png"))[50]
    broken.write_bytes(b"broken")
    score(archive, tiny_model, tmp_path / "night")
    before = rows_of(tmp_path / "night")
    decoded.write_bytes(b"")
    record = score(archive, tiny_model, tmp_path / "night", "--retry_failed")
    assert (decoded.stat().st_size, record["scored"], record["failed"]) == (1, 1, 1)
    assert rows_of(tmp_path / "night") == before


@pytest.mark.heavy
def test_image_that_was_mended_is_a_new_image_and_needs_no_flag(
    write_images: WriteImages, tiny_model: str, tmp_path: Path
) -> None:
    archive = write_images(90)
    broken = sorted(archive.rglob("*.png"))[50]
    whole = broken.read_bytes()
    broken.write_bytes(b"broken")
    assert score(archive, tiny_model, tmp_path / "night")["failed"] == 1
    broken.write_bytes(whole)
    record = score(archive, tiny_model, tmp_path / "night")
    assert record["failed"] == 0
    assert 0 < record["scored"] <= 40
    assert record["units_scored"] == 1


@pytest.mark.heavy
def test_image_that_is_replaced_while_it_is_read_is_a_failed_row_that_the_next_run_heals(
    write_images: WriteImages, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_images(90)
    replaced = sorted(archive.rglob("*.png"))[50]
    pin = planning.pin

    def pin_then_replace(run: Run) -> plan_file.PlanTotals:
        totals = pin(run)
        os.utime(replaced, ns=(1, 1))
        return totals

    with monkeypatch.context() as patch:
        patch.setattr(transforms, "pin", pin_then_replace)
        assert score(archive, tiny_model, tmp_path / "night")["failed"] == 1
    failed = [(row["key"], row["error_code"]) for row in rows_of(tmp_path / "night") if row["status"] == "failed"]
    assert failed == [(str(replaced), "FAILED_PRECONDITION")]
    record = score(archive, tiny_model, tmp_path / "night")
    assert (record["failed"], record["units_scored"]) == (0, 1)
