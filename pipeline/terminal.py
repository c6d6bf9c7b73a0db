"""What a person sees during a run and after it: a progress bar, a table. Computes nothing."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pipeline.progress import Count, tally
from pipeline.text import brief, plain

REFRESH_SECONDS = 0.25
PLAIN_SECONDS = 30.0
SHOWN_CLASSES = 20
SHOWN_NAME = 40
"""The table has rows for so many classes, and so many characters of a class's name."""


class Screen(Console):
    """A console whose reader may leave, as `head` does: the run has its exit code all the same."""

    def on_broken_pipe(self) -> None:
        """Say no more."""
        with contextlib.suppress(SystemExit):
            super().on_broken_pipe()


class _Rate(ProgressColumn):
    """Images scored per second since the first of them."""

    def render(self, task: Task) -> Text:
        speed = task.fields["rate"]
        return Text(f"{speed:,.0f} images/s" if speed else "")


@contextlib.contextmanager
def progress() -> Iterator[None]:
    """Show how far this process has come until the body ends: a bar on a terminal, a line now and then elsewhere.

    Writes to a copy of stderr, so that nothing shown is lost while libraries' banners are kept off it.
    """
    with os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace") as stream:
        console = Console(file=stream)
        stop = threading.Event()
        show = _bar if console.is_terminal else _lines
        thread = threading.Thread(target=show, args=(console, stop), name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _bar(console: Console, stop: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[images]}"),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[failed]}"),
    )
    meter = _Meter()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("planning", total=None, images="", rate=0.0, failed="")
        while not stop.wait(REFRESH_SECONDS):
            count = tally().count()
            bar.update(
                task,
                description="scoring" if count.done else "planning" if count.total is None else "starting",
                total=count.total,
                completed=count.done,
                images=_of_total(count) if count.done else "",
                rate=meter.rate(count),
                failed=f"[red]{count.failed:,} failed[/]" if count.failed else "",
            )


def _lines(console: Console, stop: threading.Event) -> None:
    meter = _Meter()
    while not stop.wait(PLAIN_SECONDS):
        count = tally().count()
        rate = meter.rate(count)
        left = f", {(count.total - count.done) / rate:,.0f} s left" if count.total and rate else ""
        console.print(
            f"{_of_total(count)} images, {rate:,.0f} images/s{left}, {count.failed:,} failed", highlight=False
        )


class _Meter:
    """The rate since the last moment at which nothing was scored yet."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def rate(self, count: Count) -> float:
        now = time.monotonic()
        if not count.scored:
            self._start = now
        return count.scored / (now - self._start) if now > self._start else 0.0


def _of_total(count: Count) -> str:
    return f"{count.done:,} of {count.total:,}" if count.total is not None else f"{count.done:,}"


def show_result(console: Console, record: Mapping[str, Any], figures: Mapping[str, Any], output: str) -> None:
    """Print the figures of a run in which every unit is done, and where its results are."""
    lines = [*_overview(record, figures)]
    if figures["labelled"]:
        lines += _quality(figures)
    if figures["unlabelled"]:
        top = sorted(figures["unlabelled_predicted"].items(), key=lambda item: -item[1])[:5]
        shown = ", ".join(f"{n:,} as {brief(name)!r}" for name, n in top)
        lines.append(("unlabelled", f"{figures['unlabelled']:,}, most of them predicted {shown}"))
    lines += [("input", _slice(part)) for part in figures["inputs"] if len(figures["inputs"]) > 1]
    for name, text in lines:
        show_fact(console, name, text)
    if figures["labelled"] and len(figures["per_class"]) <= SHOWN_CLASSES:
        console.print(_classes(figures))
    for failure in figures["failure_examples"]:
        text = f"{brief(failure['key'])}: {failure['stage']} {failure['code']}: {failure['message']}"
        show_fact(console, "example", text)
    for name, path in (("predictions", "predictions"), ("report", "report.html")):
        show_fact(console, name, f"{output}/{path}")


def show_fact(console: Console, name: str, text: str) -> None:
    """Print a fact on a line of its own, whatever characters are in it."""
    console.print(Text.assemble((f"{name:<12}", "dim"), " ", plain(text)), highlight=False, soft_wrap=True)


def _slice(part: Mapping[str, Any]) -> str:
    accuracy = "" if part["accuracy"] is None else f", accuracy {part['accuracy']:.4f}"
    return f"{brief(part['input'])}: {part['images']:,} images, {part['failed']:,} failed{accuracy}"


def _overview(record: Mapping[str, Any], figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kept = f", {record['kept']:,} kept from earlier runs" if record["kept"] else ""
    rate = f", {record['images_per_second']:,.0f} images/s with start-up" if record["scored"] else ""
    yield "images", f"{figures['images']:,} in {record['seconds']:.1f} s{rate}{kept}"
    if record["time"]:
        spent = ", ".join(f"{step} {share:.0%}" for step, share in record["time"]["shares"].items())
        yield "time", f"{spent}; {record['time']['advice']}"
    yield "scored", f"{figures['scored']:,}"
    if figures["precision"] != "float32":
        again = f", {record['rescored']:,} of {record['scored']:,} images scored again in float32"
        yield "precision", figures["precision"] + (again if record["scored"] else "")
    reasons = ", ".join(f"{f['images']:,} {f['code']} in {f['stage']}" for f in figures["failures"])
    yield "failed", f"{figures['failed']:,}" + (f" ({reasons})" if reasons else "")
    for reason, n in record["plan"]["skipped"].items():
        yield "skipped", f"{n:,} {reason}"
    if figures["unknown_labels"]:
        yield "unknown", f"{figures['unknown_labels']:,} labels are not classes of the model"


def _quality(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    low, high = figures["accuracy_interval_95"]
    yield "labelled", f"{figures['labelled']:,}"
    yield "accuracy", f"{figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})"
    yield f"top-{figures['top_k']}", f"{figures['top_k_accuracy']:.4f}"
    yield "log loss", f"{figures['log_loss']:.4f}"
    yield "ECE", f"{figures['expected_calibration_error']:.4f} (expected calibration error)"


def _classes(figures: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("class")
    for name in ("images", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for c in figures["per_class"]:
        shares = ["-" if c[name] is None else f"{c[name]:.4f}" for name in ("precision", "recall", "f1")]
        table.add_row(Text(plain(brief(c["class"], SHOWN_NAME))), f"{c['support']:,}", *shares)
    return table
