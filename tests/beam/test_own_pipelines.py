"""The transforms in somebody's own pipeline: docs/beam.md and the docstring are run, windows are merged by hand."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark, Repeatedly
from apache_beam.transforms.window import FixedWindows, SlidingWindows, TimestampedValue
from apache_beam.typehints.decorators import TypeCheckError
from conftest import MakeRun, WriteImages, rows_of

from model_training.data.datasets import RawImages
from pipeline.beam import transforms
from pipeline.beam.transforms import Finish, PlanUnits, ScoreUnits, Stopped, Summarize, UnitOutcome
from pipeline.cli import score
from pipeline.metrics.accuracy import Metrics
from pipeline.output import plan_file
from pipeline.output.receipts import Extras, Receipt, Unfinished
from pipeline.output.records import start
from pipeline.output.summary import Summary
from pipeline.scoring.planning import pin
from pipeline.scoring.score import score as score_units

DOCUMENT = (Path(__file__).parents[2] / "docs" / "beam.md").read_text()
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def receipt(unit: str, images: int = 2) -> Receipt:
    return Receipt(unit, images, 0, Metrics(images=images, scored=images), [], [], Extras())


def by_hand(outcomes: Iterable[Receipt | Unfinished]) -> Summary:
    return reduce(Summary.merge, map(Summary.of, outcomes), Summary())


class Windowed(beam.DoFn):
    """Emits (start of the window, summary)."""

    def process(self, summary: Summary, window: Any = beam.DoFn.WindowParam) -> Any:
        yield int(window.start), summary


def summaries(outcomes: Iterable[tuple[int, UnitOutcome]], *expected: tuple[int, Summary], windows: Any) -> None:
    """Check what the outcomes of a pipeline, each with its second, come to in each window."""
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        summary = (
            pipeline
            | beam.Create(list(outcomes))
            | beam.MapTuple(lambda second, outcome: TimestampedValue(outcome, second))
            | beam.WindowInto(windows)
            | Summarize()
        )
        assert_that(summary | beam.ParDo(Windowed()), equal_to(list(expected)))


def test_each_window_has_the_summary_of_its_outcomes() -> None:
    early, late = [receipt("a"), receipt("b", 5), Unfinished("c", 3, "HTTP 503")], [receipt("d", 7)]
    sent = [*enumerate(early), *((120 + i, outcome) for i, outcome in enumerate(late))]
    summaries(sent, (0, by_hand(early)), (120, by_hand(late)), windows=FixedWindows(60))


def test_window_counts_a_unit_once_and_another_window_counts_it_again() -> None:
    sent = [(1, receipt("a")), (2, receipt("a")), (3, Unfinished("b", 2, "HTTP 503")), (59, receipt("b"))]
    again = [(61, receipt("a"))]
    expected = by_hand([receipt("a"), receipt("b")]), by_hand([receipt("a")])
    summaries([*sent, *again], (0, expected[0]), (60, expected[1]), windows=FixedWindows(60))


def test_outcome_is_in_every_window_that_it_lies_in() -> None:
    one = by_hand([receipt("a")])
    summaries([(65, receipt("a"))], (60, one), (0, one), windows=SlidingWindows(120, 60))


def test_no_outcomes_are_no_windows_and_no_summary() -> None:
    summaries([], windows=FixedWindows(60))


@pytest.mark.parametrize(
    "options",
    [
        {"allowed_lateness": 60},
        {"trigger": Repeatedly(AfterCount(1)), "accumulation_mode": AccumulationMode.ACCUMULATING},
        {"trigger": AfterWatermark(early=AfterCount(1)), "accumulation_mode": AccumulationMode.DISCARDING},
    ],
    ids=["lateness", "repeatedly", "early"],
)
def test_window_that_fires_again_would_count_twice_and_is_refused(options: dict[str, Any]) -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    windowed = pipeline | beam.Create([receipt("a")]) | beam.WindowInto(FixedWindows(60), **options)
    with pytest.raises(ValueError, match=r"Summarize merges a window once.*put a beam\.WindowInto"):
        windowed | Summarize()


def test_trigger_that_fires_once_is_taken() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    once = beam.WindowInto(FixedWindows(60), trigger=AfterWatermark(), accumulation_mode=AccumulationMode.DISCARDING)
    pipeline | beam.Create([receipt("a")]) | once | Summarize()


def test_results_of_one_window_are_not_those_of_the_run(make_run: MakeRun) -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    summary = pipeline | beam.Create([receipt("a")]) | beam.WindowInto(FixedWindows(60)) | Summarize()
    with pytest.raises(
        ValueError, match=r"Finish writes the results of the whole run.*before they are put into windows"
    ):
        summary | Finish(make_run("x"))


def test_transform_refuses_what_another_one_emits(make_run: MakeRun) -> None:
    run = make_run("x")
    pipeline = beam.Pipeline(runner=FnApiRunner())
    groups = pipeline | PlanUnits(run)
    with pytest.raises(TypeCheckError, match="Summarize"):
        groups | Summarize()
    with pytest.raises(TypeCheckError, match="Finish"):
        groups | ScoreUnits(run) | Finish(run)


def test_alarm_of_the_canary_goes_through_every_step(make_run: MakeRun, tmp_path: Path) -> None:
    archive = tmp_path / "garbage"
    archive.mkdir()
    for i in range(10):
        (archive / f"{i}.png").write_bytes(b"no image")
    run = make_run(archive)
    start(run)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        outcomes = pipeline | PlanUnits(run) | ScoreUnits(run)
        assert_that(outcomes | beam.Map(lambda outcome: type(outcome)), equal_to([Stopped]))
        outcomes | Summarize() | Finish(run)
    verdict = json.loads(Path(run.record).read_text())["verdict"]
    assert verdict["exit_code"] == 3
    assert "10 of the 10 images that were tried first failed" in verdict["reasons"][0]


@pytest.mark.heavy
def test_receipts_left_out_are_missed_in_the_verdict(make_run: MakeRun, write_images: WriteImages) -> None:
    run = make_run(write_images(30), unit_images=8)
    start(run)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        some = pipeline | PlanUnits(run) | ScoreUnits(run) | beam.Filter(lambda outcome: outcome.rows == 8)
        some | Summarize() | Finish(run)
    verdict = json.loads(Path(run.record).read_text())["verdict"]
    assert verdict["exit_code"] == 3
    assert "30 images were planned" in verdict["reasons"][0]


@pytest.mark.heavy
def test_what_crosses_a_shuffle_is_small(make_run: MakeRun, write_images: WriteImages) -> None:
    """A group is a place in the plan; a receipt does not grow with the images of its unit."""
    run = make_run(write_images(1_500))
    start(run)
    pin(run)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    groups = pipeline | PlanUnits(run)
    outcomes = groups | ScoreUnits(run)
    coder = beam.coders.registry.get_coder
    assert all(len(coder(groups.element_type).encode(g)) < 20 for g in plan_file.read_index(run).groups(1))
    (outcome,) = score_units(plan_file.read_units(run), run)
    assert len(coder(outcomes.element_type).encode(outcome)) < 48_000


@pytest.fixture
def folder(
    tmp_path: Path, tiny_model: str, digits: RawImages, write_images: WriteImages, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """What the examples need: photos, two days, a model; the working folder."""
    write_images(120, "photos")
    (tmp_path / "photos" / "3" / "cut.png").write_bytes(digits.encoded(0)[:60])
    write_images(50, "days/2026-11-21")
    write_images(30, "days/2026-11-22", start=50)
    (tmp_path / "model").symlink_to(tiny_model)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scored(folder: Path, output: str, *inputs: str) -> dict[str, Any]:
    """Return summary.json of the command."""
    flags = [word for name in inputs for word in ("--input", str(folder / name))]
    assert score.main([*flags, "--model", str(folder / "model"), "--output", output]) == 0
    summary: dict[str, Any] = json.loads((folder / output / "summary.json").read_text())
    return summary


@pytest.mark.heavy
def test_examples_of_the_document_do_what_the_command_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "own_pipeline"}
    printed = []
    for block in BLOCK.findall(DOCUMENT):
        exec(block, names)
        printed.append(capsys.readouterr().out.splitlines())
    whole, failed, days = printed
    assert whole == ["121 images, exit code 0"]
    assert failed == [f"{folder}/photos/3/cut.png INVALID_ARGUMENT"]
    night = json.loads((folder / "night" / "summary.json").read_text())
    assert night == scored(folder, "command", "photos")
    assert rows_of(folder / "night") == rows_of(folder / "command")
    each = [scored(folder, f"command-{day}", f"days/2026-11-{day}")["accuracy"] for day in (21, 22)]
    assert sorted(days) == [f"2026-11-21 50 {each[0]}", f"2026-11-22 30 {each[1]}"]
    both = json.loads((folder / "two-days" / "summary.json").read_text())
    assert both == scored(folder, "command-both", "days/2026-11-21", "days/2026-11-22")


def test_example_of_the_module_runs(folder: Path) -> None:
    text = str(transforms.__doc__)
    example = textwrap.dedent(text[text.index("    import apache_beam") : text.index("docs/beam.md has")])
    exec(example, {"__name__": "own_pipeline"})
    assert json.loads((folder / "night" / "summary.json").read_text())["images"] == 121
