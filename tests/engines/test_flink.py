"""The same job on a real Flink cluster: two TaskManagers, worker processes, the archive in a bucket."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SCHEMA
from engine_processes import Flink, flink  # noqa: F401 - a fixture
from gcs_emulator import Emulator, upload

from model_training.data.datasets import RawImages, raw_images
from pipeline import storage
from pipeline.beam import job
from pipeline.beam.counters import COUNTERS, NAMESPACE
from pipeline.cli import score
from pipeline.output.commit import committed
from pipeline.output.rows import read_part
from pipeline.output.verify import verify
from pipeline.scoring.prepare import prepare

pytestmark = pytest.mark.flink

IMAGES = 20_000
UNIT = "512"


@pytest.fixture(scope="module")
def images() -> RawImages:
    return raw_images("digits")


@pytest.fixture
def bucket(emulator: Emulator, gcs_bucket: str, images: RawImages, tiny_model: str) -> str:
    """A bucket with 20,000 images in class folders, a few of them broken, and the model."""

    def put(i: int) -> None:
        data = images.encoded(i % len(images.labels))
        label = images.labels[i % len(images.labels)]
        storage.create(f"{gcs_bucket}/photos/{label}/{i:05d}.png", data[:50] if i % 5_000 == 17 else data)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(IMAGES)))
    upload(Path(tiny_model), f"{gcs_bucket}/model")
    return gcs_bucket


def flags(bucket: str, output: str, *more: str) -> list[str]:
    places = [f"--input={bucket}/photos", f"--model={bucket}/model", f"--output={bucket}/{output}"]
    return [*places, f"--unit_images={UNIT}", *more]


def rows(output: str) -> list[dict[str, Any]]:
    """All rows of an OUTPUT, by key."""
    parts = storage.read(f"{output}/table.txt").decode().split()
    found = [row for part in parts for row in read_part(storage.read(part), "parquet", SCHEMA).to_pylist()]
    return sorted(found, key=lambda row: str(row["key"]))


def assert_same(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """Row for row; scores but for their low bits, which depend on the batch."""
    assert len(some) == len(others) == IMAGES
    for name in ("key", "label", "predicted", "status", "error_code", "error_message"):
        assert [row[name] for row in some] == [row[name] for row in others], name
    scores = [[row["score"] if row["score"] is not None else 0 for row in rows] for rows in (some, others)]
    assert np.allclose(*scores, atol=1e-5)


def test_rows_are_those_of_the_local_runner_with_and_without_a_task_manager_that_is_lost(
    flink: Flink,  # noqa: F811
    bucket: str,
) -> None:
    assert score.main(flags(bucket, "here")) == 0
    expected = rows(f"{bucket}/here")
    count_on_calm_night(flink, bucket)
    assert_same(rows(f"{bucket}/calm"), expected)
    lose_a_task_manager(flink, bucket)
    assert_same(rows(f"{bucket}/lost"), expected)
    for output in ("calm", "lost"):
        assert verify(f"{bucket}/{output}").findings == []


def count_on_calm_night(cluster: Flink, bucket: str) -> None:
    asked = job.parse(flags(bucket, "calm", *cluster.flags()))
    result = job.start(asked, prepare(asked.options))
    assert result.wait_until_finish() == "DONE"
    ours = [c for c in result.metrics().query()["counters"] if c.key.metric.namespace == NAMESPACE]
    counters = {c.key.metric.name: c.committed for c in ours}
    assert set(counters) <= set(COUNTERS)
    assert counters["planned_images"] == IMAGES
    assert counters["images_scored"] + counters["images_failed_preprocess"] == IMAGES
    assert counters["units_committed"] == counters["planned_units"]


def lose_a_task_manager(cluster: Flink, bucket: str) -> None:
    """Score while one is killed half-way."""
    asked = job.parse(flags(bucket, "lost", *cluster.flags()))
    run = prepare(asked.options)
    at_kill: list[int] = []

    def kill_half_way() -> None:
        while (done := len(committed(run))) < IMAGES / int(UNIT) / 2:
            time.sleep(0.2)
        cluster.kill_task_manager()
        at_kill.append(done)

    thread = threading.Thread(target=kill_half_way, daemon=True)
    thread.start()
    record = job.run_job(asked, run)
    thread.join(10)
    assert record is not None
    assert record["complete"]
    assert at_kill[0] < record["plan"]["units"]
    assert cluster.exceptions_of(cluster.last_job()["jid"]) != []
