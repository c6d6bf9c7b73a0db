"""docs/schema.md says what the types say, field by field, and so do the documents of a real run."""

from __future__ import annotations

import contextlib
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import pytest
from conftest import MakeRun, WriteImages
from written_output import class_row, failed_row, write_output

from pipeline.comparison.compare import compare
from pipeline.metrics import comparison_figures, odd_images, record, recorded_run, review, task_figures, task_record
from pipeline.metrics.figures import (
    CalibrationBin,
    ColumnSlices,
    ColumnValue,
    Example,
    FailureCount,
    FailureExample,
    Figures,
    FolderSlice,
    FolderSlices,
    InputSlice,
    LabelCount,
    PerClass,
)
from pipeline.metrics.record import EndedRecord, OpenRecord
from pipeline.metrics.recorded_run import RecordedInputRule, RecordedOptions
from pipeline.model.input_rule import InputSpec
from pipeline.options import ScoreOptions
from pipeline.output import plan_file, records
from pipeline.output.finish import finish
from pipeline.output.interrupted import interruption_noted
from pipeline.output.rows import row_schema
from pipeline.output.summary import Summary
from pipeline.scoring.planning import pin
from pipeline.scoring.score import score
from pipeline.task import Embedding, Task

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "schema.md"

SECTIONS: Mapping[str, Any] = {
    "summary.json": Figures,
    "Failures by reason": FailureCount,
    "Class": PerClass,
    "Unknown label": LabelCount,
    "Calibration bin": CalibrationBin,
    "Input": InputSlice,
    "Folders": FolderSlices,
    "Folder": FolderSlice,
    "Column": ColumnSlices,
    "Value of a column": ColumnValue,
    "Example": Example,
    "Failed image": FailureExample,
    "Summary of labels": task_figures.LabelFigures,
    "Scores of labels": task_figures.Scores,
    "Class of labels": task_figures.PerLabel,
    "Input of labels": task_figures.LabelInput,
    "Folders of labels": task_figures.LabelFolders,
    "Folder of labels": task_figures.LabelFolder,
    "Example of labels": task_figures.LabelExample,
    "Summary of values": task_figures.ValueFigures,
    "Bin": task_figures.Bin,
    "Cell": task_figures.PairBin,
    "Input of values": task_figures.ValueInput,
    "Folders of values": task_figures.ValueFolders,
    "Folder of values": task_figures.ValueFolder,
    "Example of values": task_figures.ValueExample,
    "Summary of embeddings": task_figures.EmbeddingFigures,
    "Input of embeddings": task_figures.PlainInput,
    "Folders of embeddings": task_figures.PlainFolders,
    "Folder of embeddings": task_figures.PlainFolder,
    "Example of embeddings": task_figures.EmbeddingExample,
    "run.json": EndedRecord,
    "Maker": record.Maker,
    "Options": RecordedOptions,
    "Model": recorded_run.RecordedSpec,
    "Embedding": recorded_run.RecordedEmbedding,
    "Input rule": RecordedInputRule,
    "Training": record.Training,
    "Verdict": record.Verdict,
    "Night": record.NightFigures,
    "Night of labels": task_record.LabelNight,
    "Night of values": task_record.ValueNight,
    "Grid": task_record.GridFigures,
    "Night of embeddings": task_record.EmbeddingNight,
    "Previous run": record.Previous,
    "Previous run of labels": record.PreviousLabels,
    "Previous run of values": record.PreviousValue,
    "Previous run of embeddings": record.PreviousRun,
    "Drift": record.Drift,
    "Drift of a value": task_record.ValueDrift,
    "Drift of values": task_record.DriftOfValues,
    "Drift of an embedding": task_record.EmbeddingDrift,
    "Drift of norms": task_record.DriftOfNorms,
    "Drift of classes": record.ClassDrift,
    "Changed class": record.ClassChange,
    "Drift of scores": record.ConfidenceDrift,
    "Time": record.TimeShares,
    "Plan": record.Plan,
    "review.json": review.Review,
    "Acceptance": review.Acceptance,
    "Threshold": review.ThresholdRow,
    "Threshold of a class": review.ClassThreshold,
    "Accepted": review.Accepted,
    "Curves": review.Curves,
    "Curve": review.Curve,
    "Unseen": review.Unseen,
    "Label errors": review.LabelErrors,
    "Suspect": review.Suspect,
    "Duplicates": review.Duplicates,
    "Near duplicates": review.NearDuplicates,
    "Embeddings of a sample": review.Embeddings,
    "Embedding facts": review.EmbeddingFacts,
    "Odd images": odd_images.OddKind,
    "Group of copies": review.CopyGroup,
    "Copy": review.Copy,
    "Comparison": comparison_figures.Comparison,
    "Compared run": comparison_figures.ComparedRun,
    "Including seen images": comparison_figures.IncludingSeen,
    "Quality": comparison_figures.Quality,
    "Difference": comparison_figures.Difference,
    "Change of a class": comparison_figures.ClassChange,
    "Change of a part": comparison_figures.PartChange,
    "Changes by column": comparison_figures.ColumnChanges,
    "Changed image": comparison_figures.ChangedImage,
    "Labels that differ": comparison_figures.LabelPair,
    "Failed in one": comparison_figures.OneFailed,
}
"""Heading of the page -> the type whose fields its table lists."""

DOCUMENTS = (Figures, task_figures.LabelFigures, task_figures.ValueFigures, task_figures.EmbeddingFigures)
"""The types of summary.json, one for each task."""

NAMES = {int: "integer", float: "number", str: "string", bool: "true or false", type(None): "null"}


def type_text(hint: Any) -> str:
    """Return what the page says of a type."""
    if hint in NAMES:
        return NAMES[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(type_text, arguments))
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is list:
        return f"array of {type_text(arguments[0])}"
    if origin is dict:
        return f"object of {type_text(arguments[1])}"
    (title,) = (title for title, kind in SECTIONS.items() if kind is hint)
    return f"[{title}](#{title.lower().replace(' ', '-').replace('.', '')})"


def tables() -> dict[str, list[list[str]]]:
    """Return heading -> the rows of the table below it, without its head."""
    rows: dict[str, list[list[str]]] = {}
    for section in re.split(r"^#+ ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        title, *lines = section.splitlines()
        rows[title] = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    return rows


def types_within(kind: Any) -> Iterator[Any]:
    """Yield a TypedDict and all that its fields hold."""
    if typing.is_typeddict(kind):
        yield kind
        for hint in typing.get_type_hints(kind).values():
            yield from types_within(hint)
    for argument in typing.get_args(kind):
        yield from types_within(argument)


@pytest.mark.parametrize("title", SECTIONS)
def test_table_of_a_type_has_its_fields_and_their_types(title: str) -> None:
    hints = typing.get_type_hints(SECTIONS[title])
    said = {name.strip("`"): kind for name, kind, _ in tables()[title]}
    assert said == {name: type_text(hint) for name, hint in hints.items()}


def test_every_type_of_the_documents_has_a_section() -> None:
    documents = (*DOCUMENTS, EndedRecord, OpenRecord, review.Review, comparison_figures.Comparison)
    held = [kind for document in documents for kind in types_within(document)]
    assert [kind for kind in held if kind not in (*SECTIONS.values(), OpenRecord)] == []


@pytest.mark.parametrize("task", ["classes", "value"])
def test_comparison_of_two_outputs_is_as_its_type_says(tmp_path: Path, task: str) -> None:
    rows: list[dict[str, Any]] = [
        {"key": f"/a/{i}.png", "status": "ok", "label_value": float(i), "predicted_value": 2.0 * i} for i in range(3)
    ]
    if task == "classes":
        rows = [dict(class_row(f"/a/{i}.png", [0.9, 0.1], "xy", "xy"[i % 2], format="PNG")) for i in range(3)]
    rows.append(dict(failed_row("/a/9.png")))
    more: dict[str, Any] = {"spec": {"task": "value", "value_unit": 0.25}} if task == "value" else {"slice": "format"}
    names = "xy" if task == "classes" else ""
    write_output(tmp_path / "a", [rows], names, **more)
    write_output(tmp_path / "b", [rows[::2]], names, **more)
    found = compare(str(tmp_path / "a"), str(tmp_path / "b")).figures
    assert found["difference"] is not None
    assert_known(json.loads(json.dumps(found)), comparison_figures.Comparison, "comparison")


def test_fields_of_a_run_under_way_come_first() -> None:
    under_way = typing.get_type_hints(OpenRecord)
    names = [name.strip("`") for name, *_ in tables()["run.json"]]
    assert set(names[: len(under_way)]) == set(under_way)


def test_options_and_the_input_rule_are_those_that_are_written() -> None:
    assert [option.name for option in fields(ScoreOptions)] == list(typing.get_type_hints(RecordedOptions))
    assert {field.name for field in fields(InputSpec)} == set(typing.get_type_hints(RecordedInputRule))


@pytest.mark.parametrize(
    ("title", "task", "embedding"),
    [
        ("Rows", "classes", None),
        ("Rows of labels", "labels", None),
        ("Rows of values", "value", None),
        ("Rows of embeddings", "embedding", Embedding(1280)),
    ],
)
def test_columns_of_rows_are_those_of_the_page(title: str, task: Task, embedding: Embedding | None) -> None:
    options = ScoreOptions(input=("a",), model="m", output="o", engine="tensorflow")
    columns = [
        [f"`{column.name}`", f"`{column.type}`", "yes" if column.nullable else "no"]
        for column in row_schema(task, options, embedding)
    ]
    assert [row[:3] for row in tables()[title]] == columns


def is_like(content: Any, kind: Any) -> bool:
    """Return whether a JSON value is of a plain type, or has the names of a TypedDict and no others."""
    if not typing.is_typeddict(kind):
        return isinstance(content, kind)
    return isinstance(content, dict) and content.keys() == typing.get_type_hints(kind).keys()


def assert_known(content: Any, kind: Any, where: str) -> None:
    """Check that a JSON value has no field that its type lacks, and is of that type."""
    arguments = typing.get_args(kind)
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind)
        assert content.keys() <= hints.keys(), where
        assert kind.__required_keys__ <= content.keys(), where
        for name, value in content.items():
            assert_known(value, hints[name], f"{where}.{name}")
    elif typing.get_origin(kind) is list:
        for i, value in enumerate(content):
            assert_known(value, arguments[0], f"{where}[{i}]")
    elif typing.get_origin(kind) is dict:
        for name, value in content.items():
            assert_known(value, arguments[1], f"{where}[{name!r}]")
    elif typing.get_origin(kind) in (typing.Union, types.UnionType):
        if content is not None or type(None) not in arguments:
            others = [argument for argument in arguments if argument is not type(None)]
            fitting = others if len(others) == 1 else [other for other in others if is_like(content, other)]
            assert fitting, where
            assert_known(content, fitting[0], where)
    elif typing.get_origin(kind) is Literal:
        assert content in arguments, where
    else:
        assert isinstance(content, (int, float) if kind is float else kind), where


def test_documents_of_a_real_run_are_of_their_types(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(40), unit_images=10)
    Path(run.options.input[0], "0", "broken.png").write_bytes(b"no image")
    for name in ("run-1", "run-2"):
        run = make_run(*run.options.input, unit_images=10, name=name)
        records.start(run)
        assert_known(json.loads(Path(run.record).read_text()), OpenRecord, "a run under way")
        with contextlib.suppress(KeyboardInterrupt), interruption_noted(run):
            raise KeyboardInterrupt
        assert_known(json.loads(Path(run.record).read_text()), record.InterruptedRecord, "an interrupted run")
        records.start(run)
        pin(run)
        summary = Summary()
        for outcome in score(list(plan_file.read_units(run)), run):
            summary = summary.merge(Summary.of(outcome))
        finish(summary, run)
    assert_known(json.loads(Path(run.output, "run.json").read_text()), EndedRecord, "run.json")
    assert_known(json.loads(Path(run.output, "summary.json").read_text()), Figures, "summary.json")
    assert_known(json.loads(Path(run.output, "review.json").read_text()), review.Review, "review.json")


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_documents_of_an_earlier_version_are_too(form: str) -> None:
    folder = ROOT / "tests" / "fixtures" / "7c95bb3" / form
    assert_known(json.loads((folder / "run.json").read_text()), EndedRecord, "run.json")
    assert_known(json.loads((folder / "summary.json").read_text()), Figures, "summary.json")
