"""Precision-recall and ROC curves from counts by score, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.metrics.acceptance import EDGES, bins_of
from pipeline.metrics.curves import CurveCounts, compute
from pipeline.output.row_columns import TOP_K

NAMES = ["a", "b", "c"]


def random_rows(n: int, seed: int, k: int = 3) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Return n rows, the probabilities of all classes [n, 3], and the labels [n], -1 for none."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([0.5] * 3, n).astype(np.float32)
    label = np.where(rng.random(n) < 0.2, -1, rng.integers(0, 3, n))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    top = [[{"label": int(c), "name": NAMES[c], "score": scores[i, c]} for c in order[i]] for i in range(n)]
    columns = {
        "label": pa.array([int(c) if c >= 0 else None for c in label], pa.int32()),
        "label_score": pa.array([scores[i, c] if c >= 0 else None for i, c in enumerate(label)], pa.float32()),
        "top_k": pa.array(top, TOP_K),
    }
    return pa.table(columns), scores, label


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(0, 10**6))
def test_areas_are_those_of_scikit_learn(n: int, seed: int) -> None:
    rows, scores, label = random_rows(n, seed)
    figures = compute(CurveCounts.of_classes(rows), NAMES, 3)
    assert figures["exact_from"] == 0.0
    known = label >= 0
    binned = EDGES[bins_of(scores)]
    assert {curve["class"] for curve in figures["classes"]} == {NAMES[c] for c in set(label[known].tolist())}
    for curve in figures["classes"]:
        c = NAMES.index(curve["class"])
        truth = label[known] == c
        assert curve["support"] == truth.sum()
        assert curve["average_precision"] == pytest.approx(average_precision_score(truth, binned[known, c]))
        if truth.all():
            assert curve["roc_auc"] is None
        else:
            assert curve["roc_auc"] == pytest.approx(roc_auc_score(truth, binned[known, c]))
        assert curve["recall"][-1] == 1.0
        assert sorted(curve["score"], reverse=True) == curve["score"]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 10**6))
@settings(max_examples=20)
def test_counts_of_parts_merge_to_those_of_all(n: int, m: int, seed: int) -> None:
    rows, _, _ = random_rows(n + m, seed, k=2)
    whole = CurveCounts.of_classes(rows)
    merged = CurveCounts.of_classes(rows.slice(0, n)).merge(CurveCounts.of_classes(rows.slice(n)))
    assert compute(whole, NAMES, 2) == compute(merged, NAMES, 2)


def test_of_few_listed_classes_the_curve_is_exact_above_the_score_that_none_left_out_has() -> None:
    rows, scores, label = random_rows(500, 3, k=1)
    figures = compute(CurveCounts.of_classes(rows), NAMES, 1)
    assert figures["exact_from"] == 0.5
    known = label >= 0
    for curve in figures["classes"]:
        c = NAMES.index(curve["class"])
        for t, recall, precision in zip(curve["score"], curve["recall"], curve["precision"], strict=True):
            if t >= figures["exact_from"]:
                taken = known & (scores[:, c] >= np.float32(t))
                assert recall == pytest.approx((taken & (label == c)).sum() / (label == c).sum(), abs=1e-4)
                assert precision == pytest.approx((taken & (label == c)).sum() / taken.sum(), abs=1e-4)


def test_labels_of_any_number_count_each_of_their_classes() -> None:
    def top(*pairs: tuple[int, float]) -> list[dict[str, object]]:
        return [{"label": c, "name": NAMES[c], "score": s} for c, s in pairs]

    rows = pa.table(
        {
            "status": ["ok", "ok", "failed", "ok"],
            "label_names": pa.array([["a", "c"], [], ["a"], None], pa.list_(pa.string())),
            "top_k": pa.array([top((0, 0.9), (1, 0.8)), top((0, 0.7), (1, 0.1)), None, top((0, 1.0))], TOP_K),
        }
    )
    figures = compute(CurveCounts.of_labels(rows, NAMES), NAMES, 2)
    a, c = sorted(figures["classes"], key=lambda curve: curve["class"])
    assert (a["class"], a["support"], a["average_precision"], a["roc_auc"]) == ("a", 1, 1.0, 1.0)
    assert (c["class"], c["support"], c["score"]) == ("c", 1, [0.0]), "its score is not known, so it counts as 0"
