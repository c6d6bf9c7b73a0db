"""Images that are there more than once, against a dictionary of hashes."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.duplicates import copies, hashed, label_texts


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=40))
def test_groups_are_those_of_a_dictionary(images: list[tuple[int, int]]) -> None:
    found = copies(np.array([h for h, _ in images], np.uint64), np.array([label for _, label in images], np.uint64))
    groups: dict[int, list[int]] = defaultdict(list)
    for i, (h, _) in enumerate(images):
        groups[h].append(i)
    wanted = {tuple(places) for places in groups.values() if len(places) > 1}
    spans = list(zip(found.starts[:-1].tolist(), found.starts[1:].tolist(), strict=True))
    assert {tuple(found.places[a:b].tolist()) for a, b in spans} == wanted
    assert len(spans) == len(wanted)
    for (a, b), conflict in zip(spans, found.conflicts.tolist(), strict=True):
        labels = {images[i][1] for i in found.places[a:b].tolist()} - {0}
        assert conflict == (len(labels) > 1)
    order = [(not conflict, a - b) for (a, b), conflict in zip(spans, found.conflicts.tolist(), strict=True)]
    assert order == sorted(order), "contradictions first, then the larger groups"


def test_hashes_are_numbers_and_rows_without_one_are_left_out() -> None:
    rows = pa.table(
        {
            "label": pa.array([1, None, None, 2], pa.int32()),
            "label_name": ["cat", "cow", None, None],
            "pixel_hash": ["00000000000000ff", None, "ffffffffffffffff", "8000000000000000"],
        }
    )
    found = hashed(rows, "classes")
    assert found.rows.tolist() == [0, 2, 3]
    assert found.hashes.tolist() == [255, 2**64 - 1, 2**63]
    assert found.labels[1] == 0
    assert len(set(found.labels.tolist())) == 3


def test_a_label_is_text_whatever_the_task() -> None:
    names = pa.table({"label": pa.array([3, None], pa.int32()), "label_name": pa.array([None, "cow"], pa.string())})
    assert label_texts(names, "classes") == ["3", "cow"]
    lists = pa.table({"label_names": pa.array([["b", "a"], [], None], pa.list_(pa.string()))})
    assert label_texts(lists, "labels") == ["a, b", "", None]
    values = pa.table({"label_value": pa.array([1.5, None], pa.float64())})
    assert label_texts(values, "value") == ["1.5", None]
    assert label_texts(values, "embedding") == [None, None]
