"""Hashes as texts in a column: a round trip, in any layout in memory, and what is no hash is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.hash_texts import from_texts, to_texts

numbers = st.lists(st.none() | st.integers(0, 2**64 - 1), max_size=12)


@given(numbers, st.integers(0, 3), st.integers(1, 4))
def test_numbers_come_back_from_texts(values: list[int | None], left_out: int, pieces: int) -> None:
    known = np.array([value is not None for value in values], np.bool_)
    column = to_texts(np.array([value or 0 for value in values], np.uint64), known)
    assert column.to_pylist() == [None if value is None else f"{value:016x}" for value in values]
    rest = values[left_out:]
    cut = column[left_out:]
    chunked = pa.chunked_array([cut[i : i + pieces] for i in range(0, len(cut), pieces)], pa.string())
    for one in (cut, chunked):
        hashes, there = from_texts(one)
        assert (hashes.dtype, there.dtype) == (np.uint64, np.bool_)
        assert there.tolist() == [value is not None for value in rest]
        assert hashes.tolist() == [value or 0 for value in rest]


@pytest.mark.parametrize("text", ["", "12", "0" * 17, "0" * 15 + "g", "0" * 14 + "  ", "é" * 8])
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no text of 16 hex digits"):
        from_texts(pa.array([None, "0" * 16, text]))
