"""What a run asks of its local processes: to plan, to load the model, to decode, to score, to make parts.

A request of which a process dies is asked again, until the image that is to blame is known (`pipeline.scoring.deaths`).
Must not know in which order a run asks.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.batches import EncodedBatch, Failure, ImageColumns, PixelBatch
from pipeline.errors import NightscoreError
from pipeline.metrics.task_examples import AnyCandidate
from pipeline.model.directory import local_copy
from pipeline.output.receipts import Receipt
from pipeline.output.run import Run
from pipeline.scoring.arrangement import arrange, model_here
from pipeline.scoring.deaths import Deaths
from pipeline.scoring.local_process import DeadError, LocalProcess
from pipeline.scoring.parts import ScoredUnit
from pipeline.scoring.pictures import Pictures
from pipeline.scoring.piece import PieceRows, make_rows, measure
from pipeline.scoring.process_frames import split
from pipeline.scoring.process_messages import Answer, Request, Want
from pipeline.scoring.process_pool import processes
from pipeline.units import WorkUnit

Piece = WorkUnit | EncodedBatch
"""A unit of at most a batch, which a local process reads; or images that are read already."""

UNIT_BYTES = 4 << 20
"""Bytes of a unit that is done in one request, at most, encoded and as pixels."""

UNIT_SECONDS = 0.5
"""Seconds that a unit may take that is done in one request. Of slower ones, several processes do pieces."""

PIECE_SECONDS = 0.25
"""Seconds that a piece takes, at most, unless it has only LEAST_IMAGES."""

LEAST_IMAGES = 8
"""Images in a piece, at least: each request costs about a millisecond of its own."""

_NOT_WANTED = Failure("read", "INTERNAL", "not wanted")

_logger = logging.getLogger(__name__)


def _ask(
    request: Request, body: Sequence[bytes | memoryview], run: Run, scores: bool = False, first: bool = False
) -> tuple[Answer, memoryview]:
    """Send a request to a local process; if processes die of it, send it again without what is to blame."""
    deaths = Deaths(run)
    while True:
        again = request
        if deaths.failures or deaths.alone:
            again = replace(request, failures={**deaths.failures, **request.failures}, alone=deaths.alone)
        try:
            with processes().borrow(scores, deaths.is_alone, first) as process:
                load = _load(process, run) if scores else {}
                answer, answer_body = process.ask(again, body, run, local_copy(run.model))
                return (replace(answer, seconds={**load, **answer.seconds}) if load else answer), answer_body
        except DeadError as death:
            if deaths.note(death):
                processes().lower()
                _logger.warning(
                    "a local process was killed, as for want of memory: from now on %d work at once", processes().size
                )


def _load(process: LocalProcess, run: Run) -> dict[str, float]:
    """Let a process load the model, unless it has; return the seconds that took, by step."""
    if process.has_model and process.belongs_to(run):
        return {}
    return dict(process.ask(Request("load"), (), run, local_copy(run.model))[0].seconds)


def pin_in_process(run: Run) -> None:
    """Pin a run's plan in a local process.

    If storage, the inputs or the process fail, this returns all the same: whoever needs the plan next pins it, and then
    meets the error.
    """
    with contextlib.suppress(DeadError, NightscoreError), processes().borrow() as process:
        process.ask(Request("pin"), (), run, "")


def look_in_process(piece: Piece, run: Run) -> tuple[Sequence[tuple[int, int]], bool]:
    """Look at the images of a piece in a local process, which reads it first if it is a unit.

    Returns:
        Width and height of each image that does not end the process, upright, (0, 0) where they cannot be told; and
        whether any of them has a color.

    Raises:
        TransientError: storage fails for now, or this process is being interrupted.
        RuntimeError: processes do not start, or die while they decode no image: a bug.
    """
    answer, _ = _ask(*_request("look", piece), run)
    return answer.sides, answer.colored


def preprocess_in_process(piece: Piece, run: Run, without: Sequence[int] = (), bare: bool = False) -> PixelBatch:
    """Preprocess a piece in a local process, which reads it first if it is a unit.

    An image that ends two processes, or takes longer than --image_timeout, is marked as failed; the other images of the
    piece are then preprocessed without it.

    Args:
        piece: the images.
        run: that they belong to.
        without: index of each image that is not wanted: it is not decoded, and marked as failed.
        bare: whether pixels are wanted alone: images of a unit have no keys then, unless one of them fails, and
            neither labels nor facts count.

    Raises:
        TransientError: storage fails for now, or this process is being interrupted.
        RuntimeError: processes do not start, or die while they decode no image: a bug.
    """
    request, body = _request("pixels", piece)
    request = replace(request, bare=bare)
    if without:
        request = replace(request, failures={**dict.fromkeys(without, _NOT_WANTED), **request.failures})
    answer, pixels = _ask(request, body, run)
    found = np.frombuffer(pixels, np.uint8).reshape(-1, *run.spec.input.shape)
    if isinstance(piece, EncodedBatch):
        images = replace(piece.images, facts=answer.facts)
    else:
        images = answer.images if answer.images is not None else ImageColumns.of([""] * len(found))
    return PixelBatch(images.failed(answer.failures), found, answer.seconds)


def score_in_process(piece: Piece, run: Run, examples: Sequence[AnyCandidate]) -> PieceRows:
    """Read, decode and score a piece in local processes; return its rows.

    An image of which processes die, in the decoder or in the model, is a failed row.

    Args:
        piece: the images.
        run: that they belong to; `arrange` was called for it.
        examples: the images that the lists of the unit hold so far.

    Raises:
        TransientError: storage fails for now, or this process is being interrupted.
        UsageError: processes die while they load the model.
        RuntimeError: processes do not start, or die while they do nothing with an image: a bug.
    """
    arrangement, pool = arrange(run), processes()
    if not pool.decoders:
        request, body = _request("rows", piece)
        rows = _piece_rows(*_ask(replace(request, examples=examples), body, run, scores=True))
        arrangement.pace.note(rows.count, rows.seconds)
        return rows
    pixels = preprocess_in_process(piece, run)
    if arrangement.in_threads:
        return make_rows(pixels, model_here(run), run, examples)
    columns = replace(pixels.images, failures={})
    request = Request("rows", body="pixels", images=columns, failures=pixels.images.failures, examples=examples)
    rows = _piece_rows(*_ask(request, [np.ascontiguousarray(pixels.pixels).data], run, scores=True))
    rows = replace(rows, seconds={**pixels.seconds, **rows.seconds})
    arrangement.pace.note(rows.count, rows.seconds)
    return rows


def is_one_request(unit: WorkUnit, run: Run) -> bool:
    """Return whether a unit is best read, scored and made a part of in one request: it is small, and soon done.

    How long an image takes is known once pieces were scored; until then the answer is no.
    """
    arrangement = arrange(run)
    if unit.images is None or arrangement.in_threads or processes().decoders:
        return False
    pixels = unit.images * math.prod(run.spec.input.shape)
    return max(unit.bytes, pixels) <= UNIT_BYTES and arrangement.pace.seconds(unit.images) <= UNIT_SECONDS


def piece_images(run: Run) -> int | None:
    """Return how many images a piece has, at most, so that all processes end at about the same time; None: a batch.

    It is None where pieces are as many images as TensorFlow gets in a call, or as threads share among them.
    """
    arrangement = arrange(run)
    if run.engine != "litert" or arrangement.in_threads:
        return None
    return max(LEAST_IMAGES, int(PIECE_SECONDS / arrangement.pace.seconds(1)))


def score_unit_in_process(unit: WorkUnit, run: Run) -> ScoredUnit:
    """Read, decode and score a whole unit in a local process, which makes its part, too.

    An image of which processes die, in the decoder or in the model, is a failed row.

    Raises:
        DamagedPartError: there are not as many images as the unit has.
        TransientError: storage fails for now, or this process is being interrupted.
        UsageError: processes die while they load the model.
        RuntimeError: processes do not start, or die while they do nothing with an image: a bug.
    """
    answer, body = _ask(Request("unit", unit=unit), (), run, scores=True)
    part, facts = split(body, answer.sizes)
    receipt = Receipt.from_json(bytes(facts))
    arrange(run).pace.note(receipt.rows, answer.seconds)
    return ScoredUnit(part, receipt, answer.failures, answer.rescored, answer.seconds)


def _request(want: Want, piece: Piece) -> tuple[Request, Sequence[bytes]]:
    """Return a request for the pixels or the rows of a piece, and its body."""
    if isinstance(piece, WorkUnit):
        return Request(want, unit=piece), ()
    columns = replace(piece.images, failures={}) if want == "rows" else None
    sizes = [len(data) for data in piece.encoded]
    return Request(want, body="encoded", sizes=sizes, images=columns, failures=piece.images.failures), piece.encoded


def _piece_rows(answer: Answer, body: memoryview) -> PieceRows:
    stream, *pieces = split(body, answer.sizes)
    files, n = [bytes(piece) for piece in pieces], len(answer.pictured)
    small = dict(zip(answer.pictured, files[:n], strict=True))
    large = dict(zip(answer.enlarged, files[n:], strict=True))
    return PieceRows(
        stream,
        answer.count,
        answer.failures,
        Pictures(small, large),
        answer.examples,
        answer.rescored,
        answer.seconds,
    )


def make_part_in_process(
    unit: WorkUnit, streams: Sequence[bytes | memoryview], replaced: Sequence[int], run: Run
) -> tuple[memoryview, Receipt, Mapping[str, float]]:
    """Make a part and its receipt in a local process; return them, and the seconds that took, by step.

    It comes before pieces that wait: until it is done, the rows of its unit fill the memory.

    Args:
        unit: see `pipeline.scoring.parts.make_part`, also for the next two.
        streams: of its pieces.
        replaced: numbers of the rows that they replace.
        run: that it belongs to.

    Raises:
        DamagedPartError: there are not as many rows as the unit has images, or not those that are to be replaced.
        RuntimeError: processes do not start, or die of it: a bug.
    """
    request = Request("part", unit=unit, sizes=[len(stream) for stream in streams], replaced=replaced)
    answer, body = _ask(request, streams, run, first=True)
    part, facts = split(body, answer.sizes)
    return part, Receipt.from_json(bytes(facts)), answer.seconds


def measure_in_process(pixels: PixelBatch, run: Run, seconds: float) -> float:
    """Return the seconds that an image takes in the model, in one local process, or in this one if it scores here.

    Args:
        pixels: images to score again and again.
        run: whose model, engine and precision are measured.
        seconds: for how long.
    """
    if arrange(run).in_threads:
        return measure(pixels, model_here(run), run, seconds)
    if pixels.encoded is not None:
        sizes = [len(data) for data in pixels.encoded]
        request = Request("measure", body="encoded", sizes=sizes, images=pixels.images, seconds=seconds)
        return _ask(request, pixels.encoded, run, scores=True)[0].seconds["predict"]
    request = Request("measure", body="pixels", images=pixels.images, seconds=seconds)
    answer, _ = _ask(request, [np.ascontiguousarray(pixels.pixels).data], run, scores=True)
    return answer.seconds["predict"]
