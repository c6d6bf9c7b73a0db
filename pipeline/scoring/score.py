"""The generator `score` takes work units and yields their receipts: it reads, preprocesses, predicts and commits.

A script calls it, a debugger starts in it, and Beam's DoFn runs it. It works ahead by pieces of at most a batch, not by
units: local processes read and decode the next pieces, while threads predict and one thread commits the unit before.
Knows no Beam.
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
from pipeline.output.receipts import Extras, Outcome, Receipt, Unfinished
from pipeline.output.rows import PartWriter, PatchWriter, failed_rows, read_part, row_schema, to_table
from pipeline.output.run import Run
from pipeline.scoring.pictures import Shortlist
from pipeline.scoring.planning import read_rule
from pipeline.scoring.process_pool import preprocess_in_process
from pipeline.sources import Piece
from pipeline.units import WorkUnit

PATCHES_AHEAD = 1
"""Number of parts that are read ahead, if only their failed rows are scored again."""

PIECES_AHEAD = 2
"""Number of pieces for each processor: one is being decoded, one waits for the model.

Twice as many if reading waits for a network.
"""

PREDICTIONS_AHEAD = 4
"""Number of batches that are predicted ahead of the part that is being written."""

COMMITS_AHEAD = 1
"""Number of units that are committed while later ones are scored."""


class _End:
    """The mark that follows the last batch of a unit."""


@dataclass
class _Task:
    """A unit to score, or the failed rows of a unit to score again.

    Attributes:
        unit: the unit, as planned.
        redo: whether only the failed rows are scored, again.
        part: the part that is there; None, if all rows are scored.
        error: why the unit cannot be finished; None as long as no storage has failed.
        shortlist: the images of the unit that get a picture.
    """

    unit: WorkUnit
    redo: bool = False
    part: pa.Table | None = None
    error: TransientError | None = None
    shortlist: Shortlist = field(default_factory=Shortlist)


class _OpenTask:
    """A task whose rows are being written into a part."""

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

    def extras(self) -> Extras:
        return Extras(time.monotonic() - self._started, self._thumbnails)


_Step = tuple[_Task, Piece | PixelBatch | PredictionBatch | _End]
"""A task with its next piece or batch, or with its end."""


def score(units: Iterable[WorkUnit], run: Run) -> Iterator[Receipt | Unfinished]:
    """Yield one receipt for each unit: the one that is there already, or else the one of scoring the unit now.

    It is safe to call it again at any time, also on another machine: parts and receipts are created once. The model is
    loaded when the first unit needs it. Leaving the generator ends all work that is under way.

    Raises:
        GoldenMismatchError: this machine does not reproduce the model's golden images.
        StoreDownError: the archive's store, or that of OUTPUT, answers nobody.
        NoSpaceError: OUTPUT's disk is full.
    """
    storage.patience().deadline = run.options.retry_deadline
    todo: list[_Task] = []
    with closing(ahead(lambda unit: _recall(unit, run), units, RECALLS_AHEAD, pools().read)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, _Task):
                todo.append(outcome)
                continue
            if isinstance(outcome, Receipt):
                tally().add(kept=outcome.rows)
            yield outcome
    if todo:
        yield from _score_new(todo, run)


def _recall(unit: WorkUnit, run: Run) -> Receipt | Unfinished | _Task:
    """Return the receipt of a unit that is committed, or the task to score it."""
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
    open_tasks = _collect(predictions, run)
    with closing(ahead(lambda task: _commit(task, run), open_tasks, COMMITS_AHEAD, pool.commit)) as outcomes:
        yield from _add_capacity(outcomes)


def _add_capacity(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Add to each receipt the time since the receipt before, without the time of loading the model."""
    last = time.monotonic()
    for outcome in outcomes:
        if isinstance(outcome, Receipt):
            now = time.monotonic()
            capacity = round(1e6 * (now - last) * cores()) - outcome.spent.steps.get("load", 0)
            yield replace(outcome, spent=outcome.spent.merge(Spent(capacity=capacity)))
            last = now
        else:
            yield outcome


def _with_part(task: _Task, run: Run) -> _Task:
    """Read the part of a unit, if only its failed rows are scored again."""
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
        return task, preprocess_in_process(piece, run)
    except TransientError as error:
        task.error = error
        return step


def _predict(step: _Step, run: Run) -> _Step:
    task, batch = step
    if not isinstance(batch, PixelBatch):
        return step
    before_load = time.monotonic()
    model = acquire(run.model, run.spec, run.options.precision)
    started = time.monotonic()
    predictions = predict(batch, model, run.top_k)
    pictures = task.shortlist.pictures(batch, predictions)
    seconds = {**batch.seconds, "load": started - before_load, "predict": time.monotonic() - started}
    return task, replace(predictions, thumbnails=pictures, seconds=seconds)


def _collect(steps: Generator[_Step, None, None], run: Run) -> Iterator[_OpenTask]:
    """Write the batches of each task into its part; yield the task when its last batch is written."""
    current: _OpenTask | None = None
    with closing(steps):
        for task, batch in steps:
            if isinstance(batch, PredictionBatch):
                current = current or _OpenTask(task, run)
                current.add(batch, run)
                tally().add(scored=len(batch.images), failures=_by_reason(batch))
            elif isinstance(batch, _End):
                yield current or _OpenTask(task, run)
                current = None


def _by_reason(batch: PredictionBatch) -> Counter[tuple[str, str]]:
    return Counter((why.stage, why.code) for why in batch.images.failures.values())


def _commit(open_task: _OpenTask, run: Run) -> Receipt | Unfinished:
    task = open_task.task
    started = time.monotonic()
    try:
        if task.error is None:
            if task.part is not None:
                withdraw(task.unit, run)
            receipt = commit(task.unit, open_task.writer.close(), run, open_task.extras())
            kept = receipt.rows - open_task.writer.rows
            tally().add(kept=kept)
            seconds = {**open_task.seconds, "commit": time.monotonic() - started}
            spent = Spent.of(seconds, time.time(), open_task.writer.rows)
            return replace(receipt, kept=kept, rescored=open_task.rescored, spent=spent)
    except TransientError as error:
        task.error = error
    return _unfinished(task.unit, task.error, run)


def _unfinished(unit: WorkUnit, error: TransientError, run: Run) -> Unfinished:
    """Return the unfinished unit for which storage failed.

    Raises:
        StoreDownError: the store of the archive, or of OUTPUT, answers no request at all.
    """
    for location in (unit.locations[0], run.output):
        if not storage.answers(location):
            raise StoreDownError(f"{error}, and nothing else answers there") from error
    return Unfinished(unit.id, unit.images, str(error))
