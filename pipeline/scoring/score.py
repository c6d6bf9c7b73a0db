"""The generator `score` takes work units and yields their receipts: it reads, decodes, predicts and commits.

A script calls it, a debugger starts in it, and Beam's DoFn runs it. It works ahead by pieces of at most a batch, not by
units: local processes read, decode and score the next pieces, and make the part of the unit before, while this process
hands out work, keeps rows without looking into them, and stores parts and receipts. Knows no Beam.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain

from pipeline import sources, storage
from pipeline.concurrency import ahead, commit_threads, cores, pools
from pipeline.errors import DamagedPartError, StoreDownError, TransientError
from pipeline.metrics.left_out import LeftOut
from pipeline.metrics.timing import Spent
from pipeline.output.commit import RECALLS_AHEAD, commit, recall, withdraw
from pipeline.output.progress import tally
from pipeline.output.receipts import Extras, Outcome, Receipt, Unfinished
from pipeline.output.rows import failed_rows, read_part
from pipeline.output.run import Run
from pipeline.scoring.arrangement import arrange
from pipeline.scoring.parts import ScoredUnit
from pipeline.scoring.pictures import Shortlist
from pipeline.scoring.piece import PieceRows
from pipeline.scoring.planning import read_rule
from pipeline.scoring.requests import (
    is_one_request,
    make_part_in_process,
    piece_images,
    score_in_process,
    score_unit_in_process,
)
from pipeline.sources import Piece
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit

PATCHES_AHEAD = 1
"""Number of parts that are read ahead, if only their failed rows are scored again."""

PIECES_AHEAD = 2
"""Number of pieces for each local process: one is being scored, one waits."""


class _End:
    """The mark that follows the last piece of a unit."""


@dataclass
class _Task:
    """A unit to score, or the failed rows of a unit to score again.

    Attributes:
        unit: the unit, as planned.
        redo: whether only the failed rows are scored, again.
        part: the bytes of the part that is there; b"", if all rows are scored.
        replaced: numbers of the rows of that part that are scored again.
        error: why the unit cannot be finished; None as long as no storage has failed.
        shortlist: the images of the unit that get a picture.
        skipped: counts what is found in the unit by reading and is no image.
    """

    unit: WorkUnit
    redo: bool = False
    part: bytes = b""
    replaced: Sequence[int] = ()
    error: TransientError | None = None
    shortlist: Shortlist = field(default_factory=Shortlist)
    skipped: Skipped = field(default_factory=Skipped)


class _OpenTask:
    """A task whose rows are being collected, piece by piece."""

    def __init__(self, task: _Task) -> None:
        self.task = task
        self.seconds: dict[str, float] = {}
        self.streams: list[bytes | memoryview] = [task.part] if task.part else []
        self.unit: ScoredUnit | None = None
        self.count = self.rescored = 0
        self._thumbnails: dict[int, bytes] = {}
        self._enlarged: dict[int, bytes] = {}
        self._started = time.monotonic()

    def add(self, rows: PieceRows | ScoredUnit) -> None:
        """Append the rows of the next piece, or take the whole unit."""
        if isinstance(rows, ScoredUnit):
            self.unit, self.seconds, self.count = rows, dict(rows.seconds), rows.receipt.rows
            self.rescored, self._thumbnails = rows.rescored, dict(rows.receipt.extras.thumbnails)
            self._started -= sum(rows.seconds.values())
            return
        self.seconds = add_seconds(self.seconds, rows.seconds)
        self.streams.append(rows.stream)
        for pictures, of_rows in ((rows.pictures.small, self._thumbnails), (rows.pictures.large, self._enlarged)):
            for i, picture in pictures.items():
                row = self.count + i
                of_rows[self.task.replaced[row] if self.task.replaced else row] = picture
        self.count += rows.count
        self.rescored += rows.rescored

    def extras(self, maker: str, receipt: Receipt) -> Extras:
        """Return what the part does not tell, with the pictures of the images that its receipt names."""
        skipped = self.task.skipped
        left_out = LeftOut(skipped.counts, skipped.examples)
        enlarged = receipt.enlarged
        large = {row: picture for row, picture in self._enlarged.items() if row in enlarged}
        extras = Extras(time.monotonic() - self._started, {**self._thumbnails, **large}, maker, left_out)
        return extras.only(receipt.pictured)


_Rows = PieceRows | ScoredUnit
"""What becomes of a piece."""

_Step = tuple[_Task, Piece | _Rows | _End]
"""A task with its next piece, with the rows of a piece, or with its end."""


def score(units: Iterable[WorkUnit], run: Run) -> Iterator[Outcome]:
    """Yield one receipt for each unit: the one that is there already, or else the one of scoring the unit now.

    It is safe to call it again at any time, also on another machine: parts and receipts are created once. The model is
    loaded when the first unit needs it. Leaving the generator ends all work that is under way.

    Raises:
        GoldenMismatchError: this machine does not reproduce the model's golden images.
        StoreDownError: the archive's store, or that of OUTPUT, answers nobody.
        NoSpaceError: OUTPUT's disk is full.
    """
    storage.patience().deadline = run.options.retry_deadline
    with closing(ahead(lambda unit: _recall(unit, run), units, RECALLS_AHEAD, pools().read)) as found:
        for first in found:
            if isinstance(first, _Task):
                yield from _score_new(chain([first], found), run)
                return
            yield first


def _recall(unit: WorkUnit, run: Run) -> Outcome | _Task:
    """Return the receipt of a unit that is committed, or the task to score it."""
    try:
        receipt = recall(unit, run)
        if receipt is None:
            return _Task(unit)
        if not (run.options.retry_failed and receipt.metrics.failed):
            tally().add(kept=receipt.rows)
            return receipt
        if unit.images is None:  # where only reading tells how many there are, rows have no fixed numbers
            withdraw(unit, run)
            return _Task(unit)
        return _Task(unit, redo=True)
    except TransientError as error:
        return _unfinished(unit, error, run)


def _score_new(found: Iterable[_Task | Outcome], run: Run) -> Iterator[Outcome]:
    """Score the tasks among what was found; outcomes that are there already keep their places in the order."""
    pool = pools()
    ready = ahead(lambda task: _with_part(task, run), found, PATCHES_AHEAD, pool.read)
    is_far = any(storage.store_of(location).parallel_reads > 1 for location in run.inputs)
    threads, at_once = (pool.fetch, 2 * cores()) if is_far else (pool.score, cores())
    maker = arrange(run, at_once).maker
    rows = ahead(lambda step: _score_piece(step, run), _pieces(ready, run), PIECES_AHEAD * at_once, threads)
    done = ahead(lambda task: _end(task, run, maker), _collect(rows), commit_threads(), pool.commit)
    with closing(done) as outcomes:
        yield from _add_capacity(outcomes)


def _add_capacity(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Add to each new receipt the time since the one before, without the time of loading the model."""
    last = time.monotonic()
    for outcome in outcomes:
        if isinstance(outcome, Receipt) and outcome.spent.steps:
            now = time.monotonic()
            capacity = round(1e6 * (now - last) * cores()) - outcome.spent.steps.get("load", 0)
            yield replace(outcome, spent=outcome.spent.merge(Spent(capacity=capacity)))
            last = now
        else:
            yield outcome


def _with_part(task: _Task | Outcome, run: Run) -> _Task | Outcome:
    """Read the part of a unit, if only its failed rows are scored again."""
    if isinstance(task, _Task) and task.redo:
        try:
            location, schema = run.part(task.unit.id), run.schema
            part = storage.read(location)
            task.replaced = failed_rows(read_part(part, run.options.format, schema, location))
            task.part = part
        except TransientError as error:
            task.error = error
        except (FileNotFoundError, DamagedPartError):
            pass  # gone, or damaged, since a moment: all rows are due
    return task


def _pieces(tasks: Generator[_Task | Outcome, None, None], run: Run) -> Iterator[_Step | Outcome]:
    with closing(tasks):
        for task in tasks:
            if not isinstance(task, _Task):
                yield task
                continue
            try:
                for piece in _pieces_of(task, run):
                    if task.error is not None:
                        break
                    yield task, piece
            except TransientError as error:
                task.error = error
            yield task, _End()


def _pieces_of(task: _Task, run: Run) -> Iterator[Piece]:
    if not task.part:
        if is_one_request(task.unit, run):
            return iter([task.unit])
        return sources.pieces(task.unit, read_rule(run), piece_images(run), task.skipped)
    return sources.some_pieces(task.unit, task.replaced, read_rule(run))


def _score_piece(step: _Step | Outcome, run: Run) -> _Step | Outcome:
    if isinstance(step, Outcome):
        return step
    task, piece = step
    if isinstance(piece, _Rows | _End) or task.error is not None:
        return step
    try:
        if piece is task.unit:
            return task, score_unit_in_process(task.unit, run)
        rows = score_in_process(piece, run, task.shortlist.examples())
    except TransientError as error:
        task.error = error
        return step
    task.shortlist.add(rows.examples, run.spec.task)
    return task, rows


def _collect(steps: Generator[_Step | Outcome, None, None]) -> Iterator[_OpenTask | Outcome]:
    """Collect the rows of each task; yield the task when its last rows are there."""
    current: _OpenTask | None = None
    with closing(steps):
        for step in steps:
            if isinstance(step, Outcome):
                yield step
                continue
            task, rows = step
            if isinstance(rows, _Rows):
                current = current or _OpenTask(task)
                before = current.count
                current.add(rows)
                tally().add(scored=current.count - before, failures=_by_reason(rows))
            elif isinstance(rows, _End):
                yield current or _OpenTask(task)
                current = None


def _by_reason(rows: _Rows) -> Counter[tuple[str, str]]:
    return Counter((why.stage, why.code) for why in rows.failures.values())


def _end(done: _OpenTask | Outcome, run: Run, maker: str) -> Outcome:
    return done if isinstance(done, Outcome) else _commit(done, run, maker)


def _commit(open_task: _OpenTask, run: Run, maker: str) -> Outcome:
    task = open_task.task
    try:
        if task.error is None:
            part, receipt, seconds = _part(open_task, run)
            started = time.monotonic()
            receipt = replace(receipt, extras=open_task.extras(maker, receipt))
            if task.part:
                withdraw(task.unit, run)
            receipt = commit(task.unit, bytes(part), receipt, run)
            kept = receipt.rows - open_task.count
            tally().add(kept=kept)
            steps = add_seconds(open_task.seconds, seconds, {"commit": time.monotonic() - started})
            spent = Spent.of(steps, time.time(), open_task.count)
            return replace(receipt, kept=kept, rescored=open_task.rescored, spent=spent)
    except TransientError as error:
        task.error = error
    return _unfinished(task.unit, task.error, run)


def _part(open_task: _OpenTask, run: Run) -> tuple[bytes | memoryview, Receipt, Mapping[str, float]]:
    """Return the part of a task, its receipt, and the seconds that it took to make them, by step."""
    if open_task.unit is not None:
        return open_task.unit.part, open_task.unit.receipt, {}
    part, receipt, seconds = make_part_in_process(open_task.task.unit, open_task.streams, open_task.task.replaced, run)
    open_task.streams.clear()
    return part, receipt, seconds


def add_seconds(*seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the sums of seconds by step.

    >>> add_seconds({"read": 1.0}, {"read": 2.0, "decode": 3.0})
    {'read': 3.0, 'decode': 3.0}
    """
    sums: dict[str, float] = {}
    for one in seconds:
        for step, duration in one.items():
            sums[step] = sums.get(step, 0.0) + duration
    return sums


def _unfinished(unit: WorkUnit, error: TransientError, run: Run) -> Unfinished:
    """Return the unfinished unit for which storage failed.

    Raises:
        StoreDownError: the store of the archive, or of OUTPUT, answers no request at all.
    """
    for location in (unit.locations[0], run.output):
        if not storage.answers(location):
            raise StoreDownError(f"{error}, and nothing else answers there") from error
    return Unfinished(unit.id, unit.images, str(error))
