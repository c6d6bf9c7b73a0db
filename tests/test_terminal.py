"""Progress and the table at the end."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from conftest import MakeRun
from rich.console import Console

from pipeline import terminal
from pipeline.commit import Aside, Receipt
from pipeline.metrics import Metrics
from pipeline.progress import tally
from pipeline.summarize import Summary, figures

RECORD: dict[str, Any] = {
    "seconds": 2.0, "images_per_second": 1500.0, "scored": 3, "rescored": 1, "kept": 2,
    "plan": {"skipped": {"junk": 4}},
    "time": {"shares": {"read": 0.25, "predict": 0.9}, "advice": "the model decides"},
}  # fmt: skip


def shown(metrics: Metrics, make_run: MakeRun, failures: list[dict[str, Any]] | None = None) -> str:
    stream = io.StringIO()
    summary = Summary.of(Receipt("u", metrics.images, 0, metrics, [], failures or [], Aside()))
    terminal.show_result(Console(file=stream, width=40), RECORD, figures(summary, make_run("x")), "night")
    return stream.getvalue()


def test_result_says_what_happened_one_line_a_fact(make_run: MakeRun) -> None:
    metrics = Metrics(
        images=5, scored=4, failures={("read", "NOT_FOUND"): 1}, labelled=4, correct=3, top_k_correct=4,
        confusion={(1, 1): 3, (1, 2): 1}, unknown_labels=1,
    )  # fmt: skip
    failure = {"row": 4, "key": "/a/[red]x[/].png", "stage": "read", "code": "NOT_FOUND", "message": "gone"}
    lines = shown(metrics, make_run, [failure]).splitlines()
    assert "images       5 in 2.0 s, 1,500 images/s with start-up, 2 kept from earlier runs" in lines
    assert "failed       1 (1 NOT_FOUND in read)" in lines
    assert "skipped      4 junk" in lines
    assert "accuracy     0.7500 (95 % interval 0.3006 to 0.9544)" in lines
    assert "unknown      1 labels are not classes of the model" in lines
    assert "example      /a/[red]x[/].png: read NOT_FOUND: gone" in lines
    assert lines[-1] == "report       night/report.html"
    assert any(line.split() == ["1", "4", "1.0000", "0.7500", "0.8571"] for line in lines)


@pytest.mark.parametrize(("scored", "line"), [(3, "bfloat16, 1 of 3 images scored again in float32"), (0, "bfloat16")])
def test_another_precision_says_how_often_it_was_not_enough_if_anything_was_scored(
    make_run: MakeRun, scored: int, line: str
) -> None:
    stream = io.StringIO()
    receipt = Receipt("u", 5, 0, Metrics(images=5, scored=5), [], [], Aside())
    content = figures(Summary.of(receipt), make_run("x", precision="bfloat16"))
    terminal.show_result(Console(file=stream), {**RECORD, "scored": scored}, content, "night")
    assert f"precision    {line}" in stream.getvalue().splitlines()


def test_unlabelled_images_show_their_classes(make_run: MakeRun) -> None:
    text = shown(Metrics(images=5, scored=5, unlabelled={3: 4, 1: 1}), make_run)
    assert "unlabelled   5, most of them predicted 4 as '3', 1 as '1'" in text
    assert "accuracy" not in text


def test_several_inputs_are_compared(make_run: MakeRun) -> None:
    stream = io.StringIO()
    first = Receipt("u", 4, 0, Metrics(images=4, scored=4, labelled=4, correct=3), [], [], Aside())
    second = Receipt("v", 2, 0, Metrics(images=2, scored=1), [], [], Aside(), input=1)
    content = figures(Summary.of(first).merge(Summary.of(second)), make_run("/a", "/b"))
    terminal.show_result(Console(file=stream), RECORD, content, "night")
    lines = stream.getvalue().splitlines()
    assert "input        /a: 4 images, 0 failed, accuracy 0.7500" in lines
    assert "input        /b: 2 images, 1 failed" in lines


def test_without_a_terminal_a_plain_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "PLAIN_SECONDS", 0.05)
    tally().start(1_000)
    with terminal.progress():
        time.sleep(0.12)
        tally().add(scored=500, failed=2)
        time.sleep(0.3)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("0 of 1,000 images, 0 images/s, 0 failed")
    assert lines[-1].startswith("500 of 1,000 images, ")
    assert lines[-1].endswith(" s left, 2 failed")
