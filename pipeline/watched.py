"""Preprocessing that no image can hold up: one that takes too long is given up, and the others go on.

A thread of Python's cannot be ended, so the decoder that hangs keeps its own; it is a daemon and ends with the process.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass, field

from pipeline.batches import EncodedBatch, Failure, PixelBatch
from pipeline.model_dir import InputSpec
from pipeline.preprocess import Cursor, preprocess

LOOK_SECONDS = 0.5
SLOW_SECONDS = 60.0
"""An image that takes longer is named in the log, once."""

_logger = logging.getLogger(__name__)
_own = threading.local()


@dataclass
class _Job:
    batch: EncodedBatch
    spec: InputSpec
    max_pixels: int
    cursor: Cursor = field(default_factory=Cursor)
    done: threading.Event = field(default_factory=threading.Event)
    result: PixelBatch | BaseException | None = None

    def run(self) -> None:
        try:
            self.result = preprocess(self.batch, self.spec, self.max_pixels, self.cursor)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            self.result = error
        self.done.set()


class _Decoder:
    """A thread that runs one job after the other, until it is told None or nobody waits for it any more."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="decoder", daemon=True).start()

    def submit(self, job: _Job | None) -> None:
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()


def preprocess_watched(batch: EncodedBatch, spec: InputSpec, max_pixels: int, timeout: float) -> PixelBatch:
    """Do what `preprocess` does; an image that takes longer than `timeout` seconds fails with DEADLINE_EXCEEDED."""
    while True:
        job = _Job(batch, spec, max_pixels)
        decoder = _decoder()
        decoder.submit(job)
        late = _wait(job, timeout)
        if late is None:
            if isinstance(job.result, PixelBatch):
                return job.result
            raise job.result or RuntimeError("a decoder ended without a result")
        decoder.submit(None)  # should it ever come to that
        del _own.decoder
        failure = Failure("preprocess", "DEADLINE_EXCEEDED", f"not decoded within --image_timeout {timeout:g} seconds")
        batch = EncodedBatch(batch.images.failed({late: failure}), batch.encoded)


def _decoder() -> _Decoder:
    """Return the calling thread's decoder."""
    if not hasattr(_own, "decoder"):
        _own.decoder = _Decoder()
    decoder: _Decoder = _own.decoder
    return decoder


def _wait(job: _Job, timeout: float) -> int | None:
    """Wait for a job; return the index of the image that took too long, None where all are done."""
    at, since, named = job.cursor.index, time.monotonic(), False
    while not job.done.wait(min(LOOK_SECONDS, timeout / 4)):
        now = time.monotonic()
        if job.cursor.index != at:
            at, since, named = job.cursor.index, now, False
        elif at >= 0 and now - since >= timeout:
            return at
        elif at >= 0 and now - since >= SLOW_SECONDS and not named:
            _logger.warning("decoding %s takes more than %g seconds", job.batch.images.keys[at], SLOW_SECONDS)
            named = True
    return None
