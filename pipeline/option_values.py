"""What values options may have, and what their texts mean: bands, colors, names of columns, encodings.

Must not know the type, the default or the help of an option; `pipeline.options` does.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pipeline.errors import UsageError

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


def is_encoding(name: str) -> bool:
    """Return whether text can be read by an encoding of this name.

    >>> is_encoding("cp932"), is_encoding("cp12345"), is_encoding("base64")
    (True, False, False)
    """
    try:
        return isinstance(b"a".decode(name), str)
    except (LookupError, ValueError):
        return False


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


def _is(read: Callable[[str], Any], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def is_base(address: str) -> bool:
    """Return whether links of a page may begin with this; one with a user or a password may not.

    >>> is_base("https://host:8080/a"), is_base("gs://bucket/a"), is_base("/mnt/a"), is_base("javascript:a")
    (True, True, True, False)
    """
    return bool(re.fullmatch(r"(?:(?:https?|gs|s3)://[^/@\s?#]+|file:///|/)[^\s?#]*", address))


_RANGES: Sequence[tuple[Sequence[str], Callable[[Any], bool], str]] = (
    (
        ("top_k",),
        lambda n: n == ALL or (isinstance(n, int) and n >= 1),
        "is too small: give a number of at least 1, or all",
    ),
    (
        ("unit_images", "limit", "max_pixels", "memory_mb"),
        lambda n: n >= 1,
        "is too small: give a number of at least 1",
    ),
    (("image_timeout", "retry_deadline"), lambda s: 0 < s < math.inf, "is no time: give a number of seconds"),
    (("bands",), lambda text: _is(read_bands, text), "is no choice of bands: give one number or three, as 4,3,2"),
    (
        ("background",),
        lambda text: text in ("", DROP) or _is(read_color, text),
        f"is no color: give white, black, gray, #rrggbb or {DROP}",
    ),
    (
        ("link_base",),
        is_base,
        "is nothing that links can begin with: give https://..., http://..., file:///..., gs://..., s3://... or a path "
        "from / on, without user, ? and #",
    ),
    (("zip_encoding",), is_encoding, "is no encoding that Python knows: give one such as cp932 or gbk"),
    (
        ("max_failed_fraction", "min_accuracy", "accept_score", "accept_accuracy"),
        lambda f: 0 <= f <= 1,
        "is not a fraction: give a number from 0 to 1",
    ),
)


def check_ranges(values: Mapping[str, Any]) -> None:
    """Check the values of some options, by name.

    Raises:
        UsageError: one is out of range.
    """
    for names, holds, text in _RANGES:
        for name in names:
            value = values.get(name)
            if value is not None and not holds(value):
                raise UsageError(f"--{name} {value if isinstance(value, str) else format(value, 'g')} {text}")
