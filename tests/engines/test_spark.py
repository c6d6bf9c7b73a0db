"""The same job on Spark: whether it runs, and gives the rows of the local runner."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import WriteImages, rows_of
from engine_processes import Spark, spark  # noqa: F401 - a fixture

from pipeline.cli import score
from pipeline.output.verify import verify

pytestmark = pytest.mark.flink


def test_rows_are_those_of_the_local_runner(
    spark: Spark,  # noqa: F811
    write_images: WriteImages,
    tiny_model: str,
    tmp_path: Path,
) -> None:
    archive = write_images(400)
    (archive / "3" / "broken.png").write_bytes(b"broken")
    places = ["--input", str(archive), "--model", tiny_model, "--unit_images", "40"]
    assert score.main([*places, "--output", str(tmp_path / "here")]) == 0
    assert score.main([*places, "--output", str(tmp_path / "night"), *spark.flags()]) == 0
    some, others = [
        sorted((row["key"], row["predicted"], row["status"]) for row in rows_of(tmp_path / name))
        for name in ("here", "night")
    ]
    assert some == others
    assert len(some) == 401
    assert verify(str(tmp_path / "night")).findings == []
