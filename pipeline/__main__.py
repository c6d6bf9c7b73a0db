"""`python -m pipeline`: the commands that score and that look at an OUTPUT; without a command's name it scores."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from nightscore.commands import COMMANDS

SCORING = {name: command.module for name, command in COMMANDS.items() if command.module.startswith("pipeline.")}
"""Command -> its module, of those that need no training."""


def main(argv: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    name, arguments = (argv[0], argv[1:]) if argv and argv[0] in SCORING else ("score", argv)
    return int(importlib.import_module(SCORING[name]).main(list(arguments)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
