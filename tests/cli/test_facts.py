"""What a run says at its end: on a screen, in one line each, and as JSON."""

from __future__ import annotations

import io
import json
import math
import re
from typing import Any

import pyarrow as pa
import pytest
from conftest import MakeRun
from rich.console import Console
from task_rows import table, value_row

from pipeline.cli import terminal
from pipeline.cli.facts import as_json, facts
from pipeline.cli.task_facts import FACTS
from pipeline.metrics.acceptance import ScoreCounts, compute
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
    "time": {"shares": {"read": 0.25, "predict": 0.9, "waiting": 0.1}, "advice": "the model is slowest",
             "decides": "predict"},
}  # fmt: skip
REASONS = [("read", "NOT_FOUND"), ("read", "DATA_LOSS"), ("preprocess", "INVALID_ARGUMENT"), ("predict", "INTERNAL")]

ACCEPTED = {"score": 0.96, "wanted_accuracy": 0.99, "images": 7_000_000, "labelled": 576, "accuracy": 0.99999,
            "accuracy_interval_95": [0.99, 1.0], "left": 2_000_000, "left_mistakes": 26}  # fmt: skip
UNSEEN = {"seen": 2876, "images": 718, "labelled": 718, "headline": 0.96379, "headline_interval_95": [0.94747, 0.97517],
          "seen_labelled": 2876, "seen_headline": 0.98}  # fmt: skip
LABEL_ERRORS = {"suspects": 228, "labelled": 718, "seen": 2876}
REVIEW: Any = {"label_errors": LABEL_ERRORS, "duplicates": {"conflict_images": 12}}


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
        "accuracy: 0.7500 (95 % interval 0.3006 to 0.9544) of 4 labelled",
        "failed: 1 of 5: 1 not found",
        "example: /a/[red]x[/].png: gone",
        "retry: add --retry_failed to the same command to score failed images again",
        "skipped: junk: 4",
        "unknown: 1 label is no class of the model",
        "worst: recall 0.7500 of '1'",
        "confused: 1 of '1' as '2'",
        "images: 5 in 2.0 s, 1,500 images/s with start-up, 2 kept from earlier runs",
        "time: read 25%, predict 90% of all cores",
        "advice: the model is slowest",
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
    assert "worst: recall 0.5000 of '0', 0.0000 of '2', 0.9000 of '4'" in lines
    assert "confused: 500 of '0' as '1', 10 of '4' as '5', 1 of '2' as '3'" in lines


@pytest.mark.parametrize(("kept", "scored", "is_told"), [(2, 3, True), (4, 1, False), (0, 0, False)])
def test_rows_that_a_changed_work_unit_took_with_it_are_told(
    make_run: MakeRun, kept: int, scored: int, is_told: bool
) -> None:
    record = {**RECORD, "kept": kept, "scored": scored, "previous": {"images": 4}}
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record=record)
    assert ("kept: 2 of 4 rows: a work unit is scored again as a whole" in lines) == is_told
    assert any("kept from earlier runs" in line for line in lines) == (kept == 4), "the number is told once"
    asked = {**record, "options": {"retry_failed": True}}
    assert not any(line.startswith("kept:") for line in said(make_run("x"), receipt(Metrics(images=5)), record=asked))


def test_perfect_result_names_no_worst_class(make_run: MakeRun) -> None:
    metrics = Metrics(images=3, scored=3, labelled=3, correct=3, top_k_correct=3, confusion={(1, 1): 3})
    names = {line.split(":")[0] for line in said(make_run("x"), receipt(metrics))}
    assert not names & {"worst", "confused", "example", "retry", "unknown", "kept", "precision"}


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
    assert lines[0] == "unlabelled: 5, predicted mostly 4 as '3', 1 as '1'", "without labels it is what decides"
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
    assert "not read: HEIC images: 3 (/p/1.heic); convert them" in lines
    assert {"skipped: junk: 40 (/p/Thumbs.db)", "skipped: other files: 1 (/p/x)"} <= set(lines)


def test_what_was_found_inside_is_told_with_what_was_planned(make_run: MakeRun) -> None:
    inside = {
        "skipped_inside": {"junk": 2, "other files": 7},
        "skipped_inside_examples": {"junk": "a", "other files": "b"},
    }
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record={**RECORD, **inside})
    assert [line for line in lines if line.startswith("skipped")] == [
        "skipped: other files: 7 (b)",
        "skipped: junk: 6 (a)",
    ]


def test_no_kind_that_is_not_read_is_left_out(make_run: MakeRun) -> None:
    kinds = ("HEIC", "DNG", "SVG", "JPEG XL")
    skipped = {f"{kind} images: convert them": 9 - n for n, kind in enumerate(kinds)}
    skipped |= {"junk": 4, "other files": 3, "files of labels": 2, "empty containers": 1}
    plan = {"skipped": skipped, "skipped_examples": {}, "units": 9}
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record={**RECORD, "plan": plan})
    assert [line for line in lines if line.startswith(("not read", "skipped"))] == [
        "not read: HEIC images: 9; convert them",
        "not read: DNG images: 8; convert them",
        "not read: SVG images: 7; convert them",
        "not read: JPEG XL images: 6; convert them",
        "skipped: junk: 4",
        "skipped: 6 more, for 3 other reasons (run.json)",
    ]


def test_examples_are_of_different_reasons(make_run: MakeRun) -> None:
    failures = [failure(f"{i}.png") for i in range(3)] + [failure("z.png", "preprocess", "INVALID_ARGUMENT", "bad")]
    metrics = Metrics(images=4, failures={("read", "NOT_FOUND"): 3, ("preprocess", "INVALID_ARGUMENT"): 1})
    lines = said(make_run("x"), receipt(metrics, failures))
    assert [line for line in lines if line.startswith("example")] == ["example: z.png: bad", "example: 0.png: gone"]


def everything_at_once(run: Run) -> tuple[dict[str, Any], Summary]:
    """Return the record and the summary of a run that has every trouble that there is, with long names."""
    metrics = Metrics(
        images=10_000_000, scored=9_000_000, failures=dict.fromkeys(REASONS, 250_000), labelled=8_000_000,
        correct=7_000_000, top_k_correct=7_500_000, unknown_labels=500_000, unlabelled={3: 500_000, 4: 500_000},
        confusion={(a, b): 70_000 + a - b for a in range(10) for b in range(10)},
    )  # fmt: skip
    failures = [failure("gs://bucket/" + "k" * 300, *reason, "m" * 900) for reason in REASONS]
    drift = [
        {"against": name, "classes": {"psi": 1.0}, "confidence": {"psi": 1.0}} for name in ("training", "previous")
    ]
    record = {
        **RECORD, "seconds": 36_000.0, "kept": 1_000_000, "accepted": ACCEPTED, "unseen": UNSEEN, "drift": drift,
        "made_by": [{"maker": "LiteRT 2.3.0, x86", "units": 9}], "why_engine": "the model has model.tflite",
        "verdict": {"exit_code": 3, "reasons": ["3,000,000 of 30,000,000 images failed " + "r" * 60]},
        "plan": {
            "skipped": {f"{i} other files": 5_000 for i in range(5)} | {f"{i} images: {i}" * 5: 9 for i in range(5)},
            "skipped_examples": {f"{i} images: {i}" * 5: "/photos/" + "x" * 900 for i in range(5)}, "units": 9,
        },
    }  # fmt: skip
    summary = Summary()
    for number in range(len(run.inputs)):
        summary = summary.merge(Summary.of(receipt(metrics, failures, input=number)))
    return record, summary


def on_screen(record: dict[str, Any], summary: Summary, run: Run, height: int, **more: Any) -> list[str]:
    """Return the lines that a terminal of 80 columns shows of a result, wrapped as it wraps them."""
    stream = io.StringIO()
    screen = Console(file=stream, width=80, height=height, no_color=True, **more)
    terminal.show_result(screen, record, figures(summary, run), "gs://bucket/night", REVIEW)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    return [line[at : at + 80] for line in lines for at in range(0, max(1, len(line)), 80)]


def names(lines: list[str]) -> set[str]:
    return {line[:12].strip() for line in lines if line[12:13] == " "} - {"", "more"}


def test_everything_at_once_fits_a_screen_and_says_what_it_leaves_out(make_run: MakeRun) -> None:
    run = make_run(*(f"gs://bucket/folder-{i}" for i in range(4)))
    record, summary = everything_at_once(run)
    shown = on_screen(record, summary, run, 24, force_terminal=True)
    assert len(shown) + math.ceil(len(record["verdict"]["reasons"][0]) / 80) + 2 <= 24
    (at,) = (number for number, line in enumerate(shown) if line.startswith("more "))
    more = "".join(shown[at : at + 2]).partition("predictions")[0]
    whole = on_screen(record, summary, run, 24)
    gone = names(whole) - names(shown)
    assert gone
    assert gone == set(more.removeprefix("more").strip().removesuffix(": in the report").split(", "))
    assert on_screen(record, summary, run, 60, force_terminal=True) == whole, "a tall terminal shows it all"


def test_every_fact_of_usual_length_is_one_line(make_run: MakeRun) -> None:
    run = make_run(*(f"gs://bucket/folder-{i}" for i in range(4)))
    record, summary = everything_at_once(run)
    found = facts(record, figures(summary, run), "night", REVIEW)
    long = [name for name, text in found if 13 + len(text) > 80]
    assert set(long) == {"not read"}, "keys of 300 letters and messages of 900 are among the others"


def test_what_is_to_be_decided_comes_first(make_run: MakeRun) -> None:
    run = make_run("x")
    record, summary = everything_at_once(run)
    lines = [f"{name}: {text}" for name, text in facts(record, figures(summary, run), "night", REVIEW)]
    assert lines[:8] == [
        "unseen: accuracy 0.9638 (95 % interval 0.9475 to 0.9752)",
        ": of 718 labelled images with no exact copy in training",
        "accuracy: 0.8750 (95 % interval 0.8748 to 0.8752) of 8,000,000 labelled",
        ": 2,876 of them seen in training; worst and confused count these, too",
        "accepted: 7,000,000 (78 %) from score 0.96 on, 0.9999 of 576 unseen right",
        "to review: 2,000,000 (22 %), 26 mistakes among the unseen ones",
        "failed: 1,000,000 of 10,000,000",
        ": 250,000 refused by the model, 250,000 not decodable, 2 more reasons",
    ]
    at = lines.index("labels: 228 of 718 unseen labels look wrong (night/label_errors.csv)")
    assert lines[at + 1] == ": 2,876 seen in training not checked"
    assert "copies: 12 images have copies with other labels (night/duplicates.csv)" in lines


def test_nothing_to_look_at_is_no_line(make_run: MakeRun) -> None:
    review: Any = {"label_errors": {"suspects": 0, "labelled": 3, "seen": 0}, "duplicates": {"conflict_images": 0}}
    content = figures(Summary.of(receipt(Metrics(images=3, scored=3))), make_run("x"))
    names = {name for name, _ in facts(RECORD, content, "night", review)}
    assert not names & {"labels", "copies", "unseen", "accepted", "to review", "more"}


def test_lists_of_an_output_with_a_long_name_lie_in_output(make_run: MakeRun) -> None:
    output = "/home/somebody/archives of photographs/the night of the eleventh"
    review: Any = {"label_errors": {"suspects": 2, "labelled": 9, "seen": 0}, "duplicates": {"conflict_images": 12}}
    content = figures(Summary.of(receipt(Metrics(images=3, scored=3))), make_run("x"))
    found = dict(facts(RECORD, content, output, review))
    assert found["labels"] == "2 of 9 labels look wrong (OUTPUT/label_errors.csv)"
    assert found["copies"] == "12 images have copies with other labels (OUTPUT/duplicates.csv)"


def test_accuracy_that_no_score_gives_leaves_all_to_review(make_run: MakeRun) -> None:
    record: Any = {**RECORD, "accepted": {**ACCEPTED, "score": None, "images": 0, "left": 5, "left_mistakes": 1}}
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record=record)
    assert lines[:2] == ["accepted: none", "to review: 5 (100 %), 1 mistake among them"]


@pytest.mark.parametrize(
    ("errors", "lines"),
    [
        ({"suspects": 0, "labelled": 718, "seen": 2876}, ["none of 718 unseen labels looks wrong"]),
        ({"suspects": 1, "labelled": 28, "seen": 111}, ["1 of 28 unseen labels looks wrong (night/label_errors.csv)"]),
        ({"suspects": 1, "labelled": 1, "seen": 0}, ["1 of 1 label looks wrong (night/label_errors.csv)"]),
        ({"suspects": 2, "labelled": 9, "seen": None}, ["2 of 9 labels look wrong (night/label_errors.csv)"]),
        (None, ["none checked: all 111 labelled images were seen in training"]),
    ],
)
def test_labels_of_the_training_are_not_checked_and_that_is_said(
    make_run: MakeRun, errors: dict[str, Any] | None, lines: list[str]
) -> None:
    content = figures(Summary.of(receipt(Metrics(images=3, scored=3))), make_run("x"))
    review: Any = {"acceptance": {}, "unseen": {"seen_labelled": 111}}
    review |= {} if errors is None else {"label_errors": errors}
    found = list(facts(RECORD, content, "night", review))
    at = [name for name, _ in found].index("labels")
    shown = [text for name, text in found[at : at + 2] if name in ("labels", "")]
    assert shown[:1] == lines or shown[0].startswith(f"{lines[0]}; ")
    assert any("not checked" in text or "none checked" in text for text in shown) == (
        not errors or bool(errors["seen"])
    )
    assert all(len(text) <= 67 for text in shown)


@pytest.mark.parametrize(
    ("wrong", "seen", "line"),
    [
        (0, 0, "accepted: none: 99 % takes 381 labels or more, there are 300"),
        (0, 7, "accepted: none: 99 % takes 381 unseen labels or more, there are 300"),
        (150, 0, "accepted: none: no score surely gives 99 %, the most is 57.65 %, of all images"),
    ],
)
def test_accuracy_that_no_score_gives_says_why(make_run: MakeRun, wrong: int, seen: int, line: str) -> None:
    n = 300 if not wrong else 400
    rows = {"status": ["ok"] * n, "label": [0] * n, "label_score": pa.array([0.9] * n, pa.float32())}
    rows |= {"predicted": [int(i < wrong) for i in range(n)], "score": pa.array([0.9] * n, pa.float32())}
    acceptance = {**compute(ScoreCounts.of(pa.table(rows)), ("cat", "dog"), 0.99), "seen": seen}
    record: Any = {**RECORD, "accepted": {**ACCEPTED, "score": None, "images": 0, "left": n, "left_mistakes": 0}}
    content = figures(Summary.of(receipt(Metrics(images=n, scored=n))), make_run("x"))
    review: Any = {"acceptance": acceptance}
    assert line in [f"{name}: {text}" for name, text in facts(record, content, "night", review)]


def test_decisions_that_are_removed_are_told(make_run: MakeRun) -> None:
    record: Any = {**RECORD, "decisions_removed": True}
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record=record)
    assert lines[0] == "accepted: not asked for: decisions/ of an earlier run is removed"


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (2, "unseen: 2 images with no exact copy in training, none labelled"),
        (0, "unseen: none: training had an exact copy of every image"),
    ],
)
def test_unseen_images_without_labels_are_no_figure(make_run: MakeRun, images: int, line: str) -> None:
    record: Any = {**RECORD, "unseen": {**UNSEEN, "images": images, "headline": None, "headline_interval_95": None}}
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record=record)
    assert lines[0] == line


def test_night_unlike_the_others_says_so(make_run: MakeRun) -> None:
    drift = [
        {"against": "training", "classes": {"psi": 1.234}, "confidence": {"psi": None}},
        {"against": "previous", "classes": {"psi": 0.2}, "confidence": {"psi": 0.3}},
    ]
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record={**RECORD, "drift": drift})
    assert [line for line in lines if line.startswith("drift")] == [
        "drift: unlike those in training: classes (PSI 1.23)",
        "drift: unlike those of the night before: scores (PSI 0.30)",
    ]
    lines = said(make_run("x"), receipt(Metrics(images=5, scored=5)), record={**RECORD, "drift": drift[1:]})
    assert "drift: unlike those of the night before: scores (PSI 0.30)" in lines


def test_unfinished_run_says_how_to_go_on() -> None:
    record = {**RECORD, "complete": False, "unfinished_units": 2, "images": 40, "failed": 0}
    record["plan"] = {"skipped": {}, "units": 9, "images": 56}
    lines = [f"{name}: {text}" for name, text in facts(record, None, "my night")]
    assert lines[0] == "unfinished: 2 of 9 work units"
    assert any(line.startswith("images: 40 of 56 in 2.0 s, ") for line in lines)
    assert lines[-1] == "next: the same command finishes them; nightscore status 'my night' tells more"
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
    assert next(FACTS["value"](figures)) == ("unknown", "1 label is no number, such as that of /a/1.png")
