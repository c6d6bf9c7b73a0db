"""A SavedModel whose signature takes encoded files, as Estimators export them, is imported and scored as it is."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import made_once
from foreign_models import write_signatures_of_files
from PIL import Image

from model_import import cli
from pipeline import api
from pipeline.model.directory import read_spec
from pipeline.options import ScoreOptions

COLORS = ("red", "green", "blue")


def photograph(i: int) -> bytes:
    """Return a JPEG file in which color i % 3 is strong, of an odd size."""
    noise = np.random.default_rng(i).integers(0, 60, (40 + i, 53, 3))
    noise[..., i % 3] += 150
    file = io.BytesIO()
    Image.fromarray(noise.astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    def make(folder: Path) -> None:
        write_signatures_of_files(folder / "model")
        (folder / "colors.txt").write_text("\n".join(COLORS))

    return made_once(tmp_path_factory, worker_id, "exported_for_files", make)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.heavy
@pytest.mark.parametrize("signature", ["files", "one"])
def test_rows_are_those_of_the_signature(
    signature: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow as tf

    words = ("--signature", signature, "--labels", exported / "colors.txt", "--output", tmp_path / "made")
    code, said, _ = run(capsys, exported / "model", *words)
    assert code == 0
    assert "encoded files" in said
    spec = read_spec(str(tmp_path / "made"))
    assert (spec.takes, spec.has_litert, tuple(spec.class_names)) == ("encoded", False, COLORS)
    assert (tmp_path / "made" / "import" / "report.html").is_file()
    archive = tmp_path / "archive"
    for i in range(12):
        path = archive / COLORS[i % 3] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph(i))
    (archive / "red" / "broken.jpg").write_bytes(photograph(0)[:300])
    api.score(ScoreOptions(input=(str(archive),), model=str(tmp_path / "made"), output=str(tmp_path / "night")))
    parts = (tmp_path / "night" / "predictions").iterdir()
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert {Path(row["key"]).name for row in rows if row["status"] == "failed"} == {"broken.jpg"}
    own = tf.saved_model.load(str(exported / "model")).signatures["files"]
    for row in rows:
        if row["status"] == "ok":
            logits = own(tf.constant([Path(row["key"]).read_bytes()]))["logits"].numpy()[0].astype(float)
            expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            assert (row["predicted_name"], row["label_name"]) == (COLORS[int(expected.argmax())],) * 2
            assert row["score"] == pytest.approx(expected.max(), abs=1e-4)


def test_signature_that_takes_text_is_refused(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, error = run(capsys, exported / "model", "--signature", "words", "--output", tmp_path / "made")
    assert (code, said) == (2, "")
    assert "takes strings that are no image files" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("flags", [("--fit", "keras_crop"), ("--scaling", "unit"), ("--like", "timm")])
def test_flag_about_pixels_is_refused(
    flags: tuple[str, str], exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--signature", "files", *flags, "--output", tmp_path / "made")
    code, _, error = run(capsys, exported / "model", *words)
    assert code == 2
    assert f"{flags[0]} is for networks that take pixels" in error


def test_explain_says_so_and_writes_nothing(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(capsys, exported / "model", "--signature", "files", "--explain")
    assert code == 0
    assert "takes         encoded files (declared: " in said
    assert "the rest" not in said


def test_own_scores_of_files_are_compared(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tensorflow as tf

    files = [photograph(i) for i in range(5)]
    own = tf.saved_model.load(str(exported / "model")).signatures["files"]
    logits = own(tf.constant(files))["logits"].numpy()
    words = (exported / "model", "--signature", "files", "--output", tmp_path / "made")
    np.savez(tmp_path / "golden.npz", encoded=np.array(files), scores=logits)
    assert run(capsys, *words, "--golden", tmp_path / "golden.npz")[0] == 0
    checks = json.loads((tmp_path / "made" / "model_spec.json").read_text())["imported"]["checks"]
    assert "your own scores" in checks
    np.savez(tmp_path / "golden.npz", encoded=np.array(files), scores=logits[:, ::-1])
    code, _, error = run(capsys, *words, "--golden", tmp_path / "golden.npz")
    assert code == 2
    assert "are not what this model gives" in error


def test_there_are_no_pixels_to_remember(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photo.jpg").write_bytes(photograph(0))
    words = ("--signature", "files", "--trained_on", tmp_path / "photo.jpg", "--output", tmp_path / "made")
    code, said, refused = run(capsys, exported / "model", *words)
    assert (code, said) == (2, "")
    assert "--trained_on cannot be kept: the model decodes the files itself" in refused
    assert len(refused.splitlines()) == 1
    assert not (tmp_path / "made").exists()
