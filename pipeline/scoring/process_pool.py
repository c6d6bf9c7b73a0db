"""Reading and preprocessing in child processes, so that no image can take the run with it, hold it up, or slow it.

Each child has an interpreter of its own, and so a lock of its own: reading and decoding go on while this process's
threads predict. One that dies, or is ended by its alarm, costs one image, which becomes a row. There are as many as
were ever asked at once; they end with this process.
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
"""An image with which so many children died is a failed row: the first may have been killed for another's memory."""

PIPE_BYTES = 1 << 20
_MODULE = "pipeline.scoring.process_main"


class _DeadError(Exception):
    """A child is gone.

    Attributes:
        image: that it was at; -1 where it was at none.
        code: it ended with, as `subprocess.Popen.returncode`.
    """

    def __init__(self, image: int, code: int) -> None:
        super().__init__(image, code)
        self.image, self.code = image, code


class Child:
    """One process that reads and preprocesses.

    Attributes:
        is_busy: whether it was asked and has not answered.
    """

    def __init__(self) -> None:
        """Start it; it gets ready while others go on."""
        self._run: Run | None = None
        self.is_busy = True  # until it says that it is ready
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

    def kill(self) -> None:
        """End it, whatever it is at; who waits for its answer learns that it is dead."""
        self._process.kill()

    def close(self) -> None:
        """End it and let go of all it holds."""
        self.kill()
        self._process.wait()
        for stream in self._streams():
            stream.close()
        self._cursor.close()


class Children:
    """This process's children: idle ones wait to be asked."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._all: set[Child] = set()
        self._idle: list[Child] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[Child]:
        """Return a child that nobody else asks meanwhile; one that is left before it has answered is ended."""
        with self._lock:
            child = self._idle.pop() if self._idle else None
        if child is None:
            child = Child()
            with self._lock:
                self._all.add(child)
        try:
            yield child
        finally:
            with self._lock:
                (self._all.discard if child.is_busy else self._idle.append)(child)
            if child.is_busy:
                child.close()

    def kill(self) -> None:
        """End all of them: who waits for one learns that it is dead."""
        for child in list(self._all):  # without the lock: this may be a signal's handler
            child.kill()

    def close(self) -> None:
        """End those that nobody asks."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._all.difference_update(idle)
        for child in idle:
            child.close()


@functools.cache
def children() -> Children:
    """Return the process's children."""
    family = Children()
    atexit.register(family.close)
    return family


def pin_outside(run: Run) -> None:
    """Pin a run's plan in a child, if that can be done; whoever needs it pins it, and finds it there if it could."""
    with contextlib.suppress(_DeadError), children().one() as child:
        child.pin(run)


def preprocess_outside(piece: WorkUnit | EncodedBatch, run: Run) -> PixelBatch:
    """Read a piece, if it is not yet read, and preprocess it, in a child.

    Raises:
        TransientError: storage fails for now.
        RuntimeError: children do not start, or die of no image: a bug.
    """
    skipped: dict[int, Failure] = {}
    deaths: Counter[int] = Counter()
    while True:
        try:
            with children().one() as child:
                return child.preprocess(piece, run, skipped)
        except _DeadError as death:
            if storage.patience().is_ended:
                raise TransientError("interrupted") from None
            deaths[death.image] += 1
            is_late = death.code == -signal.SIGALRM and death.image >= 0
            if deaths[death.image] < DEATHS and not is_late:
                continue
            if death.image < 0:
                raise RuntimeError(f"children die while they read ({_how(death.code)})") from None
            skipped[death.image] = _failure(death.code, run)


def _failure(code: int, run: Run) -> Failure:
    """Return what is said of the image of which a child died."""
    if code == -signal.SIGALRM:
        text = f"not decoded within --image_timeout {run.options.image_timeout:g} seconds"
        return Failure("preprocess", "DEADLINE_EXCEEDED", text)
    if code == -signal.SIGKILL:
        text = "the decoder was killed, as for want of memory (SIGKILL)"
        return Failure("preprocess", "RESOURCE_EXHAUSTED", text)
    return Failure("preprocess", "INTERNAL", f"the decoder died of this image ({_how(code)})")


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
