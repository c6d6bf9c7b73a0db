"""--precision bfloat16, end to end: float32's classes, coarser scores, results of their own."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WriteImages, rows_of
from PIL import Image

from model_training.data.datasets import RawImages
from pipeline.cli import score as cli
from pipeline.machine import CPUINFO, has_bfloat16
from pipeline.model.engines.tensorflow import TensorFlowNetwork
from pipeline.output.verify import verify

pytestmark = pytest.mark.skipif(not has_bfloat16(Path(CPUINFO).read_text()), reason="no such CPU")


def score(archive: Path, model: str, output: Path, *flags: str) -> dict[str, Any]:
    """Score, verify, and return the run's record."""
    assert cli.main(["--input", str(archive), "--model", model, "--output", str(output), *flags]) == 0
    assert verify(str(output)).findings == []
    record: dict[str, Any] = json.loads((output / "run.json").read_text())
    return record


@pytest.fixture
def archive(write_images: WriteImages, digits: RawImages, tmp_path: Path) -> Path:
    """100 digits, and 300 pairs of them laid over each other."""
    folder = write_images(100)
    for i in range(300):
        one, other = (Image.open(io.BytesIO(digits.encoded(number))) for number in (i, i + 300))
        Image.blend(one, other, 0.4 + 0.02 * (i % 10)).save(folder / f"pair-{i:03d}.png")
    return folder


@pytest.mark.heavy
def test_classes_are_those_of_float32_and_the_rescored_are_counted(
    archive: Path, tiny_model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = score(archive, tiny_model, tmp_path / "float32", "--engine", "tensorflow")
    assert plain["rescored"] == 0
    assert "scored again" not in capfd.readouterr().out
    record = score(archive, tiny_model, tmp_path / "bfloat16", "--precision", "bfloat16", "--unit_images", "50")
    exact, coarse = rows_of(tmp_path / "float32"), rows_of(tmp_path / "bfloat16")
    assert [(r["key"], r["predicted"]) for r in coarse] == [(r["key"], r["predicted"]) for r in exact]
    same = sum(a["score"] == b["score"] for a, b in zip(exact, coarse, strict=True))
    assert 0 < record["rescored"] <= same < 400
    assert max(abs(a["score"] - b["score"]) for a, b in zip(exact, coarse, strict=True)) < 5e-2
    line = f"precision    bfloat16, {record['rescored']} of 400 images scored again in float32"
    assert line in capfd.readouterr().out.splitlines()
    assert (
        f"{record['rescored']} images, too close to tell in bfloat16"
        in (tmp_path / "bfloat16" / "report.html").read_text()
    )
    pixels = np.stack([np.asarray(Image.open(r["key"]).resize((28, 28), Image.Resampling.BILINEAR)) for r in exact])
    alone = TensorFlowNetwork(f"{tiny_model}/saved_model", (28, 28, 1), "bfloat16")(pixels[..., None]).scores
    best = np.sort(alone, axis=1)
    assert record["rescored"] == (best[:, -1] - best[:, -2] < 0.1).sum()


@pytest.mark.heavy
def test_rerun_scores_nothing_again_and_its_summary_is_the_same_to_the_byte(
    archive: Path, tiny_model: str, tmp_path: Path
) -> None:
    night = tmp_path / "night"
    first = score(archive, tiny_model, night, "--precision", "bfloat16")
    summary = (night / "summary.json").read_bytes()
    assert json.loads(summary)["precision"] == "bfloat16"
    again = score(archive, tiny_model, night, "--precision", "bfloat16")
    assert first["rescored"] > 0
    assert (again["scored"], again["rescored"], again["kept"]) == (0, 0, 400)
    assert (night / "summary.json").read_bytes() == summary


@pytest.mark.heavy
def test_another_precision_into_the_same_output_scores_anew_and_replaces_the_rows(
    archive: Path, tiny_model: str, tmp_path: Path
) -> None:
    night = tmp_path / "night"
    score(archive, tiny_model, tmp_path / "other", "--engine", "tensorflow")
    score(archive, tiny_model, night, "--precision", "bfloat16")
    record = score(archive, tiny_model, night)
    assert (record["scored"], record["kept"], record["rescored"]) == (400, 0, 0)
    assert rows_of(night) == rows_of(tmp_path / "other")
    files = [p for p in (tmp_path / "other").rglob("*") if p.name == "summary.json" or p.parent.name == "predictions"]
    assert len(files) >= 2
    for file in files:
        assert (night / file.relative_to(tmp_path / "other")).read_bytes() == file.read_bytes()
    assert len(list((night / "predictions").iterdir())) == len(files) - 1
