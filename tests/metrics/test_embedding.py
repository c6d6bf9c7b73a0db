"""Models of an embedding: what is counted of it."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_rows import embedding_row, table

from pipeline.metrics.embedding import EmbeddingSums, measure_embeddings
from pipeline.metrics.task_metrics import EmbeddingMetrics
from pipeline.metrics.tasks import read_sums
from pipeline.task import Embedding

METRICS = EmbeddingMetrics()
vectors = st.none() | st.lists(st.floats(-100, 100, width=16), min_size=3, max_size=3)


def rows_of(drawn: list[list[float] | None], dtype: str = "float32") -> pa.Table:
    return table("embedding", [embedding_row(f"/a/{i}", v) for i, v in enumerate(drawn)], Embedding(3, dtype))  # type: ignore[arg-type]


@given(st.lists(vectors, max_size=9), st.integers(0, 9), st.sampled_from(["float32", "float16"]))
def test_measuring_parts_and_merging_is_measuring_the_whole(
    drawn: list[list[float] | None], cut: int, dtype: str
) -> None:
    rows = rows_of(drawn, dtype)
    one, other, whole = (measure_embeddings(part) for part in (rows.slice(0, cut), rows.slice(cut), rows))
    assert one.merge(other) == other.merge(one) == whole
    assert one.merge(EmbeddingSums()) == one
    assert read_sums(json.loads(json.dumps(whole.to_json()))) == whole
    assert whole.scored == whole.zeros + sum(whole.norms.values()) == len([v for v in drawn if v is not None])


def test_norms_are_binned_four_to_a_doubling() -> None:
    figures = METRICS.compute(METRICS.measure(rows_of([[3, 4, 0], [0, 0, 0], [0, 0, 1], None])))
    assert figures["zero_embeddings"] == 1
    assert [b["images"] for b in figures["norm_histogram"]] == [1, 1]
    assert figures["norm_histogram"][0]["from"] == 1.0
    assert figures["norm_histogram"][1]["from"] <= 5 < figures["norm_histogram"][1]["to"]
    assert figures["norm_histogram"][1]["to"] == pytest.approx(figures["norm_histogram"][1]["from"] * 2**0.25)


def test_longest_and_shortest_are_examples() -> None:
    examples = METRICS.examples(rows_of([[3, 4, 0], None, [0, 0, 0], [0, 0, 1]]))
    lists = METRICS.lists(examples)
    assert [e["key"] for e in lists["largest_norms"]] == ["/a/0", "/a/3", "/a/2"]
    assert [e["key"] for e in lists["smallest_norms"]] == ["/a/2", "/a/3", "/a/0"]
    assert [e["row"] for e in examples] == [0, 2, 3]
