"""`nightscore status`: an OUTPUT in, how its last run stands out; from any machine, at any time.

Exit codes: 0 it could be told, whatever it is; 1 a bug; 2 bad usage, or no OUTPUT; 3 storage fails; 130 interrupted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline.cli.command import OutputCommand
from pipeline.cli.console import answer
from pipeline.cli.failure_facts import example, not_scored
from pipeline.cli.one_screen import Fact
from pipeline.cli.review_facts import unseen
from pipeline.cli.task_facts import quality, quality_format
from pipeline.cli.terminal import Screen, show_facts, show_table
from pipeline.formatting import REASONS, at_most, briefly_why, counted, rate
from pipeline.metrics.headline import HEADLINES, WORDS
from pipeline.metrics.left_out import LeftOut
from pipeline.text import shell_path

if TYPE_CHECKING:
    from pipeline.output.status import Status

DESCRIPTION = """\
example: nightscore status night

Say how the last run into OUTPUT stands, while it is under way or long after,
from any machine that can read it: how much is done, how fast, what has failed
and why, and how the nights before were. Changes nothing.
"""

EXAMPLES = 3
"""Number of failed images that are named, at most: REASONS or more."""

EPILOG = "Exit codes: 0 the state is shown, whatever it is; 2 bad usage or no OUTPUT;\n3 storage fails."


COMMAND = OutputCommand("status", DESCRIPTION, EPILOG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore status` and return its exit code."""
    return COMMAND.main(argv, _status)


def _status(asked: argparse.Namespace) -> int:
    from pipeline.output.status import status  # NumPy and Arrow, which --help does without

    found = status(asked.output, time.time())
    output = asked.output.rstrip("/")
    if asked.json:
        answer({"exit_code": 0, "output": output, **asdict(found)})
        return 0
    screen = Screen()
    show_facts(screen, _facts(found))
    if found.nights:
        headline = WORDS.get(HEADLINES[found.task])
        names = ("nights before", "images", "failed", *([headline] if headline else []), "images/s", "exit")
        show_table(screen, names, _nights(found))
    show_facts(screen, _next(found, output))
    return 0


def _facts(found: Status) -> Iterator[Fact]:
    yield "run", f"{found.run}, started {_date(found.started)} UTC"
    yield "state", _state(found)
    for reason in found.reasons:
        yield "reason", reason
    yield "images", _images(found)
    yield from not_scored(LeftOut(found.skipped, found.skipped_examples), found.inputs)
    if found.images_per_second:
        lately = f" lately, {at_most(found.seconds_left)} left" if found.seconds_left else ""
        yield "speed", rate(found.images_per_second) + lately
    yield from unseen(found.unseen, found.task)
    if found.labelled:
        yield quality(found.task, found.quality, found.quality_interval_95, found.labelled)
    yield "failed", f"{found.failed:,}"
    failures = found.failures[:REASONS]
    for failure in failures:
        yield "", f"{failure['images']:,} {briefly_why(failure['stage'], failure['code'])}, such as"
        shown = failure["examples"][: EXAMPLES // len(failures)]
        yield from (("", example(image, found.inputs, "  ")) for image in shown)


def _state(found: Status) -> str:
    if found.interrupted_at is not None:
        return f"interrupted ({found.interrupted_by}) at {_date(found.interrupted_at)} UTC"
    if found.silent_seconds is None:
        left = counted(found.units - found.units_done, "work unit") if found.units is not None else "all of it"
        how = "finished" if found.state == "finished" else f"ended, {left} unfinished"
        return f"{how}; exit code {found.run_exit_code}"
    since = at_most(found.silent_seconds)
    last = f"last work unit stored {since} ago" if found.has_receipt else f"no work unit stored in {since}"
    if found.units is None:
        last = f"planning since {since}"
    how = "under way, unless it was killed" if found.state == "running" else "under way or interrupted"
    return f"{how}: {last}"


def _images(found: Status) -> str:
    of = f" of {found.images:,} ({found.done / found.images:.0%})" if found.images else ""
    kept = f", {found.kept:,} kept from earlier runs" if found.kept else ""
    units = f"; {found.units_done:,} of {counted(found.units, 'work unit')}" if found.units is not None else ""
    return f"{found.done:,}{of}{kept}{units}"


def _nights(found: Status) -> Iterator[tuple[str, ...]]:
    for night in found.nights:
        numbers = (
            (night.images, "{:,}"),
            (night.failed, "{:,}"),
            *([(night.quality, quality_format(found.task))] if HEADLINES[found.task] else []),
            (night.images_per_second, "{:,.1f}"),
            (night.exit_code, "{}"),
        )
        yield (
            _date(night.started)[:16],
            *("-" if number is None else layout.format(number) for number, layout in numbers),
        )


def _date(started: str) -> str:
    """Return a time as runs are told apart by it.

    >>> _date("2026-11-23T06:43:45.791+00:00")
    '2026-11-23 06:43:45'
    """
    return started[:19].replace("T", " ")


def _next(found: Status, output: str) -> Iterator[Fact]:
    again = "run the same nightscore score command again: what is committed stays"
    if found.state == "finished":
        yield "next", f"nightscore verify {shell_path(output)}"
    elif found.state in ("unfinished", "interrupted"):
        yield "next", again
    else:
        yield "next", f"if its process or job is gone, {again}"
