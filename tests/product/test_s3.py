"""Whole nights in an S3 bucket: model, input and OUTPUT lie there; now and then it fails, or the run is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from conftest import SCHEMA, WriteImages, rows_of
from s3_server import S3Server

from pipeline import storage
from pipeline.cli import score, status, verify
from pipeline.output.rows import read_part


def upload(folder: str | Path, location: str) -> None:
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            storage.replace(f"{location}/{path.relative_to(folder)}", path.read_bytes())


def rows_at(output: str, archive: str) -> list[tuple[Any, ...]]:
    """Return what does not depend on where the archive lies, or in which batch an image was scored."""
    parts = storage.read(f"{output}/table.txt").decode().splitlines()
    rows = pa.concat_tables([read_part(storage.read(part), "parquet", SCHEMA) for part in parts]).to_pylist()
    return comparable(rows, archive)


def comparable(rows: list[dict[str, Any]], archive: str) -> list[tuple[Any, ...]]:
    return sorted((r["key"].removeprefix(archive), r["label"], r["predicted"], r["status"]) for r in rows)


def flags(model: str, archive: str, night: str, *more: str) -> list[str]:
    return ["--model", model, "--input", archive, "--output", night, "--unit_images", "20", *more]


def stored_twice(archive: Path, model: str, bucket: str, tmp_path: Path) -> object:
    """Score an archive on disk, put it into a bucket, and return the rows that it shall have there."""
    assert score.main(flags(model, str(archive), str(tmp_path / "disk"))) == 0
    upload(archive, f"{bucket}/archive")
    return comparable(rows_of(tmp_path / "disk"), str(archive))


@pytest.mark.heavy
def test_model_input_and_output_in_a_bucket_give_the_rows_of_a_disk(
    s3_bucket: str, write_images: WriteImages, tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = stored_twice(write_images(60), tiny_model, s3_bucket, tmp_path)
    upload(tiny_model, f"{s3_bucket}/model")
    night = f"{s3_bucket}/night"
    command = flags(f"{s3_bucket}/model", f"{s3_bucket}/archive", night)
    assert score.main(command) == 0
    assert rows_at(night, f"{s3_bucket}/archive") == expected
    assert verify.main([night]) == 0
    capsys.readouterr()
    assert score.main(command) == 0
    assert "0 scored" in (said := capsys.readouterr().out) or "60 kept" in said or "already" in said
    storage.replace(f"{s3_bucket}/archive/0/00000.png", b"no image any more")
    assert score.main([*command, "--max_failed_fraction", "0.5"]) == 0
    assert [row[-1] for row in rows_at(night, f"{s3_bucket}/archive")].count("failed") == 1


@pytest.mark.heavy
def test_bucket_that_fails_now_and_then_gives_all_rows(
    s3_bucket: str, s3_server: S3Server, write_images: WriteImages, tiny_model: str, tmp_path: Path
) -> None:
    expected = stored_twice(write_images(120), tiny_model, s3_bucket, tmp_path)
    s3_server.trouble = (0.1, Random(5))
    before = len(s3_server.requests)
    assert score.main(flags(tiny_model, f"{s3_bucket}/archive", f"{s3_bucket}/night")) == 0
    assert verify.main([f"{s3_bucket}/night"]) == 0
    s3_server.trouble = None
    assert len(s3_server.requests) - before > 200
    assert rows_at(f"{s3_bucket}/night", f"{s3_bucket}/archive") == expected


@pytest.mark.heavy
def test_run_that_is_killed_goes_on_where_it_was(
    s3_bucket: str, s3_server: S3Server, write_images: WriteImages, tiny_model: str, tmp_path: Path
) -> None:
    expected = stored_twice(write_images(200), tiny_model, s3_bucket, tmp_path)
    night = f"{s3_bucket}/night"
    command = flags(tiny_model, f"{s3_bucket}/archive", night)
    s3_server.latency = 0.02
    with subprocess.Popen([sys.executable, "-m", "nightscore", "score", *command], start_new_session=True) as run:
        deadline = time.monotonic() + 120
        while sum("/receipts/" in stored.location for stored in storage.list_objects(night)) < 3:
            assert time.monotonic() < deadline
            assert run.poll() is None, "it was done before it could be killed"
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGKILL)
    s3_server.latency = 0
    kept = {stored.location for stored in storage.list_objects(f"{night}/receipts/")}
    assert status.main([night]) in (0, 3)
    assert score.main(command) == 0
    assert kept <= {stored.location for stored in storage.list_objects(f"{night}/receipts/")}
    assert verify.main([night]) == 0
    assert rows_at(night, f"{s3_bucket}/archive") == expected
