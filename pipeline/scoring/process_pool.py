"""Local processes read and preprocess images, so that no image can end the run, hold it up, or slow it down.

Each process has an interpreter of its own, and so a lock of its own: it reads and decodes while the threads of this
process predict. If a process dies, or its alarm ends it, one image fails and becomes a row. There are as many processes
as threads have ever needed one at the same time; they end with this process. Must not know who needs the pixels.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import IO

import numpy as np

from pipeline import storage
from pipeline.batches import EncodedBatch, Failure, PixelBatch
from pipeline.errors import TransientError
from pipeline.output.run import Run
from pipeline.scoring.process_messages import CURSOR, Answer, GoneError, Request, receive, send
from pipeline.units import WorkUnit

DEATHS = 2
"""Number of processes that must die of an image before it is a failed row.

One death proves nothing: the system may have killed the process because others had taken the memory.
"""

PIPE_BYTES = 1 << 20
"""Bytes that the pipe to or from a process holds, so that a batch of small images passes without waiting."""

_MODULE = "pipeline.scoring.process_main"


class _DeadError(Exception):
    """A local process has ended before it answered.

    Attributes:
        image: index of the image that it was decoding; -1: it was decoding none.
        code: its exit code, as `subprocess.Popen.returncode`.
    """

    def __init__(self, image: int, code: int) -> None:
        super().__init__(image, code)
        self.image, self.code = image, code


class LocalProcess:
    """One process that reads and preprocesses images.

    Attributes:
        is_busy: whether it has a request and has not answered it.
    """

    def __init__(self) -> None:
        """Start the process; it imports its modules while others work."""
        self._run: Run | None = None
        self.is_busy = True  # until its first answer, which says that it is ready
        with tempfile.TemporaryFile() as file:
            file.write(CURSOR.pack(-1))
            file.flush()
            self._cursor = mmap.mmap(file.fileno(), CURSOR.size)
            paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(file.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pipesize=PIPE_BYTES,
                pass_fds=[file.fileno()],
                env={**os.environ, "PYTHONPATH": paths},
                start_new_session=True,  # Ctrl-C is for us; it would look as if an image had killed it
            )

    def preprocess(self, piece: WorkUnit | EncodedBatch, run: Run, skipped: Mapping[int, Failure]) -> PixelBatch:
        """Return the pixels of a piece.

        Args:
            piece: a unit, which the process reads; or images that are read already.
            run: the run whose input rule and options hold.
            skipped: index of an image -> why the process must not decode it.
        """
        if isinstance(piece, WorkUnit):
            answer, pixels = self._ask(Request("pixels", unit=piece, failures=skipped), (), run)
        else:
            sizes = [len(data) for data in piece.encoded]
            failures = {**skipped, **piece.images.failures}
            answer, pixels = self._ask(Request("pixels", sizes=sizes, failures=failures), piece.encoded, run)
        if answer.error is not None:
            raise answer.error
        images = piece.images if isinstance(piece, EncodedBatch) else answer.images
        assert images is not None
        assert answer.body == "pixels"
        shape = (len(images), *run.spec.input.shape)
        array = np.frombuffer(pixels, np.uint8).reshape(shape)
        return PixelBatch(images.failed(answer.failures), array, answer.seconds)

    def pin(self, run: Run) -> None:
        """Pin the run's plan; if storage or the inputs do not allow it, do nothing."""
        self._ask(Request("pin"), (), run)

    def _ask(self, request: Request, body: Sequence[bytes], run: Run) -> tuple[Answer, bytearray]:
        """Send a request and wait for its answer.

        Raises:
            _DeadError: the process has ended, or ends before it has answered.
            RuntimeError: the process met a bug.
        """
        try:
            answer, answer_body = self._exchange(request, body, run)
        except GoneError:
            raise _DeadError(CURSOR.unpack(self._cursor[:])[0], self._process.wait()) from None
        if answer.bug:
            raise RuntimeError(f"a local process failed:\n{answer.bug}")
        return answer, answer_body

    def _exchange(self, request: Request, body: Sequence[bytes], run: Run) -> tuple[Answer, bytearray]:
        requests, answers = self._streams()
        if self.is_busy:
            self._await_start(answers)
        if self._run is not run and self._run != run:
            request = replace(request, run=run)
        self._run, self.is_busy = run, True
        send(requests, request, body)
        answer = receive(answers, Answer)
        self.is_busy = False
        return answer

    def _await_start(self, answers: IO[bytes]) -> None:
        try:
            receive(answers, Answer)
        except GoneError:
            if storage.patience().is_ended:
                raise
            code = self._process.wait()
            raise RuntimeError(f"{sys.executable} -m {_MODULE} does not start: it ends with {code}") from None

    def _streams(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process, whatever it does; a thread that waits for its answer learns that it is dead."""
        self._process.kill()

    def close(self) -> None:
        """End the process and free its pipes and memory."""
        self.kill()
        self._process.wait()
        for stream in self._streams():
            stream.close()
        self._cursor.close()


class ProcessPool:
    """The local processes of this process: idle ones wait for the next request. Safe in many threads."""

    def __init__(self) -> None:
        """Start without processes."""
        self._lock = threading.Lock()
        self._all: set[LocalProcess] = set()
        self._idle: list[LocalProcess] = []

    @contextlib.contextmanager
    def borrow(self) -> Iterator[LocalProcess]:
        """Yield a process that no other thread uses meanwhile: an idle one, or a new one.

        If the caller leaves before the process has answered, the process is ended.
        """
        process = self._take_idle()
        if process is None:
            process = LocalProcess()
            with self._lock:
                self._all.add(process)
        try:
            yield process
        finally:
            with self._lock:
                (self._all.discard if process.is_busy else self._idle.append)(process)
            if process.is_busy:
                process.close()

    def _take_idle(self) -> LocalProcess | None:
        """Return an idle process that lives, None if there is none; free those that were killed meanwhile."""
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None or process.is_alive:
                return process
            with self._lock:
                self._all.discard(process)
            process.close()

    def kill(self) -> None:
        """End all processes; threads that wait for one learn that it is dead."""
        for process in list(self._all):  # without the lock: this may run in a signal's handler
            process.kill()

    def close(self) -> None:
        """End the idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._all.difference_update(idle)
        for process in idle:
            process.close()


@functools.cache
def processes() -> ProcessPool:
    """Return this process's pool of local processes, made at first need."""
    pool = ProcessPool()
    atexit.register(pool.close)
    return pool


def pin_in_process(run: Run) -> None:
    """Pin a run's plan in a local process.

    If storage, the inputs or the process fail, this returns all the same: whoever needs the plan next pins it, and then
    meets the error.
    """
    with contextlib.suppress(_DeadError), processes().borrow() as process:
        process.pin(run)


def preprocess_in_process(piece: WorkUnit | EncodedBatch, run: Run) -> PixelBatch:
    """Preprocess a piece in a local process, which reads it first if it is a unit.

    An image that ends DEATHS processes, or takes longer than --image_timeout, is marked as failed; the other images of
    the piece are then preprocessed without it.

    Raises:
        TransientError: storage fails for now, or this process is being interrupted.
        RuntimeError: processes do not start, or die while they decode no image: a bug.
    """
    skipped: dict[int, Failure] = {}
    deaths: Counter[int] = Counter()
    while True:
        try:
            with processes().borrow() as process:
                return process.preprocess(piece, run, skipped)
        except _DeadError as death:
            if storage.patience().is_ended:
                raise TransientError("interrupted") from None
            deaths[death.image] += 1
            is_late = death.code == -signal.SIGALRM and death.image >= 0
            if deaths[death.image] < DEATHS and not is_late:
                continue
            if death.image < 0:
                raise RuntimeError(f"local processes die while they read ({_cause(death.code)})") from None
            skipped[death.image] = _failure(death.code, run)


def _failure(code: int, run: Run) -> Failure:
    """Return the failure of the image that was being decoded when a process ended with this exit code."""
    if code == -signal.SIGALRM:
        text = f"not decoded within --image_timeout {run.options.image_timeout:g} seconds"
        return Failure("preprocess", "DEADLINE_EXCEEDED", text)
    if code == -signal.SIGKILL:
        text = "the decoder was killed, as for want of memory (SIGKILL)"
        return Failure("preprocess", "RESOURCE_EXHAUSTED", text)
    return Failure("preprocess", "INTERNAL", f"the decoder died of this image ({_cause(code)})")


def _cause(code: int) -> str:
    """Return the signal or the exit code that ended a process, in words."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
