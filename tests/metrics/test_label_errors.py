"""Confident learning from rows, against a naive loop after the paper."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_output import class_row

from pipeline.metrics.code_counts import CodeCounts
from pipeline.metrics.label_errors import LabelScores, confident_in, estimate
from pipeline.options import ScoreOptions
from pipeline.output.rows import row_schema

NAMES = ("a", "b", "c", "d")
SCHEMA = row_schema("classes", ScoreOptions(("a",), "m", "o"))


def random_rows(n: int, seed: int, k: int = 4) -> tuple[pa.Table, np.ndarray, list[int | None]]:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([0.4] * len(NAMES), n).astype(np.float32)
    labels = [None if rng.random() < 0.1 else int(rng.integers(0, 4)) for _ in range(n)]
    rows = [
        class_row(str(i), scores[i].tolist(), NAMES, None if c is None else NAMES[c], k) for i, c in enumerate(labels)
    ]
    return pa.Table.from_pylist(rows, SCHEMA), scores, labels


def naive(scores: np.ndarray, labels: list[int | None]) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the confident joint [label, class], and the suspects as (row, suggested class)."""
    means = np.full(4, np.inf)
    for c in range(4):
        own = [scores[i, c] for i, label in enumerate(labels) if label == c]
        if own:
            means[c] = np.mean(own, dtype=np.float64)
    joint, suspects = np.zeros((4, 4), int), []
    for i, label in enumerate(labels):
        if label is None:
            continue
        confident = [c for c in range(4) if scores[i, c] >= means[c]]
        if confident:
            best = max(confident, key=lambda c: scores[i, c])
            joint[label, best] += 1
            if best != label:
                suspects.append((i, best))
    return joint, suspects


@settings(max_examples=40)
@given(st.integers(0, 60), st.integers(0, 10**6))
def test_suspects_are_those_of_the_paper(n: int, seed: int) -> None:
    rows, scores, labels = random_rows(n, seed)
    thresholds = LabelScores.of(rows).thresholds(4)
    found = confident_in(rows, thresholds)
    joint, suspects = naive(scores, labels)
    assert found.joint.dense(16).reshape(4, 4).tolist() == joint.tolist()
    assert list(zip(found.rows.tolist(), found.suggested.tolist(), strict=True)) == suspects
    margins = [float(scores[i, labels[i]]) - float(scores[i, c]) for i, c in suspects]  # type: ignore[index]
    assert found.margins.tolist() == pytest.approx(margins, abs=1e-6)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 10**6))
@settings(max_examples=20)
def test_sums_of_parts_merge_to_those_of_all(n: int, m: int, seed: int) -> None:
    rows, *_ = random_rows(n + m, seed)
    merged = LabelScores.of(rows.slice(0, n)).merge(LabelScores.of(rows.slice(n)))
    assert merged.thresholds(4).tolist() == LabelScores.of(rows).thresholds(4).tolist()


def test_a_label_that_the_row_does_not_list_can_still_be_confident() -> None:
    rows, *_ = random_rows(200, 5, k=1)
    thresholds = np.full(4, 0.05)
    found = confident_in(rows, thresholds)
    listed = [row["top_k"][0]["label"] for row in rows.to_pylist()]
    assert all(found.suggested[i] == listed[row] for i, row in enumerate(found.rows.tolist()))
    alone = confident_in(rows, np.where(np.arange(4) == 2, 0.01, np.inf))
    assert set(alone.suggested.tolist()) <= {2}
    assert alone.joint.dense(16).reshape(4, 4)[2, 2] > 0


def test_estimate_scales_the_confident_shares_to_all_images() -> None:
    joint = CodeCounts(
        np.array([0, 1, 3]), np.array([80, 20, 50])
    )  # of two classes: 80 of 0 as 0, 20 as 1; 50 of 1 as 1
    number, (low, high) = estimate(joint, np.array([200, 50]))
    assert number == pytest.approx(40.0)
    reach = 1.959963984540054 * 200 * (0.2 * 0.8 / 100) ** 0.5
    assert (low, high) == (pytest.approx(40 - reach), pytest.approx(40 + reach))


def test_flipped_labels_are_found_and_their_number_is_estimated() -> None:
    rng = np.random.default_rng(0)
    n, wrong = 2_000, 60
    truth = rng.integers(0, 4, n)
    scores = np.full((n, 4), 0.02, np.float32)
    scores[np.arange(n), truth] = rng.uniform(0.7, 0.94, n)
    scores /= scores.sum(axis=1, keepdims=True)
    label = truth.copy()
    label[:wrong] = (truth[:wrong] + 1) % 4
    rows = pa.Table.from_pylist(
        [class_row(str(i), scores[i].tolist(), NAMES, NAMES[label[i]]) for i in range(n)], SCHEMA
    )
    sums = LabelScores.of(rows)
    found = confident_in(rows, sums.thresholds(4))
    assert set(found.rows.tolist()) <= set(range(wrong))
    assert len(found.rows) > 0.5 * wrong, "a class is confident of the half of its images that are above its mean"
    number, (low, high) = estimate(found.joint, sums.images.dense(4))
    assert low <= wrong <= high
    assert number == pytest.approx(wrong, rel=0.5)
