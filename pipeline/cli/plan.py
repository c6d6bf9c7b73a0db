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
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.cli.command import calm, stop
from pipeline.cli.console import fail
from pipeline.cli.facts import Fact
from pipeline.cli.flags import HELP_ALL, add_manner, helped
from pipeline.cli.interrupt import Interruption, interruptible
from pipeline.cli.terminal import Screen, show_fact
from pipeline.errors import GoldenMismatchError, NoSpaceError, StoreDownError, TransientError, UsageError
from pipeline.formatting import at_most, reasons, size
from pipeline.options import Precision, add_arguments
from pipeline.scoring.forecast import Costs, recommend
from pipeline.scoring.planning import pin
from pipeline.text import brief

if TYPE_CHECKING:
    from pipeline.model.predict import Model
    from pipeline.output.plan_file import PlanTotals
    from pipeline.output.run import Run
    from pipeline.scoring.canary import Canary
    from pipeline.scoring.rehearsal import Rehearsal
    from pipeline.units import WorkUnit

EXAMPLE = "example: nightscore plan --input photos/ --model model --output night"
EXAMPLES = 3
"""Failed images of the canary that are named."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore plan` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    text = helped(arguments, _parser())
    if text is not None:
        print(text)
        return 0
    interruption = Interruption()
    try:
        with calm(), interruptible(stop) as interruption:
            return _plan(arguments)
    except (UsageError, GoldenMismatchError) as error:
        return fail("plan", str(error), 2)
    except (TransientError, StoreDownError, NoSpaceError) as error:
        return fail("plan", f"storage fails: {error}; run it again", 3)
    except KeyboardInterrupt:
        return fail("plan", "interrupted; nothing was changed", interruption.exit_code)


@dataclass(frozen=True)
class _Work:
    """What there is to do.

    Attributes:
        totals: of the plan.
        done: units that are committed.
        done_images: images in those.
    """

    totals: PlanTotals
    done: frozenset[str]
    done_images: int

    @property
    def left(self) -> int:
        """Images to score, as far as known."""
        return self.totals.images - self.done_images


def _plan(arguments: Sequence[str]) -> int:
    from pipeline.beam import job  # Apache Beam: a second of imports that --help does without
    from pipeline.scoring.prepare import check

    run = check(job.parse(arguments).options)
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="nightscore-plan-") as folder:
        scratch = run.at(folder)  # where everything goes that a run would write into OUTPUT
        work = _work(scratch, run)
        for name, text in _overview(work):
            show_fact(screen, name, text)
        if len(work.done) == work.totals.units:
            return 0
        started = time.monotonic()
        models, absent = _models(run)
        start = time.monotonic() - started
        rehearsal = _rehearse(work, models[run.options.precision], scratch)
        unit = _typical(work, scratch)
    for name, text in _canary(rehearsal.canary):
        show_fact(screen, name, text)
    if rehearsal.canary.alarming and not run.options.no_canary:
        return fail("plan", rehearsal.canary.reason(), 3)
    if not rehearsal.encoded:
        return 0
    costs = _costs(rehearsal, unit, models, start, run)
    for name, text in (*_speeds(costs, rehearsal, models, absent), *_forecast(costs, work)):
        show_fact(screen, name, text)
    return 0


def _work(scratch: Run, run: Run) -> _Work:
    """Plan into another place than OUTPUT, and see what OUTPUT holds of it."""
    from pipeline.output import plan_file
    from pipeline.output.commit import committed

    totals = pin(scratch)
    done = frozenset(committed(run).intersection(plan_file.read_ids(scratch)))
    return _Work(totals, done, sum(unit.images or 0 for unit in plan_file.read_units(scratch, done)))


def _models(run: Run) -> tuple[dict[Precision, Model], str]:
    """Return the model in the precisions that can be had, and why one of them cannot."""
    from pipeline.model.predict import acquire

    models = {run.options.precision: acquire(run.model, run.spec, run.options.precision)}
    try:
        for precision in ("float32", "bfloat16"):
            models[precision] = acquire(run.model, run.spec, precision)
    except (UsageError, GoldenMismatchError) as error:
        return models, str(error)
    return models, ""


def _rehearse(work: _Work, model: Model, scratch: Run) -> Rehearsal:
    from pipeline.output import plan_file
    from pipeline.scoring.canary import spread
    from pipeline.scoring.rehearsal import rehearse
    from pipeline.sources import sample

    shares = spread([unit for unit in plan_file.read_ids(scratch) if unit not in work.done])
    units = (sample(unit, shares[unit.id]) for unit in plan_file.read_units(scratch, shares))
    return rehearse(units, model, scratch)


def _typical(work: _Work, scratch: Run) -> WorkUnit:
    """Return a unit from the middle of those that are not committed."""
    from pipeline.output import plan_file

    left = [unit for unit in plan_file.read_ids(scratch) if unit not in work.done]
    return next(plan_file.read_units(scratch, {left[len(left) // 2]}))


def _costs(rehearsal: Rehearsal, unit: WorkUnit, models: Mapping[Precision, Model], start: float, run: Run) -> Costs:
    from pipeline.concurrency import cores
    from pipeline.scoring.rehearsal import decode_cost, predict_costs, read_cost, readers

    predict = predict_costs(list(models.values()), rehearsal.pixels)
    return Costs(
        start=start,
        read=read_cost(unit, run),
        readers=readers(unit),
        decode=decode_cost(rehearsal.encoded, run),
        decoders=cores(),
        predict=dict(zip(models, predict, strict=True)),
        cores=cores(),
    )


def _overview(work: _Work) -> Iterator[Fact]:
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


def _forecast(costs: Costs, work: _Work) -> Iterator[Fact]:
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
    add_manner(parser, (HELP_ALL,))
    return parser
