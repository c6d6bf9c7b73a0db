"""A fact about a model from elsewhere together with how it became known. The report and `--explain` show both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

How = Literal["given", "declared", "tried", "proven", "unsettled", "guessed"]
"""How a fact became known.

given: by a flag, or by the loader of --like. declared: by the model or a file beside it. tried: by scoring labelled
images. proven: by the user's own scores. unsettled: the most usual of several that were as good on the labelled images.
guessed: by nothing but what is usual.
"""

WORDS: Mapping[How, str] = {"tried": "found", "unsettled": "not settled"}
"""What people read for a `How`, if that is another word."""


@dataclass(frozen=True)
class Fact(Generic[T]):
    """A fact and how it became known.

    Attributes:
        value: the fact.
        how: it became known.
        why: a phrase for people, as "by --scaling unit" or "by the layer 'rescaling' (Rescaling)".
    """

    value: T
    how: How
    why: str
