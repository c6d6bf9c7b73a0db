"""Flags that a person mistyped: which is unknown, and which one may have been meant. Knows no command."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from difflib import get_close_matches

QUIET = "--quiet"
JSON = "--json"
HELP_ALL = "--help_all"
"""Flags that are about a command, and not about its job."""

ALIKE = 0.75
"""Least likeness of a flag that may have been meant, as `difflib` measures it: 1 for equal names."""


def unknown_argument(argument: str, known: Collection[str]) -> str:
    """Return what is wrong with an argument that is unknown, with the flag that may have been meant if one is like it.

    >>> unknown_argument("--unit_image=500", ["--unit_images", "--limit"])
    "unknown argument '--unit_image' (did you mean --unit_images?)"
    >>> unknown_argument("--frobnicate", ["--unit_images", "--limit"])
    "unknown argument '--frobnicate'"
    """
    name = argument.partition("=")[0] if argument.startswith("--") else argument
    near = get_close_matches(name, [one for one in known if one != name], 1, ALIKE)
    return f"unknown argument {name!r}" + (f" (did you mean {near[0]}?)" if near else "")


def parse_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments; the parser refuses the first flag that it does not know, before it misses others.

    Args:
        parser: its `error` is called.
        argv: the arguments; what stands behind "--", or has a space in it, is no flag.
    """
    _check_flags(parser, argv)
    return parser.parse_args(argv)


def _check_flags(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    known = parser._option_string_actions
    for argument in argv:
        if argument == "--":
            return
        is_flag = argument.startswith("--") and " " not in argument.partition("=")[0]
        if is_flag and argument.partition("=")[0] not in known:
            parser.error(unknown_argument(argument, known))
