"""One CSV and one Parquet file of all rows: what is read back is what the parts hold, for each task."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from decisions import decide
from task_rows import NAMES as LABELS
from task_rows import embedding_row, label_row, value_row
from written_output import MODEL_ID, class_row, failed_row, write_output

from pipeline.errors import DamagedPartError, UnfinishedError, UsageError
from pipeline.export import decided_rows, parquet_file
from pipeline.export.csv_file import write_csv
from pipeline.export.decided_rows import DecidedRows
from pipeline.export.new_file import new_file
from pipeline.export.parquet_file import write_parquet
from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_hash import rule_id
from pipeline.model.trained_on import FOLDER, TrainedOn
from pipeline.output import records
from pipeline.output.stored_rows import StoredRows
from pipeline.task import Embedding

NAMES = ("=cmd|'/c calc'!A0", "dog")
CLASS_UNITS = [
    [
        class_row('/archive/ü, "1".png', [0.1, 0.9], NAMES, "dog", width=3, height=4, format="PNG", bytes=70),
        failed_row("/archive/2.png", message="line one\r\nline two"),
    ],
    [class_row("/archive/3.png", [0.7, 0.3], NAMES), class_row("/archive/4.png", [0.6, 0.4], NAMES, "-3.5")],
]
LABEL_UNITS = [
    [
        {"status": "ok", **label_row("/a/1", ["cat", "a|b"], [0.9, 0.8, 0.1, 0.2])},
        {"status": "ok", **label_row("/a/2", [], [0.1, 0.2, 0.3, 0.4])},
        label_row("/a/3", None, None),
    ]
]
VALUE_UNITS = [
    [{"status": "ok", **value_row("/a/1", float("nan"), -1.5)}, value_row("/a/2", 3.0, None)],
    [{"status": "ok", **value_row("/a/3", None, 0.1)}],
]
VECTOR_UNITS = [
    [{"status": "ok", **embedding_row("/a/1", [0.5, -2.0])}, embedding_row("/a/2", None)],
    [embedding_row("/a/3", None)],
]
TASKS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "classes": (CLASS_UNITS, NAMES, {}),
    "labels": (LABEL_UNITS, LABELS, {"task": "labels", "thresholds": (0.5,) * 4}),
    "value": (VALUE_UNITS, (), {"task": "value", "value_unit": 0.25}),
    "embedding": (VECTOR_UNITS, (), {"task": "embedding", "embedding": Embedding(2)}),
}


def night(folder: Path, task: str, **options: Any) -> DecidedRows:
    units, names, spec = TASKS[task]
    write_output(folder, units, names, spec=spec, **options)
    return DecidedRows.of(str(folder))


def read_back(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def shown(name: str, value: Any) -> str:
    """Say naively how a cell should read."""
    if value is None:
        return ""
    if isinstance(value, list) and name.endswith("_names"):
        return "|".join(value) if value and "|" not in "".join(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(str(np.float32(one)).removesuffix(".0") for one in value) + "]"
    if name.startswith("=") or (isinstance(value, str) and value.startswith("=")):
        return f"'{value}"
    return str(value)


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize("task", TASKS)
def test_csv_holds_the_rows(tmp_path: Path, task: str, form: str) -> None:
    rows = night(tmp_path / "night", task, format=form)
    written = write_csv(rows, str(tmp_path / "new" / "rows.csv"))
    found = read_back(tmp_path / "new" / "rows.csv")
    stored = [row for _, part in rows.by_unit() for row in part.to_pylist()]
    assert written.rows == len(found) == len(stored)
    assert written.columns == len(found[0])
    assert written.bytes == (tmp_path / "new" / "rows.csv").stat().st_size
    for cells, row in zip(found, stored, strict=True):
        top = row.pop("top_k", None) or []
        for n in range(1, rows.run.top_k + 1):
            name, score = cells.pop(f"top_{n}_name"), cells.pop(f"top_{n}_score")
            assert name.removeprefix("'") == (top[n - 1]["name"] if n <= len(top) else "")
            assert score == "" if n > len(top) else np.float32(score) == np.float32(top[n - 1]["score"])
        assert list(cells) == list(row)
        for name, value in row.items():
            if isinstance(value, float):
                assert np.float32(cells[name]) == np.float32(value) or (cells[name] == "nan" and value != value)
            else:
                assert cells[name] == shown(name, value)


def test_csv_is_as_rfc_4180_says(tmp_path: Path) -> None:
    rows = night(tmp_path / "night", "classes")
    written = write_csv(rows, str(tmp_path / "rows.csv"))
    lines = (tmp_path / "rows.csv").read_bytes().decode("utf-8")
    assert lines.endswith("\r\n")
    assert '"/archive/ü, ""1"".png",1,dog,0.9,1,dog,0.9,dog,0.9,' in lines
    assert ",-3.5,,0,'=cmd|" in lines, "a number stays a number, and no formula runs"
    assert written.guarded == 5


def test_csv_has_the_first_classes_and_says_how_many_it_leaves_out(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(13)]
    write_output(tmp_path, [[class_row("/a", [0.01] * 12 + [0.88], names, k=13)]], names, top_k="all")
    written = write_csv(DecidedRows.of(str(tmp_path)), str(tmp_path / "rows.csv"))
    assert written.left_out == 3
    (cells,) = read_back(tmp_path / "rows.csv")
    assert (cells["top_1_name"], cells["top_10_name"], "top_11_name" in cells) == ("c12", "c8", False)


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize("task", TASKS)
def test_parquet_holds_the_rows_exactly(tmp_path: Path, task: str, form: str) -> None:
    rows = night(tmp_path / "night", task, format=form)
    written = write_parquet(rows, str(tmp_path / "rows.parquet"))
    table = pq.read_table(tmp_path / "rows.parquet")
    stored = pa.concat_tables([part for _, part in rows.by_unit()])
    assert str(table.to_pylist()) == str(stored.to_pylist())
    assert (written.rows, written.columns) == (len(stored), len(stored.schema.names))
    assert written.bytes == (tmp_path / "rows.parquet").stat().st_size


@pytest.mark.parametrize("task", TASKS)
def test_csv_is_the_same_in_whatever_slices_it_is_written(
    tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = night(tmp_path / "night", task)
    write_csv(rows, str(tmp_path / "whole.csv"))
    monkeypatch.setattr(decided_rows, "SLICE_ROWS", 1)
    write_csv(rows, str(tmp_path / "sliced.csv"))
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "sliced.csv").read_bytes()


def test_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "GROUP_ROWS", 5)
    units = [[class_row(f"/a/{unit}-{n}", [0.5, 0.5], NAMES) for n in range(unit)] for unit in (1, 3, 4, 11, 2)]
    write_output(tmp_path / "night", units, NAMES)
    write_parquet(DecidedRows.of(str(tmp_path / "night")), str(tmp_path / "rows.parquet"))
    file = pq.ParquetFile(tmp_path / "rows.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [5, 5, 5, 5, 1]
    assert file.read()["key"].to_pylist() == [row["key"] for rows in units for row in rows]


def test_decisions_become_a_column_by_key(tmp_path: Path) -> None:
    rows = night(tmp_path / "night", "classes")
    keys = [row["key"] for unit in CLASS_UNITS for row in unit]
    decide(rows.run, dict(zip(keys, [True, None, False, True], strict=True)))
    rows = DecidedRows.of(str(tmp_path / "night"))
    assert rows.is_decided
    write_csv(rows, str(tmp_path / "rows.csv"))
    write_parquet(rows, str(tmp_path / "rows.parquet"))
    assert [cells["accepted"] for cells in read_back(tmp_path / "rows.csv")] == ["true", "", "false", "true"]
    assert pq.read_table(tmp_path / "rows.parquet")["accepted"].to_pylist() == [True, None, False, True]


def test_decisions_of_a_run_are_read_and_those_of_an_earlier_one_are_not(tmp_path: Path) -> None:
    rows = night(tmp_path / "night", "classes", accept_score=0.65)
    decided = [row for _, part in rows.by_unit(["key", "accepted"]) for row in part.to_pylist()]
    keys = [row["key"] for unit in CLASS_UNITS for row in unit]
    assert decided == [
        {"key": key, "accepted": accepted} for key, accepted in zip(keys, [True, None, True, False], strict=True)
    ]
    for record in (Path(rows.run.result("run.json")), Path(rows.run.record)):
        record.write_text(json.dumps({k: v for k, v in json.loads(record.read_text()).items() if k != "accepted"}))
    assert not DecidedRows.of(str(tmp_path / "night")).is_decided


def test_images_of_the_training_are_told_apart(tmp_path: Path) -> None:
    hashes = {f"/a/{n}": n + 1 for n in range(4)}
    rows = [class_row(key, [0.9, 0.1], NAMES, pixel_hash=f"{n:016x}") for key, n in hashes.items()]
    rows += [failed_row("/a/failed")]
    of_sets = {"train": np.array([2, 9], np.uint64), "validation": np.array([4], np.uint64)}
    trained = TrainedOn.of(of_sets, rule_id(InputSpec(28, 28, "grayscale")), MODEL_ID)
    place = tmp_path / "model" / "training" / FOLDER
    place.mkdir(parents=True)
    for name, data in trained.files().items():
        (place / name).write_bytes(data)
    write_output(tmp_path / "night", [rows[:2], rows[2:]], NAMES, model=str(tmp_path / "model"))
    write_csv(DecidedRows.of(str(tmp_path / "night")), str(tmp_path / "rows.csv"))
    assert [cells["in_training"] for cells in read_back(tmp_path / "rows.csv")] == [
        "false",
        "true",
        "false",
        "true",
        "",
    ]
    shutil.rmtree(tmp_path / "model")
    written = write_parquet(DecidedRows.of(str(tmp_path / "night")), str(tmp_path / "rows.parquet"))
    assert "does not tell which images" in written.training_unknown
    assert pq.read_table(tmp_path / "rows.parquet")["in_training"].to_pylist() == [None] * 5


def test_columns_of_the_archive_keep_their_names(tmp_path: Path) -> None:
    rows = [class_row("/a/1", [0.9, 0.1], NAMES, accepted="by hand", in_training="fold 3")]
    write_output(tmp_path / "night", [rows], NAMES, accept_score=0.5, columns="accepted,in_training")
    write_parquet(DecidedRows.of(str(tmp_path / "night")), str(tmp_path / "rows.parquet"))
    (row,) = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert (row["accepted"], row["nightscore_accepted"]) == ("by hand", True)
    assert (row["in_training"], row["nightscore_in_training"]) == ("fold 3", None)


def test_decisions_count_only_if_they_are_on_all_images(tmp_path: Path) -> None:
    run = night(tmp_path, "classes").run
    decide(run, {row["key"]: True for unit in CLASS_UNITS for row in unit})
    units = StoredRows.of_last_run(run.output).units()
    last = Path(run.result("decisions", f"part-{units[-1]}.parquet"))
    first = Path(run.result("decisions", f"part-{units[0]}.parquet"))
    whole = last.read_bytes()
    last.write_bytes(first.read_bytes())
    with pytest.raises(DamagedPartError, match="decides on other images"):
        list(DecidedRows.of(run.output).by_unit())
    last.write_bytes(whole[:-9])
    with pytest.raises(DamagedPartError, match="holds no decisions"):
        list(DecidedRows.of(run.output).by_unit())
    last.unlink()
    assert not DecidedRows.of(run.output).is_decided
    with pytest.raises(UsageError, match=r"--by accepted needs .* --accept_score"):
        DecidedRows.of(run.output).require_decided("--by accepted")


def test_decisions_are_not_read_while_a_later_run_may_write_others(tmp_path: Path) -> None:
    run = night(tmp_path, "classes", accept_score=0.65).run
    records.start(replace(run, id="20260102T000000-run"))
    with pytest.raises(UnfinishedError, match=r"a later run into .* has not ended, and may have other decisions"):
        DecidedRows.of(str(tmp_path))


def test_run_that_is_not_complete_is_refused(tmp_path: Path) -> None:
    run = night(tmp_path, "classes").run
    for record in (Path(run.result("run.json")), Path(run.record)):
        record.write_text(json.dumps({**json.loads(record.read_text()), "complete": False}))
    with pytest.raises(UnfinishedError, match="is not complete: 'nightscore status "):
        DecidedRows.of(str(tmp_path))


def test_file_appears_when_it_is_whole_and_replaces_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(ValueError, match="half"):
        _write(path, lambda: int("half"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="written by somebody else"):
        _write(path, lambda: path.write_bytes(b"theirs"))
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("a.csv", b"theirs")]


def _write(path: Path, meanwhile: Callable[[], Any]) -> None:
    with new_file(str(path)) as file:
        file.write(b"mine")
        meanwhile()
