"""Thresholds: counts by score that merge, and what accepting from a score on means, against a naive count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.metrics.acceptance import (
    BINS,
    EDGES,
    AcceptedCounts,
    ScoreCounts,
    bins_of,
    compute,
    is_accepted,
    lowest_score,
)
from pipeline.metrics.proportions import wilson

NAMES = ["a", "b", "c"]


score = st.floats(0, 1, width=32) | st.sampled_from([float(edge) for edge in EDGES])
row = st.tuples(st.booleans(), st.none() | st.integers(0, 2), st.integers(0, 2), score)
Rows = list[tuple[bool, int | None, int, float]]


def table(rows: Rows) -> pa.Table:
    """Return rows of (whether it was scored, label, predicted class, score)."""
    columns: dict[str, Any] = {
        "status": pa.array(["ok" if ok else "failed" for ok, *_ in rows], pa.string()),
        "label": pa.array([label for _, label, *_ in rows], pa.int32()),
        "label_score": pa.array([0.5 if ok and label is not None else None for ok, label, *_ in rows], pa.float32()),
        "predicted": pa.array([guess if ok else None for ok, _, guess, _ in rows], pa.int32()),
        "score": pa.array([value if ok else None for ok, *_, value in rows], pa.float32()),
    }
    return pa.table(columns)


def test_edges_rise_and_an_edge_is_in_its_own_bin() -> None:
    assert (np.diff(EDGES) > 0).all()
    assert bins_of(EDGES).tolist() == list(range(BINS))
    below = np.nextafter(EDGES[1:], np.float32(0))
    assert bins_of(below).tolist() == list(range(BINS - 1))
    assert all(np.float32(float(f"{edge:.4f}")) == edge for edge in EDGES), "a score in a report is the edge itself"


@settings(max_examples=30)
@given(st.lists(st.lists(row, max_size=8), max_size=5))
def test_counts_of_parts_merge_to_those_of_all(parts: list[Rows]) -> None:
    whole = ScoreCounts.of(table([one for part in parts for one in part]))
    merged = ScoreCounts.merge_all(ScoreCounts.of(table(part)) for part in parts)
    assert whole.counts.codes.tolist() == merged.counts.codes.tolist()
    assert whole.counts.counts.tolist() == merged.counts.counts.tolist()


@settings(max_examples=30)
@given(st.lists(row, max_size=30), st.integers(0, BINS - 1))
def test_a_row_of_the_table_says_what_accepting_means(rows: Rows, at: int) -> None:
    figures = compute(ScoreCounts.of(table(rows)), NAMES, 0.9)
    t = np.float32(figures["rows"][at]["score"])
    scored = [one for one in rows if one[0]]
    taken = [one for one in scored if np.float32(one[3]) >= t]
    left = [one for one in scored if np.float32(one[3]) < t]
    labelled = [one for one in taken if one[1] is not None]
    right = sum(label == guess for _, label, guess, _ in labelled)
    found = figures["rows"][at]
    assert (found["images"], found["labelled"], found["left"]) == (len(taken), len(labelled), len(left))
    assert found["left_mistakes"] == sum(label is not None and label != guess for _, label, guess, _ in left)
    assert found["accuracy"] == (right / len(labelled) if labelled else None)
    accepted = is_accepted(table(rows), float(t))
    assert AcceptedCounts.of(table(rows), accepted).figures(float(t), None) == {
        "score": float(t),
        "wanted_accuracy": None,
        **{name: found[name] for name in ("images", "labelled", "accuracy", "accuracy_interval_95")},  # type: ignore[literal-required]
        "left": found["left"],
        "left_mistakes": found["left_mistakes"],
    }


@settings(max_examples=30)
@given(st.lists(row, max_size=40), st.sampled_from([0.2, 0.5, 0.9]))
def test_lowest_score_is_the_first_at_which_the_lower_bound_holds(rows: Rows, wanted: float) -> None:
    figures = compute(ScoreCounts.of(table(rows)), NAMES, wanted)
    fits = [one["score"] for one in figures["rows"] if (one["accuracy_interval_95"] or [0])[0] >= wanted]
    assert figures["score"] == min(fits, default=None)


def test_thresholds_of_classes_count_the_images_predicted_as_each() -> None:
    rows: Rows = (
        [(True, 0, 0, 0.99)] * 400 + [(True, 1, 0, 0.4)] * 50 + [(True, 2, 2, 0.8)] * 3 + [(True, None, 1, 0.3)]
    )
    first, second, third = compute(ScoreCounts.of(table(rows)), NAMES, 0.98)["per_class"]
    assert (first["class"], first["images"], first["mistakes"], first["accepted"]) == ("a", 450, 50, 400)
    assert first["score"] == 0.41
    assert first["accuracy"] == 1.0
    assert first["left_mistakes"] == 50
    assert (second["class"], second["score"], second["accepted"]) == ("c", None, 0), "three right ones prove little"
    assert (third["class"], third["images"], third["score"]) == ("b", 1, None)


def test_nothing_labelled_gives_no_score() -> None:
    counts = ScoreCounts.of(table([(True, None, 0, 0.9)] * 5))
    figures = compute(counts, NAMES, 0.5)
    assert figures["score"] is None
    assert figures["rows"][90] == {
        "score": 0.9, "images": 5, "share": 1.0, "labelled": 0, "accuracy": None, "accuracy_interval_95": None,
        "left": 0, "left_mistakes": 0,
    }  # fmt: skip


def test_lowest_score_of_many_is_where_wilson_says() -> None:
    counts = np.zeros((3, BINS), np.int64)
    counts[0, 50], counts[1, 50], counts[0, 99], counts[1, 99] = 1_000, 100, 990, 3
    bounds = wilson(990, 993)
    assert bounds is not None
    assert lowest_score(counts, bounds[0]) == 51
    assert lowest_score(counts, bounds[0] + 1e-9) is None
