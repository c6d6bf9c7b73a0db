"""A command line as flags: Nightscore's own are parsed here, without Beam; where one may be Beam's, `job` parses all.

Owns the one flag that both have, `--labels`, those that are about the command and not about the job, and what of all
that `--help` shows. Must not know what an option does.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass

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
    "limit", "retry_failed",
)  # fmt: skip
"""Options that `--help` shows; `--help_all` shows the others, too."""

HELP = ("-h", "--help")
HELP_ALL = "--help_all"
QUIET = "--quiet"
JSON = "--json"


@dataclass(frozen=True)
class Manner:
    """How a command speaks; no part of its job.

    Attributes:
        quiet: nothing but errors.
        json: one line of JSON on stdout, and nothing else there.
    """

    quiet: bool = False
    json: bool = False


def manner(argv: Sequence[str]) -> tuple[Manner, list[str]]:
    """Return how a command shall speak, and the other arguments.

    >>> manner(["--input", "photos", "--json"])
    (Manner(quiet=False, json=True), ['--input', 'photos'])
    """
    others = [argument for argument in argv if argument not in (QUIET, JSON)]
    return Manner(QUIET in argv, JSON in argv), others


def add_manner(parser: argparse.ArgumentParser, flags: Collection[str]) -> None:
    """Add flags to a parser, so that its help shows them."""
    texts = {
        QUIET: "nothing but errors: no progress, no summary",
        JSON: "one line of JSON on stdout instead of the summary",
        HELP_ALL: "all options",
    }
    for flag in flags:
        parser.add_argument(flag, action="store_true", help=texts[flag])


def helped(argv: Sequence[str], parser: argparse.ArgumentParser) -> str | None:
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


def own(argv: Sequence[str]) -> ScoreOptions | None:
    """Return the options of a local job whose flags are all Nightscore's own; None where Beam is to be asked.

    Raises:
        UsageError: a value is missing or out of range.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.error = refuse  # type: ignore[method-assign]
    add_arguments(parser)
    parser.add_argument("--runner")
    values, others = parser.parse_known_args(rename_labels(argv))
    if others or values.runner not in LOCAL_RUNNERS:
        return None
    options = from_arguments(vars(values))
    require_precision(options.precision)
    return options
