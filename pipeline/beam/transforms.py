"""The pipeline's steps as Beam transforms: PlanUnits | ScoreUnits | Summarize | Finish.

They also work in a pipeline of your own. Prepare a run, apply the transforms in this order, and branch off wherever you
like::

    import apache_beam as beam

    from pipeline.beam.transforms import Finish, PlanUnits, ScoreUnits, Summarize
    from pipeline.options import ScoreOptions
    from pipeline.scoring.prepare import prepare

    run = prepare(ScoreOptions(input=("photos",), model="model", output="night"))
    with beam.Pipeline("FnApiRunner") as pipeline:
        outcomes = pipeline | PlanUnits(run) | ScoreUnits(run)
        outcomes | Summarize() | Finish(run)

docs/beam.md has more examples. This module holds as little logic as possible: each transform is the pure function of
the same name, where something crosses a shuffle or may be retried. Only places in the plan, receipts and summaries
cross one. Annotations are types here, not strings: Beam reads them and checks each step against the next.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.pvalue import PBegin
from apache_beam.transforms.trigger import AfterWatermark, DefaultTrigger
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import Duration

from pipeline import storage
from pipeline.beam.counters import Counters
from pipeline.beam.last_steps import Enforce, Tell
from pipeline.beam.log import failed_units
from pipeline.metrics.record import EndedRecord
from pipeline.options import LOCAL_RUNNERS
from pipeline.output import plan_file
from pipeline.output.commit import committed
from pipeline.output.finish import finish
from pipeline.output.plan_file import Span
from pipeline.output.progress import tally
from pipeline.output.receipts import Receipt, Unfinished
from pipeline.output.run import Run
from pipeline.output.summary import Summary
from pipeline.scoring.canary import send_canary
from pipeline.scoring.planning import pin
from pipeline.scoring.process_pool import processes
from pipeline.scoring.score import score


@dataclass(frozen=True)
class Stopped:
    """The canary's alarm: most of the first images failed, and no unit is scored.

    Attributes:
        reason: one line for a person.
    """

    reason: str


Group = Span | Stopped
"""What `PlanUnits` emits: where a group of work units lies in the pinned plan, or an alarm in place of all groups."""

UnitOutcome = Receipt | Unfinished | Stopped
"""What `ScoreUnits` emits: one for each work unit, or an alarm that went through it."""


_MERGED_AT_ONCE = 64
"""Number of summaries that are merged at once."""


_FIRE_ONCE = (DefaultTrigger(), AfterWatermark())
"""Triggers with which a window fires once, if no late element is allowed."""


class _Plan(beam.DoFn):
    """Pins the plan, tries the canary, and emits the work units in groups."""

    def __init__(self, run: Run, group_units: int | None) -> None:
        self._run = run
        self._group_units = group_units
        self._counters = Counters()

    def process(self, _: None) -> Iterator[Group]:
        run = self._run
        storage.patience().deadline = run.options.retry_deadline
        totals = pin(run)
        self._counters.count_plan(totals)
        tally().start(totals.total)
        if not run.options.no_canary:
            canary = send_canary(run, committed(run))
            if canary.alarming:
                yield Stopped(canary.reason())
                return
        yield from plan_file.read_index(run).groups(self._group_units or plan_file.group_units(totals.units))


class _Score(beam.DoFn):
    """Scores a group; touches counters in the bundle's thread."""

    def __init__(self, run: Run, is_shared: bool) -> None:
        self._run = run
        self._is_shared = is_shared
        self._counters = Counters()

    def setup(self) -> None:
        """Share the cores with other workers of the machine, if there may be any."""
        if self._is_shared:
            processes().share()

    def process(self, group: Group) -> Iterator[UnitOutcome]:
        if isinstance(group, Stopped):
            yield group
            return
        for outcome in score(plan_file.read_span(self._run, group), self._run):
            if isinstance(outcome, Receipt):
                self._counters.count_receipt(outcome)
                failed_units().note(outcome)
            else:
                self._counters.count_unfinished()
            yield outcome
        processes().make_room()


class _Merge(beam.CombineFn):
    """`Summary.merge_all`; an accumulator holds a few summaries that are still to be merged."""

    def create_accumulator(self) -> list[Summary]:
        return []

    def add_input(self, accumulator: list[Summary], summary: Summary) -> list[Summary]:
        accumulator.append(summary)
        return self.compact(accumulator) if len(accumulator) >= _MERGED_AT_ONCE else accumulator

    def merge_accumulators(self, accumulators: Iterable[list[Summary]]) -> list[Summary]:
        return self.compact([summary for accumulator in accumulators for summary in accumulator])

    def compact(self, accumulator: list[Summary]) -> list[Summary]:
        return [Summary.merge_all(accumulator)]

    def extract_output(self, accumulator: list[Summary]) -> Summary:
        return Summary.merge_all(accumulator)


@dataclass
class PlanUnits(beam.PTransform):
    """Emit the run's work units in groups, as `ScoreUnits` takes them.

    Apply it to the pipeline. The plan is made and pinned in one place: if that step is tried again, it reads the pinned
    plan and emits the same groups. If the canary alarms, the only element is a `Stopped`.

    Attributes:
        run: the run to plan, as `pipeline.scoring.prepare.prepare` returned it.
        group_units: number of units that a worker gets at once; None for a number that suits many workers.
    """

    run: Run
    group_units: int | None = None

    def expand(self, pipeline: PBegin) -> beam.PCollection[Group]:
        """Break fusion at the end: the worker that plans must not score everything."""
        return (
            pipeline
            | "Start" >> beam.Create([None], reshuffle=False)
            | "Pin" >> beam.ParDo(_Plan(self.run, self.group_units))
            | "HandOut" >> beam.Reshuffle()
        )


@dataclass
class ScoreUnits(beam.PTransform):
    """Score groups of work units; emit a `Receipt` or an `Unfinished` for each unit.

    When a receipt is emitted, its unit's rows are committed in OUTPUT at `run.part(receipt.unit)`. If a bundle is tried
    again, its units may be emitted again: the receipts are equal, and `Summarize` counts each unit once. A `Stopped`
    passes through.

    Attributes:
        run: the run that `PlanUnits` planned. Its `--accelerator` becomes a resource hint on this step only.
    """

    run: Run

    def expand(self, groups: beam.PCollection[Group]) -> beam.PCollection[UnitOutcome]:
        """Keep read, preprocess, predict and commit fused: only places come in, only receipts go out."""
        runner = groups.pipeline.options.view_as(StandardOptions).runner
        step = beam.ParDo(_Score(self.run, is_shared=runner not in LOCAL_RUNNERS))
        if self.run.options.accelerator:
            step = step.with_resource_hints(accelerator=self.run.options.accelerator)
        return groups | "Score" >> step


@dataclass
class Summarize(beam.PTransform):
    """Merge the outcomes of work units into one `Summary` for each window.

    In the global window there is always one summary, also of no outcomes. In any other windows, a window without
    outcomes has no summary. A unit that comes several times in a window is counted once, and a receipt beats an
    `Unfinished`. What is filtered out before is not counted.

    >>> from pipeline.metrics.accuracy import Metrics
    >>> from pipeline.output.receipts import Extras
    >>> receipt = Receipt("a", 2, 0, Metrics(images=2, scored=2), [], [], Extras())
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     summary = pipeline | beam.Create([receipt, receipt, Unfinished("b", 5, "HTTP 503")]) | Summarize()
    ...     _ = summary | beam.Map(lambda summary: print(summary.units, summary.unfinished))
    1 1
    """

    def expand(self, outcomes: beam.PCollection[UnitOutcome]) -> beam.PCollection[Summary]:
        """Key first: one of each unit is chosen before any is counted.

        Raises:
            ValueError: windows fire more than once, so that units would be counted again with each pane.
        """
        windowing = outcomes.windowing
        if windowing.triggerfn not in _FIRE_ONCE or windowing.allowed_lateness != Duration(0):
            raise ValueError(
                f"Summarize merges a window once, but its input has the trigger {windowing.triggerfn} and allows "
                f"{windowing.allowed_lateness} of lateness: put a beam.WindowInto without either before it"
            )
        merge = beam.CombineGlobally(_Merge())
        return (
            outcomes
            | "KeyByUnit" >> beam.Map(_key_by_unit)
            | "OnePerUnit" >> beam.CombinePerKey(_one_of)
            | "ToSummary" >> beam.MapTuple(_summary_of)
            | "Merge" >> (merge if windowing.windowfn == GlobalWindows() else merge.without_defaults())
        )


def _key_by_unit(outcome: UnitOutcome) -> tuple[str, UnitOutcome]:
    return "" if isinstance(outcome, Stopped) else outcome.unit, outcome


def _one_of(outcomes: Iterable[UnitOutcome]) -> UnitOutcome:
    """Return a receipt if any attempt of the unit has one: retries may send several, all of them equal."""
    return max(outcomes, key=lambda outcome: isinstance(outcome, Receipt))


def _summary_of(_: str, outcome: UnitOutcome) -> Summary:
    return Summary(stopped=outcome.reason) if isinstance(outcome, Stopped) else Summary.of(outcome)


@dataclass
class Finish(beam.PTransform):
    """Write the run's results from its `Summary`; emit the run's record, the content of run.json.

    Attributes:
        run: the run that was planned and scored.
    """

    run: Run

    def expand(self, summary: beam.PCollection[Summary]) -> beam.PCollection[EndedRecord]:
        """Wait for every unit: this is the last step.

        Raises:
            ValueError: there is one summary a window, and none of the whole run.
        """
        if summary.windowing.windowfn != GlobalWindows():
            raise ValueError(
                f"Finish writes the results of the whole run, but its input is in {summary.windowing.windowfn}: apply "
                "Summarize to the outcomes before they are put into windows"
            )
        return summary | "Write" >> beam.Map(finish, self.run)


def build(
    pipeline: beam.Pipeline, run: Run, group_units: int | None = None, enforce: bool = False
) -> beam.PCollection[EndedRecord]:
    """Add the scoring job to a pipeline; return the collection that holds the run's record.

    Args:
        pipeline: the pipeline to add it to.
        run: the run to do, as `pipeline.scoring.prepare.prepare` returned it.
        group_units: see `PlanUnits`.
        enforce: whether a bad verdict fails the job, because nobody waits for the record.
    """
    outcomes = pipeline | "PlanUnits" >> PlanUnits(run, group_units) | "ScoreUnits" >> ScoreUnits(run)
    record = outcomes | "Summarize" >> Summarize() | "Finish" >> Finish(run)
    if enforce:
        if run.options.on_end:
            record | "Tell" >> Tell(run)
        record | "Enforce" >> Enforce()
    return record
