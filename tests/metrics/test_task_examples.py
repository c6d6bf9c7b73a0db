"""Which images a person should look at, of models of labels and of a value: the lists of parts and of the whole."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_rows import NAMES, label_row, random_labels, random_values, table, value_row

from pipeline.metrics import task_examples
from pipeline.metrics.task_examples import RULES, ListRule, lists_by_task
from pipeline.metrics.task_metrics import LabelMetrics, ValueMetrics
from pipeline.metrics.tasks import merge_examples

LABELS, VALUES = LabelMetrics(NAMES, 3), ValueMetrics(2.0**-10)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3), st.none() | st.integers(-3, 3)), max_size=15))
def test_lists_of_the_whole_can_be_told_from_those_of_any_parts(drawn: list[tuple[int, int, int | None]]) -> None:
    short = [ListRule(rule.name, rule.order, 2, 3) for rule in RULES["value"]]
    every = [
        (part, {"key": f"k{i:02d}", "label_value": label, "predicted_value": predicted})
        for i, (part, predicted, label) in enumerate(drawn)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_examples, "RULES", {"value": short})
        a, b, c = ([example for part, example in every if part == wanted] for wanted in range(3))
        whole = merge_examples("value", merge_examples("value", a, b), c)
        assert lists_by_task("value", whole) == lists_by_task("value", [example for _, example in every])
        assert merge_examples("value", a, merge_examples("value", b, c)) == whole
        assert merge_examples("value", whole, []) == whole


def test_most_mistaken_have_the_most_wrong_labels_and_then_the_highest_score() -> None:
    rows = [
        label_row("right", ["cat"], [0.9, 0.1, 0.1, 0.1]),
        label_row("one wrong", ["cat"], [0.9, 0.8, 0.1, 0.1]),
        label_row("one wrong, surer", ["cat"], [0.95, 0.8, 0.1, 0.1]),
        label_row("three wrong", ["fox"], [0.6, 0.6, 0.1, 0.1]),
        label_row("not labelled", None, [0.51, 0.2, 0.1, 0.1]),
        label_row("failed", ["cat"], None),
    ]
    lists = LABELS.lists(LABELS.examples(table("labels", rows)))
    assert [e["key"] for e in lists["most_mistaken"]] == ["three wrong", "one wrong, surer", "one wrong"]
    assert [e["mistakes"] for e in lists["most_mistaken"]] == [3, 1, 1]
    assert lists["least_certain"][0]["key"] == "not labelled"
    assert lists["least_certain"][0]["margin"] == pytest.approx(0.01, abs=1e-6)
    assert lists["least_certain"][0]["mistakes"] is None


def test_margin_is_the_distance_from_the_threshold_of_the_class() -> None:
    metrics = LabelMetrics(NAMES, 3, (0.9, 0.5, 0.5, 0.5))
    (example,) = metrics.examples(table("labels", [label_row("a", [], [0.85, 0.2, 0.1, 0.1], (0.9, 0.5, 0.5, 0.5))]))
    assert example["margin"] == pytest.approx(0.05, abs=1e-6)


def test_largest_residuals_come_first_and_a_label_that_is_no_number_is_none() -> None:
    rows = [
        value_row("near", 1.0, 1.5),
        value_row("far below", 9.0, 1.0),
        value_row("far above", 1.0, 6.0),
        value_row("no number", math.nan, 7.0),
        value_row("no label", None, -7.0),
        value_row("failed", 1.0, None),
    ]
    lists = VALUES.lists(VALUES.examples(table("value", rows)))
    assert [e["key"] for e in lists["largest_residuals"]] == ["far below", "far above", "near"]
    assert [e["key"] for e in lists["highest_values"]][:2] == ["no number", "far above"]
    assert lists["lowest_values"][0]["key"] == "no label"
    assert lists["highest_values"][0]["label_value"] is None


@pytest.mark.parametrize("task", ["labels", "value"])
def test_part_names_its_rows_by_their_numbers_and_few_of_them(task: Any) -> None:
    metrics: Any = LABELS if task == "labels" else VALUES
    rows = random_labels(1_000)[0] if task == "labels" else random_values(1_000)[0]
    examples = metrics.examples(rows)
    keys = rows["key"].to_pylist()
    assert [e["row"] for e in examples] == sorted({e["row"] for e in examples})
    assert all(keys[e["row"]] == e["key"] for e in examples)
    assert 8 <= len(examples) <= sum(rule.of_unit for rule in RULES[task])
    expected = {
        name: [e["key"] for e in every[:8]] for name, every in lists_by_task(task, whole(metrics, rows)).items()
    }
    assert {name: [e["key"] for e in found[:8]] for name, found in metrics.lists(examples).items()} == expected


def whole(metrics: Any, rows: Any) -> list[dict[str, Any]]:
    """Return every row as an example, one by one."""
    return [example for i in range(len(rows)) for example in metrics.examples(rows.slice(i, 1))]


@pytest.mark.parametrize("task", ["labels", "value"])
def test_failed_rows_or_none_give_nothing(task: Any) -> None:
    metrics: Any = LABELS if task == "labels" else VALUES
    failed = label_row("x", ["cat"], None) if task == "labels" else value_row("x", 1.0, None)
    assert metrics.examples(table(task, [failed])) == metrics.examples(table(task, [])) == []
