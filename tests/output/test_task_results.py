"""Runs of models of labels, of a value, and of an embedding: from their parts to all that is told of them.

No model scores here: the parts are written by hand, so that their figures are known.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, WriteImages
from task_rows import NAMES, embedding_row, label_row, table, value_row
from test_schema import assert_known

from model_training.data.datasets import RawImages
from nightscore.night import open_night
from pipeline.cli.facts import as_json, facts
from pipeline.errors import DamagedPartError, NewerFormatError, UsageError
from pipeline.metrics import task_figures
from pipeline.metrics.record import EndedRecord
from pipeline.model.directory import read_spec
from pipeline.options import ScoreOptions
from pipeline.output import plan_file, records
from pipeline.output.commit import commit
from pipeline.output.finish import finish
from pipeline.output.receipts import Extras, Receipt, receipt_of
from pipeline.output.rows import PartWriter, row_schema
from pipeline.output.run import Run
from pipeline.output.status import status
from pipeline.output.summary import Summary
from pipeline.output.verdict import verdict
from pipeline.output.verify import verify
from pipeline.scoring.planning import pin
from pipeline.scoring.prepare import check
from pipeline.task import Embedding, Task
from pipeline.units import WorkUnit

ROWS: dict[Task, Sequence[dict[str, Any]]] = {
    "labels": [
        label_row("0", ["cat"], [0.9, 0.1, 0.1, 0.1]),
        label_row("1", ["cat", "dog"], [0.9, 0.1, 0.1, 0.1]),
        label_row("2", None, [0.9, 0.8, 0.1, 0.1]),
        label_row("3", ["gnu"], [0.1, 0.1, 0.1, 0.1]),
        label_row("4", ["cat"], None),
        label_row("5", [], [0.1, 0.1, 0.1, 0.1]),
    ],
    "value": [
        value_row("0", 1.0, 2.0),
        value_row("1", 5.0, 5.5),
        value_row("2", None, 7.0),
        value_row("3", float("nan"), 8.0),
        value_row("4", 1.0, None),
        value_row("5", 9.0, 9.0),
    ],
    "embedding": [*(embedding_row(f"{i}", [i, 0, 0]) for i in range(5)), embedding_row("5", None)],
}
FIGURES = {
    "labels": task_figures.LabelFigures,
    "value": task_figures.ValueFigures,
    "embedding": task_figures.EmbeddingFigures,
}
TASKS: Sequence[Task] = ("labels", "value", "embedding")


@dataclass(frozen=True)
class Done:
    """A run that has ended, and its figures."""

    run: Run
    record: EndedRecord
    figures: Any


def of_task(run: Run, task: Task) -> Run:
    """Return a run as if its model were of a task."""
    spec = replace(
        run.spec,
        task=task,
        class_names=NAMES if task == "labels" else (),
        value_unit=2.0**-10 if task == "value" else 0.0,
        embedding=Embedding(3) if task == "embedding" else None,
    )
    return replace(run, spec=spec)


def part_of(unit: WorkUnit, run: Run, rows: Sequence[dict[str, Any]]) -> bytes:
    """Return a part that has these rows, with the keys of the unit's images."""
    keyed = [{**row, "key": key} for row, key in zip(rows, unit.locations, strict=True)]
    writer = PartWriter(run.options.format, row_schema(run.spec.task, run.options, run.spec.embedding))
    writer.add(table(run.spec.task, keyed, run.spec.embedding))
    return writer.close()


@pytest.fixture(scope="module", params=TASKS)
def done(
    request: pytest.FixtureRequest, tiny_model: str, digits: RawImages, tmp_path_factory: pytest.TempPathFactory
) -> Done:
    """Two nights over the same six images, in two units."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "archive").mkdir()
    for i in range(6):
        (folder / "archive" / f"{i}.png").write_bytes(digits.encoded(i))
    options = ScoreOptions(
        (str(folder / "archive"),), tiny_model, str(folder / "night"), unit_images=3, engine="litert"
    )
    for name in ("run-1", "run-2"):
        run = of_task(Run.of(name, options, read_spec(tiny_model)), request.param)
        records.start(run)
        pin(run)
        rows, summary = iter(ROWS[request.param]), Summary()
        for unit in plan_file.read_units(run):
            part = part_of(unit, run, [next(rows) for _ in unit.locations])
            receipt = commit(unit, part, receipt_of(unit, part, run, Extras(1.0)), run)
            summary = summary.merge(Summary.of(receipt))
        record = finish(summary, run)
    return Done(run, record, json.loads(Path(run.output, "summary.json").read_text()))


def test_documents_are_of_their_types(done: Done) -> None:
    assert_known(done.figures, FIGURES[done.run.spec.task], "summary.json")
    assert_known(json.loads(Path(done.run.output, "run.json").read_text()), EndedRecord, "run.json")
    assert done.figures["task"] == done.run.spec.task
    assert (done.figures["images"], done.figures["scored"], done.figures["failed"]) == (6, 5, 1)


def test_figures_are_those_of_the_rows(done: Done) -> None:
    figures = done.figures
    if done.run.spec.task == "labels":
        assert (figures["labelled"], figures["exact_match"]) == (3, pytest.approx(2 / 3))
        assert [e["mistakes"] for e in figures["most_mistaken"]] == [1]
    elif done.run.spec.task == "value":
        assert (figures["labelled"], figures["mae"], figures["unknown_labels"]) == (3, 0.5, 1)
        assert [e["label_value"] for e in figures["largest_residuals"]] == [1.0, 5.0, 9.0]
    else:
        assert figures["zero_embeddings"] == 1
        assert [e["norm"] for e in figures["largest_norms"]] == [4, 3, 2, 1, 0]


def test_receipt_survives_its_file_and_refuses_what_it_does_not_know(done: Done) -> None:
    for path in Path(done.run.output, "receipts").iterdir():
        receipt = Receipt.from_json(path.read_bytes())
        assert receipt.to_json() == path.read_bytes()
        assert receipt.metrics.task == done.run.spec.task
    content = json.loads(path.read_bytes())
    with pytest.raises(NewerFormatError, match="task 'colors'"):
        Receipt.from_json(resealed({**content, "metrics": {**content["metrics"], "task": "colors"}}))
    with pytest.raises(NewerFormatError, match="later"):
        Receipt.from_json(resealed({**content, "metrics": {**content["metrics"], "later": 1}}))
    del content["metrics"]["scored"]
    with pytest.raises(DamagedPartError, match="scored"):
        Receipt.from_json(resealed(content))


def resealed(content: dict[str, Any]) -> bytes:
    """Return a receipt's file with a checksum that fits."""
    from pipeline.output import receipts

    content.pop("checksum", None)
    return receipts._seal(json.dumps(content, sort_keys=True).encode().removesuffix(b"}"))


def test_night_is_verified_and_its_status_told(done: Done) -> None:
    assert verify(done.run.output).findings == []
    now = status(done.run.output, time.time())
    assert (now.state, now.task, now.done, now.failed) == ("finished", done.run.spec.task, 6, 1)
    expected = {"labels": pytest.approx(2 / 3), "value": 0.5, "embedding": None}[done.run.spec.task]
    assert now.quality == expected
    assert now.nights[0].quality == expected
    assert now.accuracy is None


def test_night_before_is_compared_with(done: Done) -> None:
    names = {"labels": {"exact_match"}, "value": {"mae"}, "embedding": set()}[done.run.spec.task]
    assert done.record["previous"] is not None
    assert names <= done.record["previous"].keys()
    assert [drift["against"] for drift in done.record["drift"]] == (
        ["training", "previous"] if done.run.spec.task == "labels" else ["previous"]
    )


def test_facts_say_the_headline_and_no_accuracy(done: Done) -> None:
    lines = dict(facts(done.record, done.figures, "night"))
    assert "accuracy" not in lines
    expected = {"labels": "exact match", "value": "mean error", "embedding": "norms"}[done.run.spec.task]
    assert expected in lines
    assert all(len(line) + 13 <= 160 for line in lines.values())
    content = as_json(done.record, done.figures, "night")
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    if done.run.spec.task == "value":
        assert (content["mae"], content["labelled"]) == (0.5, 3)
        assert lines["errors"] == "RMSE 0.6455, R2 0.9609, mean residual 0.5"


def test_notebook_shows_a_night_of_any_task(done: Done) -> None:
    night = open_night(done.run.output)
    assert len(night.rows()) == 6
    assert "All good" in night._repr_html_() or "Exit code 3" in night._repr_html_()
    assert "accuracy" not in night._repr_html_()


def test_share_of_exactly_right_images_is_what_min_accuracy_asks_for(done: Done) -> None:
    if done.run.spec.task != "labels":
        return
    summary = Summary(1, metrics=done.run.metrics.measure(table("labels", ROWS["labels"])))
    run = replace(done.run, options=replace(done.run.options, min_accuracy=0.6, max_failed_fraction=1.0))
    assert verdict(summary, run, 6) == (0, [])
    run = replace(run, options=replace(run.options, min_accuracy=0.7))
    code, (reason,) = verdict(summary, run, 6)
    assert code == 4
    assert reason == "the share of images with exactly their labels is 0.6667, less than --min_accuracy 0.7"


@pytest.mark.parametrize("task", ["value", "embedding"])
def test_min_accuracy_of_a_model_without_classes_is_refused_at_the_start(
    task: Task, make_run: MakeRun, write_images: WriteImages, tmp_path: Path
) -> None:
    run = of_task(make_run("x"), task)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_spec.json").write_text(run.spec.to_json())
    options = ScoreOptions((str(write_images(1)),), str(tmp_path / "model"), str(tmp_path / "night"), min_accuracy=0.9)
    with pytest.raises(UsageError, match=r"--min_accuracy 0\.9 cannot be checked: the model gives") as error:
        check(options)
    assert "\n" not in str(error.value)
