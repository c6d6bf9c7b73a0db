"""Numbers, times and failures as a person reads them. Knows no page and no terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

NOTHING = "\u2013"
"""Stands where there is no number."""

_ROUNDING = 1e-12
"""Difference from 1 that comes of floating-point numbers: no share of counted images is nearer to 1."""

REASONS = 3
"""Reasons of failures that are shown at most."""

_WHY = {
    ("read", "NOT_FOUND"): "not found",
    ("read", "PERMISSION_DENIED"): "not allowed to be read",
    ("read", "FAILED_PRECONDITION"): "changed since the plan was made",
    ("read", "RESOURCE_EXHAUSTED"): "too large to be read or to be decompressed",
    ("read", "DATA_LOSS"): "damaged in storage",
    ("read", "INVALID_ARGUMENT"): "missing in the record",
    ("preprocess", "INVALID_ARGUMENT"): "not decodable (broken, cut short, or no image at all)",
    ("preprocess", "RESOURCE_EXHAUSTED"): "too large to be decoded",
    ("preprocess", "UNIMPLEMENTED"): "of a kind of image that is not read",
    ("preprocess", "DEADLINE_EXCEEDED"): "too slow to decode",
    ("preprocess", "INTERNAL"): "not decoded (the decoder crashed)",
    ("predict", "RESOURCE_EXHAUSTED"): "too much for the memory of the model",
    ("predict", "INTERNAL"): "refused by the model (an error, or scores that are no numbers)",
}
"""What an image of (stage, google.rpc code) is, after "it is" or "they are"."""


def count(n: int) -> str:
    """Return a count with its thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{n:,}"


def counted(n: int, one: str, many: str | None = None) -> str:
    """Return a count and what is counted.

    >>> counted(1, "image"), counted(2_000, "image"), counted(0, "class", "classes")
    ('1 image', '2,000 images', '0 classes')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def percent(share: float | None, digits: int = 2) -> str:
    r"""Return a share in percent; a dash where there is none. What is not all never reads 100 %, nor 0 % what is some.

    >>> percent(0.98765), percent(0.5, 0), percent(0.99999), percent(0.00001)
    ('98.77\xa0%', '50\xa0%', '99.99\xa0%', '0.01\xa0%')
    """
    if share is None or math.isnan(share):
        return NOTHING
    least = 10.0**-digits
    is_whole = share == 0 or abs(share - 1) < _ROUNDING
    shown = share * 100 if is_whole else min(max(share * 100, least), 100 - least)
    return f"{shown:.{digits}f}\xa0%"


def decimals(value: float | None) -> str:
    """Return a number with 4 decimals; a dash where there is none. What is less than 1 never reads 1.0000.

    >>> decimals(0.98765), decimals(0.999999), decimals(1.0)
    ('0.9877', '0.9999', '1.0000')
    """
    if value is None:
        return NOTHING
    return f"{min(value, 0.9999) if value < 1 - _ROUNDING else value:.4f}"


def number(value: float | None) -> str:
    """Return a number of any size, as precise as matters; a dash where there is none.

    >>> number(0.123456), number(1_234_567.0)
    ('0.1235', '1.235e+06')
    """
    return NOTHING if value is None else f"{value:.4g}"


def between(interval: tuple[float, float] | list[float] | None) -> str:
    r"""Return the two ends of an interval of shares.

    >>> between([0.98, 0.9912])
    '98.00\xa0to\xa099.12\xa0%'
    """
    if interval is None:
        return NOTHING
    return f"{percent(interval[0])[:-2]}\xa0to\xa0{percent(interval[1])}"


def duration(seconds: float) -> str:
    """Return a time that something took, as precise as matters.

    >>> [duration(s) for s in (0.04, 4.634, 75, 3599.9, 4000, 200_000)]
    ['0.0 s', '4.6 s', '1 min 15 s', '1 h 0 min', '1 h 7 min', '55 h 33 min']
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def at_most(seconds: float) -> str:
    """Return a time that something may still take, in two units of it, rounded up.

    >>> [at_most(s) for s in (0.2, 59.4, 61, 3599, 3700, 100_000)]
    ['1 s', '60 s', '1 min 1 s', '1 h', '1 h 2 min', '27 h 47 min']
    """
    whole = math.ceil(seconds)
    if whole <= 60:
        return f"{whole} s"
    whole = whole if whole < 600 else 60 * math.ceil(whole / 60)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{n} {unit}" for n, unit in parts if n)


def moment(iso: str) -> str:
    """Return a time of day for a person, in UTC as it is stored.

    >>> moment("2026-11-23T06:55:03.086+00:00")
    '2026-11-23 06:55:03 UTC'
    """
    return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M:%S UTC")


def rate(per_second: float | None) -> str:
    """Return a rate; two digits tell where it is low.

    >>> rate(2158.02), rate(3.14159)
    ('2,158 images/s', '3.1 images/s')
    """
    if per_second is None:
        return NOTHING
    return f"{per_second:,.{0 if per_second >= 10 else 1}f} images/s"


def size(count: int) -> str:
    """Return a number of bytes for a person.

    >>> size(999), size(19_460_000), size(2_500_000_000_000)
    ('999 bytes', '19.5 MB', '2.5 TB')
    """
    if count < 1000:
        return f"{count} bytes"
    power = min(5, int(math.log10(count)) // 3)
    return f"{count / 1000**power:.1f} {' kMGTP'[power]}B"


def why(stage: str, code: str) -> str:
    """Return in words what images are that failed so, after "it is" or "they are".

    >>> why("read", "NOT_FOUND"), why("predict", "DATA_LOSS")
    ('not found', 'not scored (predict DATA_LOSS)')
    """
    return _WHY.get((stage, code), f"not scored ({stage} {code})")


def briefly_why(stage: str, code: str) -> str:
    """Return the same without what stands in brackets, unless that alone tells anything.

    >>> briefly_why("preprocess", "INVALID_ARGUMENT"), briefly_why("predict", "DATA_LOSS")
    ('not decodable', 'not scored (predict DATA_LOSS)')
    """
    known = _WHY.get((stage, code))
    return why(stage, code) if known is None else known.partition(" (")[0]


def reasons(failures: Mapping[tuple[str, str], int]) -> str:
    """Return how many images failed for which reasons, the most frequent first.

    >>> reasons({("read", "NOT_FOUND"): 2, ("preprocess", "INVALID_ARGUMENT"): 1_000})
    '1,000 not decodable, 2 not found'
    """
    ordered = sorted(failures.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{n:,} {briefly_why(*reason)}" for reason, n in ordered[:REASONS]]
    more = sum(n for _, n in ordered[REASONS:])
    return ", ".join([*shown, f"{more:,} for other reasons"] if more else shown)


def left_out(reason: str, n: int, example: str = "") -> str:
    """Return why files are not scored as a person reads it: what, how many, one of them, and what to do.

    >>> left_out("HEIC images: convert them", 30, "1.HEIC"), left_out("other files", 1)
    ('HEIC images: 30 (1.HEIC); convert them', 'other files: 1')
    """
    kind, _, advice = reason.partition(":")
    return f"{kind}: {n:,}" + (f" ({example})" if example else "") + (f";{advice}" if advice else "")
