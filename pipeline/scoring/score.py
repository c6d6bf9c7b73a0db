"""The pull generator that scores work units: read, preprocess, predict, commit.

It is what a script calls, where a debugger starts, and what the DoFn runs. Pieces of at most a batch, not units, are
looked ahead: child processes read and decode the next ones while Python threads predict and one thread commits the
last unit. Knows no Beam.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import pyarrow as pa

from pipeline import sources, storage
from pipeline.batches import EncodedBatch, PixelBatch, PredictionBatch
from pipeline.concurrency import ahead, cores, pools
from pipeline.errors import DamagedPartError, StoreDownError, TransientError
from pipeline.metrics.timing import Spent
from pipeline.model.predict import acquire, predict
from pipeline.output.commit import RECALLS_AHEAD, commit, recall, withdraw
from pipeline.output.progress import tally
from pipeline.output.receipts import Aside, Outcome, Receipt, Unfinished
from pipeline.output.rows import PartWriter, PatchWriter, failed_rows, read_part, row_schema, to_table
from pipeline.output.run import Run
from pipeline.scoring.pictures import Shortlist
from pipeline.scoring.planning import read_rule
from pipeline.scoring.process_pool import preprocess_outside
from pipeline.sources import Piece
from pipeline.units import WorkUnit

PATCHES_AHEAD = 1
PIECES_AHEAD = 2
"""For each processor: one being decoded, and one waiting to be predicted; twice as many where reading is waiting."""

PREDICTIONS_AHEAD = 4
COMMITS_AHEAD = 1


class _End:
    """After a unit's last batch."""


@dataclass
class _Task:
    """A unit to be scored, or some rows of it.

    Attributes:
        unit: as planned.
        redo: whether only the rows that failed are scored, again.
        part: where that is so, the part that is there.
        error: why it cannot be finished, as soon as that is known.
        shortlist: which of its images have a picture.
    """

    unit: WorkUnit
    redo: bool = False
    part: pa.Table | None = None
    error: TransientError | None = None
    shortlist: Shortlist = field(default_factory=Shortlist)


class _Open:
    """A task whose rows are being collected."""

    def __init__(self, task: _Task, run: Run) -> None:
        self.task = task
        self._schema = row_schema(run.spec.task, run.options)
        self.writer: PartWriter | PatchWriter = (
            PartWriter(run.options.format, self._schema)
            if task.part is None
            else PatchWriter(task.part, failed_rows(task.part), run.options.format, self._schema)
        )
        self.seconds: Counter[str] = Counter()
        self.rescored = 0
        self._thumbnails: dict[int, bytes] = {}
        self._started = time.monotonic()

    def add(self, batch: PredictionBatch, run: Run) -> None:
        self.seconds.update(batch.seconds)
        self._thumbnails |= {self.writer.next_row(i): png for i, png in batch.thumbnails.items()}
        self.writer.add(to_table(batch, run.spec.class_names, self._schema))
        self.rescored += batch.rescored

    def aside(self) -> Aside:
        return Aside(time.monotonic() - self._started, self._thumbnails)


_Step = tuple[_Task, Piece | PixelBatch | PredictionBatch | _End]
"""A task with its next piece or batch, or with its end."""


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
    pool = pools()
    ready = ahead(lambda task: _with_part(task, run), tasks, PATCHES_AHEAD, pool.read)
    is_far = any(storage.store_of(location).parallel_reads > 1 for location in run.inputs)
    decoders, waiting = (pool.fetch, 2 * PIECES_AHEAD) if is_far else (pool.decode, PIECES_AHEAD)
    pixels = ahead(lambda step: _preprocess(step, run), _pieces(ready, run), waiting * cores(), decoders)
    predictions = ahead(lambda step: _predict(step, run), pixels, PREDICTIONS_AHEAD, pool.predict)
    ended = _collect(predictions, run)
    with closing(ahead(lambda unit: _commit(unit, run), ended, COMMITS_AHEAD, pool.commit)) as outcomes:
        yield from _timed(outcomes)


def _timed(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Note with each receipt the time that has passed since the one before, without waiting for the model."""
    last = time.monotonic()
    for outcome in outcomes:
        if isinstance(outcome, Receipt):
            now = time.monotonic()
            passed = Spent(capacity=round(1e6 * (now - last) * cores()) - outcome.spent.steps.get("load", 0))
            yield replace(outcome, spent=outcome.spent.merge(passed))
            last = now
        else:
            yield outcome


def _with_part(task: _Task, run: Run) -> _Task:
    """Read the part of which some rows are scored again."""
    if task.redo:
        try:
            location, schema = run.part(task.unit.id), row_schema(run.spec.task, run.options)
            task.part = read_part(storage.read(location), run.options.format, schema, location)
        except TransientError as error:
            task.error = error
        except (FileNotFoundError, DamagedPartError):
            pass  # gone, or damaged, since a moment: all rows are due
    return task


def _pieces(tasks: Generator[_Task, None, None], run: Run) -> Iterator[_Step]:
    with closing(tasks):
        for task in tasks:
            try:
                for piece in _pieces_of(task, run):
                    if task.error is not None:
                        break
                    yield task, piece
            except TransientError as error:
                task.error = error
            yield task, _End()


def _pieces_of(task: _Task, run: Run) -> Iterator[Piece]:
    if task.part is None:
        return sources.pieces(task.unit, read_rule(run))
    return sources.some_pieces(task.unit, failed_rows(task.part), read_rule(run))


def _preprocess(step: _Step, run: Run) -> _Step:
    task, piece = step
    if not isinstance(piece, WorkUnit | EncodedBatch) or task.error is not None:
        return step
    try:
        return task, preprocess_outside(piece, run)
    except TransientError as error:
        task.error = error
        return step


def _predict(step: _Step, run: Run) -> _Step:
    task, batch = step
    if not isinstance(batch, PixelBatch):
        return step
    asked = time.monotonic()
    model = acquire(run.model, run.spec, run.options.precision)
    started = time.monotonic()
    predicted = predict(batch, model, run.top_k)
    pictures = task.shortlist.pictures(batch, predicted)
    seconds = {**batch.seconds, "load": started - asked, "predict": time.monotonic() - started}
    return task, replace(predicted, thumbnails=pictures, seconds=seconds)


def _collect(steps: Generator[_Step, None, None], run: Run) -> Iterator[_Open]:
    """Gather each task's batches into its part."""
    current: _Open | None = None
    with closing(steps):
        for task, batch in steps:
            if isinstance(batch, PredictionBatch):
                current = current or _Open(task, run)
                current.add(batch, run)
                tally().add(scored=len(batch.images), failures=_by_reason(batch))
            elif isinstance(batch, _End):
                yield current or _Open(task, run)
                current = None


def _by_reason(batch: PredictionBatch) -> Counter[tuple[str, str]]:
    return Counter((why.stage, why.code) for why in batch.images.failures.values())


def _commit(ended: _Open, run: Run) -> Receipt | Unfinished:
    task = ended.task
    started = time.monotonic()
    try:
        if task.error is None:
            if task.part is not None:
                withdraw(task.unit, run)
            receipt = commit(task.unit, ended.writer.close(), run, ended.aside())
            kept = receipt.rows - ended.writer.rows
            tally().add(kept=kept)
            seconds = {**ended.seconds, "commit": time.monotonic() - started}
            spent = Spent.of(seconds, time.time(), ended.writer.rows)
            return replace(receipt, kept=kept, rescored=ended.rescored, spent=spent)
    except TransientError as failed:
        task.error = failed
    return _unfinished(task.unit, task.error, run)


def _unfinished(unit: WorkUnit, error: TransientError, run: Run) -> Unfinished:
    """Return what becomes of a unit that storage fails for; where a store answers nobody, it is all that is left.

    Raises:
        StoreDownError: of the archive or of OUTPUT.
    """
    for location in (unit.locations[0], run.output):
        if not storage.answers(location):
            raise StoreDownError(f"{error}, and nothing else answers there") from error
    return Unfinished(unit.id, unit.images, str(error))
