"""Models of labels, of a value, of an embedding, and of classes with one: scored end to end by both engines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mostly_heavy import mostly_heavy
from PIL import Image
from task_networks import KINDS, LABELS, function_of, labels_of

from model_training.data.datasets import RawImages
from pipeline.cli import score as cli
from pipeline.options import Engine
from pipeline.output.rows import read_part, row_schema
from pipeline.output.run import Run
from pipeline.output.verify import verify
from pipeline.scoring import arrangement

IMAGES = 30
BROKEN = {7: b"no image", 19: b""}
"""Number of a file -> its content, of those that are no images."""

ENGINES = ("litert", pytest.param("tensorflow", marks=pytest.mark.heavy))


def label_text(task: str, digit: int, number: int) -> str:
    """Return what the list of files says of an image; of a few nothing, or what no model of that task understands."""
    if number % 10 == 9:
        return ""
    if number % 10 == 8:
        return "nobody knows"
    return {"labels": "|".join(labels_of(digit)) or "[]", "value": f"{digit}.0"}.get(task, str(digit))


@pytest.fixture
def archive(tmp_path: Path, digits: RawImages, request: pytest.FixtureRequest) -> Path:
    """Write files, some of them broken, and a list of them with labels for the test's task."""
    task = request.node.callspec.params["task"]
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = ["file_name,label"]
    for i in range(IMAGES):
        (folder / f"{i:03d}.png").write_bytes(BROKEN.get(i, digits.encoded(i)))
        lines.append(f"{i:03d}.png,{label_text(task, int(digits.labels[i]), i)}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder


def score(archive: Path, model: Path, output: Path, *more: str) -> int:
    words = ["--input", str(archive / "list.csv"), "--model", str(model), "--output", str(output)]
    return cli.main([*words, "--max_failed_fraction", "0.5", "--unit_images", "8", *more])


def rows_in(output: Path) -> list[dict[str, Any]]:
    """Return the rows of the parts that table.txt names, by key."""
    run = Run.from_record(json.loads((output / "run.json").read_text()))
    schema = row_schema(run.spec.task, run.options, run.spec.embedding)
    parts = (output / "table.txt").read_text().split()
    rows = [row for part in parts for row in read_part(Path(part).read_bytes(), run.options.format, schema).to_pylist()]
    return sorted(rows, key=lambda row: str(row["key"]))


def naive_loop(archive: Path, model: Path) -> Iterator[dict[str, Any] | None]:
    """Open, resize, predict, one by one; None where the file is no image."""
    function = function_of(model)
    for i in range(IMAGES):
        if i in BROKEN:
            yield None
            continue
        image = Image.open(archive / f"{i:03d}.png").convert("L").resize((8, 8), Image.Resampling.BILINEAR)
        yield {name: value[0] for name, value in function(np.asarray(image)[None, :, :, None]).items()}


def check_row(task: str, row: dict[str, Any], expected: dict[str, Any], digit: int) -> None:
    """Compare a row with what the loop has found for the same image."""
    text = label_text(task, digit, int(Path(row["key"]).stem))
    if task == "labels":
        limits = KINDS["labels"].fields["thresholds"]
        scores = expected["probabilities"]
        near = [name for name, p, limit in zip(LABELS, scores, limits, strict=True) if abs(p - limit) < 1e-4]
        names = [name for name, p, limit in zip(LABELS, scores, limits, strict=True) if p >= limit]
        assert near or row["predicted_names"] == names
        best = np.argsort(-scores, kind="stable")
        assert [entry["name"] for entry in row["top_k"]] == [LABELS[i] for i in best]
        np.testing.assert_allclose([entry["score"] for entry in row["top_k"]], scores[best], atol=1e-4)
        assert row["label_names"] == ({"": None, "[]": []}.get(text, text.split("|")))
    elif task == "value":
        np.testing.assert_allclose(row["predicted_value"], expected["value"][0], atol=1e-3)
        known = {"": None, "nobody knows": float("nan")}.get(text, float(digit))
        np.testing.assert_equal(row["label_value"], known)
    elif task == "classes":
        scores = expected["scores"]
        assert (row["predicted"], row["predicted_name"]) == (scores.argmax(), str(scores.argmax()))
        np.testing.assert_allclose(row["score"], scores.max(), atol=1e-4)
        assert [entry["label"] for entry in row["top_k"]] == np.argsort(-scores, kind="stable").tolist()
        assert (row["label"], row["label_name"]) == {"": (None, None)}.get(
            text, (int(text), text) if text.isdigit() else (None, text)
        )
    if task in ("classes", "embedding"):
        np.testing.assert_allclose(row["embedding"], expected["embedding"], atol=5e-3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("task", mostly_heavy(KINDS, kept=["labels"]))
def test_rows_of_a_task_are_those_of_a_naive_loop_and_are_made_once(
    task_models: Path,
    task: str,
    engine: Engine,
    archive: Path,
    tmp_path: Path,
    digits: RawImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, output = task_models / task, tmp_path / "night"
    more = ("--engine", engine, *(("--format", "jsonl") if task in ("labels", "value") else ("--top_k", "all")))
    assert score(archive, model, output, *more) == 0
    rows, expected = rows_in(output), list(naive_loop(archive, model))
    assert len(rows) == len(expected) == IMAGES
    for i, (row, found) in enumerate(zip(rows, expected, strict=True)):
        assert row["key"] == str(archive / f"{i:03d}.png")
        if found is None:
            assert (row["status"], row["error_stage"], row["error_code"]) == (
                "failed",
                "preprocess",
                "INVALID_ARGUMENT",
            )
            assert [
                row[name] for name in ("predicted_names", "predicted_value", "predicted", "embedding") if name in row
            ]
        else:
            assert row["status"] == "ok"
            check_row(task, row, found, int(digits.labels[i]))
    assert verify(str(output)).findings == []
    assert json.loads((output / "summary.json").read_text())["failed"] == len(BROKEN)

    before = {
        path.name: path.read_bytes() for folder in ("predictions", "receipts") for path in (output / folder).iterdir()
    }
    before["summary"] = (output / "summary.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(arrangement, "_arrange", lambda *_: pytest.fail("the model is asked again"))
        assert score(archive, model, output, *more) == 0
    after = {
        path.name: path.read_bytes() for folder in ("predictions", "receipts") for path in (output / folder).iterdir()
    }
    after["summary"] = (output / "summary.json").read_bytes()
    assert after == before
