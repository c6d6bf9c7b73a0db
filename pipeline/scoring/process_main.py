"""The program of a local process: it reads and preprocesses images until its parent closes the pipe.

`pipeline.scoring.process_pool` starts it and sends it requests. Before each image the process writes the image's index
into memory that it shares with its parent, which reads it there if the process dies; an alarm ends the process if an
image takes too long. Must not know why it is asked, or what becomes of its answers.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import IO

import numpy as np

from pipeline import sources, storage
from pipeline.batches import EncodedBatch, ImageColumns, PixelBatch
from pipeline.errors import NightscoreError, TransientError
from pipeline.model.preprocess import preprocess
from pipeline.output.run import Run
from pipeline.scoring.planning import pin, read_rule
from pipeline.scoring.process_messages import CURSOR, Answer, GoneError, Request, receive, send


class _Worker:
    """The work that this process does for its parent, one request after the other."""

    def __init__(self, cursor: mmap.mmap) -> None:
        self._cursor = cursor
        self._run: Run | None = None

    def answer(self, request: Request, body: bytearray) -> tuple[Answer, Sequence[memoryview]]:
        """Do what a request asks for; return the answer and its body."""
        self._run = request.run or self._run
        assert self._run is not None
        storage.patience().deadline = self._run.options.retry_deadline
        try:
            if request.want == "pin":
                return _pin(self._run), ()
            return self._answer_pixels(request, body, self._run)
        except NightscoreError as error:
            return Answer(error=error), ()

    def _answer_pixels(self, request: Request, body: bytearray, run: Run) -> tuple[Answer, Sequence[memoryview]]:
        started = time.monotonic()
        batch = _read(request, body, run)
        batch = EncodedBatch(batch.images.failed(request.failures), batch.encoded)
        after_read = time.monotonic()
        pixels = self._preprocess(batch, run)
        seconds = {"read": after_read - started, "decode": time.monotonic() - after_read}
        images = None if request.unit is None else replace(pixels.images, failures={})
        answer = Answer("pixels", images, pixels.images.failures, seconds)
        return answer, [np.ascontiguousarray(pixels.pixels).data]

    def _preprocess(self, batch: EncodedBatch, run: Run) -> PixelBatch:
        """Preprocess a batch; before each image note its index and set the alarm."""
        options = run.options

        def begin(i: int) -> None:
            CURSOR.pack_into(self._cursor, 0, i)
            signal.setitimer(signal.ITIMER_REAL, options.image_timeout)

        try:
            return preprocess(batch, run.spec.input, options.max_pixels, begin)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            CURSOR.pack_into(self._cursor, 0, -1)


def _pin(run: Run) -> Answer:
    try:
        pin(run)
    except OSError as error:
        return Answer(error=TransientError(f"the plan of run {run.id} cannot be written: {error}"))
    return Answer()


def _read(request: Request, body: bytearray, run: Run) -> EncodedBatch:
    """Read the unit of a request, or take the images from its body."""
    if request.unit is not None:
        with contextlib.closing(sources.read(request.unit, read_rule(run))) as batches:
            return EncodedBatch.joined(list(batches))
    ends = list(itertools.accumulate(request.sizes))
    view = memoryview(body)
    encoded = [bytes(view[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    return EncodedBatch(ImageColumns.of([str(i) for i in range(len(encoded))]), encoded)


def _serve(requests: IO[bytes], answers: IO[bytes], cursor: mmap.mmap) -> None:
    """Answer requests until the parent closes its stream."""
    worker = _Worker(cursor)
    send(answers, Answer())
    while True:
        try:
            answer, body = worker.answer(*receive(requests, Request))
        except GoneError:
            raise
        except Exception:  # noqa: BLE001 - a bug, which the parent raises with its traceback
            answer, body = Answer(bug=traceback.format_exc()), ()
        send(answers, answer, body)


def main() -> None:
    """Serve the parent; the command line's argument is the file descriptor of the memory that both share."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("1000")  # where memory runs out, let it be this process that goes
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints is no answer
    with mmap.mmap(int(sys.argv[1]), CURSOR.size) as cursor, contextlib.suppress(GoneError):
        _serve(requests, answers, cursor)


if __name__ == "__main__":
    main()
