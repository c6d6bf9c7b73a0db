"""The pull generator that scores work units: read, preprocess, predict, commit.

It is what a script calls, where a debugger starts, and what the DoFn runs. Batches, not units, are looked ahead: a
pool reads and decodes the next ones while Python threads predict and one thread commits the last unit. Knows no Beam.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import pyarrow as pa

from pipeline import attempts, sources, storage
from pipeline.batches import EncodedBatch, PixelBatch, PredictionBatch
from pipeline.commit import Aside, Receipt, commit, recall, withdraw
from pipeline.concurrency import ahead, pools
from pipeline.errors import DamagedPartError, StoreDownError, TransientError
from pipeline.isolated import preprocess_isolated
from pipeline.predict import Model, acquire, predict
from pipeline.progress import tally
from pipeline.rows import PartWriter, PatchWriter, failed_rows, read_part, to_table
from pipeline.run import Run
from pipeline.units import WorkUnit
from pipeline.watched import preprocess_watched

RECALLS_AHEAD = 8
MARKS_AHEAD = 1
DECODES_AHEAD = 4
PREDICTIONS_AHEAD = 4
COMMITS_AHEAD = 1
SMALL_IMAGE = 8 << 10
"""Below so many encoded bytes an image, two decoding threads are slower than one (Pillow holds the GIL)."""


@dataclass(frozen=True)
class Unfinished:
    """A unit without a part and a receipt, because storage failed for longer than it was waited for.

    Attributes:
        unit: its id.
        images: rows it would have, None where unknown.
        error: what failed, one line.
    """

    unit: str
    images: int | None
    error: str


@dataclass(frozen=True)
class _End:
    """After a unit's last batch; with an error where reading it broke off."""

    error: TransientError | None = None


@dataclass(frozen=True)
class _Task:
    """A unit to be scored, or some rows of it.

    Attributes:
        unit: as planned.
        redo: whether only the rows that failed are scored, again.
        part: where that is so, the part that is there.
        earlier: attempts before this one that ended without a receipt.
        error: why it cannot even be begun.
    """

    unit: WorkUnit
    redo: bool = False
    part: pa.Table | None = None
    earlier: int = 0
    error: TransientError | None = None


class _Open:
    """A task whose rows are being collected."""

    def __init__(self, task: _Task, run: Run) -> None:
        self.task = task
        self.writer: PartWriter | PatchWriter = (
            PartWriter(run.options.format)
            if task.part is None
            else PatchWriter(task.part, failed_rows(task.part), run.options.format)
        )
        self.rescored = 0
        self._thumbnails: dict[int, bytes] = {}
        self._started = time.monotonic()

    def add(self, batch: PredictionBatch, run: Run) -> None:
        self._thumbnails |= {self.writer.next_row(i): png for i, png in batch.thumbnails.items()}
        self.writer.add(to_table(batch, run.spec.class_names))
        self.rescored += batch.rescored

    def aside(self) -> Aside:
        return Aside(time.monotonic() - self._started, self._thumbnails)


_Step = tuple[_Task, EncodedBatch | PixelBatch | PredictionBatch | _End]
"""A task with its next batch, or with its end."""


def score(units: Iterable[WorkUnit], run: Run) -> Iterator[Receipt | Unfinished]:
    """Yield one receipt a unit: the one that is there, or that of scoring it now.

    Calling it again, here or anywhere, is safe at any time: parts and receipts are created once. The model is
    acquired when the first unit needs it. Leaving the generator ends all that is under way.

    Raises:
        GoldenMismatchError: this machine does not reproduce the model's golden images.
        StoreDownError: the archive's store, or that of OUTPUT, answers nobody.
        NoSpaceError: OUTPUT's disk is full.
    """
    storage.patience().deadline = run.options.retry_deadline
    todo: list[_Task] = []
    with closing(ahead(lambda unit: _recall(unit, run), units, RECALLS_AHEAD, pools().read)) as recalled:
        for found in recalled:
            if isinstance(found, _Task):
                todo.append(found)
                continue
            if isinstance(found, Receipt):
                tally().add(kept=found.rows)
            yield found
    if todo:
        yield from _score_new(todo, run)


def _recall(unit: WorkUnit, run: Run) -> Receipt | Unfinished | _Task:
    try:
        receipt = recall(unit, run)
        if receipt is None:
            return _Task(unit)
        if not (run.options.retry_failed and receipt.metrics.failed):
            return receipt
        if unit.images is None:  # where only reading tells how many there are, rows have no fixed numbers
            withdraw(unit, run)
            return _Task(unit)
        return _Task(unit, redo=True)
    except TransientError as error:
        return _unfinished(unit, error, run)


def _score_new(tasks: Sequence[_Task], run: Run) -> Iterator[Receipt | Unfinished]:
    model = acquire(run.model, run.spec, run.options.precision)
    pool = pools()
    decoder = pool.decode_one if _mean_size([task.unit for task in tasks]) < SMALL_IMAGE else pool.decode
    begun: dict[str, int] = {}
    marked = ahead(lambda task: _begin(task, run, begun), tasks, MARKS_AHEAD, pool.read)
    pixels = ahead(lambda step: _preprocess(step, run), _read(marked, run), DECODES_AHEAD, decoder)
    predictions = ahead(lambda step: _predict(step, model, run), pixels, PREDICTIONS_AHEAD, pool.predict)
    done = ahead(lambda ended: _commit(*ended, begun, run), _collect(predictions, run), COMMITS_AHEAD, pool.commit)
    with contextlib.ExitStack() as stack:
        stack.callback(_take_back, begun, run)
        yield from stack.enter_context(closing(done))


def _mean_size(units: Sequence[WorkUnit]) -> float:
    """Return the mean encoded bytes of an image, as far as the plan tells."""
    counted = [unit for unit in units if unit.images]
    return sum(unit.bytes for unit in counted) / max(1, sum(unit.images or 0 for unit in counted))


def _begin(task: _Task, run: Run, begun: dict[str, int]) -> _Task:
    """Leave the mark of an attempt."""
    unit = task.unit.id
    try:
        earlier = begun[unit] = attempts.begin(unit, run)
        part = read_part(storage.read(run.part(unit)), run.options.format) if task.redo else None
    except TransientError as error:
        return replace(task, error=error)
    except (FileNotFoundError, DamagedPartError):  # gone, or damaged, since a moment: all rows are due
        return replace(task, earlier=earlier)
    return replace(task, earlier=earlier, part=part)


def _end(unit: str, begun: dict[str, int], run: Run) -> None:
    """Take back the mark of an attempt, if there is one; a mark that stays is swept up when the run is complete."""
    if unit in begun:
        with contextlib.suppress(TransientError):
            attempts.end(unit, run, begun.pop(unit))


def _take_back(begun: dict[str, int], run: Run) -> None:
    for unit in list(begun):
        _end(unit, begun, run)


def _read(tasks: Generator[_Task, None, None], run: Run) -> Iterator[_Step]:
    with closing(tasks):
        for task in tasks:
            end = _End(task.error)
            try:
                for batch in () if task.error else _batches(task, run):
                    yield task, batch
            except TransientError as error:
                end = _End(error)
            yield task, end


def _batches(task: _Task, run: Run) -> Iterator[EncodedBatch]:
    if task.part is None:
        with closing(sources.read(task.unit, run)) as batches:
            yield from batches
    else:
        yield from sources.read_some(task.unit, failed_rows(task.part), run)


def _preprocess(step: _Step, run: Run) -> _Step:
    task, batch = step
    if not isinstance(batch, EncodedBatch):
        return step
    way = preprocess_isolated if task.earlier == attempts.CAREFUL else preprocess_watched
    return task, way(batch, run.spec.input, run.options.max_pixels, run.options.image_timeout)


def _predict(step: _Step, model: Model, run: Run) -> _Step:
    task, batch = step
    return task, predict(batch, model, run.top_k) if isinstance(batch, PixelBatch) else batch


def _collect(steps: Generator[_Step, None, None], run: Run) -> Iterator[tuple[_Open, TransientError | None]]:
    """Gather each task's batches into its part."""
    current: _Open | None = None
    with closing(steps):
        for task, batch in steps:
            if isinstance(batch, PredictionBatch):
                current = current or _Open(task, run)
                current.add(batch, run)
                tally().add(scored=len(batch.images), failed=len(batch.images.failures))
            elif isinstance(batch, _End):
                yield current or _Open(task, run), batch.error
                current = None


def _commit(ended: _Open, error: TransientError | None, begun: dict[str, int], run: Run) -> Receipt | Unfinished:
    task = ended.task
    try:
        if error is None:
            if task.part is not None:
                withdraw(task.unit, run)
            receipt = commit(task.unit, ended.writer.close(), run, ended.aside())
            _end(task.unit.id, begun, run)
            kept = receipt.rows - ended.writer.rows
            tally().add(kept=kept)
            return replace(receipt, kept=kept, rescored=ended.rescored)
    except TransientError as failed:
        error = failed
    _end(task.unit.id, begun, run)
    return _unfinished(task.unit, error, run)


def _unfinished(unit: WorkUnit, error: TransientError, run: Run) -> Unfinished:
    """Return what becomes of a unit that storage fails for; where a store answers nobody, it is all that is left.

    Raises:
        StoreDownError: of the archive or of OUTPUT.
    """
    for location in (unit.locations[0], run.output):
        if not storage.answers(location):
            raise StoreDownError(f"{error}, and nothing else answers there") from error
    return Unfinished(unit.id, unit.images, str(error))
