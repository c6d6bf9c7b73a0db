"""When local processes die of a request, this module decides what is to blame, and how the request is tried again.

An image is a failed row after two processes have died of it alone. A process that the system has killed, as for want of
memory, proves nothing while others were at work. Knows no process.
"""

from __future__ import annotations

import signal
from collections import Counter

from pipeline import storage
from pipeline.batches import Failure, Stage
from pipeline.errors import TransientError, UsageError
from pipeline.machine import cpu_kind
from pipeline.model.predict import Range
from pipeline.output.run import Run
from pipeline.scoring.local_process import DeadError

DEATHS = 2
"""Number of processes that must die of an image, or while they do nothing with one, before that is final.

One death proves nothing: the system may have killed the process because others had taken the memory.
"""

LOADS = 3
"""Number of processes that must die while they load the model before the run ends."""


class Deaths:
    """The deaths of processes over one request, and what follows from them for the next try.

    Attributes:
        failures: index of an image -> why it is a failed row.
        alone: ranges of images that are decoded, and scored, one by one.
        is_alone: whether no other process is to work during the next try.
    """

    def __init__(self, run: Run) -> None:
        """Start without deaths."""
        self._run = run
        self._counts: Counter[tuple[str, int]] = Counter()
        self.failures: dict[int, Failure] = {}
        self.alone: list[Range] = []
        self.is_alone = False

    def note(self, death: DeadError) -> bool:
        """Take a death into account; return whether one process fewer is to work from now on.

        Raises:
            TransientError: the run is being interrupted.
            UsageError: processes die while they load the model.
            RuntimeError: processes die while they do nothing with an image: a bug.
        """
        if storage.patience().is_ended:
            raise TransientError("interrupted") from None
        if death.code == -signal.SIGKILL and not death.was_alone:
            self.is_alone = True
            return True
        if death.stage in ("decode", "predict") and death.stop > death.first:
            self._blame(death)
            return False
        self._counts[death.stage, -1] += 1
        if death.stage == "load":
            if self._counts["load", -1] >= LOADS:
                raise UsageError(self._no_load(death.code)) from None
        elif self._counts[death.stage, -1] >= DEATHS:
            raise RuntimeError(f"local processes die in the step {death.stage!r} ({cause(death.code)})") from None
        return False

    def _blame(self, death: DeadError) -> None:
        """Blame the one image that was at work; if there were several, let each be tried alone."""
        if death.stop - death.first > 1:
            self.alone.append((death.first, death.stop))
            return
        is_late = death.code == -signal.SIGALRM
        self._counts[death.stage, death.first] += 1
        if self._counts[death.stage, death.first] >= DEATHS or is_late:
            self.failures[death.first] = self._failure(death)

    def _failure(self, death: DeadError) -> Failure:
        """Return the failure of the image that was at work when a process ended."""
        is_model = death.stage == "predict"
        stage: Stage = "predict" if is_model else "preprocess"
        who = f"the model ({self._run.engine})" if is_model else "the decoder"
        if death.code == -signal.SIGALRM:
            if is_model:
                return Failure(stage, "DEADLINE_EXCEEDED", f"{who} took many times as long as for a golden image")
            text = f"not decoded within --image_timeout {self._run.options.image_timeout:g} seconds"
            return Failure(stage, "DEADLINE_EXCEEDED", text)
        if death.code == -signal.SIGKILL:
            return Failure(stage, "RESOURCE_EXHAUSTED", f"{who} was killed, probably because memory ran out (SIGKILL)")
        return Failure(stage, "INTERNAL", f"{who} crashed on this image ({cause(death.code)})")

    def _no_load(self, code: int) -> str:
        memory = code == -signal.SIGKILL
        remedy = "give the run more memory" if memory else "score with --engine tensorflow and another --output"
        if self._run.engine == "tensorflow":
            remedy = "give the run more memory" if memory else "look whether TensorFlow works on this machine"
        return (
            f"engine {self._run.engine} dies on this machine while it loads model {self._run.model!r} ({cause(code)}, "
            f"{LOADS} times; CPU: {cpu_kind()}): {remedy}"
        )


def cause(code: int) -> str:
    """Return the signal or the exit code that ended a process, in words."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
