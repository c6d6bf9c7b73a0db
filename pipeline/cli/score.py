"""`nightscore score`: arguments in, exit code out.

Exit codes: 0 all good; 1 a bug; 2 bad usage or configuration; 3 too many images failed, or something is unfinished or
unaccounted for; 4 a quality gate failed; 130 and 143 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline import storage
from pipeline.cli.beam_import import for_any_job, for_local_job
from pipeline.cli.command import calm, stop, to_exit_code
from pipeline.cli.console import answer, complain
from pipeline.cli.facts import as_json
from pipeline.cli.flags import (
    OutputMode,
    add_output_mode,
    help_text,
    parse,
    split_output_mode,
)
from pipeline.cli.terminal import Screen, progress, show_result
from pipeline.flag_names import HELP_ALL, JSON, QUIET
from pipeline.metrics.record import EndedRecord
from pipeline.metrics.review import Review
from pipeline.metrics.task_figures import AnyFigures
from pipeline.options import ScoreOptions, add_arguments
from pipeline.scoring.process_start import early
from pipeline.text import plain

if TYPE_CHECKING:
    from pipeline.output.run import Run

NAME = "nightscore score"

GO_ON = "what is committed stays, run the same command to go on"

EXAMPLE = "example: nightscore score --input photos/ --model model --output night"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore score` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    text = help_text(arguments, _parser())
    if text is not None:
        print(text)
        return 0
    mode, arguments = split_output_mode(arguments)

    def body() -> int:
        calm()
        return _score(arguments, mode)

    return to_exit_code("score", body, is_json=mode.json, advice=GO_ON, on_signal=stop)


def _score(arguments: Sequence[str], mode: OutputMode) -> int:
    options, beam_arguments = parse(arguments)
    with early() if not beam_arguments and _is_new(options.output) else contextlib.nullcontext():
        return _score_with(options, beam_arguments, mode)


def _score_with(options: ScoreOptions, beam_arguments: Sequence[str], mode: OutputMode) -> int:
    from pipeline import api  # NumPy and Arrow, which --help does without

    lines: list[str] = []
    with contextlib.nullcontext() if mode.quiet else progress():
        announce = lines.append if mode.json or mode.quiet else _announce
        importing = for_any_job if beam_arguments else for_local_job
        scored = api.score(options, beam_arguments, announce, importing, lambda text: complain(f"{NAME}: {text}"))
    run, record = scored.run, scored.record
    output = run.options.output.rstrip("/")
    if record is None:
        if mode.json:
            answer({"exit_code": 0, "run": run.id, "output": output, "job": " ".join(lines)})
        return 0
    _conclude(record, run, output, mode)
    return record["verdict"]["exit_code"]


def _is_new(output: str) -> bool:
    """Return whether a folder on this machine's disk holds no results yet, so that there is certainly work to do."""
    return not storage.is_remote(output) and not os.path.exists(os.path.join(output, "runs"))


def _announce(text: str) -> None:
    print(plain(text), flush=True)  # whole: an address of the console has a query


def _conclude(record: EndedRecord, run: Run, output: str, mode: OutputMode) -> None:
    """Say what a run came to."""
    figures: AnyFigures | None = json.loads(storage.read(run.result("summary.json"))) if record["complete"] else None
    if mode.json:
        answer(as_json(record, figures, output))
    elif not mode.quiet and (figures or record["images"]):
        show_result(Screen(), record, figures, output, _review(run) if figures else None)
    for reason in record["verdict"]["reasons"]:
        complain(f"{NAME}: {reason}")


def _review(run: Run) -> Review | None:
    """Return the review of a result; None where another run has just removed it."""
    try:
        review: Review = json.loads(storage.read(run.result("review.json")))
    except FileNotFoundError:
        return None
    return review


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=NAME,
        usage=argparse.SUPPRESS,
        description=EXAMPLE,
        epilog="Apache Beam's own flags (--runner, ...) are taken as well. "
        "Exit codes: 0 good, 2 bad usage, 3 too many failed or unfinished, 4 accuracy too low.",
    )
    add_arguments(parser)
    add_output_mode(parser, (QUIET, JSON, HELP_ALL))
    return parser
