"""The pipeline's shape: what crosses a shuffle, and what becomes of retries."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from conftest import MakeRun, WriteImages

from pipeline.beam.transforms import PlanUnits, ScoreUnits, Stopped, Summarize, build
from pipeline.metrics.accuracy import Metrics
from pipeline.output import plan_file
from pipeline.output.receipts import Extras, Receipt, Unfinished
from pipeline.output.records import start
from pipeline.scoring.planning import pin


def receipt(unit: str) -> Receipt:
    return Receipt(unit, 2, 0, Metrics(images=2, scored=2), [], [], Extras())


def test_unit_that_is_sent_again_is_counted_once_and_a_receipt_beats_an_unfinished() -> None:
    outcomes = [
        receipt("a"),
        receipt("a"),
        Unfinished("b", 2, "HTTP 503"),
        receipt("b"),
        Unfinished("c", 5, "HTTP 503"),
    ]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        summary = pipeline | beam.Create(outcomes) | Summarize()
        numbers = summary | beam.Map(lambda s: (s.units, s.metrics.images, s.unfinished, s.unfinished_images))
        assert_that(numbers, equal_to([(2, 4, 1, 5)]))


@pytest.mark.parametrize("outcomes", [[], [Stopped("canary")]], ids=["nothing", "alarm"])
def test_summary_of_nothing_is_empty_and_a_canarys_alarm_gets_through(outcomes: list[Stopped]) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        summary = pipeline | beam.Create(outcomes) | Summarize()
        expected = "".join(outcome.reason for outcome in outcomes)
        assert_that(summary | beam.Map(lambda s: (s.units, s.stopped)), equal_to([(0, expected)]))


@pytest.mark.heavy
def test_only_places_in_the_plan_cross_the_reshuffle(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(30), unit_images=8)
    start(run)
    pin(run)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        planned = pipeline | PlanUnits(run)
        assert_that(planned, equal_to(list(plan_file.read_index(run).groups(1))))


def test_retried_planner_emits_what_was_pinned(make_run: MakeRun, write_images: WriteImages) -> None:
    archive = write_images(30)
    run = make_run(archive, unit_images=8)
    start(run)
    pin(run)
    expected = [unit.id for unit in plan_file.read_units(run)]
    write_images(9, start=100)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        planned = pipeline | PlanUnits(run)
        ids = planned | beam.FlatMap(lambda group: [unit.id for unit in plan_file.read_span(run, group)])
        assert_that(ids, equal_to(expected))


def _compared(found: list[Receipt]) -> tuple[int, bool]:
    return len(found), all(other == found[0] for other in found)


def test_retried_group_gives_the_same_receipts(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(30), unit_images=8)
    start(run)
    pin(run)
    units = list(plan_file.read_units(run))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        planned = pipeline | PlanUnits(run)
        twice = (planned, planned) | beam.Flatten()
        outcomes = twice | ScoreUnits(run) | beam.Map(lambda outcome: (outcome.unit, outcome))
        rows = outcomes | beam.GroupByKey() | beam.MapTuple(lambda unit, found: (unit, *_compared(list(found))))
        expected = [(unit.id, 2, True) for unit in units]
        assert_that(rows, equal_to(expected))


def test_pipeline_reads_as_the_design_says(make_run: MakeRun) -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    build(pipeline, make_run("x"))
    (root,) = pipeline.to_runner_api().root_transform_ids
    transforms = pipeline.to_runner_api().components.transforms
    names = [transforms[child].unique_name for child in transforms[root].subtransforms]
    assert names == ["PlanUnits", "ScoreUnits", "Summarize", "Finish"]
