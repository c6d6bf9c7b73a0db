"""The tests that define the product: the real job, on DirectRunner, against a naive loop."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SCHEMA, WriteImages, rows_of
from PIL import Image

from model_training.data.datasets import RawImages
from pipeline.cli import score as cli
from pipeline.output.rows import read_part
from pipeline.output.verify import verify


def score(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


def naive_loop(model: str, files: list[Path]) -> list[dict[str, Any]]:
    """Open, resize, predict, one by one."""
    import tensorflow as tf

    function = tf.saved_model.load(f"{model}/saved_model").signatures["serving_default"]
    rows = []
    for file in files:
        pixels = np.asarray(Image.open(file).convert("L").resize((28, 28), Image.Resampling.BILINEAR))
        (scores,) = function(tf.constant(pixels[None, :, :, None])).values()
        best = int(np.argmax(scores[0]))
        rows.append(
            {"key": str(file), "predicted": best, "score": float(scores[0, best]), "label": int(file.parent.name)}
        )
    return rows


def summary_of(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / "summary.json").read_text())
    return content


def test_pipeline_over_many_tiny_units_equals_a_naive_loop(
    tiny_model: str, write_images: WriteImages, tmp_path: Path
) -> None:
    archive = write_images(100)
    assert score("--input", archive, "--model", tiny_model, "--output", tmp_path / "night", "--unit_images", 7) == 0
    expected = naive_loop(tiny_model, sorted(archive.rglob("*.png")))
    rows = rows_of(tmp_path / "night")
    assert [row["key"] for row in rows] == [row["key"] for row in expected]
    assert [row["predicted"] for row in rows] == [row["predicted"] for row in expected]
    assert [row["label"] for row in rows] == [row["label"] for row in expected]
    np.testing.assert_allclose([r["score"] for r in rows], [r["score"] for r in expected], atol=1e-5)
    right = sum(row["predicted"] == row["label"] for row in expected)
    assert summary_of(tmp_path / "night")["accuracy"] == right / 100
    assert len(os.listdir(tmp_path / "night" / "predictions")) > 14


def test_same_images_as_files_and_as_records_give_the_same_predictions(
    tiny_model: str, write_images: WriteImages, write_records: WriteImages, tmp_path: Path, digits: RawImages
) -> None:
    inputs = [write_images(60), write_records(60), write_records(60, "z.tfrecord.gz", "GZIP")]
    flags = [f for path in inputs for f in ("--input", path)]
    assert score(*flags, "--model", tiny_model, "--output", tmp_path / "night", "--unit_images", 32) == 0
    rows = rows_of(tmp_path / "night")
    assert len(rows) == 180
    files = {int(Path(r["key"]).stem): r for r in rows if r["key"].endswith(".png")}
    for name in ("digits.tfrecord", "z.tfrecord.gz"):
        records = [row for row in rows if f"{name}#" in row["key"]]
        assert [row["key"] for row in records] == [f"{tmp_path / name}#{i}" for i in range(60)]
        for i, row in enumerate(records):
            assert (row["label"], row["predicted"]) == (digits.labels[i], files[i]["predicted"])
            assert abs(row["score"] - files[i]["score"]) < 1e-5


@pytest.mark.heavy
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_second_run_keeps_every_byte_and_never_imports_tensorflow(
    tiny_model: str, write_images: WriteImages, tmp_path: Path, form: str
) -> None:
    archive, night = write_images(50), tmp_path / "night"
    arguments = ["--input", archive, "--model", tiny_model, "--output", night, "--unit_images", 20, "--format", form]
    assert score(*arguments) == 0
    kept = ("predictions", "receipts", "summary.json", "table.txt")
    before = {p: p.read_bytes() for name in kept for p in (night / name, *(night / name).glob("*")) if p.is_file()}
    program = (
        "import sys; from pipeline.cli.score import main; code = main(sys.argv[1:]); "
        "print('tensorflow' in sys.modules); sys.exit(code)"
    )
    again = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == "False"
    assert "50 kept from earlier runs" in again.stdout
    assert {p: p.read_bytes() for p in before} == before
    assert sorted(p.name for p in night.rglob("*.tmp")) == []


def test_broken_images_are_rows_and_change_no_other_row(
    tiny_model: str, write_images: WriteImages, write_records: WriteImages, tmp_path: Path
) -> None:
    archive = write_images(60)
    assert score("--input", archive, "--model", tiny_model, "--output", tmp_path / "clean") == 0
    good = (archive / "0" / "00000.png").read_bytes()
    broken = {
        "cut.png": good[:50],
        "empty.png": b"",
        "page.jpg": b"<html>404</html>",
        "flip.png": good[:45] + bytes([good[45] ^ 255]) + good[46:],
    }
    for name, data in broken.items():
        (archive / "5" / name).write_bytes(data)
    code = score(
        "--input", archive, "--model", tiny_model, "--output", tmp_path / "dirty", "--max_failed_fraction", 0.1
    )
    assert code == 0
    rows = rows_of(tmp_path / "dirty")
    failed = {Path(row["key"]).name: row for row in rows if row["status"] == "failed"}
    assert set(failed) == set(broken)
    assert all(row["error_stage"] == "preprocess" and row["error_message"] for row in failed.values())
    assert all(row["predicted"] is None and row["label"] == 5 for row in failed.values())
    fields = ("key", "label", "predicted", "status")
    clean = [[row[f] for f in fields] for row in rows_of(tmp_path / "clean")]
    assert [[row[f] for f in fields] for row in rows if row["status"] == "ok"] == clean
    summary = summary_of(tmp_path / "dirty")
    assert (summary["images"], summary["failed"]) == (64, 4)
    assert sum(f["images"] for f in summary["failures"]) == 4


@pytest.mark.heavy
def test_archive_of_broken_images_is_stopped_by_the_canary(
    tiny_model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive, night = tmp_path / "archive", tmp_path / "night"
    archive.mkdir()
    for i in range(5):
        (archive / f"{i}.png").write_bytes(b"no image")
    arguments = ("--input", archive, "--model", tiny_model, "--output", night)
    assert score(*arguments) == 3
    err = capfd.readouterr().err
    assert "5 of the 5 images that were tried first failed" in err
    assert "not a PNG" in err
    assert not (night / "predictions").exists()
    assert score(*arguments, "--no_canary") == 3
    assert [row["status"] for row in rows_of(night)] == ["failed"] * 5
    assert "--max_failed_fraction" in capfd.readouterr().err


@pytest.mark.heavy
def test_missed_quality_gate_exits_4_with_everything_committed(
    tiny_model: str, write_images: WriteImages, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive, night = write_images(30), tmp_path / "night"
    for name in ("0", "2", "4", "6", "8"):  # some of these images were not seen in training
        for image in list((archive / name).iterdir()):
            shutil.move(image, archive / str(int(name) + 1))
    arguments = ("--input", archive, "--model", tiny_model, "--output", night)
    assert score(*arguments, "--min_accuracy", 1.0) == 4
    assert re.search(r"accuracy of unseen images is 0\.\d+, less than --min_accuracy 1\n", capfd.readouterr().err)
    assert len(rows_of(night)) == 30
    assert score(*arguments, "--min_accuracy", 0.01) == 0
    assert score(*arguments, "--labels", "none", "--min_accuracy", 0.5) == 4


@pytest.mark.heavy
def test_changed_archive_scores_only_the_units_it_touches_and_is_described_as_it_is_now(
    tiny_model: str, write_images: WriteImages, tmp_path: Path
) -> None:
    archive, night, fresh = write_images(400), tmp_path / "night", tmp_path / "fresh"
    arguments = ("--input", archive, "--model", tiny_model, "--unit_images", 20, "--output")
    assert score(*arguments, night) == 0
    before = parts_of(night)
    write_images(4, start=1000)  # grows by one percent
    images = sorted(archive.rglob("*.png"))
    for lost in images[50::100]:
        lost.unlink()
    for other in images[70::200]:  # written anew, with the content of another
        other.write_bytes(images[0].read_bytes())
    assert score(*arguments, night) == 0
    assert score(*arguments, fresh) == 0
    record, after = record_of(night), parts_of(night)
    new = after.keys() - before.keys()
    assert (record["units_scored"], record["units_kept"]) == (len(new), len(after.keys() & before.keys()))
    assert 0 < len(new) <= 2 * (4 + 4 + 2) < len(before)
    assert record["scored"] == sum(after[part] for part in new)
    assert record["kept"] == 400 - record["scored"] == sum(after[part] for part in after.keys() & before.keys())
    assert set(os.listdir(night / "predictions")) == after.keys()
    assert [row["key"] for row in rows_of(night)] == sorted(map(str, archive.rglob("*.png")))
    assert rows_of(night) == rows_of(fresh)
    for name in ("summary.json", "table.txt"):
        assert (night / name).read_text() == (fresh / name).read_text().replace(str(fresh), str(night))
    assert verify(str(night)).findings == []


def record_of(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / "run.json").read_text())
    return content


def parts_of(output: Path) -> dict[str, int]:
    """Rows by the name of the part, for the parts that the table names."""
    parts = [Path(line) for line in (output / "table.txt").read_text().splitlines()]
    return {part.name: len(read_part(part.read_bytes(), "parquet", SCHEMA)) for part in parts}


@pytest.mark.heavy
def test_limit_scores_the_first_images_and_the_whole_run_goes_on_from_there(
    tiny_model: str, write_images: WriteImages, write_records: WriteImages, tmp_path: Path
) -> None:
    archive, records, night = write_images(40), write_records(40, "r.tfrecord.gz", "GZIP"), tmp_path / "night"
    arguments = ("--input", archive, "--input", records, "--model", tiny_model, "--output", night, "--unit_images", 16)
    assert score(*arguments, "--limit", 45) == 0
    assert len(rows_of(night)) == 45
    assert score(*arguments) == 0
    assert len(rows_of(night)) == 80
    assert json.loads((night / "run.json").read_text())["kept"] >= 40


def test_awkward_names_are_scored_and_keyed(tiny_model: str, digits: RawImages, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "archive") + "/ü #%41\n".encode() + b"\xff"
    os.makedirs(folder)
    names = [b"a b.png", "日本.png".encode(), b"x%20y.png", b"\xfe.png", b"[1].png", b"UPPER.PNG"]
    for i, name in enumerate(names):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(digits.encoded(i))
    assert score("--input", tmp_path / "archive", "--model", tiny_model, "--output", tmp_path / "night") == 0
    keys = {row["key"] for row in rows_of(tmp_path / "night")}
    assert len(keys) == len(names)
    assert f"{tmp_path}/archive/ü #%2541\n%FF/%FE.png" in keys


@pytest.mark.heavy
def test_folder_whose_name_is_not_utf8_is_scored_and_verified(
    tiny_model: str, digits: RawImages, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive, night = os.fsdecode(os.fsencode(tmp_path) + b"/in \xff"), str(tmp_path / "night")
    os.makedirs(archive)
    Path(archive, "1.png").write_bytes(digits.encoded(1))
    assert score("--input", archive, "--model", tiny_model, "--output", night) == 0
    assert "night/report.html" in capfd.readouterr().out
    (part,) = Path(night, "table.txt").read_bytes().splitlines()
    assert os.path.exists(part)
    assert verify(night).findings == []
