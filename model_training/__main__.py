"""`python -m model_training [train]`: the same as `nightscore train`, for who has not installed the command."""

from __future__ import annotations

import sys

from model_training.cli import main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["train"] else arguments))
