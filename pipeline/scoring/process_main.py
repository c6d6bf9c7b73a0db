"""The program of a local process: it reads and preprocesses what `pipeline.scoring.process_pool` asks it for.

It does what `sources.read` and `preprocess` do, for as long as it is asked. Which image it is at it notes where its
parent can read it when it is dead, and an alarm ends it where one takes too long.
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
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from pipeline import sources, storage
from pipeline.batches import EncodedBatch, Failure, ImageColumns, PixelBatch
from pipeline.errors import NightscoreError
from pipeline.model.preprocess import preprocess
from pipeline.output.run import Run
from pipeline.scoring.planning import pin, read_rule
from pipeline.scoring.process_messages import CURSOR, GoneError, receive, send
from pipeline.units import WorkUnit


class _Decoder:
    """What is asked for, done."""

    def __init__(self, cursor: mmap.mmap) -> None:
        self._cursor = cursor
        self._run: Run | None = None

    def answer(self, asked: Mapping[str, Any], body: bytearray) -> tuple[dict[str, Any], PixelBatch | None]:
        """Return what is said of a piece, and its pixels unless storage fails."""
        if "run" in asked:
            self._run = Run.from_record(asked["run"])
        assert self._run is not None
        storage.patience().deadline = self._run.options.retry_deadline
        if "pin" in asked:
            return _pinned(self._run), None
        skipped = {int(i): Failure(*why) for i, why in asked["skipped"].items()}
        started = time.monotonic()
        try:
            batch = _read(asked, body, self._run)
        except NightscoreError as error:
            return {"error": type(error).__name__, "text": str(error)}, None
        batch = EncodedBatch(batch.images.failed(skipped), batch.encoded)
        read = time.monotonic()
        pixels = self._preprocess(batch, self._run)
        seconds = {"read": read - started, "decode": time.monotonic() - read}
        return {"seconds": seconds, **_described(pixels.images, "unit" in asked)}, pixels

    def _preprocess(self, batch: EncodedBatch, run: Run) -> PixelBatch:
        options = run.options

        def begin(i: int) -> None:
            CURSOR.pack_into(self._cursor, 0, i)
            signal.setitimer(signal.ITIMER_REAL, options.image_timeout)

        try:
            return preprocess(batch, run.spec.input, options.max_pixels, begin)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            CURSOR.pack_into(self._cursor, 0, -1)


def _pinned(run: Run) -> dict[str, Any]:
    try:
        return {"units": pin(run).units}
    except (NightscoreError, OSError) as error:
        return {"error": str(error)}


def _read(asked: Mapping[str, Any], body: bytearray, run: Run) -> EncodedBatch:
    if "unit" in asked:
        with contextlib.closing(sources.read(WorkUnit.from_dict(asked["unit"]), read_rule(run))) as batches:
            return EncodedBatch.joined(list(batches))
    ends = list(itertools.accumulate(asked["sizes"]))
    view = memoryview(body)
    encoded = [bytes(view[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    return EncodedBatch(ImageColumns.of([str(i) for i in range(len(encoded))]), encoded)


def _described(images: ImageColumns, with_columns: bool) -> dict[str, Any]:
    failures = {i: [why.stage, why.code, why.message] for i, why in images.failures.items()}
    if not with_columns:
        return {"failures": failures}
    return {
        "failures": failures,
        "keys": list(images.keys),
        "labels": images.labels.tolist(),
        "labelled": images.labelled.tolist(),
        "label_names": list(images.label_names),
    }


def _serve(requests: IO[bytes], answers: IO[bytes], cursor: mmap.mmap) -> None:
    """Answer until nothing more is asked."""
    decoder = _Decoder(cursor)
    send(answers, {"ready": True})
    while True:
        asked, body = receive(requests)
        try:
            said, pixels = decoder.answer(asked, body)
        except Exception:  # noqa: BLE001 - a bug, which is told and raised by the parent
            said, pixels = {"bug": traceback.format_exc()}, None
        send(answers, said, [] if pixels is None else [np.ascontiguousarray(pixels.pixels).data])


def main() -> None:
    """Serve the parent; the argument is the file descriptor of the cursor."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("1000")  # where memory runs out, let it be this process that goes
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints is no answer
    with mmap.mmap(int(sys.argv[1]), CURSOR.size) as cursor, contextlib.suppress(GoneError):
        _serve(requests, answers, cursor)


if __name__ == "__main__":
    main()
