"""`nightscore plan`: what a score with the same arguments would do, and how long it would take; OUTPUT stays as it is.

Exit codes: 0 a forecast; 1 a bug; 2 bad usage or configuration; 3 the canary alarms, or storage fails; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline import storage
from pipeline.cli.command import calm, stop, to_exit_code
from pipeline.cli.console import fail
from pipeline.cli.facts import scored_again
from pipeline.cli.failure_facts import example, name_in, skipped
from pipeline.cli.flags import add_output_mode, help_text, parse
from pipeline.cli.one_screen import Fact, fitted
from pipeline.cli.terminal import Screen, show_facts
from pipeline.flag_names import HELP_ALL
from pipeline.formatting import at_most, briefly_why, counted, size
from pipeline.options import Precision, add_arguments
from pipeline.task import Task

if TYPE_CHECKING:
    from pipeline.scoring.canary import Canary
    from pipeline.scoring.forecast import Reduction, Work
    from pipeline.scoring.ways import Costs, Way

EXAMPLE = "example: nightscore plan --input photos/ --model model --output night"
WORTH_TELLING = 1.1
"""Factor by which decoding reduced must be faster than in full to be told of."""

EXAMPLES = 3
"""Number of failed images of the canary that are named, at most."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore plan` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    text = help_text(arguments, _parser())
    if text is not None:
        print(text)
        return 0

    def body() -> int:
        calm()
        return _plan(arguments)

    return to_exit_code("plan", body, if_interrupted="nothing was changed", on_signal=stop)


def _plan(arguments: Sequence[str]) -> int:
    from pipeline.scoring.arrangement import arrange
    from pipeline.scoring.forecast import Work, measure_costs, measure_ways, rehearse, try_reduced
    from pipeline.scoring.prepare import check, find_engine
    from pipeline.scoring.ways import Way

    run = check(parse(arguments)[0])
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="nightscore-plan-") as folder:
        scratch = run.at(folder)  # where everything goes that a run would write into OUTPUT
        work = Work.of(scratch, run)
        inputs = [storage.key_of(pattern) for pattern in run.inputs]
        show_facts(screen, (*_overview(work, inputs), *_note(run.note)))
        if len(work.done) == work.totals.units:
            return 0
        started = time.monotonic()
        arrange(scratch)
        start = time.monotonic() - started
        rehearsal = rehearse(scratch, work.done)
        show_facts(screen, _canary(rehearsal.canary, inputs))
        if rehearsal.canary.alarming and not run.options.no_canary:
            return fail("plan", rehearsal.canary.reason(), 3)
        if not rehearsal.encoded:
            return 0
        reduction = try_reduced(rehearsal, scratch)
        predict, absent = measure_ways(rehearsal, scratch, run, find_engine(run))
        costs = measure_costs(rehearsal, work, predict, start, scratch)
    usual = Way(run.engine, run.options.precision)
    speeds = _speeds(costs, absent, run.options.precision)
    show_facts(screen, (*speeds, *_reduced(reduction, run.spec.task), *_forecast(costs, work, usual)))
    return 0


def _overview(work: Work, inputs: Sequence[str]) -> Iterator[Fact]:
    totals = work.totals
    unknown = f" and those in {counted(totals.open_units, 'file')} to be read first" if totals.open_units else ""
    yield "images", f"{totals.images:,}{unknown}; {counted(totals.units, 'work unit')}, {size(totals.bytes)}"
    for reason, n in totals.skipped.items():
        key = totals.skipped_examples.get(reason)
        yield skipped(n, reason, None if key is None else name_in(key, inputs))
    if work.done:
        stored = f"{len(work.done):,} of {counted(totals.units, 'work unit')}"
        if not totals.open_units:  # else nobody knows yet how many images these have
            stored = f"{counted(work.done_images, 'image')} in {stored}"
        yield "stored", stored + ("; nothing is left to score" if len(work.done) == totals.units else "")
    if not totals.open_units:
        yield from scored_again(work.done_images, work.before, work.left)


def _note(lines: Sequence[str]) -> Iterator[Fact]:
    """Yield what becomes of the rows that OUTPUT holds."""
    for number, text in enumerate(lines):
        yield "" if number else "note", text


def _canary(canary: Canary, inputs: Sequence[str]) -> Iterator[Fact]:
    why = Counter((failure.stage, failure.code) for _, failure in canary.failures).most_common()
    text = f"{counted(canary.images, 'image')}, {len(canary.failures)} failed"
    listed = [f"{n:,} {briefly_why(*reason)}" for reason, n in why]
    yield "tried first", fitted(listed, f"{text}: ", ", {:,} more reasons") if listed else text
    for key, failure in canary.failures[:EXAMPLES]:
        yield "example", example({"key": key, "message": failure.message}, inputs)


def _speeds(costs: Costs, absent: Mapping[Way, str], asked: Precision) -> Iterator[Fact]:
    """Yield how fast the steps are, and why a way is not possible: of another precision only if that is asked for."""
    yield "decoding", f"{1 / costs.decode:,.0f} images/s in one process" if costs.decode else "done by the model"
    for way, seconds in costs.predict.items():
        yield "model", f"{1 / seconds:,.0f} images/s by {way}"
    for way, why in absent.items():
        if way.precision in ("float32", asked):
            yield "model", f"{way} is not possible: {why}"


def _reduced(reduction: Reduction | None, task: Task) -> Iterator[Fact]:
    """Yield what a model would gain and lose by decoding JPEG files at a smaller scale, where it gains anything."""
    if reduction is not None and reduction.reduced < reduction.full / WORTH_TELLING:
        share = reduction.reduced / reduction.full
        what = "class" if task == "classes" else "labels"
        yield (
            "reduced",
            f"decoding JPEG files reduced would take {share:.0%} of the time",
        )
        yield "", f"and change the {what} of {reduction.changed} of {reduction.images} images:"
        yield "", "a model trained with 'train --decode reduced' expects such pixels"


def _forecast(costs: Costs, work: Work, usual: Way) -> Iterator[Fact]:
    from pipeline.scoring.ways import recommend  # as in `_plan`

    recommended, text = recommend(costs, usual)
    yield "recommended", text
    ranges = []
    for way in dict.fromkeys((recommended, usual)):
        shortest, longest = map(at_most, costs.seconds(work.left, way))
        ranges.append(f"{shortest if shortest == longest else f'{shortest} to {longest}'} by {way}")
    known = " that are known of" if work.totals.open_units else ""
    yield "time", f"{', '.join(ranges)}"
    yield "", f"for {counted(work.left, 'image')}{known} on this machine ({counted(costs.cores, 'core')})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nightscore plan",
        usage=argparse.SUPPRESS,
        description=EXAMPLE + "\n\nSay what 'nightscore score' with the same arguments would do, and how long it\n"
        "would take here. Tries 64 images; writes nothing into OUTPUT.",
        epilog="Exit codes: 0 forecast shown, 2 bad usage, 3 most of the tried images failed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    add_output_mode(parser, (HELP_ALL,))
    return parser
