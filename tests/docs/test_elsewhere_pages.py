"""docs/mlflow.md, fiftyone.md and tables.md: their blocks run as written, and the other program has what the night has.

The other programs are in an environment of their own, which `make heavy` fetches: TESTS_ELSEWHERE names it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import DemoRun

import nightscore
from nightscore.__main__ import main

ROOT = Path(__file__).parent.parent.parent
ELSEWHERE = os.environ.get("TESTS_ELSEWHERE", "")
"""Folder of an environment with MLflow, FiftyOne, PyIceberg and deltalake; without one, ours is asked for them."""

BLOCK = re.compile(r"^(<!-- not run -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

RunPython = Callable[[str], str]


def blocks(page: str, language: str, runs: bool = True) -> list[str]:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    return [code for mark, kind, code in BLOCK.findall(text) if kind == language and bool(mark) != runs]


@pytest.fixture
def run_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPython:
    """Run Python code in tmp_path and in the other environment; return what it prints."""
    is_there = os.path.isdir(ELSEWHERE)
    if is_there:
        monkeypatch.setenv("PATH", f"{ELSEWHERE}/bin{os.pathsep}{os.environ['PATH']}")
    for name, value in {
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "FIFTYONE_DATABASE_DIR": str(tmp_path / "mongodb"),
        "FIFTYONE_DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
    }.items():
        monkeypatch.setenv(name, value)
    python = f"{ELSEWHERE}/bin/python" if is_there else sys.executable

    def run(code: str) -> str:
        done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def need(run_python: RunPython, *packages: str) -> None:
    """Skip the test where a package is not installed."""
    found = run_python(f"from importlib.util import find_spec\nprint([p for p in {packages} if not find_spec(p)])")
    if found != "[]\n":
        pytest.skip(f"TESTS_ELSEWHERE names no environment with {found.strip()}: make heavy fetches it")


def told(code: str, run_python: RunPython) -> Any:
    """Return what the last line of the code prints, as JSON."""
    return json.loads(run_python(code).splitlines()[-1])


@pytest.fixture
def night(demo_run: DemoRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nightscore.Night:
    """The demo's archive scored into `night`, with decisions; the model is `model`."""
    assert demo_run.code == 0, demo_run.output
    shutil.copytree(demo_run.folder / "model", tmp_path / "model")
    shutil.copytree(demo_run.folder / "archive", tmp_path / "archive")
    monkeypatch.chdir(tmp_path)
    return nightscore.score("archive", "model", "night", accept_accuracy=0.99)


LOGGED = """
import json
import mlflow
runs = mlflow.search_runs(experiment_names=["nightscore"], output_format="list")
files = mlflow.MlflowClient().list_artifacts
print(json.dumps([
    [run.data.metrics, run.data.params, run.data.tags["verdict"], [file.path for file in files(run.info.run_id)]]
    for run in runs
]))
"""


@pytest.mark.heavy
def test_mlflow_has_the_figures_of_the_night(night: nightscore.Night, tmp_path: Path, run_python: RunPython) -> None:
    need(run_python, "mlflow", "sqlalchemy")
    (script,), (command,) = blocks("mlflow", "python"), blocks("mlflow", "bash")
    (tmp_path / "log_night.py").write_text(script)
    by_hand = f"import sys; sys.argv = ['log_night.py', 'night']\n{script}"
    run_python(by_hand)
    run_python(by_hand)
    ((metrics, params, verdict, files),) = told(LOGGED, run_python)
    review = json.loads((tmp_path / "night" / "review.json").read_text())
    assert metrics["accuracy"] == night.summary["accuracy"]
    assert metrics["run.scored"] == night.record["scored"] == 3600
    assert metrics["unseen.headline"] == review["unseen"]["headline"]
    assert metrics["accepted.left"] == review["accepted"]["left"]
    assert metrics["duplicates.groups"] == 1797
    assert (params["engine"], params["model_id"]) == ("litert", night.record["model"])
    assert "min_accuracy" not in params
    assert verdict == "good"
    assert {"report.html", "summary.json", "review.json", "run.json", "duplicates.csv"} <= set(files)
    shutil.rmtree(tmp_path / "night")
    shutil.copytree(tmp_path / "archive" / "images" / "test", tmp_path / "photos")
    assert main(shlex.split(command)[1:]) == 3
    last, first = told(LOGGED, run_python)
    assert first[0] == metrics
    assert last[0]["images"] == len(nightscore.open_night("night").rows()) == 364
    assert last[2].startswith("5 of 364 images failed")


@pytest.mark.heavy
def test_mlflow_has_no_results_of_a_run_that_has_none(
    night: nightscore.Night, tmp_path: Path, run_python: RunPython
) -> None:
    need(run_python, "mlflow", "sqlalchemy")
    (tmp_path / "log_night.py").write_text(blocks("mlflow", "python")[0])
    (tmp_path / "broken").mkdir()
    for i in range(20):
        (tmp_path / "broken" / f"{i}.png").write_bytes(b"no image")
    command = ["score", "--input", "broken", "--model", "model", "--output", "stopped"]
    assert main([*command, "--on_end", 'python log_night.py "$NIGHTSCORE_OUTPUT"']) == 3
    ((metrics, _, verdict, files),) = told(LOGGED, run_python)
    assert verdict.startswith("20 of the 20 images that were tried first failed")
    assert all(name.startswith("run.") for name in metrics)
    assert files == []


@pytest.mark.heavy
def test_fiftyone_has_rows_and_tags(night: nightscore.Night, tmp_path: Path, run_python: RunPython) -> None:
    need(run_python, "fiftyone")
    try:
        run_python("import fiftyone\nfiftyone.list_datasets()")
    except AssertionError as error:
        pytest.skip(f"FiftyOne has no MongoDB: {str(error).splitlines()[-1]}")
    rows = {row["key"]: row for row in night.rows().to_pylist() if "#" not in row["key"]}
    wrong = sorted(rows)[0]
    (tmp_path / "night" / "label_errors.csv").write_text(f"key,label_name\n{wrong},0\n")  # the demo has none
    asked = """
import json
said = {
    sample.filepath: [sample.ground_truth.label, shown and [shown.label, shown.confidence]]
    for sample in dataset for shown in [sample.predictions]
}
suspects = dataset.match_tags("label error").values("filepath")
found = [dataset.count_sample_tags(), results.metrics()["accuracy"], mistakes.values("filepath"), said, suspects]
print(json.dumps(found))
"""
    tags, accuracy, mistakes, samples, suspects = told("".join(blocks("fiftyone", "python")) + asked, run_python)
    accepted = pq.read_table("night/decisions").to_pylist()
    assert tags["accepted"] == sum(row["accepted"] is True and "#" not in row["key"] for row in accepted)
    assert tags["duplicate"] == 1797
    assert tags["failed"] == sum(row["status"] == "failed" for row in rows.values()) == 5
    assert suspects == [wrong]
    assert samples == {
        key: [row["label_name"], [row["predicted_name"], row["score"]] if row["status"] == "ok" else None]
        for key, row in rows.items()
    }
    wrong_rows = [row for row in rows.values() if row["status"] == "ok" and row["label"] != row["predicted"]]
    assert accuracy == pytest.approx(1 - len(wrong_rows) / (len(rows) - 5))
    assert [rows[key]["score"] for key in mistakes] == sorted((row["score"] for row in wrong_rows), reverse=True)


@pytest.mark.heavy
def test_tables_have_the_rows(night: nightscore.Night, tmp_path: Path, run_python: RunPython) -> None:
    need(run_python, "pyiceberg", "sqlalchemy", "deltalake")
    first, helper, delta, iceberg = blocks("tables", "python")
    asked = """
import json
from deltalake import DeltaTable
for name, table in {
    "rows": rows.scan().to_arrow(), "all": table.scan().to_arrow(), "decisions": accepted.scan().to_arrow(),
    "delta": DeltaTable("delta").to_pyarrow_table(),
}.items():
    pq.write_table(table, f"{name}.parquet")
try:
    rows.add_files(parts)
except ValueError as error:
    print(json.dumps(str(error)))
"""
    other = (delta + iceberg).replace("monday", "tuesday")
    again = told(first + helper + delta + iceberg + other + delta + iceberg + asked, run_python)
    assert again.startswith("Cannot add files that are already referenced by table")

    def sorted_rows(name: str, night: str | None = None) -> list[dict[str, Any]]:
        found = pq.read_table(tmp_path / f"{name}.parquet").to_pylist()
        return sorted((row for row in found if row.get("night") == night), key=lambda row: row["key"])

    whole = sorted(night.rows().to_pylist(), key=lambda row: row["key"])
    empty = [{**row, "top_k": row["top_k"] or []} for row in whole]
    assert sorted_rows("rows") == empty
    for name in ("monday", "tuesday"):
        assert sorted_rows("all", name) == [{**row, "night": name} for row in empty]
        assert sorted_rows("delta", name) == [{**row, "night": name} for row in whole]
    decided = sorted(pq.read_table("night/decisions").to_pylist(), key=lambda row: row["key"])
    assert sorted_rows("decisions") == decided
    assert len(decided) == 3600


@pytest.mark.heavy
def test_export_of_the_page_writes_what_bq_would_load(night: nightscore.Night) -> None:
    text = (ROOT / "docs" / "tables.md").read_text()
    (command,) = re.findall(r"`nightscore (export .*?)`", text)
    assert main(shlex.split(command)) == 0
    rows = pq.read_table("rows.parquet")
    assert (rows.num_rows, rows["accepted"].null_count) == (3600, 6)


@pytest.mark.heavy
def test_bq_knows_the_flags(tmp_path: Path) -> None:
    if shutil.which("bq") is None:
        pytest.skip("bq of the Google Cloud SDK is not installed")
    help_text = subprocess.run(["bq", "help", "load"], cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    known = set(re.findall(r"^ +--(?:\[no\])?(\w+):", help_text, re.MULTILINE))
    (block,) = blocks("tables", "bash", runs=False)
    flags = re.findall(r"--(\w+)", block)
    assert len(flags) == 7
    assert set(flags) <= known
    assert "NEW_LINE_DELIMITED_MANIFEST" in help_text


@pytest.mark.parametrize("page", ["mlflow", "fiftyone", "tables"])
def test_every_block_is_python_or_a_command(page: str) -> None:
    for code in blocks(page, "python") + blocks(page, "python", runs=False):
        compile(code, f"docs/{page}.md", "exec")
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert {language for _, language, _ in BLOCK.findall(text)} <= {"python", "bash"}
    assert text.count("```") == 2 * len(BLOCK.findall(text))
