"""`nightscore report`: an OUTPUT in, its summary and report written anew, exit code out.

Exit codes: 0 written; 3 the run is not done; 1 a bug; 2 bad usage, or no OUTPUT; 130 interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pipeline.cli.command import OutputCommand
from pipeline.cli.console import answer
from pipeline.text import shell_word

DESCRIPTION = """\
example: nightscore report night
         nightscore report gs://bucket/night --to here

Write summary.json and report.html of the last run into OUTPUT anew, from its
receipts: without the images and the model, on any machine. With --to, also of a
run that is under way or was interrupted, as far as it has come.
"""

EPILOG = "Exit codes: 0 written, 3 the run is not finished, 2 bad usage or no OUTPUT."

VALUES = {
    "--to": ("FOLDER", "where to write them; default: OUTPUT itself"),
    "--link_base": ("URL", "what the links to originals begin with, instead of the input's location"),
}

SWITCHES = {"--no_pictures": "show no pictures of images, although there are some"}

COMMAND = OutputCommand("report", DESCRIPTION, EPILOG, VALUES, SWITCHES)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore report` and return its exit code."""
    return COMMAND.main(argv, _report)


def _report(asked: argparse.Namespace) -> int:
    from pipeline.output.rebuild import rebuild  # Arrow and Pillow: half a second of imports that --help does without

    written = rebuild(asked.output, asked.to, asked.no_pictures, asked.link_base)
    if asked.json:
        answer({"exit_code": 0, "output": asked.output.rstrip("/"), "written": written})
        return 0
    for location in written:
        print(shell_word(location))
    return 0
