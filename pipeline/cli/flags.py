"""A command line as flags: Nightscore's own are parsed here, without Beam; where one may be Beam's, `job` parses all.

Owns the one flag that both have, `--labels`, those that are about the command and not about the job, and what of all
that `--help` shows. Must not know what an option does.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.cli.beam_import import for_any_job
from pipeline.flag_names import HELP_ALL, JSON, QUIET
from pipeline.machine import require_precision
from pipeline.options import (
    LOCAL_RUNNERS,
    ScoreOptions,
    add_arguments,
    from_arguments,
    refuse,
    rename_labels,
)

NEEDED = (
    "input", "model", "output", "label_source", "format", "top_k", "precision", "max_failed_fraction", "min_accuracy",
    "accept_score", "accept_accuracy", "limit", "retry_failed",
)  # fmt: skip
"""Options that `--help` shows; `--help_all` shows the others, too."""

HELP = ("-h", "--help")


@dataclass(frozen=True)
class OutputMode:
    """What a command prints; no part of its job.

    Attributes:
        quiet: nothing but errors.
        json: one line of JSON on stdout, and nothing else there.
    """

    quiet: bool = False
    json: bool = False


def split_output_mode(argv: Sequence[str]) -> tuple[OutputMode, list[str]]:
    """Return what a command shall print, and the other arguments.

    >>> split_output_mode(["--input", "photos", "--json"])
    (OutputMode(quiet=False, json=True), ['--input', 'photos'])
    """
    others = [argument for argument in argv if argument not in (QUIET, JSON)]
    return OutputMode(QUIET in argv, JSON in argv), others


def add_output_mode(parser: argparse.ArgumentParser, flags: Collection[str]) -> None:
    """Add flags to a parser, so that its help shows them."""
    texts = {
        QUIET: "nothing but errors: no progress, no summary",
        JSON: "one line of JSON on stdout instead of the summary",
        HELP_ALL: "all options",
    }
    for flag in flags:
        parser.add_argument(flag, action="store_true", help=texts[flag])


def help_text(argv: Sequence[str], parser: argparse.ArgumentParser) -> str | None:
    """Return the help that arguments ask for, None if they ask for none: of all options, or of those one needs."""
    if HELP_ALL in argv:
        return parser.format_help()
    if not any(flag in argv for flag in HELP):
        return None
    ours = {"help", *(flag.strip("-") for flag in (QUIET, JSON, HELP_ALL))}
    for action in parser._actions:
        if action.dest not in ours.union(NEEDED):
            action.help = argparse.SUPPRESS
    return parser.format_help()


def parse(argv: Sequence[str]) -> tuple[ScoreOptions, Sequence[str]]:
    """Return the options of a job and the arguments for Beam, which is imported only if there are any.

    Raises:
        UsageError: a flag is unknown, or a value is missing or out of range.
    """
    options, beam_arguments = parse_own(argv)
    if options is None:
        with for_any_job():
            from pipeline.beam import job
        options = job.parse(argv).options
    return options, beam_arguments


def parse_own(argv: Sequence[str]) -> tuple[ScoreOptions | None, list[str]]:
    """Return the options of a job, and the arguments that are not Nightscore's own.

    Where there are such arguments, or an engine elsewhere is named, the options are None: only Beam knows whether its
    own flags are right.

    >>> parse_own(["--input", "a", "--model", "m", "--output", "o", "--region", "x", "--limit", "9"])
    (None, ['--region', 'x'])

    Raises:
        UsageError: a value is missing or out of range.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.error = refuse  # type: ignore[method-assign]
    add_arguments(parser)
    parser.add_argument("--runner")
    values, others = parser.parse_known_args(rename_labels(argv))
    if values.runner not in LOCAL_RUNNERS:
        others = [f"--runner={values.runner}", *others]
    if others:
        return None, others
    options = from_arguments(vars(values))
    require_precision(options.precision)
    return options, []
