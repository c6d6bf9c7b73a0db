"""This night beside others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import MakeRun

from pipeline.metrics.accuracy import HISTOGRAM_BINS, Metrics
from pipeline.metrics.drift import compare, night_of, psi
from pipeline.output.finish import previous_of
from pipeline.output.records import night_before, training_of

NIGHT = {"accuracy": 0.5, "accuracy_interval_95": [0.4, 0.6], "predicted": {"a": 900, "b": 100}}
NIGHT |= {"confidence_histogram": [0] * 19 + [1_000], "labelled": 10}


def test_night_counts_what_was_predicted_with_and_without_labels() -> None:
    metrics = Metrics(
        images=9,
        scored=8,
        labelled=5,
        correct=4,
        confusion={(0, 0): 4, (0, 2): 1},
        unlabelled={2: 3},
        confidence={19: 8},
    )
    night = night_of(metrics, ["a", "b", "c"])
    assert night["predicted"] == {"a": 4, "c": 4}
    assert (night["accuracy"], night["labelled"]) == (0.8, 5)
    assert night["confidence_histogram"] == [0] * 19 + [8]
    assert len(night["confidence_histogram"]) == HISTOGRAM_BINS


@pytest.mark.parametrize(("shift", "low", "high"), [(0, 0.0, 0.001), (60, 0.01, 0.1), (200, 0.1, 0.25), (300, 0.25, 2)])
def test_index_grows_with_the_shift(shift: int, low: float, high: float) -> None:
    index = psi({"a": 500 + shift, "b": 500 - shift}, {"a": 5_000, "b": 5_000})
    assert index is not None
    assert low <= index < high


def test_index_is_symmetric_and_takes_a_class_that_one_of_them_lacks() -> None:
    one, other = {"a": 800, "b": 200}, {"a": 500, "c": 500}
    assert psi(one, other) == psi(other, one)
    assert (psi(one, other) or 0) > 1


def test_few_images_of_many_classes_say_nothing() -> None:
    few = {str(i): 1 for i in range(100)}
    assert psi(few, {str(i): 1_000 for i in range(100)}) is None
    assert psi({}, {"a": 1_000}) is None
    assert psi({"a": 1_000}, {}) is None


def test_night_is_compared_with_the_training_and_with_the_night_before() -> None:
    facts = {"dataset": "x", "test_accuracy": 0.9, "test_accuracy_interval_95": [0.8, 1.0], "epochs": 5}
    facts |= {"images_per_class": {"a": 500, "b": 500}, "confidence_histogram": [0] * 19 + [1_000]}
    training = training_of(facts)
    assert training is not None
    assert "epochs" not in training
    against_training, against_before = compare(NIGHT, training, NIGHT)
    assert against_training["against"] == "training"
    assert against_training["classes"]["psi"] > 0.25
    assert against_training["classes"]["most_changed"] == [
        {"class": "a", "share": 0.9, "reference_share": 0.5},
        {"class": "b", "share": 0.1, "reference_share": 0.5},
    ]
    assert against_before == {
        "against": "previous",
        "classes": {"psi": 0.0, "most_changed": []},
        "confidence": {"psi": 0.0},
    }


def test_model_that_tells_nothing_of_its_training_is_compared_with_nothing() -> None:
    assert training_of({}) is None
    assert compare(NIGHT, None, None) == []
    assert compare(NIGHT, training_of({"dataset": "x"}), None) == []


def test_record_keeps_the_headline_of_a_training_of_another_task_and_only_where_it_is_told() -> None:
    told = {"test_exact_match": 0.5, "test_exact_match_interval_95": [0.4, 0.6], "test_mean_absolute_error": None}
    kept = training_of({"dataset": "x", **told})
    assert kept is not None
    assert {name: value for name, value in kept.items() if name.startswith("test_") and value is not None} == {
        "test_exact_match": 0.5,
        "test_exact_match_interval_95": [0.4, 0.6],
    }


def test_night_before_is_the_last_complete_run_that_can_be_read(make_run: MakeRun) -> None:
    run = make_run("x", name="run-5")
    runs = Path(run.output, "runs")
    runs.mkdir(parents=True)
    whole = {
        "run": "run-2",
        "model": "m",
        "started": "s",
        "verdict": {"exit_code": 0, "reasons": []},
        "complete": True,
        "night": NIGHT,
        "ended": "e",
        "images": 9,
        "failed": 1,
    }
    whole["images_per_second"] = 3.5
    (runs / "run-1.json").write_text(json.dumps({**whole, "run": "run-1"}))
    (runs / "run-2.json").write_text(json.dumps(whole))
    (runs / "run-3.json").write_text(json.dumps({**whole, "complete": False}))
    (runs / "run-4.json").write_text("{")
    (runs / "run-5.json").write_text(json.dumps({"verdict": None}))
    (runs / "run-6.json").write_text(json.dumps({**whole, "run": "run-6"}))
    assert night_before(run) == whole
    previous = previous_of(whole, "classes")
    assert previous == {
        "run": "run-2", "ended": "e", "images": 9, "failed": 1, "images_per_second": 3.5, "accuracy": 0.5,
        "accuracy_interval_95": [0.4, 0.6],
    }  # fmt: skip
    assert night_before(make_run("x", name="run-0")) is previous_of(None, "classes") is None
