"""`nightscore score`: arguments in, exit code out.

Exit codes: 0 all good; 1 a bug; 2 bad usage or configuration; 3 too many images failed, or something is unfinished or
unaccounted for; 4 a quality gate failed; 130 and 143 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

from pipeline import storage
from pipeline.errors import (
    GoldenMismatchError,
    JobFailedError,
    NoSpaceError,
    StoreDownError,
    TransientError,
    UsageError,
)
from pipeline.flags import own
from pipeline.imports import without
from pipeline.interrupt import Interruption, interruptible
from pipeline.options import add_arguments
from pipeline.quiet import complain, silence_pillow, stderr_silenced, tame_streams
from pipeline.terminal import Screen, progress, show_result
from pipeline.text import plain

GO_ON = "what is committed stays, run the same command to go on"
SWITCH_SECONDS = 0.0005
"""For which a thread may keep the interpreter: those that predict need it often and for a moment."""

EXAMPLE = "example: nightscore score --input photos/ --model model --output night"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore score` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "-h" in arguments or "--help" in arguments:
        print(_help())
        return 0
    interruption = Interruption()
    try:
        with calm(), interruptible(stop) as interruption:
            return _score(arguments)
    except (UsageError, GoldenMismatchError) as error:
        complain(f"nightscore score: {error}")
        return 2
    except (TransientError, StoreDownError, NoSpaceError) as error:
        complain(f"nightscore score: storage fails: {error}; {GO_ON}")
        return 3
    except JobFailedError as error:
        complain(f"nightscore score: {error}; {GO_ON}")
        return 3
    except KeyboardInterrupt as interrupt:
        complain(f"nightscore score: interrupted; {str(interrupt) or GO_ON}")
        return interruption.exit_code


def _score(arguments: Sequence[str]) -> int:
    options = own(arguments)

    from pipeline.prepare import is_first, prepare  # these import NumPy and Arrow, which --help does without
    from pipeline.rerun import rerun

    with progress():
        run = None if options is None else prepare(options)
        if run is not None and is_first(run):
            from pipeline.headstart import head_start  # TensorFlow and Beam, which a later run may go without

            head_start(run)
        record = None if run is None else rerun(run)
        if run is None or record is None:
            with without("pandas"):
                from pipeline import job  # Apache Beam: a second of imports that a run with nothing to do goes without

            asked = job.parse(arguments)
            run = run or prepare(asked.options)
            record = job.run_job(asked, run, _announce)
        if record is None:
            return 0
    code: int = record["verdict"]["exit_code"]
    if record["complete"]:
        figures = json.loads(storage.read(run.result("summary.json")))
        show_result(Screen(), record, figures, storage.key_of(run.options.output.rstrip("/")))
    for reason in record["verdict"]["reasons"]:
        complain(f"nightscore score: {reason}")
    return code


def _announce(text: str) -> None:
    print(plain(text), flush=True)  # whole: an address of the console has a query


def stop() -> None:
    """Let nothing that is under way wait any longer."""
    from pipeline.children import children  # as `_score`

    storage.patience().end()
    children().kill()


@contextlib.contextmanager
def calm() -> Iterator[None]:
    """Keep Beam's and TensorFlow's chatter off the terminal."""
    from pipeline import inference

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    silence_pillow()
    warnings.filterwarnings("ignore", category=FutureWarning, module="google")  # that Python 3.10 grows old
    inference.import_context = stderr_silenced
    tame_streams("%(levelname)s %(name)s: %(message)s")
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what a step raises reaches us
    sys.setswitchinterval(SWITCH_SECONDS)
    yield


def _help() -> str:
    parser = argparse.ArgumentParser(
        prog="nightscore score",
        usage=argparse.SUPPRESS,
        description=EXAMPLE,
        epilog="Apache Beam's own flags (--runner, ...) are taken as well. "
        "Exit codes: 0 good, 2 bad usage, 3 too many failed or unfinished, 4 accuracy too low.",
    )
    add_arguments(parser)
    return parser.format_help()
