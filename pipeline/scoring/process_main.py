"""The program of a local process: it reads, decodes and scores images until its parent closes the pipe.

`pipeline.scoring.local_process` sends it requests. Before each step the process writes the step and the
range of its images into memory that it shares with its parent, which reads it there if the process dies; an alarm ends
the process if an image, or a call of the model, takes too long. Must not know why it is asked, or what becomes of its
answers.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import IO

import numpy as np

from pipeline import machine, sources, storage
from pipeline.batches import EncodedBatch, PixelBatch
from pipeline.errors import NightscoreError, TransientError, UsageError
from pipeline.model.directory import read_spec
from pipeline.model.loaded import Model, acquire
from pipeline.model.own_size import look
from pipeline.model.preprocess import preprocess
from pipeline.model.stored_facts import with_facts
from pipeline.output.run import Run
from pipeline.scoring.memory import private_bytes
from pipeline.scoring.parts import make_part, make_unit
from pipeline.scoring.piece import make_rows, measure
from pipeline.scoring.planning import pin, read_rule
from pipeline.scoring.process_frames import GoneError, receive, send, split
from pipeline.scoring.process_messages import Answer, Loaded, Request
from pipeline.scoring.process_start import CURSOR, STAGES, Stage

CALL_SECONDS = 60.0
"""Seconds that a call of the model may take, at least."""

CALL_FACTOR = 20.0
"""Number of times that a call of the model may take as long as the slowest one with golden images."""

Pieces = Sequence[bytes | memoryview]


class _Worker:
    """The work that this process does for its parent, one request after the other."""

    def __init__(self, cursor: mmap.mmap) -> None:
        self._cursor = cursor
        self._run: Run | None = None
        self._folder = ""
        self._model: Model | None = None
        self._memory: dict[int, tuple[int, int]] = {}

    def answer(self, request: Request, body: memoryview) -> tuple[Answer, Pieces]:
        """Do what a request asks for; return the answer and its body."""
        if request.run is not None:
            self._run, self._model = request.run, None
        self._folder = request.model or self._folder
        assert self._run is not None
        storage.patience().deadline = self._run.options.retry_deadline
        work: dict[str, Callable[[Request, memoryview, Run], tuple[Answer, Pieces]]] = {
            "pin": self._pin,
            "load": self._load,
            "look": self._look,
            "pixels": self._answer_pixels,
            "rows": self._answer_rows,
            "part": self._answer_part,
            "unit": self._answer_unit,
            "measure": self._measure,
        }
        try:
            return work[request.want](request, body, self._run)
        except NightscoreError as error:
            return Answer(error=error), ()

    def _pin(self, request: Request, body: memoryview, run: Run) -> tuple[Answer, Pieces]:
        try:
            pin(run)
        except OSError as error:
            raise TransientError(f"the plan of run {run.id} cannot be written: {error}") from error
        return Answer(), ()

    def _load(self, request: Request, body: memoryview, run: Run) -> tuple[Answer, Pieces]:
        started, before = time.monotonic(), private_bytes()
        model = self._acquire(run)
        memory = self._memory.setdefault(id(model), (before, private_bytes()))  # of the first time: it stays loaded
        loaded = Loaded(model.version, machine.cpu_kind(), *memory)
        return Answer(loaded=loaded, seconds={"load": time.monotonic() - started}), ()

    def _acquire(self, run: Run) -> Model:
        """Return the run's model; load it, if this process has not."""
        if self._model is None:
            with self._at("load", 0, 0):
                spec = read_spec(self._folder)
                if spec.model_id != run.spec.model_id:
                    raise UsageError(f"model {run.model!r} was replaced by another one while it was used")
                self._model = acquire(self._folder, spec, run.engine, run.options.precision)
        return self._model

    def _look(self, request: Request, body: memoryview, run: Run) -> tuple[Answer, Pieces]:
        with self._at("read", 0, 0):
            batch = _read(request, body, run)
        sides, colored = [], False
        with self._at("decode", 0, 0):
            for i, data in enumerate(batch.encoded):
                if i not in request.failures:
                    self._begin("decode", i, i + 1, run.options.image_timeout)
                    size, has_color = look(data, run.spec.input, run.options.max_pixels, looks_for_color=not colored)
                    sides.append(size)
                    colored = colored or has_color
        return Answer(sides=sides, colored=colored), ()

    def _answer_pixels(self, request: Request, body: memoryview, run: Run) -> tuple[Answer, Pieces]:
        pixels = self._pixels(request, body, run)
        is_told = request.unit is not None and not (
            request.bare and pixels.images.failures.keys() <= request.failures.keys()
        )
        images = replace(pixels.images, failures={}) if is_told else None
        facts = pixels.images.facts if images is None else None
        answer = Answer("pixels", images=images, facts=facts, failures=pixels.images.failures, seconds=pixels.seconds)
        return answer, [np.ascontiguousarray(pixels.pixels).data]

    def _answer_rows(self, request: Request, body: memoryview, run: Run) -> tuple[Answer, Pieces]:
        model = self._acquire(run)
        pixels = self._pixels(request, body, run)
        with self._at("encode", 0, len(pixels.images)):
            rows = make_rows(
                pixels, model, run, request.examples, self._before_calls(model), request.alone, self._before_picture
            )
        small, large = rows.pictures
        pieces = [rows.stream, *small.values(), *large.values()]
        answer = Answer(
            "rows",
            [len(piece) for piece in pieces],
            count=rows.count,
            failures=rows.failures,
            seconds=rows.seconds,
            pictured=list(small),
            enlarged=list(large),
            examples=rows.examples,
            rescored=rows.rescored,
        )
        return answer, pieces

    def _before_calls(self, model: Model) -> Callable[[int, int], None]:
        """Return what is called before each call of the model, and after the last one with an empty range."""

        def begin(first: int, stop: int) -> None:
            if first == stop:
                self._begin("encode", first, stop, 0)
                return
            calls = -(-(stop - first) // model.call_images)
            self._begin("predict", first, stop, calls * max(CALL_SECONDS, CALL_FACTOR * model.slowest_call))

        return begin

    def _before_picture(self, first: int, stop: int) -> None:
        """Note that a file is decoded for its picture alone; and with an empty range, that all are."""
        assert self._run is not None
        if first == stop:
            self._begin("encode", first, stop, 0)
        else:
            self._begin("decode", first, stop, self._run.options.image_timeout)

    def _answer_unit(self, request: Request, body: memoryview, run: Run) -> tuple[Answer, Pieces]:
        assert request.unit is not None
        model = self._acquire(run)
        pixels = self._pixels(request, body, run)
        with self._at("encode", 0, len(pixels.images)):
            unit = make_unit(
                request.unit, pixels, model, run, self._before_calls(model), request.alone, self._before_picture
            )
        facts = unit.receipt.to_json()
        sizes = [len(unit.part), len(facts)]
        answer = Answer("part", sizes, failures=unit.failures, seconds=unit.seconds, rescored=unit.rescored)
        return answer, [unit.part, facts]

    def _answer_part(self, request: Request, body: memoryview, run: Run) -> tuple[Answer, Pieces]:
        assert request.unit is not None
        started = time.monotonic()
        with self._at("encode", 0, 0):
            part, receipt = make_part(request.unit, split(body, request.sizes), request.replaced, run)
        facts = receipt.to_json()
        seconds = {"commit": time.monotonic() - started}
        return Answer("part", [len(part), len(facts)], seconds=seconds), [part, facts]

    def _measure(self, request: Request, body: memoryview, run: Run) -> tuple[Answer, Pieces]:
        model, pixels = self._acquire(run), self._pixels(request, body, run)
        return Answer(seconds={"predict": measure(pixels, model, run, request.seconds)}), ()

    def _pixels(self, request: Request, body: memoryview, run: Run) -> PixelBatch:
        """Return the images of a request as pixels: they come as such, or are read and decoded."""
        if request.body == "pixels":
            assert request.images is not None
            return PixelBatch(request.images.failed(request.failures), _as_pixels(body, run))
        started = time.monotonic()
        with self._at("read", 0, 0):
            batch = _read(request, body, run)
        unfit = {i: why for i, why in request.failures.items() if why.stage != "predict"}  # others get a picture
        batch = EncodedBatch(batch.images.failed(unfit), batch.encoded)
        after_read = time.monotonic()
        if run.spec.takes == "encoded":
            columns = batch.images.failed(request.failures)
            seconds = {"read": after_read - started}
            files = PixelBatch.of_files(EncodedBatch(columns, batch.encoded), seconds)
            return with_facts(files, batch.encoded, run.spec.input, run.options.exif, run.options.pixel_facts)

        def begin(first: int, stop: int) -> None:
            self._begin("decode", first, stop, run.options.image_timeout)

        with self._at("decode", 0, 0):
            pixels = preprocess(batch, run.rule, run.options.max_pixels, begin, bool(request.alone))
            if not request.bare:
                options = run.options
                pixels = with_facts(pixels, batch.encoded, run.spec.input, options.exif, options.pixel_facts)
        seconds = {"read": after_read - started, "decode": time.monotonic() - after_read}
        return replace(pixels, images=pixels.images.failed(request.failures), seconds=seconds)

    @contextlib.contextmanager
    def _at(self, stage: Stage, first: int, stop: int) -> Iterator[None]:
        """Note the stage that the body is at; afterwards none, and no alarm."""
        self._begin(stage, first, stop, 0)
        try:
            yield
        finally:
            self._begin("idle", 0, 0, 0)

    def _begin(self, stage: Stage, first: int, stop: int, seconds: float) -> None:
        """Note what begins now, and set the alarm; 0 seconds: none."""
        CURSOR.pack_into(self._cursor, 0, STAGES.index(stage), first, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _as_pixels(body: memoryview, run: Run) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.frombuffer(body, np.uint8).reshape(-1, *run.spec.input.shape)


def _read(request: Request, body: memoryview, run: Run) -> EncodedBatch:
    """Read the unit of a request, or take the images from its body."""
    if request.unit is not None:
        with contextlib.closing(sources.read(request.unit, read_rule(run))) as batches:
            return EncodedBatch.joined(list(batches))
    encoded = [bytes(piece) for piece in split(body, request.sizes)]
    return EncodedBatch.of(encoded) if request.images is None else EncodedBatch(request.images, encoded)


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
    machine.refuse_import("pandas")
    with mmap.mmap(int(sys.argv[1]), CURSOR.size) as cursor, contextlib.suppress(GoneError):
        _serve(requests, answers, cursor)


if __name__ == "__main__":
    main()
