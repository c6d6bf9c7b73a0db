"""`nightscore compare`: two OUTPUTs in, which is better and what has changed; a page, and exit code out.

Exit codes: 0 compared; 4 a limit is not kept; 1 a bug; 2 bad usage, or nothing to compare; 3 storage fails, or an
OUTPUT is not complete; 130 interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.cli.command import look_on, new_parser
from pipeline.cli.comparison_facts import facts, sides_table, verdict_lines
from pipeline.cli.console import answer, complain
from pipeline.cli.terminal import Screen, show_facts, show_line, show_table
from pipeline.flag_names import JSON

if TYPE_CHECKING:
    from pipeline.metrics.comparison_figures import Comparison

DESCRIPTION = """\
example: nightscore compare night new-night
         nightscore compare night new-night --to comparison.html
         nightscore compare night new-night --fail_if_worse --max_flips 0.02

Say whether the results in OUTPUT B are better than those in OUTPUT A on the
images that both have, and what has changed: agreement, accuracy, classes and
folders that got better or worse, and on the page the changed images. Labelled
images that one of the models has seen in training do not count for this, where
the model directories tell which these are. Reads the stored rows, no images.
"""

EPILOG = (
    "Exit codes: 0 compared, 4 B fails --fail_if_worse or --max_flips, 2 bad usage or nothing to\n"
    "compare, 3 storage fails or an OUTPUT is not complete."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nightscore compare` and return its exit code."""
    return look_on("compare", _parser, argv, _compare)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("compare", DESCRIPTION, EPILOG)
    parser.add_argument("a", metavar="A", help="OUTPUT of 'nightscore score', or gs://: the old results")
    parser.add_argument("b", metavar="B", help="another OUTPUT: the new results, compared with A")
    parser.add_argument("--to", metavar="FILE", help="HTML page to write, or gs://; default: none")
    parser.add_argument(
        "--join",
        choices=("key", "name", "pixel_hash"),
        default="key",
        help="by what an image of A is found in B: its key; its name in the input; its pixels; default: key",
    )
    parser.add_argument(
        "--fail_if_worse", action="store_true", help="exit code 4 if B is worse beyond chance: p < 0.05"
    )
    parser.add_argument(
        "--max_flips",
        type=float,
        metavar="F",
        help="exit code 4 if the predictions of more than this share of the images differ, 0 to 1",
    )
    parser.add_argument(JSON, action="store_true", help="one line of JSON on stdout instead of text")
    return parser


def _compare(asked: argparse.Namespace) -> int:
    from pipeline.comparison.compare import compare  # NumPy and Arrow, which --help does without
    from pipeline.comparison.page_file import check_place, write_page
    from pipeline.comparison.verdict import Limits

    place = check_place(asked.to) if asked.to is not None else None
    found = compare(asked.a, asked.b, asked.join, Limits(asked.fail_if_worse, asked.max_flips))
    if place is not None:
        write_page(place, found)
    figures = found.figures
    for reason in figures["reasons"]:
        complain(f"nightscore compare: {reason}")
    if asked.json:
        answer(figures)
    else:
        _show(figures, asked)
    return figures["exit_code"]


def _show(figures: Comparison, asked: argparse.Namespace) -> None:
    screen = Screen()
    for text in verdict_lines(figures):
        show_line(screen, text)
    show_table(screen, ("", "A", "B"), sides_table(figures))
    show_facts(screen, facts(figures, asked.a, asked.b, asked.to))
