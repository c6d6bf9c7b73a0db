"""A command of a person's own that runs when a run is over: it tells somebody, or starts what comes next.

It is given what the run came to in its environment. It may hold a secret, such as the address of a webhook, so no
record and no page repeats it. Must not know what the command does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.errors import exit_code_of
from pipeline.metrics.record import EndedRecord
from pipeline.text import plain

LONGEST = 600.0
"""Seconds after which the command is ended."""

STDERR = 2
"""Number of the stream to which all goes that the command prints."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class End:
    """What a run came to.

    Attributes:
        output: location of OUTPUT.
        exit_code: as of `nightscore score`.
        verdict: "good", or the reasons why it is not, on one line.
        run: id of the run; "": it did not begin.
        is_complete: whether every planned image has its row, so that there are a summary and a report.
    """

    output: str
    exit_code: int
    verdict: str
    run: str = ""
    is_complete: bool = False

    @classmethod
    def of(cls, record: EndedRecord, output: str) -> End:
        """Return what a record says of a run."""
        verdict = record["verdict"]
        text = "; ".join(verdict["reasons"]) or "good"
        return cls(output, verdict["exit_code"], text, record["run"], record["complete"])

    def environment(self) -> dict[str, str]:
        """Return the variables that the command gets, beside those of this process."""
        folder = self.output.rstrip("/")
        return {
            "NIGHTSCORE_OUTPUT": self.output,
            "NIGHTSCORE_EXIT_CODE": str(self.exit_code),
            "NIGHTSCORE_VERDICT": plain(self.verdict),
            "NIGHTSCORE_RUN": self.run,
            "NIGHTSCORE_SUMMARY": f"{folder}/summary.json" if self.is_complete else "",
            "NIGHTSCORE_REPORT": f"{folder}/report.html" if self.is_complete else "",
        }


def tell(command: str, end: End) -> str:
    """Run a command in a shell; return what went wrong with it, as one line, or "". A run's exit code stays.

    What the command prints goes to stderr, since stdout may hold a JSON object.
    """
    try:
        done = subprocess.run(
            command, shell=True, check=False, timeout=LONGEST, env={**os.environ, **end.environment()},
            stdin=subprocess.DEVNULL, stdout=STDERR,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"--on_end was ended after {LONGEST:g} seconds: let it start what takes longer in the background"
    except (OSError, ValueError) as error:
        return f"--on_end cannot be run: {error}"
    return f"--on_end failed with exit code {done.returncode}; the run itself stays as it is" if done.returncode else ""


def _verdict_of(error: BaseException) -> str:
    """Return why an error ended a run, as one line."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the same command goes on"
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def told(command: str | None, output: str, complain: Callable[[str], None] = _logger.error) -> Iterator[list[End]]:
    """Run a command when the block is over, also if an error ends it; the block appends what the run came to.

    Without such an entry nobody is told, unless an error ends the block: then a job goes on elsewhere.

    Args:
        command: for the shell; None: there is none.
        output: location of OUTPUT.
        complain: called with a line if the command fails.
    """
    ends: list[End] = []
    try:
        yield ends
    except BaseException as error:
        ends[:] = [End(output, exit_code_of(error), _verdict_of(error))]
        raise
    finally:
        if command is not None and ends and (wrong := tell(command, ends[-1])):
            complain(wrong)
