"""The `nightscore` command: finds the sub-command's module, which is imported only then."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

COMMANDS = {
    "train": ("model_training.cli", "train a CNN and write a model directory"),
    "plan": ("pipeline.cli.plan", "say what a score would do and how long it would take; writes nothing"),
    "score": ("pipeline.cli.score", "score an archive of images with a model"),
    "status": ("pipeline.cli.status", "say how a night stands, while it is under way or long after"),
    "verify": ("pipeline.cli.verify", "check an OUTPUT: every image accounted for, every part as written"),
    "report": ("pipeline.cli.report", "write an OUTPUT's summary and report anew, from its receipts"),
    "demo": ("model_training.demo", "train, build an archive with broken images, score it twice"),
}

READER_LEFT = 141
"""Exit code where nobody reads what is printed, as of a program that SIGPIPE ends."""

EXAMPLE = """\
  nightscore train --dataset digits --output model
  nightscore plan --input photos/ --model model --output night
  nightscore score --input photos/ --model model --output night
  nightscore status night
  nightscore verify night
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command and return its exit code; without one, say which there are."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        listed = "\n".join(f"  {command:8} {text}" for command, (_, text) in COMMANDS.items())
        print(f"{EXAMPLE}\ncommands:\n{listed}\n\n'nightscore COMMAND --help' shows a command's options")
        return 0
    if name not in COMMANDS:
        print(f"nightscore: unknown command {name!r}; the commands are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    code = importlib.import_module(COMMANDS[name][0]).main(arguments[1:])
    return int(code)


def run() -> NoReturn:
    """Run a sub-command and end the process at once: taking TensorFlow apart takes Python a second, for nothing."""
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
