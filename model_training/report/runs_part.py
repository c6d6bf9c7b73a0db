"""What the page shows of trainings at the same place: the table of runs, with what changed from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model_training.learning.recipe import Recipe
from model_training.report.part import Part, TrustLine
from model_training.report.run import TaskRun, TrainingRun
from model_training.report.runs import FILE, RunRow, runs_file
from pipeline.formatting import between, moment, percent

SHOWN_RUNS = 30
"""Number of trainings that the page shows, at most, the newest first."""


def row_of(run: TrainingRun | TaskRun) -> RunRow:
    """Return the row of a training in the table of runs: of the test figures, the first one."""
    history, head = run.trained.history, run.trained.head
    figure = f"val_{head.metric}"
    if isinstance(run, TrainingRun):
        name, value, interval = "accuracy", run.evaluation.accuracy, list(run.evaluation.interval)
    else:
        name, value = next(iter(run.evaluation.figures.items()))
        interval = run.evaluation.intervals.get(name, [])
    low, high = (round(end, 6) for end in interval) if interval else (None, None)
    return RunRow(
        ended=run.before.ended,
        model=run.spec.model_id,
        dataset=run.dataset.name,
        images=len(run.dataset.train),
        recipe=differences(run.trained.recipe),
        temperature=run.trained.temperature,
        epochs=len(history),
        chosen_epoch=history.chosen + 1,
        validation_figure=figure,
        validation=round(float(history.columns[figure][history.chosen]), 6),
        test_figure=name,
        test=round(value, 6),
        test_low=low,
        test_high=high,
        seconds=round(float(history.seconds.sum()), 1),
    )


def differences(recipe: Recipe) -> dict[str, Any]:
    """Return what of a recipe is not as in the classic one, as JSON values; of calibration, the temperature tells.

    >>> differences(Recipe(epochs=9, seed=1))
    {'epochs': 9, 'seed': 1}
    """
    classic = asdict(Recipe())
    return {name: value for name, value in asdict(recipe).items() if value != classic[name] and name != "calibrate"}


@dataclass(frozen=True)
class ShownRun:
    """A training as the page shows it.

    Attributes:
        row: of the table of runs.
        ended: its time, as text.
        recipe: what of its recipe is not as in the classic one, as text.
        test: what was measured on the test images, as text.
        interval: of that, as text.
        changed: what changed against the training before it, as text; "": it is the first one.
    """

    row: RunRow
    ended: str
    recipe: str
    test: str
    interval: str
    changed: str


@dataclass(frozen=True)
class RunsContent:
    """What the section shows.

    Attributes:
        runs: the newest ones, the newest first.
        all: how many there are.
    """

    runs: Sequence[ShownRun]
    all: int


def runs_part(run: TrainingRun | TaskRun) -> Part:
    """Return what the page shows of trainings at this place."""
    rows = [*run.before.earlier, row_of(run)]
    shown = [_shown(row, before) for row, before in zip(rows, [None, *rows[:-1]], strict=True)]
    content = RunsContent(shown[::-1][:SHOWN_RUNS], len(rows))
    return Part("runs", "Runs", content, list(run_lines(rows)), files={FILE: runs_file(rows)})


def run_lines(rows: Sequence[RunRow]) -> Iterator[TrustLine]:
    """Yield whether the last training is surely worse than the one before it, by shares of the test images."""
    if len(rows) > 1 and rows[-1].test_figure == rows[-2].test_figure == "accuracy":
        now, before = _interval(rows[-1]), _interval(rows[-2])
        if now and before and now[1] < before[0]:
            figures = [between(now), between(before)]
            text = f"The accuracy is lower than that of the model before: {figures[0]}, it was {figures[1]}"
            yield TrustLine("bad", text, "runs")


def _shown(row: RunRow, before: RunRow | None) -> ShownRun:
    is_share = row.test_figure == "accuracy"
    test = percent(row.test) if is_share else f"{row.test:.4g}"
    ends = _interval(row)
    interval = (between(ends) if is_share else f"{ends[0]:.4g} to {ends[1]:.4g}") if ends else ""
    recipe = _words(row.recipe) or "classic"
    return ShownRun(row, moment(row.ended)[:16], recipe, test, interval, "" if before is None else changes(before, row))


def changes(before: RunRow, row: RunRow) -> str:
    """Return what changed from one training to the next one, as text."""
    classic = asdict(Recipe())
    parts = []
    for name, old, new in (("data set", before.dataset, row.dataset), ("images", before.images, row.images)):
        if old != new:
            parts.append(f"{name} {old} → {new}")
    for name in {**before.recipe, **row.recipe}:
        one, other = (each.recipe.get(name, classic.get(name)) for each in (before, row))
        if one != other:
            parts.append(f"{name} {one} → {other}")
    if (before.temperature is None) != (row.temperature is None):
        parts.append("calibrated" if before.temperature is None else "not calibrated any more")
    if before.model == row.model:
        return "the same model"
    return ", ".join(parts) or "nothing that this table holds"


def _interval(row: RunRow) -> list[float]:
    """Return both ends of the interval of a row; []: it has none."""
    return [] if row.test_low is None or row.test_high is None else [row.test_low, row.test_high]


def _words(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in recipe.items())
