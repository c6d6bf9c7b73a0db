"""The pipeline's steps as Beam transforms: PlanUnits | Reshuffle | ScoreUnits | Summarize | Finish.

As little logic as possible: each is the pure function of the same name, where something crosses a shuffle or may be
retried. Only packed units, receipts and summaries cross one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from pipeline.beam.counters import Counters
from pipeline.beam.log import failed_units
from pipeline.errors import VerdictError
from pipeline.output import plan_file
from pipeline.output.commit import committed
from pipeline.output.finish import finish
from pipeline.output.plan_file import Span
from pipeline.output.progress import tally
from pipeline.output.receipts import Outcome, Receipt
from pipeline.output.run import Run
from pipeline.output.summary import Summary
from pipeline.scoring.canary import send_canary
from pipeline.scoring.planning import pin
from pipeline.scoring.score import score

GROUPS = "groups"
STOPPED = "stopped"


class _Plan(beam.DoFn):
    """Pins the plan, tries the canary, and emits the units in packed groups."""

    def __init__(self, run: Run, group_units: int | None) -> None:
        self._run = run
        self._group_units = group_units
        self._counters = Counters()

    def process(self, _: object) -> Iterator[Span | TaggedOutput]:
        run = self._run
        totals = pin(run)
        self._counters.count_plan(totals)
        tally().start(totals.total)
        if not run.options.no_canary:
            canary = send_canary(run, committed(run))
            if canary.alarming:
                yield TaggedOutput(STOPPED, Summary(stopped=canary.reason()))
                return
        yield from plan_file.read_index(run).groups(self._group_units or plan_file.group_units(totals.units))


class _Score(beam.DoFn):
    """Scores a packed group; counters are touched here, in the bundle's thread."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._counters = Counters()

    def process(self, group: Span) -> Iterator[tuple[str, Outcome]]:
        for outcome in score(plan_file.read_span(self._run, group), self._run):
            if isinstance(outcome, Receipt):
                self._counters.count_receipt(outcome)
                failed_units().note(outcome)
            else:
                self._counters.count_unfinished()
            yield outcome.unit, outcome


class _Merge(beam.CombineFn):
    """`Summary.merge`."""

    def create_accumulator(self) -> Summary:
        return Summary()

    def add_input(self, accumulator: Summary, summary: Summary) -> Summary:
        return accumulator.merge(summary)

    def merge_accumulators(self, accumulators: Iterable[Summary]) -> Summary:
        merged = Summary()
        for accumulator in accumulators:
            merged = merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: Summary) -> Summary:
        return accumulator


def _one_of(outcomes: Iterable[Outcome]) -> Outcome:
    """Return a receipt if any attempt of the unit has one: retries may send several, all of them equal."""
    return max(outcomes, key=lambda outcome: isinstance(outcome, Receipt))


@dataclass
class PlanUnits(beam.PTransform):
    """Emit the run's work units, packed in groups, and a Summary tagged "stopped" if the canary alarms.

    Attributes:
        run: whose they are.
        group_units: how many make a group; None for what suits many workers.
    """

    run: Run
    group_units: int | None = None

    def expand(self, pipeline: beam.Pipeline) -> beam.pvalue.DoOutputsTuple:
        """Plan in one place: the plan is pinned there, whoever tries again reads it."""
        planner = beam.ParDo(_Plan(self.run, self.group_units)).with_outputs(STOPPED, main=GROUPS)
        return pipeline | "Start" >> beam.Create([None], reshuffle=False) | "Pin" >> planner


@dataclass
class ScoreUnits(beam.PTransform):
    """Score packed groups of units; emits (unit id, Receipt | Unfinished)."""

    run: Run

    def expand(self, packed: beam.PCollection) -> beam.PCollection:
        """Keep read, preprocess, predict and commit fused: only names come in, only receipts go out."""
        return packed | "Score" >> beam.ParDo(_Score(self.run))


class Summarize(beam.PTransform):
    """Merge (unit id, Receipt | Unfinished), and Summaries that there are already, into one Summary."""

    def expand(self, collections: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        """Key first: a retried bundle may send a unit again, and each is counted once."""
        outcomes, summaries = collections
        units = (
            outcomes
            | "OnePerUnit" >> beam.CombinePerKey(_one_of)
            | "DropKeys" >> beam.Values()
            | "ToSummary" >> beam.Map(Summary.of)
        )
        return (units, summaries) | "Flatten" >> beam.Flatten() | "Merge" >> beam.CombineGlobally(_Merge())


@dataclass
class Finish(beam.PTransform):
    """Write the run's results from its Summary; emits the run's record."""

    run: Run

    def expand(self, summary: beam.PCollection) -> beam.PCollection:
        """Wait for every unit: this is the last step."""
        return summary | "Write" >> beam.Map(finish, self.run)


@dataclass
class Enforce(beam.PTransform):
    """Fail the job with one line if the verdict of a run's record is bad."""

    def expand(self, record: beam.PCollection) -> beam.PCollection:
        """Behind a shuffle: where it is tried again, `Finish` is not."""
        return record | "Finished" >> beam.Reshuffle() | "Verdict" >> beam.Map(_enforce)


def _enforce(record: dict[str, Any]) -> None:
    if record["verdict"]["exit_code"]:
        raise VerdictError("; ".join(record["verdict"]["reasons"]))


def build(pipeline: beam.Pipeline, run: Run, group_units: int | None = None, enforce: bool = False) -> beam.PCollection:
    """Add the scoring job to a pipeline; returns the collection that holds the run's record.

    Args:
        pipeline: to add it to.
        run: to be done.
        group_units: see `PlanUnits`.
        enforce: whether a bad verdict fails the job, because nobody waits to hear it.
    """
    planned = pipeline | "PlanUnits" >> PlanUnits(run, group_units)
    scoring = ScoreUnits(run)
    if run.options.accelerator:
        scoring = scoring.with_resource_hints(accelerator=run.options.accelerator)
    outcomes = planned[GROUPS] | "Reshuffle" >> beam.Reshuffle() | "ScoreUnits" >> scoring
    record = (outcomes, planned[STOPPED]) | "Summarize" >> Summarize() | "Finish" >> Finish(run)
    if enforce:
        record | "Enforce" >> Enforce()
    return record
