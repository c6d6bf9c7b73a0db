"""`python -m pipeline`: the same as `nightscore score`, with or without the word "score", and `nightscore verify`."""

import sys

from pipeline import cli, verify_cli

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["verify"]:
        sys.exit(verify_cli.main(arguments[1:]))
    sys.exit(cli.main(arguments[1:] if arguments[:1] == ["score"] else arguments))
