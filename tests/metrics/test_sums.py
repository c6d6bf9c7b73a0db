"""What all tasks count: a sum that an earlier version did not measure is no zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.metrics.sums import Sums


@dataclass(frozen=True)
class Grown(Sums):
    """Sums of a later version, which counts one thing more."""

    task = "embedding"
    later = frozenset({"blurred"})
    blurred: int | None = 0


OLD: dict[str, Any] = {"images": 3, "scored": 3, "failures": []}


def test_sum_of_a_later_version_is_none_in_an_older_receipt_and_stays_so() -> None:
    old, new = Grown.from_json(OLD), Grown(images=2, scored=2, blurred=1)
    assert old.blurred is None
    assert old.merge(new).blurred is new.merge(old).blurred is None
    assert old.merge(new).images == 5
    assert new.merge(new).blurred == 2
    assert new.merge(Sums()).blurred == 1
    assert Grown.from_json(old.to_json()) == old


def test_sum_that_every_version_has_must_be_there() -> None:
    with pytest.raises(KeyError, match="scored"):
        Grown.from_json({name: value for name, value in OLD.items() if name != "scored"})
