"""`python -m pipeline`: as `nightscore score`, with or without the word, and as those that look at an OUTPUT."""

import sys

from pipeline.cli import score, status, verify

COMMANDS = {"score": score.main, "status": status.main, "verify": verify.main}

if __name__ == "__main__":
    first, *rest = sys.argv[1:] or [""]
    sys.exit(COMMANDS[first](rest) if first in COMMANDS else score.main(sys.argv[1:]))
