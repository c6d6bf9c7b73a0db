"""What a run says at its end: on a screen, in one line each, and as JSON."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pytest
from conftest import MakeRun
from rich.console import Console
from task_rows import table, value_row

from pipeline.cli import terminal
from pipeline.cli.facts import as_json, facts
from pipeline.cli.task_facts import FACTS
from pipeline.metrics.accuracy import Metrics
from pipeline.metrics.task_metrics import ValueMetrics
from pipeline.metrics.value import measure_values
from pipeline.output.receipts import Extras, Receipt
from pipeline.output.run import Run
from pipeline.output.summary import Summary, figures

RECORD: dict[str, Any] = {
    "run": "r", "images": 5, "failed": 1, "complete": True, "unfinished_units": 0,
    "seconds": 2.0, "images_per_second": 1500.0, "scored": 3, "rescored": 1, "kept": 2,
    "plan": {"skipped": {"junk": 4}, "units": 9}, "verdict": {"exit_code": 0, "reasons": []},
    "time": {"shares": {"read": 0.25, "predict": 0.9, "waiting": 0.1}, "advice": "the model decides",
             "decides": "predict"},
}  # fmt: skip
REASONS = [("read", "NOT_FOUND"), ("read", "DATA_LOSS"), ("preprocess", "INVALID_ARGUMENT"), ("predict", "INTERNAL")]


def receipt(metrics: Metrics, failures: list[dict[str, Any]] | None = None, **more: Any) -> Receipt:
    return Receipt("u", metrics.images, 0, metrics, [], failures or [], Extras(), **more)


def said(run: Run, *receipts: Receipt, record: dict[str, Any] = RECORD) -> list[str]:
    summary = Summary()
    for one in receipts:
        summary = summary.merge(Summary.of(one))
    return [f"{name}: {text}" for name, text in facts(record, figures(summary, run), "night")]


def failure(key: str, stage: str = "read", code: str = "NOT_FOUND", message: str = "gone") -> dict[str, Any]:
    return {"row": 0, "key": key, "stage": stage, "code": code, "message": message}


def test_result_is_the_few_facts_that_matter(make_run: MakeRun) -> None:
    metrics = Metrics(
        images=5, scored=4, failures={("read", "NOT_FOUND"): 1}, labelled=4, correct=3, top_k_correct=4,
        confusion={(1, 1): 3, (1, 2): 1}, unknown_labels=1,
    )  # fmt: skip
    assert said(make_run("x"), receipt(metrics, [failure("/a/[red]x[/].png")])) == [
        "images: 5 in 2.0 s, 1,500 images/s with start-up, 2 kept from earlier runs",
        "time: read 25%, predict 90%",
        "decides: the model decides",
        "skipped: 4 junk",
        "failed: 1 (1 NOT_FOUND in read)",
        "example: /a/[red]x[/].png: gone",
        "again: the same command with --retry_failed scores those that failed again",
        "unknown: 1 labels are not classes of the model",
        "accuracy: 0.7500 (95 % interval 0.3006 to 0.9544) of 4 labelled",
        "worst: recall 0.7500 of '1'",
        "confused: 1 of '1' as '2'",
        "predictions: night/predictions",
        "report: night/report.html",
        "next: nightscore verify night",
    ]


def test_worst_classes_are_those_that_surely_are(make_run: MakeRun) -> None:
    confusion = {(0, 0): 500, (0, 1): 500, (2, 3): 1, (4, 4): 90, (4, 5): 10, (5, 5): 1000, (5, 4): 1, (6, 6): 10}
    metrics = Metrics(
        images=2112, scored=2112, labelled=2112, correct=1600, top_k_correct=2112, confusion=confusion
    )  # fmt: skip
    lines = said(make_run("x"), receipt(metrics))
    assert "worst: recall 0.5000 of '0', recall 0.0000 of '2', recall 0.9000 of '4'" in lines
    assert "confused: 500 of '0' as '1', 10 of '4' as '5', 1 of '2' as '3'" in lines


def test_perfect_result_names_no_worst_class(make_run: MakeRun) -> None:
    metrics = Metrics(images=3, scored=3, labelled=3, correct=3, top_k_correct=3, confusion={(1, 1): 3})
    names = {line.split(":")[0] for line in said(make_run("x"), receipt(metrics))}
    assert not names & {"worst", "confused", "example", "again", "unknown", "precision"}


@pytest.mark.parametrize(("scored", "line"), [(3, "bfloat16, 1 of 3 images scored again in float32"), (0, "bfloat16")])
def test_another_precision_says_how_often_it_was_not_enough_if_anything_was_scored(
    make_run: MakeRun, scored: int, line: str
) -> None:
    lines = said(
        make_run("x", precision="bfloat16"), receipt(Metrics(images=5, scored=5)), record={**RECORD, "scored": scored}
    )
    assert f"precision: {line}" in lines


def test_unlabelled_images_show_their_classes(make_run: MakeRun) -> None:
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5, unlabelled={3: 4, 1: 1})))
    assert "unlabelled: 5, predicted mostly 4 as '3', 1 as '1'" in lines
    assert not any(line.startswith("accuracy") for line in lines)


def test_several_inputs_are_compared(make_run: MakeRun) -> None:
    receipts = [receipt(Metrics(images=4, scored=4, labelled=4, correct=3))]
    receipts += [receipt(Metrics(images=2, scored=1), input=number) for number in range(1, 6)]
    inputs = [line for line in said(make_run(*"abcdef"), *receipts) if line.startswith("input")]
    assert inputs[0].endswith("/a: 4 images, 0 failed, accuracy 0.7500")
    assert inputs[1].endswith("/b: 2 images, 1 failed")
    assert inputs[3:] == ["input: and 3 more, see the report"]


def test_images_of_a_kind_that_is_not_read_are_told_with_what_to_do(make_run: MakeRun) -> None:
    skipped = {"junk": 40, "HEIC images: convert them": 3, "other files": 1}
    examples = {"junk": "/p/Thumbs.db", "HEIC images: convert them": "/p/1.heic", "other files": "/p/x"}
    plan = {"skipped": skipped, "skipped_examples": examples, "units": 9}
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record={**RECORD, "plan": plan})
    assert "not read: 3 HEIC images: convert them (/p/1.heic)" in lines
    assert "skipped: 40 junk, 1 other files" in lines


def test_what_was_found_inside_is_told_with_what_was_planned(make_run: MakeRun) -> None:
    inside = {
        "skipped_inside": {"junk": 2, "other files": 7},
        "skipped_inside_examples": {"junk": "a", "other files": "b"},
    }
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record={**RECORD, **inside})
    assert "skipped: 7 other files, 6 junk" in lines


def test_no_kind_that_is_not_read_is_left_out(make_run: MakeRun) -> None:
    kinds = ("HEIC", "DNG", "SVG", "JPEG XL")
    skipped = {f"{kind} images: convert them": 9 - n for n, kind in enumerate(kinds)}
    skipped |= {"junk": 4, "other files": 3, "files of labels": 2, "empty containers": 1}
    plan = {"skipped": skipped, "skipped_examples": {}, "units": 9}
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record={**RECORD, "plan": plan})
    assert [line for line in lines if line.startswith(("not read", "skipped"))] == [
        "not read: 9 HEIC images: convert them",
        "not read: 8 DNG images: convert them",
        "skipped: 7 SVG images, 6 JPEG XL images, 4 junk, 6 others (run.json)",
    ]


def test_examples_are_of_different_reasons(make_run: MakeRun) -> None:
    failures = [failure(f"{i}.png") for i in range(3)] + [failure("z.png", "preprocess", "INVALID_ARGUMENT", "bad")]
    metrics = Metrics(images=4, failures={("read", "NOT_FOUND"): 3, ("preprocess", "INVALID_ARGUMENT"): 1})
    lines = said(make_run("x"), receipt(metrics, failures))
    assert [line for line in lines if line.startswith("example")] == ["example: z.png: bad", "example: 0.png: gone"]


def test_everything_at_once_fits_a_screen(make_run: MakeRun) -> None:
    metrics = Metrics(
        images=10_000_000, scored=9_000_000, failures=dict.fromkeys(REASONS, 250_000), labelled=8_000_000,
        correct=7_000_000, top_k_correct=7_500_000, unknown_labels=500_000, unlabelled={3: 500_000, 4: 500_000},
        confusion={(a, b): 70_000 + a - b for a in range(10) for b in range(10)},
    )  # fmt: skip
    failures = [failure("gs://bucket/" + "k" * 300, *reason, "m" * 900) for reason in REASONS]
    record = {
        **RECORD, "seconds": 36_000.0, "kept": 1_000_000,
        "plan": {
            "skipped": {f"{i} other files": 5_000 for i in range(5)} | {f"{i} images: {i}" * 5: 9 for i in range(5)},
            "skipped_examples": {f"{i} images: {i}" * 5: "/photos/" + "x" * 900 for i in range(5)}, "units": 9,
        },
    }  # fmt: skip
    names = [f"gs://bucket/folder-{i}" for i in range(3)]
    receipts = [receipt(metrics, failures, input=number) for number in range(3)]
    run = make_run(*names)
    summary = Summary()
    for one in receipts:
        summary = summary.merge(Summary.of(one))
    stream = io.StringIO()
    terminal.show_result(Console(file=stream, width=80), record, figures(summary, run), "gs://bucket/night")
    rows = sum(math.ceil(len(line) / 80) for line in stream.getvalue().splitlines())
    assert rows <= 30, "a screen and six lines, with all troubles at once"
    usual = said(make_run("x"), receipt(metrics, [failure(f"photos/{i}.jpg") for i in range(2)]))
    assert sum(math.ceil((len(line) + 8) / 80) for line in usual) <= 22


def test_night_unlike_the_others_says_so(make_run: MakeRun) -> None:
    drift = [
        {"against": "training", "classes": {"psi": 1.234}, "confidence": {"psi": None}},
        {"against": "previous", "classes": {"psi": 0.2}, "confidence": {"psi": 0.3}},
    ]
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record={**RECORD, "drift": drift})
    assert (
        "drift: classes unlike those in training (PSI 1.23); scores unlike those the night before (PSI 0.30)" in lines
    )
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record={**RECORD, "drift": drift[1:]})
    assert "drift: scores unlike those the night before (PSI 0.30)" in lines


def test_unfinished_run_says_how_to_go_on() -> None:
    record = {**RECORD, "complete": False, "unfinished_units": 2, "images": 40, "failed": 0}
    record["plan"] = {"skipped": {}, "units": 9, "images": 56}
    lines = [f"{name}: {text}" for name, text in facts(record, None, "my night")]
    assert lines[0].startswith("images: 40 of 56 in 2.0 s, ")
    assert lines[-2:] == [
        "unfinished: 2 of 9 units",
        "next: the same command finishes them; nightscore status 'my night' tells more",
    ]
    content = as_json(record, None, "my night")
    assert (content["complete"], content["unfinished_units"], content["report"]) == (False, 2, None)
    assert content["accuracy"] is None


def test_program_gets_the_same_as_one_object(make_run: MakeRun) -> None:
    metrics = Metrics(images=5, scored=4, failures={("read", "NOT_FOUND"): 1}, labelled=4, correct=3)
    content = as_json(RECORD, figures(Summary.of(receipt(metrics)), make_run("x")), "night")
    assert json.loads(json.dumps(content)) == content
    assert content["failures"] == [{"stage": "read", "code": "NOT_FOUND", "images": 1}]
    assert (content["accuracy"], content["labelled"], content["decides"]) == (0.75, 4, "predict")
    assert content["report"] == "night/report.html"


def test_a_label_that_is_no_number_is_told_with_an_image() -> None:
    rows = [value_row("/a/1.png", math.nan, 1.0), value_row("/a/2.png", 2.0, 1.0)]
    figures = ValueMetrics(2.0**-16).compute(measure_values(table("value", rows), 2.0**-16))
    assert next(FACTS["value"](figures)) == ("unknown", "1 labels are no numbers, such as that of /a/1.png")
