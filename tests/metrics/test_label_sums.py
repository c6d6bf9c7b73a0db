"""Models of labels: the laws of their sums, and their figures against scikit-learn's and plain loops."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from task_rows import NAMES, label_row, random_labels, table

from pipeline.metrics.labels import LabelSums, measure_labels
from pipeline.metrics.sums import Sums
from pipeline.metrics.task_metrics import LabelMetrics
from pipeline.metrics.tasks import count, read_sums

METRICS = LabelMetrics(NAMES, 3, (0.5, 0.5, 0.5, 0.5))

own_names = st.none() | st.lists(st.sampled_from([*NAMES, "gnu", ""]), max_size=4)
scores = st.none() | st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4)
counts = st.dictionaries(st.integers(0, 3), st.integers(0, 10**12), max_size=3)
any_sums = st.builds(
    LabelSums,
    failures=st.dictionaries(st.tuples(st.sampled_from(["read", "predict"]), st.just("A")), st.integers(0, 9)),
    **dict.fromkeys(("images", "scored", "labelled", "unknown_labels", "unknown_names", "correct"), st.integers(0, 99)),
    **dict.fromkeys(("true_positives", "false_positives", "false_negatives", "unlabelled", "names"), counts),
)


@st.composite
def any_rows(draw: st.DrawFn) -> pa.Table:
    """Rows with whatever labels, failures and scores."""
    images = draw(st.lists(st.tuples(own_names, scores), max_size=10))
    return table("labels", [label_row(f"/{i % 2}/{i}.png", *image) for i, image in enumerate(images)])


@given(any_sums, any_sums, any_sums)
def test_merge_is_associative_and_commutative_with_empty_as_identity(a: LabelSums, b: LabelSums, c: LabelSums) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(b) == b.merge(a)
    assert a.merge(LabelSums()) == a.merge(Sums()) == Sums().merge(a) == a


@given(any_sums)
def test_json_names_the_task_and_gives_back_what_was_written(a: LabelSums) -> None:
    content = json.loads(json.dumps(a.to_json()))
    assert content["task"] == "labels"
    assert read_sums(content) == a


@given(any_rows(), st.lists(st.integers(0, 10), max_size=3))
def test_measuring_parts_and_merging_is_measuring_the_whole(rows: pa.Table, cuts: list[int]) -> None:
    ends = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [rows.slice(start, stop - start) for start, stop in itertools.pairwise(ends)]
    merged = LabelSums()
    folders = METRICS.folders(rows.slice(0, 0))
    for part in parts:
        merged, folders = merged.merge(measure_labels(part, NAMES)), folders.merge(METRICS.folders(part))
    assert merged == measure_labels(rows, NAMES)
    assert folders == METRICS.folders(rows)


@given(any_rows())
def test_sums_are_those_of_a_plain_loop(rows: pa.Table) -> None:
    expected: dict[str, Any] = dict.fromkeys(("labelled", "unknown_labels", "unknown_names", "correct"), 0)
    hits = dict.fromkeys(NAMES, 0)
    for row in rows.to_pylist():
        own, unknown = set(row["label_names"] or ()), [name for name in row["label_names"] or () if name not in NAMES]
        expected["unknown_labels"] += bool(unknown)
        expected["unknown_names"] += len(unknown)
        known = own & set(NAMES)
        if row["status"] == "ok" and row["label_names"] is not None and (known or not own):
            expected["labelled"] += 1
            expected["correct"] += known == set(row["predicted_names"])
            for name in known & set(row["predicted_names"]):
                hits[name] += 1
    sums = measure_labels(rows, NAMES)
    assert {name: getattr(sums, name) for name in expected} == expected
    assert sums.true_positives == {c: hits[name] for c, name in enumerate(NAMES) if hits[name]}
    assert sum(sums.names.values()) == sum(sums.confidence.values()) == sums.scored
    whole = count(sums)
    assert sum(part.images for part in METRICS.folders(rows).slices.values()) == whole.images
    assert sum(part.correct for part in METRICS.folders(rows).slices.values()) == whole.correct  # type: ignore[union-attr]


def test_figures_are_those_of_scikit_learn() -> None:
    rows, own, predicted = random_labels(400)
    figures, theirs = METRICS.compute(METRICS.measure(rows)), sklearn.metrics.precision_recall_fscore_support
    for average in ("micro", "macro"):
        expected = theirs(own, predicted, average=average, zero_division=np.nan)
        assert list(figures[average].values()) == pytest.approx(expected[:3])
    by_class = theirs(own, predicted, zero_division=np.nan)
    for c, name in enumerate(("precision", "recall", "f1", "support")):
        ours = [np.nan if one[name] is None else one[name] for one in figures["per_class"]]
        assert ours == pytest.approx(by_class[c].tolist(), nan_ok=True)
    assert figures["exact_match"] == sklearn.metrics.accuracy_score(own, predicted)
    low, high = figures["exact_match_interval_95"]
    assert low < figures["exact_match"] < high


def test_class_without_images_has_no_figures_and_is_no_zero() -> None:
    figures = METRICS.compute(METRICS.measure(table("labels", [label_row("a", ["cat"], [1, 0, 0, 0])])))
    assert figures["per_class"][1] == {
        "class": "dog", "threshold": 0.5, "support": 0, "predicted": 0, "precision": None, "recall": None, "f1": None,
        "unlabelled": 0,
    }  # fmt: skip
    assert figures["macro"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}


def test_nothing_has_figures_that_are_null() -> None:
    figures = METRICS.compute(METRICS.measure(table("labels", [])))
    assert (figures["exact_match"], figures["exact_match_interval_95"], figures["micro"]["f1"]) == (None, None, None)
    assert figures["names_histogram"] == []


def test_image_known_to_have_no_label_counts_and_one_of_unknown_labels_only_does_not() -> None:
    rows = [
        label_row("none", [], [0, 0, 0, 0]),
        label_row("unknown", ["gnu"], [0, 0, 0, 0]),
        label_row("both", ["gnu", "cat"], [1, 0, 0, 0]),
        label_row("not labelled", None, [1, 1, 0, 0]),
    ]
    sums = measure_labels(table("labels", rows), NAMES)
    assert (sums.labelled, sums.correct, sums.unknown_labels, sums.unknown_names) == (2, 2, 2, 2)
    assert sums.unlabelled == {0: 1, 1: 1}
    assert sums.names == {0: 2, 1: 1, 2: 1}


def test_sums_of_two_tasks_are_not_mixed() -> None:
    from pipeline.metrics.accuracy import Metrics

    with pytest.raises(TypeError, match="'labels' and 'classes'"):
        LabelSums().merge(Metrics())
