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

from pipeline.cli.command import calm, stop, to_exit_code
from pipeline.cli.console import fail
from pipeline.cli.facts import Fact
from pipeline.cli.flags import HELP_ALL, add_output_mode, help_text
from pipeline.cli.terminal import Screen, show_facts
from pipeline.formatting import at_most, reasons, size
from pipeline.options import Precision, add_arguments
from pipeline.text import brief

if TYPE_CHECKING:
    from pipeline.model.predict import Model
    from pipeline.scoring.canary import Canary
    from pipeline.scoring.forecast import Costs, Rehearsal, Work

EXAMPLE = "example: nightscore plan --input photos/ --model model --output night"
EXAMPLES = 3
"""Failed images of the canary that are named."""


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
    from pipeline.beam import job  # Apache Beam: a second of imports that --help does without
    from pipeline.scoring.forecast import Work, load_models, measure_costs, rehearse
    from pipeline.scoring.prepare import check

    run = check(job.parse(arguments).options)
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="nightscore-plan-") as folder:
        scratch = run.at(folder)  # where everything goes that a run would write into OUTPUT
        work = Work.of(scratch, run)
        show_facts(screen, _overview(work))
        if len(work.done) == work.totals.units:
            return 0
        started = time.monotonic()
        models, absent = load_models(run)
        start = time.monotonic() - started
        rehearsal = rehearse(scratch, work.done)
        show_facts(screen, _canary(rehearsal.canary))
        if rehearsal.canary.alarming and not run.options.no_canary:
            return fail("plan", rehearsal.canary.reason(), 3)
        if not rehearsal.encoded:
            return 0
        costs = measure_costs(rehearsal, work, models, start, scratch)
    show_facts(screen, (*_speeds(costs, rehearsal, models, absent), *_forecast(costs, work)))
    return 0


def _overview(work: Work) -> Iterator[Fact]:
    totals = work.totals
    unknown = f", and those in {totals.open_units:,} units that only reading counts" if totals.open_units else ""
    yield "images", f"{totals.images:,}{unknown}; {totals.units:,} units, {size(totals.bytes)}"
    for reason, n in totals.skipped.items():
        yield "skipped", f"{n:,} {reason}"
    if work.done:
        images = f"{work.done_images:,} images in {len(work.done):,} of {totals.units:,} units"
        yield "committed", images + ("; nothing is left to score" if len(work.done) == totals.units else "")


def _canary(canary: Canary) -> Iterator[Fact]:
    listed = reasons(Counter((failure.stage, failure.code) for _, failure in canary.failures))
    yield "canary", f"{canary.images} images, {len(canary.failures)} failed" + (f" ({listed})" if listed else "")
    for key, failure in canary.failures[:EXAMPLES]:
        yield "example", f"{brief(key)}: {failure.stage} {failure.code}: {failure.message}"


def _speeds(costs: Costs, rehearsal: Rehearsal, models: Mapping[Precision, Model], absent: str) -> Iterator[Fact]:
    beside = f", {costs.decoders} at work" if costs.decoders > 1 else ""
    yield "decoding", f"{1 / costs.decode:,.0f} images/s in one decoder{beside}"
    yield "float32", f"{1 / costs.predict['float32']:,.0f} images/s in the model"
    if "bfloat16" not in models:
        yield "bfloat16", absent
        return
    found = models["bfloat16"].try_score(rehearsal.pixels)
    again = f"{found.rescored} of {len(rehearsal.pixels)} images scored again in float32"
    yield "bfloat16", f"{1 / costs.predict['bfloat16']:,.0f} images/s in the model, {again}"


def _forecast(costs: Costs, work: Work) -> Iterator[Fact]:
    from pipeline.scoring.forecast import recommend  # as in `_plan`

    yield "recommended", recommend(costs)
    ranges = []
    for precision in sorted(costs.predict, reverse=True):  # float32 first
        shortest, longest = map(at_most, costs.seconds(work.left, precision))
        ranges.append(f"{shortest} to {longest} in {precision}")
    known = " that are known of" if work.totals.open_units else ""
    yield "time", f"{', '.join(ranges)}, for the {work.left:,} images{known} on this machine ({costs.cores} cores)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nightscore plan",
        usage=argparse.SUPPRESS,
        description=EXAMPLE + "\n\nSay what 'nightscore score' with the same arguments would do, and how long it\n"
        "would take here. Tries 64 images; writes nothing into OUTPUT.",
        epilog="Exit codes: 0 a forecast, 2 bad usage, 3 most of the tried images failed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    add_output_mode(parser, (HELP_ALL,))
    return parser
