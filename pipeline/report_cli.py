"""`nightscore report`: an OUTPUT in, its summary and report written anew, exit code out.

Exit codes: 0 written; 3 the run is not done; 1 a bug; 2 bad usage, or no OUTPUT; 130 interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from pipeline import storage
from pipeline.errors import NoSpaceError, TransientError, UnfinishedError, UsageError
from pipeline.quiet import complain
from pipeline.text import plain

WAIT_SECONDS = 30.0
"""How long storage that fails is asked again: somebody is looking on."""

DESCRIPTION = """\
example: nightscore report night
         nightscore report gs://bucket/night --to here

Write summary.json and report.html of the last run into OUTPUT anew, from its
receipts: without the images and the model, on any machine. With --to, also of a
run that is under way or was interrupted, as far as it has come.
"""

EPILOG = "Exit codes: 0 written, 3 the run is not done, 2 bad usage or not the output of a run."


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see 'nightscore report --help'")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore report` and return its exit code."""
    try:
        asked = _parser().parse_args(argv)
        from pipeline.rebuild import rebuild  # Arrow and Pillow: half a second of imports that --help does without

        storage.patience().start(WAIT_SECONDS)
        written = rebuild(asked.output, asked.to)
    except (UsageError, PermissionError) as error:
        complain(f"nightscore report: {error}")
        return 2
    except UnfinishedError as error:
        complain(f"nightscore report: {error}")
        return 3
    except (TransientError, NoSpaceError) as error:
        complain(f"nightscore report: storage fails: {error}; run it again")
        return 3
    except KeyboardInterrupt:
        complain("nightscore report: interrupted; run it again")
        return 130
    for location in written:
        print(plain(storage.key_of(location)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nightscore report",
        usage=argparse.SUPPRESS,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("output", metavar="OUTPUT", help="folder with the results of 'nightscore score', or gs://")
    parser.add_argument("--to", metavar="FOLDER", help="where to write them; default: OUTPUT itself")
    return parser
