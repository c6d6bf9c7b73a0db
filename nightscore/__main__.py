"""The `nightscore` command, and `python -m nightscore`: finds a command's module, which is imported only then."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import NoReturn

from nightscore.commands import COMMANDS

READER_LEFT = 141
"""Exit code if nobody reads what is printed: that of a program that SIGPIPE ends."""

EXAMPLE = """\
  nightscore train --dataset digits --output model
  nightscore score --input photos/ --model model --output night
  nightscore compare night new-night
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command and return its exit code; without one, say which there are."""
    if sys.platform == "win32":
        print("nightscore: Windows is not supported: use Linux within Windows (WSL 2)", file=sys.stderr)
        return 2
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print(f"{EXAMPLE}\n{_listed()}\n'nightscore COMMAND --help' shows a command's options")
        return 0
    if name not in COMMANDS:
        print(f"nightscore: unknown command {name!r}; the commands are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    code = importlib.import_module(COMMANDS[name].module).main(arguments[1:])
    return int(code)


def _listed() -> str:
    """Return the commands in their groups, one a line."""
    longest = max(map(len, COMMANDS))
    text = ""
    for group, commands in groupby(COMMANDS.items(), lambda item: item[1].group):
        text += f"{group}:\n" + "".join(f"  {name:{longest}} {command.text}\n" for name, command in commands)
    return text


def run() -> NoReturn:
    """Run a sub-command and end the process at once: taking TensorFlow apart takes Python a second, for nothing.

    Libraries import pandas where somebody has installed it, for nothing, too: a quarter of a second, and 40 MB.
    """
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        from pipeline.machine import refuse_import

        refuse_import("pandas")
    try:
        code = main()
    except BrokenPipeError:
        code = READER_LEFT
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):  # the reader has left, as `head` does
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
