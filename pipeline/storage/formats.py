"""The format numbers of what Nightscore stores: which this version knows, and the one line that refuses a newer one.

A stored thing without a number has number 1, and number 1 is not written: the bytes of format 1 stay as they are. What
has a newer number, or more fields than this version knows, is whole: it is refused, and neither called damaged nor
removed. Whoever changes what is written raises the number of its kind here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pipeline.errors import NewerFormatError

Kind = Literal["part", "receipt", "record", "plan", "model"]

NEWEST: dict[Kind, int] = {"part": 1, "receipt": 1, "record": 1, "plan": 1, "model": 3}
"""The newest format number of each kind that this version knows; it writes this one."""

FIELD = "format"
"""Name of the JSON field that holds the number; a model_spec.json calls it `format_version`."""


def numbered(kind: Kind) -> dict[str, int]:
    """Return the field that a new file of a kind carries: none for number 1.

    >>> numbered("receipt")
    {}
    """
    return {FIELD: NEWEST[kind]} if NEWEST[kind] > 1 else {}


def check_number(number: Any, kind: Kind, location: str = "") -> None:
    """Check that this version knows a format number.

    Args:
        number: as it was read, 1 where there was none.
        kind: of the file.
        location: of the file, for the error's text.

    Raises:
        NewerFormatError: it is newer.
        ValueError: it is no format number.
    """
    if type(number) is not int or number < 1:
        raise ValueError(f"its format number is {number!r}")
    if number > NEWEST[kind]:
        raise NewerFormatError(f"{_named(kind, location)} has format {number}: made by a newer Nightscore: update it")


def check_format(content: Any, kind: Kind, location: str = "") -> None:
    """Check the format number of a JSON object; pass over what is no object.

    Raises:
        NewerFormatError: it is newer.
        ValueError: it is no format number.
    """
    if isinstance(content, Mapping):
        check_number(content.get(FIELD, 1), kind, location)


def check_names(content: Any, known: Iterable[str], kind: Kind, location: str = "") -> None:
    """Check that this version knows all fields of a JSON object; pass over what is no object.

    Raises:
        NewerFormatError: one is unknown.
    """
    unknown = sorted(content.keys() - set(known)) if isinstance(content, Mapping) else []
    if unknown:
        raise NewerFormatError(
            f"{_named(kind, location)} has the unknown field {unknown[0]!r}: made by another version of Nightscore: "
            "use that one, or update this one"
        )


def _named(kind: Kind, location: str) -> str:
    return f"{kind} {location!r}" if location else f"a {kind}"
