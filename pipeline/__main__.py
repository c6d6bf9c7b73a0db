"""`python -m pipeline`: the same as `nightscore score`, with or without the word "score"."""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["score"] else arguments))
