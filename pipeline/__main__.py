"""`python -m pipeline`: as `nightscore score`, with or without the word, and as those that look at an OUTPUT."""

import sys

from pipeline import cli, status_cli, verify_cli

COMMANDS = {"score": cli.main, "status": status_cli.main, "verify": verify_cli.main}

if __name__ == "__main__":
    first, *rest = sys.argv[1:] or [""]
    sys.exit(COMMANDS[first](rest) if first in COMMANDS else cli.main(sys.argv[1:]))
