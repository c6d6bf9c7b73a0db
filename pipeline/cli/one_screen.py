"""What fits a screen of 80 columns and 24 lines: texts of one line, and which facts are left out. Pure.

Nothing is left out in silence: where a text is cut there is an ellipsis or a number, and where a fact is left out a
line says which.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from pipeline.text import plain

Fact = tuple[str, str]
"""A name and a text of one line."""

NAME_WIDTH = 12
"""Columns of a fact's name; a space follows."""

WIDTH = 67
"""Characters of a fact's text, at most, where it can be made as short: then it fits 80 columns."""

LEAST = (
    "engine", "precision", "time", "advice", "numbers", "confused", "input", "example", "worst", "skipped",
    "unlabelled", "drift", "unknown", "not read",
)  # fmt: skip
"""Names of facts that may be left out, the first ones first. The report shows what they say.

None of them has a second line, which is a fact without a name.
"""

MORE = "more"
"""Name of the fact that says which ones are left out; it stands before the first fact named in PLACES."""

PLACES = ("predictions", "report", "next")
"""Names of the facts that end a screen: where things are, and what to do."""


def fitted(texts: Sequence[str], start: str = "", more: str = ", and {:,} more") -> str:
    """Return as many texts as fit a line, one at least, and how many there are beyond.

    Args:
        texts: at least one.
        start: what stands before them.
        more: what stands behind them if some are left out, with a place for their number; "": nothing does.

    >>> fitted(["a" * 40, "b" * 40, "c"])
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, and 2 more'
    """
    for n in range(len(texts), 1, -1):
        line = start + ", ".join(texts[:n]) + (more.format(len(texts) - n) if n < len(texts) else "")
        if columns(line) <= WIDTH:
            return line
    return start + texts[0] + (more.format(len(texts) - 1) if len(texts) > 1 else "")


def columns(text: str) -> int:
    """Return how many columns a terminal takes for a text on one line.

    >>> columns("cat"), columns("猫")
    (3, 2)
    """
    shown = plain(text)
    if shown.isascii():
        return len(shown)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 - bool(unicodedata.combining(c)) for c in shown)


def lines_of(text: str, width: int) -> int:
    """Return how many lines of so many columns a text takes.

    >>> lines_of("a" * 80, 80), lines_of("a" * 81, 80), lines_of("", 80)
    (1, 2, 1)
    """
    return max(1, -(-columns(text) // width))


def on_one_screen(found: Sequence[Fact], width: int, lines: int) -> list[Fact]:
    """Return the facts that fit so many lines of so many columns, in their order.

    Those that matter least are left out, as many as needed, and a line says which: see LEAST.
    """
    kept, left_out = list(found), list[str]()
    for name in LEAST:
        if _lines(_with_more(kept, left_out), width) <= lines:
            break
        if any(one == name for one, _ in kept):
            kept = [fact for fact in kept if fact[0] != name]
            left_out.append(name)
    return _with_more(kept, left_out)


def _lines(found: Sequence[Fact], width: int) -> int:
    return sum(lines_of(f"{name:<{NAME_WIDTH}} {text}", width) for name, text in found)


def _with_more(kept: Sequence[Fact], left_out: Sequence[str]) -> list[Fact]:
    if not left_out:
        return list(kept)
    place = next((number for number, (name, _) in enumerate(kept) if name in PLACES), len(kept))
    return [*kept[:place], (MORE, f"{', '.join(left_out)}: in the report"), *kept[place:]]
