"""The table of runs, MODEL/training/runs.csv: what was trained at this place, one row a training, the oldest first.

When a model is replaced, its rows are carried over. Must not know what else a training leaves.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from typing import Any

from pipeline import storage
from pipeline.model import directory
from pipeline.report.csv_file import csv_file
from pipeline.text import brief, plain

_log = logging.getLogger(__name__)

FILE = "runs.csv"
"""Name of the file in training/."""

MOST_RUNS = 1_000
"""Number of rows that are kept, the newest ones."""


@dataclass(frozen=True)
class RunRow:
    """A training, in one row.

    Attributes:
        ended: when its model was made, UTC, ISO 8601.
        model: id of the model.
        dataset: name of the data set.
        images: number of images that were learned.
        recipe: what of the recipe is not as in the classic one: name -> value.
        temperature: that divides the logits; None: none does.
        epochs: how many there were.
        chosen_epoch: the one whose weights the model has, from 1.
        validation_figure: name of what was measured on the validation images.
        validation: its value in the chosen epoch.
        test_figure: name of what was measured on the test images.
        test: its value.
        test_low: lower end of its 95 % interval; None: it has none.
        test_high: upper end; None: there is none.
        seconds: that the epochs took.
    """

    ended: str
    model: str
    dataset: str
    images: int
    recipe: Mapping[str, Any]
    temperature: float | None
    epochs: int
    chosen_epoch: int
    validation_figure: str
    validation: float
    test_figure: str
    test: float
    test_low: float | None
    test_high: float | None
    seconds: float


HEADER = tuple(field.name for field in fields(RunRow))
"""Columns of the file."""


def runs_file(rows: Sequence[RunRow]) -> bytes:
    """Return runs.csv, with the newest MOST_RUNS rows; `recipe` is a JSON object."""
    return csv_file(HEADER, (_to_cells(row) for row in rows[-MOST_RUNS:]))


def _to_cells(row: RunRow) -> list[object]:
    return [json.dumps(dict(value)) if isinstance(value, Mapping) else value for value in astuple(row)]


def read_runs(model: str) -> list[RunRow]:
    """Return what was trained at a place before, the oldest first; [] if nothing was, or nobody noted it.

    A table that is damaged is begun anew, with a warning.

    Args:
        model: location of a model directory, which need not be there.

    Raises:
        PermissionError: it cannot be read.
    """
    location = storage.join(model, directory.TRAINING, FILE)
    try:
        data = storage.read(location)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        return _parse(data)
    except ValueError as error:
        _log.warning("%s is begun anew, as it is damaged: %s", location, brief(plain(str(error))))
        return []


def _parse(data: bytes) -> list[RunRow]:
    """Return the rows of a file.

    Raises:
        ValueError: it is damaged.
    """
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if not lines or tuple(lines[0]) != HEADER:
        raise ValueError("its first line does not name the columns")
    return [_row(line, number) for number, line in enumerate(lines[1:], 2)]


def _row(line: Sequence[str], number: int) -> RunRow:
    if len(line) != len(HEADER):
        raise ValueError(f"line {number} has {len(line)} cells instead of {len(HEADER)}")
    cells = dict(zip(HEADER, line, strict=True))
    recipe = json.loads(cells["recipe"])
    if not isinstance(recipe, dict):
        raise ValueError(f"line {number} has the recipe {cells['recipe']!r}")
    values: dict[str, Any] = {**cells, "recipe": recipe}
    values |= {name: int(cells[name]) for name in ("images", "epochs", "chosen_epoch")}
    values |= {name: float(cells[name]) for name in ("validation", "test", "seconds")}
    for name in ("temperature", "test_low", "test_high"):
        values[name] = float(cells[name]) if cells[name] else None
    datetime.fromisoformat(cells["ended"])
    return RunRow(**values)
