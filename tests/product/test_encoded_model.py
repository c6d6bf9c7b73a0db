"""A model whose network takes encoded files gets them as they are, and what it cannot decode costs one row."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import saved_networks
from conftest import made_once
from PIL import Image

from pipeline import api
from pipeline.cli import plan, verify
from pipeline.errors import UsageError
from pipeline.model.directory import read_spec
from pipeline.options import ScoreOptions

COLORS = ("red", "green", "blue")


def encoded(i: int) -> bytes:
    """Return an image file in the color of class i % 3: a PNG, JPEG or GIF file of some size."""
    noise = np.random.default_rng(i).integers(0, 60, (20 + i, 35, 3))
    noise[..., i % 3] += 150
    file = io.BytesIO()
    Image.fromarray(noise.astype(np.uint8)).save(file, ("PNG", "JPEG", "GIF")[i // 3 % 3])
    return file.getvalue()


@pytest.fixture(scope="session")
def encoded_model(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> str:
    def make(folder: Path) -> None:
        saved_networks.write_encoded_model(folder, [encoded(i) for i in range(6)])

    return str(made_once(tmp_path_factory, worker_id, "encoded_model", make))


def write_archive(folder: Path, n: int = 30) -> Path:
    for i in range(n):
        path = folder / COLORS[i % 3] / f"{i:03d}.{('png', 'jpg', 'gif')[i // 3 % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(i))
    return folder


def rows_of(output: Path) -> list[dict[str, Any]]:
    parts = sorted((output / "predictions").iterdir())
    return sorted((row for part in parts for row in pq.read_table(part).to_pylist()), key=lambda row: row["key"])


def options(archive: Path, model: str, output: Path, **more: Any) -> ScoreOptions:
    return ScoreOptions(input=(str(archive),), model=model, output=str(output), **more)


@pytest.mark.heavy
def test_rows_are_those_of_the_network_s_own_loop(encoded_model: str, tmp_path: Path) -> None:
    import tensorflow as tf

    archive = write_archive(tmp_path / "photos \u00e9")
    (archive / "red" / "broken.jpg").write_bytes(encoded(3)[:-30])
    (archive / "red" / "no image.png").write_bytes(b"nothing of the kind\0\0")
    (archive / "red" / "empty.gif").touch()
    scored = api.score(options(archive, encoded_model, tmp_path / "night"))
    assert scored.record is not None
    assert scored.run.options.engine == "tensorflow"
    rows = rows_of(tmp_path / "night")
    assert len(rows) == 33
    serve = tf.saved_model.load(f"{encoded_model}/saved_model").signatures["serving_default"]
    for row in rows:
        if row["status"] == "failed":
            assert Path(row["key"]).name in ("broken.jpg", "no image.png", "empty.gif")
            assert (row["error_stage"], row["error_code"]) == ("predict", "INVALID_ARGUMENT")
        else:
            expected = serve(tf.constant([Path(row["key"]).read_bytes()]))["scores"].numpy()[0]
            assert row["predicted"] == int(expected.argmax())
            assert row["predicted_name"] == row["label_name"]
            assert row["score"] == pytest.approx(float(expected.max()), abs=1e-5)
    assert sum(row["status"] == "failed" for row in rows) == 3
    assert verify.main([str(tmp_path / "night")]) == 0
    page = (tmp_path / "night" / "report.html").read_text()
    assert page.count("data:image/") >= 3


@pytest.mark.heavy
def test_second_run_has_nothing_to_do(encoded_model: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "archive")
    api.score(options(archive, encoded_model, tmp_path / "night"))
    before = (tmp_path / "night" / "summary.json").read_bytes()
    again = api.score(options(archive, encoded_model, tmp_path / "night"))
    assert again.record is not None
    assert (again.record["units_scored"], again.record["kept"]) == (0, 30)
    assert (tmp_path / "night" / "summary.json").read_bytes() == before


@pytest.mark.parametrize(
    ("word", "code"),
    [
        pytest.param(b"ABORT", "INTERNAL", marks=pytest.mark.heavy),
        pytest.param(b"KILLED", "RESOURCE_EXHAUSTED", marks=pytest.mark.heavy),
        pytest.param(b"SLEEP", "DEADLINE_EXCEEDED", marks=pytest.mark.heavy),
    ],
)
def test_file_that_its_decoder_dies_of_or_never_leaves_costs_one_row(
    word: bytes, code: str, encoded_model: str, tmp_path: Path, poisoned: pytest.MonkeyPatch
) -> None:
    poisoned.setenv("MODEL_DIES", "1")
    poisoned.setenv("ALARM_FACTOR", "30")
    archive = write_archive(tmp_path / "archive")
    deadly = archive / "green" / "deadly.jpg"
    deadly.write_bytes(encoded(1) + word)
    scored = api.score(options(archive, encoded_model, tmp_path / "night", no_canary=True, max_failed_fraction=0.5))
    assert scored.record is not None
    failed = [row for row in rows_of(tmp_path / "night") if row["status"] == "failed"]
    assert [(Path(row["key"]).name, row["error_stage"], row["error_code"]) for row in failed] == [
        ("deadly.jpg", "predict", code)
    ]


@pytest.mark.heavy
def test_plan_measures_it(encoded_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = write_archive(tmp_path / "archive")
    words = ["--input", str(archive), "--model", encoded_model, "--output", str(tmp_path / "night")]
    assert plan.main(words) == 0
    said = capsys.readouterr().out
    assert "decoding     done by the model" in said
    assert "images/s by tensorflow" in said


def test_litert_is_refused_in_one_line(encoded_model: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "archive", 3)
    with pytest.raises(UsageError, match="its network takes encoded files") as caught:
        api.score(options(archive, encoded_model, tmp_path / "night", engine="litert"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("bands", "4,3,2"), ("background", "white")])
def test_options_of_decoding_are_refused_as_they_would_change_nothing(
    name: str, value: str, encoded_model: str, tmp_path: Path
) -> None:
    archive = write_archive(tmp_path / "archive", 3)
    with pytest.raises(UsageError, match=f"--{name} {value} changes nothing: the model decodes the files itself"):
        api.score(options(archive, encoded_model, tmp_path / "night", **{name: value}))


def test_pixel_facts_are_refused_as_nobody_else_sees_the_pixels(encoded_model: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "archive", 3)
    with pytest.raises(UsageError, match="--pixel_facts has nothing to tell: the model decodes the files itself"):
        api.score(options(archive, encoded_model, tmp_path / "night", pixel_facts=True))


def test_spec_says_what_the_network_takes_and_the_id_depends_on_it(encoded_model: str) -> None:
    spec = read_spec(encoded_model)
    assert json.loads((Path(encoded_model) / "model_spec.json").read_text())["takes"] == "encoded"
    assert spec.identity()["takes"] == "encoded"
