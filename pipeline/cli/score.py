"""`nightscore score`: arguments in, exit code out.

Exit codes: 0 all good; 1 a bug; 2 bad usage or configuration; 3 too many images failed, or something is unfinished or
unaccounted for; 4 a quality gate failed; 130 and 143 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline import storage
from pipeline.cli.command import calm, stop
from pipeline.cli.console import answer, complain, fail
from pipeline.cli.facts import told
from pipeline.cli.flags import HELP_ALL, JSON, QUIET, Manner, add_manner, helped, manner, own
from pipeline.cli.interrupt import Interruption, interruptible
from pipeline.cli.terminal import Screen, progress, show_result
from pipeline.errors import (
    GoldenMismatchError,
    JobFailedError,
    NoSpaceError,
    StoreDownError,
    TransientError,
    UsageError,
)
from pipeline.machine import without
from pipeline.options import add_arguments
from pipeline.text import plain

if TYPE_CHECKING:
    from pipeline.output.run import Run

GO_ON = "what is committed stays, run the same command to go on"

EXAMPLE = "example: nightscore score --input photos/ --model model --output night"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore score` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    text = helped(arguments, _parser())
    if text is not None:
        print(text)
        return 0
    how, arguments = manner(arguments)
    interruption = Interruption()
    try:
        with calm(), interruptible(stop) as interruption:
            return _score(arguments, how)
    except (UsageError, GoldenMismatchError) as error:
        return fail("score", str(error), 2, how.json)
    except (TransientError, StoreDownError, NoSpaceError) as error:
        return fail("score", f"storage fails: {error}; {GO_ON}", 3, how.json)
    except JobFailedError as error:
        return fail("score", f"{error}; {GO_ON}", 3, how.json)
    except KeyboardInterrupt as interrupt:
        return fail("score", f"interrupted; {str(interrupt) or GO_ON}", interruption.exit_code, how.json)


def _score(arguments: Sequence[str], how: Manner) -> int:
    options = own(arguments)

    from pipeline.scoring.already_done import finish_if_done
    from pipeline.scoring.prepare import is_first, prepare  # these import NumPy and Arrow, which --help does without

    submitted: list[str] = []
    with contextlib.nullcontext() if how.quiet else progress():
        run = None if options is None else prepare(options)
        if run is not None and is_first(run):
            from pipeline.api import head_start  # TensorFlow and Beam, which a later run may go without

            head_start(run)
        record = None if run is None else finish_if_done(run)
        if run is None or record is None:
            with without("pandas"):
                from pipeline.beam import (
                    job,  # Apache Beam: a second of imports that a run with nothing to do goes without
                )

            asked = job.parse(arguments)
            run = run or prepare(asked.options)
            record = job.run_job(asked, run, submitted.append if how.json or how.quiet else _announce)
    output = run.options.output.rstrip("/")
    if record is None:
        if how.json:
            answer({"exit_code": 0, "run": run.id, "output": output, "job": " ".join(submitted)})
        return 0
    _conclude(record, run, output, how)
    code: int = record["verdict"]["exit_code"]
    return code


def _announce(text: str) -> None:
    print(plain(text), flush=True)  # whole: an address of the console has a query


def _conclude(record: Mapping[str, Any], run: Run, output: str, how: Manner) -> None:
    """Say what a run came to."""
    figures = json.loads(storage.read(run.result("summary.json"))) if record["complete"] else None
    if how.json:
        answer(told(record, figures, output))
    elif not how.quiet and (figures or record["images"]):
        show_result(Screen(), record, figures, output)
    for reason in record["verdict"]["reasons"]:
        complain(f"nightscore score: {reason}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nightscore score",
        usage=argparse.SUPPRESS,
        description=EXAMPLE,
        epilog="Apache Beam's own flags (--runner, ...) are taken as well. "
        "Exit codes: 0 good, 2 bad usage, 3 too many failed or unfinished, 4 accuracy too low.",
    )
    add_arguments(parser)
    add_manner(parser, (QUIET, JSON, HELP_ALL))
    return parser
