"""Every question in docs/sql.md is asked of a scored archive, and its answer is that of summary.json or of the rows."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SCHEMA, rows_of
from task_nights import metrics_for
from task_rows import embedding_row, label_row, random_labels, random_values, table, value_row

from model_training.data.datasets import RawImages
from pipeline.cli import score as cli
from pipeline.metrics.accuracy import FIXED_POINT
from pipeline.metrics.examples import OF_UNIT
from pipeline.task import Embedding, Task

DOCUMENT = (Path(__file__).parent.parent / "docs" / "sql.md").read_text()
PIECE = re.compile(r"^## (.+?)$|^(<!-- not run -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROUNDED = 0.5 / FIXED_POINT
TINY = 1e-12

Rows = list[dict[str, Any]]
Answers = Mapping[str, Sequence[Rows]]


@dataclass(frozen=True)
class Block:
    """A fenced block, and under which heading it stands."""

    heading: str
    language: str
    code: str
    runs: bool


@dataclass(frozen=True)
class Nights:
    """What was scored: the folder in which the examples run, and what they should find."""

    folder: Path
    rows: Rows
    last_rows: Rows
    summary: dict[str, Any]

    @property
    def labelled(self) -> Rows:
        return [row for row in self.rows if row["label_score"] is not None]

    @property
    def class_names(self) -> list[str]:
        return [figures["class"] for figures in self.summary["per_class"]]


def blocks(text: str) -> list[Block]:
    found, heading = [], ""
    for title, mark, language, code in PIECE.findall(text):
        if title:
            heading = title
        else:
            found.append(Block(heading, language, code, not mark))
    return found


def answers_of(text: str, folder: Path) -> Answers:
    """Run all SQL of a document in one session; return what each block's last statement gives."""
    answers: dict[str, list[Rows]] = {}
    with pytest.MonkeyPatch.context() as patch, duckdb.connect() as connection:
        patch.chdir(folder)
        for block in blocks(text):
            if block.language == "sql" and block.runs:
                done = connection.execute(block.code)
                names = [column[0] for column in done.description]
                rows = [dict(zip(names, row, strict=True)) for row in done.fetchall()]
                answers.setdefault(block.heading, []).append(rows)
    return answers


@pytest.fixture(scope="module")
def nights(tiny_model: str, digits: RawImages, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """An archive scored twice into night: last night's is a copy, and then some of its images were changed.

    It has slices, one without a prediction; images that are broken, missing, unlabelled, of an unknown class, labelled
    wrong. What is in the folder `morning` has been moved there, and a part that nobody swept is in night.
    """
    folder = tmp_path_factory.mktemp("nights")
    photos, night, morning = folder / "photos", folder / "night", folder / "morning"

    def write(name: str, content: int | bytes) -> None:
        path = photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else digits.encoded(content))

    def score(output: Path, *flags: str) -> Nights:
        inputs = [photos / "spring", photos / "autumn", photos / "winter", folder / "more.csv"]
        arguments = [word for location in inputs for word in ("--input", str(location))]
        arguments += ["--model", tiny_model, "--output", str(output), "--unit_images", "16", "--top_k", "3"]
        assert cli.main([*arguments, "--max_failed_fraction", "1", *flags]) == 0
        summary = json.loads((output / "summary.json").read_text())
        return Nights(morning, rows_of(output), [], summary)

    for i in range(220):
        write(f"{'spring' if i < 150 else 'autumn'}/{digits.labels[i]}/{i}.png", i)
    for i in range(220, 230):
        write(f"autumn/unsorted/{i}.png", i)
    for i in range(4):
        write(f"spring/3/cut-{i}.png", digits.encoded(i)[:60])
        write(f"winter/{i}/empty.png", b"")
    write("extra/wild/230.png", 230)
    (folder / "more.csv").write_text(
        "file_name,label\nphotos/extra/wild/230.png,elk\nphotos/extra/wild/gone.png,3\n"
    )  # fmt: skip
    last = score(night)
    shutil.copytree(night, folder / "last-night")

    for i in range(0, 100, 7):
        write(f"spring/{digits.labels[i]}/{i}.png", i + 1)
    write(f"autumn/{digits.labels[150]}/150.png", b"<html>")
    (photos / f"autumn/{digits.labels[151]}/151.png").unlink()
    write("autumn/unsorted/231.png", 231)
    now = score(night)
    score(folder / "night-jsonl", "--format", "jsonl")

    listed = (night / "table.txt").read_text().splitlines()
    assert sorted(listed) == sorted(map(str, (night / "predictions").glob("*.parquet")))
    left = {path.name for path in (folder / "last-night" / "predictions").iterdir()} - {Path(p).name for p in listed}
    shutil.copy(folder / "last-night" / "predictions" / min(left), night / "predictions")
    for name, task in (("labels", "labels"), ("values", "value"), ("embeddings", "embedding")):
        (folder / name / "predictions").mkdir(parents=True)
        pq.write_table(task_rows(task), folder / name / "predictions" / "part-0.parquet")
    morning.mkdir()
    for name in ("night", "last-night", "night-jsonl", "labels", "values", "embeddings"):
        shutil.move(folder / name, morning / name)
    return Nights(morning, now.rows, last.rows, now.summary)


def task_rows(task: Task) -> pa.Table:
    """Return the rows of a night of a model of labels, of a value or of an embedding, with an image that failed."""
    if task == "embedding":
        vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32).tolist()
        rows = [embedding_row(f"{i:03d}", vector) for i, vector in enumerate(vectors)]
        return table(task, [embedding_row("00", None), *rows], Embedding(4, "float32"))
    if task == "labels":
        return pa.concat_tables([random_labels(200)[0], table("labels", [label_row("gone", ["cat"], None)])])
    broken = [value_row("gone", 1.0, None), value_row("nan", float("nan"), 1.0)]
    return pa.concat_tables([random_values(200)[0], table("value", broken)])


def check_named(answers: Sequence[Rows], _: Nights) -> None:
    metrics, rows = metrics_for("labels"), task_rows("labels")
    figures = metrics.compute(metrics.measure(rows))
    by_label, mistaken = answers
    expected = {c["class"]: c for c in figures["per_class"] if c["f1"] is not None}
    assert {row["name"] for row in by_label} == expected.keys()
    for row in by_label:
        names = ("support", "predicted", "precision", "recall", "f1")
        assert [row[name] for name in names] == [near(expected[row["name"]][name]) for name in names]
    assert [row["mistakes"] for row in mistaken] == [e["mistakes"] for e in figures_of(rows, "labels")[:20]]


def check_embedded(answers: Sequence[Rows], _: Nights) -> None:
    rows = {row["key"]: np.array(row["embedding"]) for row in task_rows("embedding").to_pylist() if row["embedding"]}
    wanted = rows.pop("000")
    similar = {key: np.dot(v, wanted) / np.linalg.norm(v) / np.linalg.norm(wanted) for key, v in rows.items()}
    (found,) = answers
    assert [row["key"] for row in found] == sorted(similar, key=lambda key: -similar[key])[:20]
    assert [row["similarity"] for row in found] == [pytest.approx(similar[row["key"]], abs=1e-6) for row in found]


def figures_of(rows: pa.Table, task: Task) -> Rows:
    """Return the images that a person should look at first, of these rows."""
    metrics = metrics_for(task)
    return next(iter(metrics.lists(metrics.examples(rows)).values()))


def check_valued(answers: Sequence[Rows], _: Nights) -> None:
    metrics, rows = metrics_for("value"), task_rows("value")
    figures = metrics.compute(metrics.measure(rows))
    (found,), farthest = answers
    for name in ("mae", "rmse", "mean_error", "r2"):
        assert found[name] == near(figures[name], 1e-4)
    assert found["n"] == figures["labelled"]
    assert [row["key"] for row in farthest] == [e["key"] for e in figures_of(rows, "value")[:20]]


def near(value: float | None, within: float = TINY) -> Any:
    return None if value is None else pytest.approx(value, rel=0, abs=within)


def picked(rows: Rows, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def check_counts(answers: Sequence[Rows], nights: Nights) -> None:
    names = ("images", "scored", "failed", "labelled", "unknown_labels")
    assert answers == [[{name: nights.summary[name] for name in names}]]


def check_failures(answers: Sequence[Rows], nights: Nights) -> None:
    (reasons,) = answers
    by_number = sorted(nights.summary["failures"], key=lambda f: -f["images"])
    assert picked(reasons, "error_stage", "error_code", "images") == picked(by_number, "stage", "code", "images")
    examples = [(r["error_stage"], r["error_code"], key) for r in reasons for key in r["examples"]]
    assert sorted(examples) == picked(nights.summary["failure_examples"], "stage", "code", "key")
    messages = {row["key"]: row["error_message"] for row in nights.rows}
    assert [r["message"] for r in reasons] == [messages[r["examples"][0]] for r in reasons]


def check_accuracy(answers: Sequence[Rows], nights: Nights) -> None:
    ((found,),) = answers
    expected = nights.summary
    assert found["n"] == expected["labelled"]
    assert found["accuracy"] == near(expected["accuracy"])
    assert [found["low"], found["high"]] == near(expected["accuracy_interval_95"])
    assert found["top_k_accuracy"] == near(expected["top_k_accuracy"])
    assert found["log_loss"] == near(expected["log_loss"], ROUNDED)


def check_classes(answers: Sequence[Rows], nights: Nights) -> None:
    (classes,) = answers
    found = {row.pop("class"): row for row in classes}
    for figures in nights.summary["per_class"]:
        row = found.pop(figures["class"])
        assert {name: row[name] for name in ("support", "predicted")} == {
            name: figures[name] for name in ("support", "predicted")
        }
        assert [row[name] for name in ("precision", "recall", "f1")] == [
            near(figures[name]) for name in ("precision", "recall", "f1")
        ]
    assert found == {}
    assert [row["f1"] for row in classes] == sorted(row["f1"] for row in classes)


def check_confusion(answers: Sequence[Rows], nights: Nights) -> None:
    matrix, most = answers
    names = nights.class_names
    by_label = {row["label_name"]: row for row in matrix}
    found = [[by_label[label].get(guess, 0) for guess in names] for label in names]
    assert found == nights.summary["confusion_matrix"]
    wrong = [
        (names[i], names[j], images)
        for i, row in enumerate(nights.summary["confusion_matrix"])
        for j, images in enumerate(row)
        if images and i != j
    ]
    wrong.sort(key=lambda cell: (-cell[2], *cell[:2]))
    assert picked(most, "label_name", "predicted_name", "images") == wrong[:20]


def check_calibration(answers: Sequence[Rows], nights: Nights) -> None:
    bins, (error,) = answers
    expected = {i: figures for i, figures in enumerate(nights.summary["calibration"]) if figures["images"]}
    assert picked(bins, "bin", "images") == [(i, figures["images"]) for i, figures in expected.items()]
    assert [row["accuracy"] for row in bins] == [near(figures["accuracy"]) for figures in expected.values()]
    assert [row["confidence"] for row in bins] == [
        near(figures["confidence"], ROUNDED) for figures in expected.values()
    ]
    assert error["ece"] == near(nights.summary["expected_calibration_error"], ROUNDED)


def check_mistakes(answers: Sequence[Rows], nights: Nights) -> None:
    (found,) = answers
    names = ("key", "label_name", "predicted_name", "score")
    wrong = [row for row in nights.labelled if row["label"] != row["predicted"]]
    assert picked(found, *names) == picked(sorted(wrong, key=lambda r: (-r["score"], r["key"])), *names)[:20]
    shown = picked(nights.summary["most_confident_mistakes"], *names)[: OF_UNIT.mistakes]
    assert (
        picked(found, *names)[: OF_UNIT.mistakes] == shown
    )  # behind these, a receipt may have left out what the rows have


def check_labels(answers: Sequence[Rows], nights: Nights) -> None:
    (found,) = answers
    ordered = sorted(nights.labelled, key=lambda r: (r["label_score"], r["key"]))[:20]
    names = ("key", "label_name", "label_score", "predicted_name", "score")
    assert picked(found, *names) == picked(ordered, *names)


def check_margins(answers: Sequence[Rows], nights: Nights) -> None:
    (found,) = answers
    margins = sorted(
        (float(np.float32(row["top_k"][0]["score"]) - np.float32(row["top_k"][1]["score"])), row["key"])
        for row in nights.rows
        if row["status"] == "ok"
    )
    assert picked(found, "margin", "key") == margins[:20]
    top = {row["key"]: row["top_k"] for row in nights.rows}
    assert picked(found, "first", "second") == [(top[r["key"]][0]["name"], top[r["key"]][1]["name"]) for r in found]


def check_ranks(answers: Sequence[Rows], nights: Nights) -> None:
    (found,) = answers
    ranks = Counter(
        rank for row in nights.labelled for rank, c in enumerate(row["top_k"], 1) if c["label"] == row["label"]
    )
    assert picked(found, "rank", "images") == sorted(ranks.items())
    assert found[0]["accuracy_at_rank"] == near(nights.summary["accuracy"])
    assert found[-1]["accuracy_at_rank"] == near(nights.summary["top_k_accuracy"])


def check_slices(answers: Sequence[Rows], nights: Nights) -> None:
    (found,) = answers
    by_folder = {row["folder"]: row for row in found}
    known = [row["accuracy"] for row in found if row["accuracy"] is not None]
    assert [row["accuracy"] for row in found] == [*sorted(known), None, None]
    folders = ("spring", "autumn", "winter", "extra")
    assert by_folder.keys() == set(folders)
    for folder, expected in zip(folders, nights.summary["inputs"], strict=True):
        row = by_folder[folder]
        counts = (row["images"], row["failed"], row["n"])
        assert counts == (expected["images"], expected["failed"], expected["labelled"])
        assert row["accuracy"] == near(expected["accuracy"])
        assert [row["low"], row["high"]] == [near(bound) for bound in expected["accuracy_interval_95"] or (None, None)]


def check_two_nights(answers: Sequence[Rows], nights: Nights) -> None:
    changed, alone = answers
    before, now = ({row["key"]: row for row in rows} for rows in (nights.last_rows, nights.rows))
    groups: dict[tuple[Any, Any], list[str]] = {}
    for key in sorted(before.keys() & now.keys()):
        if before[key]["predicted"] != now[key]["predicted"]:
            groups.setdefault((before[key]["predicted_name"], now[key]["predicted_name"]), []).append(key)

    def right(rows: Mapping[str, dict[str, Any]], keys: Sequence[str]) -> int:
        return sum(rows[key]["predicted"] == rows[key]["label"] for key in keys)

    names = ("was", "now", "images", "right_before", "right_now", "examples")
    assert sorted(picked(changed, *names), key=str) == sorted(
        [(*group, len(keys), right(before, keys), right(now, keys), keys[:3]) for group, keys in groups.items()],
        key=str,
    )
    assert any(row["now"] is None for row in changed)
    assert picked(alone, "key", "gone") == sorted((key, key in before) for key in before.keys() ^ now.keys())


def check_file(answers: Sequence[Rows], nights: Nights) -> None:
    table = pq.read_table(nights.folder / "night.parquet")
    assert table.schema.types == SCHEMA.types
    assert table.to_pylist() == sorted(nights.rows, key=lambda row: row["key"])
    assert answers == [[{"Count": len(nights.rows)}]]


def check_json_lines(answers: Sequence[Rows], nights: Nights) -> None:
    (found,) = answers
    assert sorted(picked(found, *found[0]), key=str) == sorted(
        picked(nights.rows, "key", "predicted_name", "score", "error_code", "error_message"), key=str
    )


def check_copies(answers: Sequence[Rows], nights: Nights) -> None:
    copies: dict[str, Rows] = {}
    for row in nights.rows:
        if row["pixel_hash"] is not None:
            copies.setdefault(row["pixel_hash"], []).append(row)
    expected = [
        (pixels, len(rows), sorted(row["key"] for row in rows)[:3], len({row["label_name"] for row in rows} - {None}))
        for pixels, rows in copies.items()
        if len(rows) > 1
    ]
    assert expected
    (found,) = answers
    assert sorted(picked(found, "pixel_hash", "images", "examples", "labels")) == sorted(expected)


CHECKS: dict[str, Callable[[Sequence[Rows], Nights], None]] = {
    "How many": check_counts,
    "What failed, and why": check_failures,
    "Copies": check_copies,
    "Accuracy": check_accuracy,
    "Per class": check_classes,
    "Confusion matrix": check_confusion,
    "Calibration": check_calibration,
    "Most confident mistakes": check_mistakes,
    "Labels that look wrong": check_labels,
    "Least certain images": check_margins,
    "One row for each of the top k": check_ranks,
    "Slices": check_slices,
    "Labels": check_named,
    "Values": check_valued,
    "Embeddings": check_embedded,
    "Two nights": check_two_nights,
    "One compact file": check_file,
    "JSON Lines": check_json_lines,
}

WRONG = [
    ("How many", "getvariable('parts')", "'night/predictions/*.parquet'"),
    ("How many", "!= (label_name IS NULL)", "= (label_name IS NULL)"),
    ("What failed, and why", "min(key, 3)", "max(key, 3)"),
    ("What failed, and why", "status = 'failed'", "label IS NOT NULL"),
    ("Copies", "GROUP BY pixel_hash", "GROUP BY pixel_hash, key"),
    ("Copies", "HAVING images > 1", "HAVING images > 0"),
    ("Accuracy", "WHERE label_score IS NOT NULL", "WHERE label IS NOT NULL"),
    ("Accuracy", "z * z / 4", "z * z / 2"),
    ("Accuracy", "greatest(label_score::DOUBLE", "greatest(score::DOUBLE"),
    ("Accuracy", "[c.label FOR", "[c.label + 1 FOR"),
    ("Per class", "(predicted_name = class)", "(predicted_name = label_name)"),
    ("Per class", "2 * hits", "hits"),
    ("Confusion matrix", "ON predicted_name", "ON label_name"),
    ("Confusion matrix", "WHERE label != predicted", "WHERE label < predicted"),
    ("Calibration", "score::DOUBLE * 15", "score::DOUBLE * 14"),
    ("Calibration", "abs(accuracy - confidence)", "(accuracy - confidence)"),
    ("Most confident mistakes", "ORDER BY score DESC", "ORDER BY score"),
    ("Labels that look wrong", "ORDER BY label_score", "ORDER BY score"),
    ("Least certain images", "top_k[2].score AS", "top_k[3].score AS"),
    ("One row for each of the top k", "WHERE label = own", "WHERE label != own"),
    ("Slices", "'([^/]+)/[^/]+/[^/]+$'", "'([^/]+)/[^/]+$'"),
    ("Slices", "unnest(wilson(hits, n))\nFROM night", "unnest(wilson(hits, images))\nFROM night"),
    ("Labels", "2 * hits / nullif(support", "hits / nullif(support"),
    ("Labels", "label_names IS NOT NULL", "label_names IS NULL"),
    ("Labels", "ORDER BY mistakes DESC", "ORDER BY mistakes"),
    ("Values", "var_pop", "var_samp"),
    ("Values", "isfinite(label_value)", "label_value IS NOT NULL"),
    ("Values", "abs(residual) DESC", "residual DESC"),
    ("Embeddings", "similarity DESC", "similarity"),
    ("Embeddings", "WHERE key != getvariable", "WHERE key >= getvariable"),
    ("Two nights", "IS DISTINCT FROM", "!="),
    ("Two nights", "FULL JOIN", "LEFT JOIN"),
    ("One compact file", "FROM night ORDER", "FROM labelled ORDER"),
    ("JSON Lines", "error.status", "error.stage"),
]  # fmt: skip
"""What a question's check has to notice: under which heading, the right words, and wrong ones."""


@pytest.fixture(scope="module")
def answers(nights: Nights) -> Answers:
    return answers_of(DOCUMENT, nights.folder)


@pytest.mark.heavy
@pytest.mark.parametrize("heading", CHECKS)
def test_answer_is_that_of_the_summary_or_the_rows(heading: str, answers: Answers, nights: Nights) -> None:
    CHECKS[heading](answers[heading], nights)


@pytest.mark.heavy
@pytest.mark.parametrize(("heading", "right", "wrong"), WRONG)
def test_wrong_question_would_be_noticed(heading: str, right: str, wrong: str, nights: Nights) -> None:
    assert right in DOCUMENT
    answers = answers_of(DOCUMENT.replace(right, wrong), nights.folder)
    with pytest.raises(AssertionError):
        CHECKS[heading](answers[heading], nights)


def test_every_question_is_checked() -> None:
    asked = {block.heading for block in blocks(DOCUMENT) if block.language == "sql" and block.runs}
    assert asked == {"Open the table", *CHECKS}
    assert {heading for heading, _, _ in WRONG} == set(CHECKS)
    assert all(right in DOCUMENT for _, right, _ in WRONG)
    assert [b.heading for b in blocks(DOCUMENT) if not b.runs] == ["BigQuery"]
    assert {b.language for b in blocks(DOCUMENT)} == {"sql", "python"}


def run_python(code: str, folder: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(code, names)
    return names


@pytest.mark.heavy
def test_pandas_sees_the_same(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = [block for block in blocks(DOCUMENT) if block.language == "python"]
    found = run_python(example.code, nights.folder)
    by_key = sorted(nights.rows, key=lambda row: row["key"])
    assert found["night"].sort_values("key").to_dict("records") == by_key
    assert sorted(found["labelled"]["key"]) == sorted(row["key"] for row in nights.labelled)
    text = capsys.readouterr().out
    assert f"{nights.summary['accuracy']}" in text
    assert re.search(rf"^ok +{nights.summary['scored']}$", text, re.MULTILINE)
    shown = [list(map(int, line.split()[1:])) for line in text.splitlines() if re.fullmatch(r"\d( +\d+)+ *", line)]
    assert shown == nights.summary["confusion_matrix"]


@pytest.mark.heavy
def test_every_part_has_the_same_types_even_one_of_failures_alone(nights: Nights) -> None:
    """What docs/sql.md says of BigQuery: no column's type depends on the values in it."""
    parts = [pq.ParquetFile(path) for path in (nights.folder / "night" / "predictions").glob("*.parquet")]
    assert any(set(part.read()["status"].to_pylist()) == {"failed"} for part in parts)
    assert all(part.schema_arrow.equals(SCHEMA) for part in parts)
    assert len({str(part.schema).split("\n", 1)[1] for part in parts}) == 1
    assert "top_k.list.element.name" in [parts[0].schema.column(i).path for i in range(len(parts[0].schema))]
