"""Which images a person should look at: the lists of parts and of the whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from conftest import SCHEMA
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics import examples
from pipeline.metrics.examples import COLUMNS, OF_UNIT, Limits, examples_of, lists_of, merge
from pipeline.metrics.figures import Example

FEW = Limits(mistakes=3, confused=4, cell=2, doubtful=2, uncertain=2)


def example(key: str, label: int | None, predicted: int, score: float, label_score: float | None) -> dict[str, Any]:
    values = (key, label, None if label is None else str(label), label_score, predicted, str(predicted), score)
    return dict(zip(COLUMNS, values, strict=True))


@st.composite
def many(draw: Any) -> list[dict[str, Any]]:
    share = st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.9])
    number = st.integers(0, 2)
    drawn = draw(st.lists(st.tuples(st.none() | number, number, share, share), max_size=12))
    return [example(f"k{i:02d}", *row[:3], None if row[0] is None else row[3]) for i, row in enumerate(drawn)]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "OF_ARCHIVE", FEW)


@given(many(), st.lists(st.integers(0, 2), min_size=12, max_size=12))
def test_lists_of_the_whole_can_be_told_from_those_of_any_parts(every: list[Example], where: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "OF_ARCHIVE", FEW)
        a, b, c = ([e for e, n in zip(every, where, strict=False) if n == part] for part in range(3))
        whole = lists_of(every, FEW)
        assert lists_of(merge(merge(a, b), c), FEW) == whole
        assert merge(a, merge(b, c)) == merge(merge(c, a), b)
        assert merge(merge(a, b), []) == merge(a, b)


@pytest.mark.usefixtures("short")
def test_each_list_has_its_rule() -> None:
    every = [
        example("right", 1, 1, 0.35, 0.35),
        example("sure", 1, 2, 0.99, 0.01),
        example("surer", 1, 2, 0.999, 0.001),
        example("third of its cell", 1, 2, 0.98, 0.02),
        example("other cell", 0, 2, 0.6, 0.3),
        example("no label", None, 0, 0.2, None),
        example("doubtful", 2, 0, 0.5, 0.0),
    ]
    names = {name: [e["key"] for e in images] for name, images in lists_of(every, FEW).items()}
    assert names == {
        "most_confident_mistakes": ["surer", "sure", "third of its cell"],
        "confused": ["surer", "sure", "other cell", "doubtful"],
        "doubtful_labels": ["doubtful", "surer"],
        "least_certain": ["no label", "right"],
    }


def table(rows: list[dict[str, Any]]) -> pa.Table:
    nothing = dict.fromkeys(SCHEMA.names)
    return pa.Table.from_pylist([{**nothing, "status": "ok", **row} for row in rows], SCHEMA)


def test_part_gives_the_rows_that_its_lists_name_by_their_numbers() -> None:
    rows = [example(f"{i:04d}", i % 3, 0, 0.5 + i / 5_000, 0.4 - i / 5_000) for i in range(1_000)]
    failed = {**dict.fromkeys(COLUMNS), "key": "x", "label": 1, "label_name": "1", "status": "failed"}
    images = examples_of(table([*rows, failed, example("plain", None, 1, 0.1, None)]))
    assert [e["row"] for e in images] == sorted(e["row"] for e in images)
    assert all(e["key"] == f"{e['row']:04d}" for e in images if e["row"] < 1_000)
    assert images[-1]["key"] == "plain"
    lists = lists_of(images, OF_UNIT)
    assert {name: len(rows) for name, rows in lists.items()} == {
        "most_confident_mistakes": OF_UNIT.mistakes,
        "confused": 2 * OF_UNIT.cell,
        "doubtful_labels": OF_UNIT.doubtful,
        "least_certain": OF_UNIT.uncertain,
    }
    assert lists["most_confident_mistakes"][0]["key"] == "0998"
    assert len(images) == len({e["row"] for e in images}) <= sum(map(len, lists.values()))


def test_part_of_failed_rows_or_of_none_gives_nothing() -> None:
    failed = {**dict.fromkeys(COLUMNS), "key": "x", "status": "failed"}
    assert examples_of(table([failed])) == examples_of(table([])) == []


def test_limits_of_a_unit_bound_its_receipt() -> None:
    assert sum(vars(replace(OF_UNIT, cell=0)).values()) <= 64
