"""What earlier runs into the same OUTPUT have stored, and how a run is cut into work units so that it stays.

`--unit_images` changes no row, only which images are stored together. With another number the same images would be
other work units, and all of them would be scored again. So OUTPUT keeps the number with which its rows were stored,
as it keeps the engine. Changes nothing in OUTPUT.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pipeline.formatting import counted
from pipeline.output import records
from pipeline.output.commit import committed
from pipeline.output.plan_file import read_index
from pipeline.output.run import Run
from pipeline.units import ROW_OPTIONS, row_options

_DECIDING = (*ROW_OPTIONS, "unit_images")
"""Options that must be the same so that rows stay."""


@dataclass(frozen=True, order=True)
class Stored:
    """The work units of one run's plan whose rows are in OUTPUT.

    Attributes:
        images: number of images in these units, as far as the plan tells.
        units: number of these units.
    """

    images: int
    units: int


def keep_stored_rows(run: Run) -> Run:
    """Return the run with the `--unit_images` of the rows that OUTPUT holds, and with a note of what becomes of them.

    The number of the run itself stays if OUTPUT holds no rows that could be those of its images: none of these inputs,
    or only rows that were made with other options. It also stays if the rows are those of a trial with --limit: a few
    rows do not decide how the whole archive is cut.
    """
    earlier = list(_earlier(run))
    own = row_options(run.options)
    alike = [one for one in earlier if row_options(one.options) == own]
    if len(alike) == len(earlier) and {one.options.unit_images for one in alike} <= {run.options.unit_images}:
        return run  # the usual night: no plan has to be read
    best, stored = _with_most([one for one in alike if not _is_trial(one, run)])
    if best is not None:
        return _cut_as(run, best, stored)
    best, stored = _with_most(earlier)
    if best is None or not (keeps := _differences(best, run)):
        return run
    why = "of other options" if row_options(best.options) != own else "of other work units"
    return replace(run, note=(f"{_rows(stored)} {why} no longer count;", f"{keeps} would keep them"))


def images_before(run: Run) -> int:
    """Return how many images an earlier run over the same inputs has stored in OUTPUT, complete or not; 0: none."""
    return _with_most(list(_earlier(run)))[1].images


def _earlier(run: Run) -> Iterator[Run]:
    """Yield earlier runs over some of the same inputs, the newest first: the last complete one, and those after it."""
    for record in records.newest_first(run.output):
        one = Run.from_record(record).at(run.output)
        if set(one.inputs) & set(run.inputs):
            yield one
        if record.get("complete"):
            return


def _with_most(earlier: list[Run]) -> tuple[Run | None, Stored]:
    """Return the run of which OUTPUT holds most rows, and what it holds; of equal ones the newest; None if none."""
    best, most = None, Stored(0, 0)
    done: dict[str, set[str]] = {}
    for one in earlier:
        form = one.options.format
        done[form] = done[form] if form in done else committed(one)
        stored = _stored(one, done[form])
        if stored > most:
            best, most = one, stored
    return best, most


def _stored(one: Run, done: set[str]) -> Stored:
    with contextlib.suppress(FileNotFoundError, ValueError):  # gone or damaged: `verify` tells of it
        units = [unit for unit in read_index(one).units if unit.id in done]
        return Stored(sum(unit.images or 0 for unit in units), len(units))
    return Stored(0, 0)


def _cut_as(run: Run, best: Run, stored: Stored) -> Run:
    """Return the run with the work units of an earlier one."""
    asked, kept = run.options.unit_images, best.options.unit_images
    if asked == kept:
        return run
    note = (
        f"--unit_images is {kept}, as before: so {_rows(stored)} can stay;",
        f"{asked} counts only in another --output",
    )
    return replace(run, options=replace(run.options, unit_images=kept), note=note)


def _is_trial(one: Run, run: Run) -> bool:
    """Return whether an earlier run was to score fewer images than this one."""
    limit = one.options.limit
    return limit is not None and (run.options.limit is None or run.options.limit > limit)


def _rows(stored: Stored) -> str:
    return counted(stored.images, "stored row") if stored.images else "the stored rows"


def _differences(earlier: Run, run: Run) -> str:
    """Return the options by which rows of an earlier run would stay, as a person types them; "": they stay as it is."""
    pairs = ((name, getattr(earlier.options, name), getattr(run.options, name)) for name in _DECIDING)
    return ", ".join(_flag(name, before) for name, before, now in pairs if before != now)


def _flag(name: str, value: Any) -> str:
    if value is None or value is False or value == "":
        return f"no --{name}"
    return f"--{name}" if value is True else f"--{name} {value}"
