"""What the commands that make a model share: how their arguments are refused, and their errors become exit codes.

0    the model directory is there
1    it could not be written, or a crash
2    bad usage: one line, nothing touched
130  interrupted: one line, and no half model; a training leaves the epochs that are over

Must not know what a command does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

from pipeline.cli.console import complain
from pipeline.cli.quiet import tame_streams
from pipeline.errors import NightscoreError, UsageError, exit_code_of
from pipeline.flag_names import parse_arguments


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, as all others; --help may show only the flags that most people need."""

    def __init__(self, command: str, description: str, first: Collection[str], exit_codes: str) -> None:
        """Make a parser without arguments.

        Args:
            command: name of the command, as "train".
            description: that --help shows first.
            first: names of the arguments that --help shows; --help_all shows all.
            exit_codes: that --help shows last, as lines of at most 80 characters.
        """
        self._first = frozenset(first)
        super().__init__(
            prog=f"nightscore {command}",
            usage=argparse.SUPPRESS,
            description=description,
            epilog=exit_codes,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--help_all", action=_HelpAll, nargs=0, help="show all flags and exit")

    def format_help(self) -> str:
        """Return what --help shows."""
        shown = {**dict.fromkeys(self._first), "help": None, "help_all": None}
        hidden = [(action, action.help) for action in self._actions if action.dest not in shown]
        for action, _ in hidden:
            action.help = argparse.SUPPRESS
        try:
            return super().format_help()
        finally:
            for action, text in hidden:
                action.help = text

    def format_help_all(self) -> str:
        """Return what --help_all shows."""
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        minus = (
            " (join one that begins with '-' to its flag by '=')" if message.endswith("expected one argument") else ""
        )
        raise UsageError(f"{message}{minus}; '{self.prog} --help' shows the options")


class _HelpAll(argparse.Action):
    """Shows all arguments of a `Parser`, and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Show them."""
        assert isinstance(parser, Parser)
        print(parser.format_help_all(), end="")
        parser.exit()


def not_empty(text: str) -> str:
    """Return the value of a flag, which may not be empty: a type for `argparse`."""
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return text


def to_exit_code(parser: Parser, argv: Sequence[str], run: Callable[[argparse.Namespace], int]) -> int:
    """Run a command and return its exit code; an error that is expected becomes one line."""
    tame_streams("%(message)s")
    try:
        return run(parse_arguments(parser, argv))
    except UsageError as error:
        return _say(parser, str(error), 2)
    except NightscoreError as error:
        return _say(parser, str(error), 1)
    except OSError as error:  # a full disk, or a place that was taken meanwhile
        return _say(parser, f"failed: {error}", 1)
    except KeyboardInterrupt as interrupt:
        return _say(parser, "interrupted", exit_code_of(interrupt))


def _say(parser: Parser, text: str, code: int) -> int:
    complain(f"{parser.prog}: {' '.join(text.split())}")
    return code
