"""What all commands share: errors to exit codes, quiet streams, and the commands that look at one OUTPUT.

Must not know what a command does.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from pipeline import storage
from pipeline.cli.console import fail
from pipeline.cli.interrupt import interruptible
from pipeline.cli.quiet import silence_pillow, stderr_silenced, tame_streams
from pipeline.errors import (
    EXIT_CODES,
    JobFailedError,
    NoSpaceError,
    StoreDownError,
    TransientError,
    UsageError,
    exit_code_of,
)
from pipeline.flag_names import JSON, parse_arguments

LINES: Mapping[type[Exception], str] = {
    JobFailedError: "{error}; {advice}",
    TransientError: "storage fails: {error}; {advice}",
    StoreDownError: "storage fails: {error}; {advice}",
    NoSpaceError: "storage fails: {error}; {advice}",
}
"""Error -> the line that is printed of it, if that is more than its text.

An error without an exit code in `pipeline.errors` is a bug: its traceback is printed, and the exit code is 1.
"""

AGAIN = "run it again"
"""What a person should do after an error that passes by itself."""

SWITCH_SECONDS = 0.0005
"""Seconds for which a thread may keep the interpreter: threads that predict need it often and for a moment."""

WAIT_SECONDS = 30.0
"""Seconds for which storage that fails is asked again while somebody looks on."""

Tell = Callable[[argparse.Namespace], int]
"""Takes the arguments (`output`, `json`, ...), prints what there is to be said, returns the exit code."""


def to_exit_code(
    command: str,
    body: Callable[[], int],
    *,
    is_json: bool = False,
    advice: str = AGAIN,
    if_interrupted: str = "",
    on_signal: Callable[[], None] | None = None,
) -> int:
    """Run a command and return its exit code; an error that is expected becomes one line.

    Args:
        command: its name.
        body: runs it, and returns the exit code if no error ends it.
        is_json: whether an error is also printed as JSON.
        advice: what a person should do after an error that passes by itself.
        if_interrupted: the same after Ctrl-C, unless the interrupt itself says more; default: `advice`.
        on_signal: called when the first signal comes; None leaves signals to Python.
    """
    try:
        with interruptible(on_signal) if on_signal else contextlib.nullcontext():
            return body()
    except KeyboardInterrupt as interrupt:
        text = f"interrupted; {str(interrupt) or if_interrupted or advice}"
        return fail(command, text, exit_code_of(interrupt), is_json)
    except tuple(EXIT_CODES) as error:
        line = next((text for kind, text in LINES.items() if isinstance(error, kind)), "{error}")
        return fail(command, line.format(error=error, advice=advice), exit_code_of(error), is_json)


def new_parser(command: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Return a parser without arguments, whose complaints are one line, as all others.

    Args:
        command: name of the command.
        description: what it does, behind an example.
        epilog: its exit codes.
    """
    parser = argparse.ArgumentParser(
        prog=f"nightscore {command}",
        usage=argparse.SUPPRESS,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    def refuse(message: str) -> NoReturn:
        raise UsageError(f"{message}; see 'nightscore {command} --help'")

    parser.error = refuse  # type: ignore[method-assign]
    return parser


def look_on(name: str, parser: Callable[[], argparse.ArgumentParser], argv: Sequence[str] | None, tell: Tell) -> int:
    """Run a command that only looks, and return its exit code: 2 for bad usage, 3 if storage fails.

    Args:
        name: of the command.
        parser: makes its parser.
        argv: its arguments; None: those of this process.
        tell: says what there is to be said.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    tame_streams("%(levelname)s %(name)s: %(message)s")

    def body() -> int:
        parsed = parse_arguments(parser(), arguments)
        storage.patience().start(WAIT_SECONDS)
        return tell(parsed)

    return to_exit_code(name, body, is_json=JSON in arguments)


@dataclass(frozen=True)
class OutputCommand:
    """A command that looks at one OUTPUT.

    Attributes:
        name: of the command.
        description: what it does, behind an example.
        epilog: its exit codes.
        more: flags of its own, each taking a value: flag -> (its name, help).
        switches: flags of its own that take none: flag -> help.
    """

    name: str
    description: str
    epilog: str
    more: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    switches: Mapping[str, str] = field(default_factory=dict)

    def main(self, argv: Sequence[str] | None, tell: Tell) -> int:
        """Run the command and return its exit code: 2 for bad usage or no OUTPUT, 3 if storage fails."""
        return look_on(self.name, self._parser, argv, tell)

    def _parser(self) -> argparse.ArgumentParser:
        parser = new_parser(self.name, self.description, self.epilog)
        parser.add_argument("output", metavar="OUTPUT", help="folder with the results of 'nightscore score', or gs://")
        for flag, (name, text) in self.more.items():
            parser.add_argument(flag, metavar=name, help=text)
        for flag, text in self.switches.items():
            parser.add_argument(flag, action="store_true", help=text)
        parser.add_argument(JSON, action="store_true", help="one line of JSON on stdout instead of text")
        return parser


def stop() -> None:
    """Let nothing that is under way wait any longer."""
    from pipeline.scoring.process_pool import processes  # imports NumPy, which --help does without

    storage.patience().end()
    processes().kill()


def calm() -> None:
    """Keep Beam's and TensorFlow's chatter off the terminal, until this process ends."""
    from pipeline.model.engines import tensorflow

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    silence_pillow()
    warnings.filterwarnings("ignore", category=FutureWarning, module="google")  # that Python 3.10 grows old
    tensorflow.import_context = stderr_silenced
    tame_streams("%(levelname)s %(name)s: %(message)s")
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what a step raises reaches us
    logging.getLogger("pipeline.beam.log").setLevel(logging.ERROR)  # for workers elsewhere: here progress says it
    sys.setswitchinterval(SWITCH_SECONDS)
