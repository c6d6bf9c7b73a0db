"""What the texts of options mean where that is more than a word or a number: bands, colors, names of columns.

Must not know which options there are; `pipeline.options` does.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Literal

TopK = int | Literal["all"]
"""How many classes a row lists."""

ALL = "all"
"""Value of --top_k with which a row lists every class."""

NONE = "none"
"""Value of --columns with which none passes through."""

DROP = "drop"
"""Value of --background with which transparency is ignored."""

_COLORS = {"white": "ffffff", "black": "000000", "gray": "808080"}
"""Name -> rrggbb."""


def read_bands(text: str) -> tuple[int, ...]:
    """Return the numbers of bands, from 1, that are grey (one) or red, green and blue (three); "" chooses none.

    Raises:
        ValueError: it is neither.

    >>> read_bands("4, 3,2"), read_bands("")
    ((4, 3, 2), ())
    """
    bands = tuple(int(number) for number in text.split(",")) if text else ()
    if len(bands) not in (0, 1, 3) or not all(band >= 1 for band in bands):
        raise ValueError(f"bands {text!r}: expected one number or three, from 1 on")
    return bands


def read_color(text: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of a color's name or #rrggbb.

    Raises:
        ValueError: it is none.

    >>> read_color("white"), read_color("#0080FF")
    ((255, 255, 255), (0, 128, 255))
    """
    digits = _COLORS.get(text, text).removeprefix("#")
    if len(digits) != 6 or not (text in _COLORS or text.startswith("#")):
        raise ValueError(f"color {text!r}: expected {', '.join(_COLORS)} or #rrggbb")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,]*))[^,]*,?')
_ODD = re.compile(r'[",\n\r]|^\s|\s$')


def names_in(text: str) -> tuple[str, ...]:
    """Return names with commas between them, each once; a name with a comma stands in quotes, as in CSV.

    >>> names_in('camera, site,"a,b"," c"')
    ('camera', 'site', 'a,b', ' c')
    """
    found = (quoted.replace('""', '"') or bare.strip() for quoted, bare in _NAME.findall(text))
    return tuple(dict.fromkeys(name for name in found if name))


def as_names(names: Sequence[str]) -> str:
    """Return names as `names_in` reads them.

    >>> as_names(["camera", "a,b"]), as_names(["all"]), as_names([])
    ('camera,"a,b"', 'all,', 'none')
    """
    if not names:
        return NONE
    quoted = ('"' + name.replace('"', '""') + '"' if _ODD.search(name) else name for name in names)
    text = ",".join(quoted)
    return f"{text}," if text in (ALL, NONE) else text


def read_top_k(text: str) -> TopK:
    """Return how many classes a row lists, from a command line.

    >>> read_top_k("7"), read_top_k("all")
    (7, 'all')
    """
    if text == ALL:
        return "all"
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of classes: give a number, or all") from error
