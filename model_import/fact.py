"""A fact about a model from elsewhere together with how it became known. The report and `--explain` show both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

How = Literal["given", "declared", "tried", "unsettled", "guessed"]
"""How a fact became known.

given: by a flag. declared: by the model or a file beside it. tried: by scoring labelled images. guessed: by nothing but
what is usual. unsettled: the most usual of several that were as good on the labelled images.
"""


@dataclass(frozen=True)
class Fact(Generic[T]):
    """A fact and how it became known.

    Attributes:
        value: the fact.
        how: it became known.
        why: a phrase for people, as "by --scaling" or "by the layer 'rescaling' (Rescaling)".
    """

    value: T
    how: How
    why: str
