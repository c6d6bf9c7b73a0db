"""One local process of a run, seen from the run: it is started, asked, and ended here.

It has an interpreter of its own, and so a lock of its own: what it does holds up nobody else. Must not know what is
asked, or why.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import IO

from pipeline import storage
from pipeline.output.run import Run
from pipeline.scoring import process_start
from pipeline.scoring.process_frames import GoneError, receive, send
from pipeline.scoring.process_messages import Answer, Request
from pipeline.scoring.process_start import CURSOR, STAGES, Stage, take


class DeadError(Exception):
    """A local process has ended before it answered.

    Attributes:
        stage: what it was at.
        first: index of the first image of that stage.
        stop: index after the last one; as `first` if the stage is of no image in particular.
        code: its exit code, as `subprocess.Popen.returncode`.
        was_alone: whether no other process was at work.
    """

    def __init__(self, stage: Stage, first: int, stop: int, code: int, was_alone: bool = False) -> None:
        """Take what is known of the death."""
        super().__init__(stage, first, stop, code, was_alone)
        self.stage, self.first, self.stop, self.code, self.was_alone = stage, first, stop, code, was_alone


class LocalProcess:
    """One local process.

    Attributes:
        is_busy: whether it has a request and has not answered it.
        has_model: whether it has loaded the model of its run.
        is_scorer: whether it has loaded a model, or may.
        was_alone: whether no other process is at work while it is.
    """

    def __init__(self, slot: int | None = None) -> None:
        """Take a process that was started early, or start one; it imports its modules while others work.

        Args:
            slot: descriptor of a file that the process keeps open as long as it lives, and that is closed here.
        """
        self._run: Run | None = None
        self._folder = ""
        self.is_busy = True  # until its first answer, which says that it is ready
        self.has_model = self.is_scorer = self.was_alone = False
        self._process, self._cursor = take(slot)

    def ask(
        self, request: Request, body: Sequence[bytes | memoryview], run: Run, model: str
    ) -> tuple[Answer, memoryview]:
        """Send a request, and wait for its answer.

        Args:
            request: without its run and its model.
            body: of the request.
            run: that the request belongs to.
            model: folder on this machine with the run's model, "" if the request needs none.

        Raises:
            NightscoreError: the process could not do it.
            DeadError: the process has ended, or ends before it has answered.
            RuntimeError: the process met a bug.
        """
        try:
            answer, answer_body = self._exchange(request, body, run, model)
        except GoneError:
            code = self._process.wait()
            stage, first, stop = CURSOR.unpack(self._cursor[:])
            raise DeadError(STAGES[stage], first, stop, code, self.was_alone) from None
        if answer.bug:
            raise RuntimeError(f"a local process failed:\n{answer.bug}")
        if answer.error is not None:
            raise answer.error
        return answer, answer_body

    def belongs_to(self, run: Run) -> bool:
        """Return whether the last request was of this run."""
        return self._run is run or self._run == run

    def _exchange(
        self, request: Request, body: Sequence[bytes | memoryview], run: Run, model: str
    ) -> tuple[Answer, memoryview]:
        requests, answers = self._streams()
        if self.is_busy:
            self._await_start(answers)
        if not self.belongs_to(run):
            request = replace(request, run=run)
            self._folder, self.has_model = "", False
        if model != self._folder:
            request = replace(request, model=model)
            self._folder = model or self._folder
        self._run, self.is_busy = run, True
        send(requests, request, body)
        answer, answer_body = receive(answers, Answer)
        self.is_busy = False
        self.has_model = self.has_model or (request.want == "load" and answer.loaded is not None)
        return answer, answer_body

    def _await_start(self, answers: IO[bytes]) -> None:
        try:
            receive(answers, Answer)
        except GoneError:
            if storage.patience().is_ended:
                raise
            code = self._process.wait()
            program = f"{sys.executable} -m {process_start.PROGRAM}"
            raise RuntimeError(f"{program} does not start: it ends with {code}") from None

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
