"""Sums by the values of a column: they merge in any order, and what is beyond the most values is counted together."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics import by_value
from pipeline.metrics.by_value import ByValue, ValueSums, merge_columns
from pipeline.metrics.slices import Counts
from pipeline.metrics.tasks import metrics_of

METRICS = metrics_of("classes", ["cat", "dog"], 1, (), 1.0)
COLUMNS = {
    "key": pa.string(), "status": pa.string(), "label": pa.int32(), "label_name": pa.string(),
    "label_score": pa.float32(), "predicted": pa.int32(), "site": pa.string(),
}  # fmt: skip

row = st.tuples(st.none() | st.sampled_from("abcdefgh"), st.none() | st.integers(0, 1), st.none() | st.integers(0, 1))


def table(rows: list[tuple[str | None, int | None, int | None]]) -> pa.Table:
    """Rows of (site, label, predicted); an image that is predicted to be nothing has failed."""
    return pa.Table.from_pylist(
        [
            {
                "key": f"/a/{i}",
                "status": "failed" if predicted is None else "ok",
                "label": label,
                "label_name": None if label is None else ("cat", "dog")[label],
                "label_score": None if None in (label, predicted) else 0.5,
                "predicted": predicted,
                "site": site,
            }
            for i, (site, label, predicted) in enumerate(rows)
        ],
        pa.schema(list(COLUMNS.items())),
    )


def count(rows: list[Any]) -> ByValue:
    counted = table(rows)
    return ByValue.count(counted["site"], counted, METRICS)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_value, "MOST_VALUES", 3)


@given(st.lists(st.lists(row, max_size=12), max_size=5), st.randoms(use_true_random=False))
def test_sums_of_parts_merge_in_any_order_to_those_of_all_rows(parts: list[list[Any]], random: Any) -> None:
    whole = count([one for part in parts for one in part])
    waiting = [count(part) for part in parts] or [ByValue()]
    while len(waiting) > 1:
        random.shuffle(waiting)
        waiting.append(waiting.pop().merge(waiting.pop()))
    assert waiting[0] == whole
    assert ByValue().merge(whole) == whole.merge(ByValue()) == whole
    assert ByValue.from_json(json.loads(json.dumps(whole.to_json()))) == whole


@given(st.lists(row, max_size=30))
def test_sums_are_those_of_a_loop_over_the_rows(rows: list[tuple[str | None, int | None, int | None]]) -> None:
    found = count(rows)
    kept = sorted({site or "" for site, _, _ in rows})[:3]
    assert sorted(found.values) == kept
    for value, sums in [*found.values.items(), *([(None, found.beyond)] if found.beyond else [])]:
        own = [one for one in rows if ((one[0] or "") == value if value is not None else (one[0] or "") not in kept)]
        labelled = [one for one in own if None not in one[1:]]
        expected = Counts(
            len(own),
            sum(one[2] is not None for one in own),
            len(labelled),
            0,
            sum(one[1] == one[2] for one in labelled),
        )
        predicted = {n: sum(one[2] == n for one in own) for n in (0, 1)}
        assert sums == ValueSums(expected, {n: many for n, many in predicted.items() if many})


def test_figures_tell_quality_and_drift_of_each_value() -> None:
    rows = [("a", 0, 0)] * 300 + [("b", 0, 1)] * 100 + [("b", 1, 1)] * 100 + [(None, None, None)] * 7
    values, beyond = count(rows).figures(METRICS)
    assert [one["value"] for one in values] == [None, "a", "b"]
    assert beyond is None
    none, a, b = values
    assert (none["images"], none["failed"], none["quality"], none["drift"]) == (7, 7, None, None)
    assert (a["labelled"], a["quality"], b["quality"]) == (300, 1.0, 0.5)
    assert a["drift"] is not None
    assert a["drift"] > 0.25


def test_columns_merge_by_their_names() -> None:
    one, other = {"site": count([("a", 0, 0)])}, {"site": count([("b", 0, 0)]), "day": count([("c", 1, 1)])}
    merged = merge_columns(one, other)
    assert merged == merge_columns(other, one)
    assert sorted(merged["site"].values) == ["a", "b"]
    assert merge_columns({}, {}) == {}
