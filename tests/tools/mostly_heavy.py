"""Which parameters of a test the default suite takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mostly_heavy(cases: Iterable[Any], kept: Collection[Any]) -> list[Any]:
    """Return the cases of a parametrized test, all of them heavy but those that are kept for the default suite.

    Args:
        cases: values, or tuples of values if there are several parameters.
        kept: those of the cases whose faults no other test of the default suite would find.
    """
    cases = list(cases)
    assert kept
    assert all(case in cases for case in kept)
    heavy = pytest.mark.heavy
    return [
        case if case in kept else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=heavy)
        for case in cases
    ]
