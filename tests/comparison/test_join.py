"""Partners are found whatever the order: as a dictionary finds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.comparison.join import Stream, pairs
from pipeline.comparison.names import relative_names


def tables(texts: Sequence[str | None], size: int) -> Iterator[pa.Table]:
    for start in range(0, len(texts), size):
        own = texts[start : start + size]
        yield pa.table(
            {
                "on": pa.array(own, pa.large_string()),
                "row": np.arange(start, start + len(own)),
                "ok": pa.array([text != "" for text in own]),
            }
        )


def join(
    a: Sequence[str | None], b: Sequence[str | None], are_unique: bool, step: int
) -> tuple[set[tuple[int, int]], Stream, Stream]:
    streams = Stream(tables(a, 3)), Stream(tables(b, 4))
    found: list[tuple[int, int]] = []
    for some in pairs(*streams, are_unique=are_unique, step=step):
        assert len(some.a) == len(some.b) > 0
        assert some.a["on"].to_pylist() == some.b["on"].to_pylist()
        found += zip(some.a["row"].to_pylist(), some.b["row"].to_pylist(), strict=True)
    assert len(found) == len(set(found))
    return set(found), *streams


TEXTS = st.lists(st.integers(0, 60).map(str), max_size=60, unique=True)


@given(TEXTS, TEXTS, st.integers(1, 40))
def test_every_key_that_both_have_is_found_once(a: list[str], b: list[str], step: int) -> None:
    found, one, other = join(a, b, True, step)
    assert found == {(a.index(text), b.index(text)) for text in set(a) & set(b)}
    assert (one.read, other.read) == (len(a), len(b))
    for stream, own, others in ((one, a, b), (other, b, a)):
        waiting = {text for table in stream.waiting for text in table["on"].to_pylist()}
        assert waiting == set(own) - set(others)
        assert stream.rows == len(waiting)


NAMES = st.lists(st.one_of(st.none(), st.integers(0, 9).map(str)), max_size=30)


@given(NAMES, NAMES)
def test_of_equal_names_the_first_counts(a: list[str | None], b: list[str | None]) -> None:
    found, one, other = join(a, b, False, 1)
    assert found == {(a.index(text), b.index(text)) for text in set(a) & set(b) if text is not None}
    for stream, own in ((one, a), (other, b)):
        named = [text for text in own if text is not None]
        assert stream.doubled == len(named) - len(set(named))


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 9))
def test_key_that_comes_twice_never_counts_twice(a: list[str], b: list[str], step: int) -> None:
    found, one, other = join(a, b, True, step)
    assert len({x for x, _ in found}) == len({y for _, y in found}) == len(found)
    assert (one.rows, other.rows) == (len(a) - len(found), len(b) - len(found))


@pytest.mark.parametrize(("left_out", "most"), [("nothing", 0), ("7.png", 800)])
def test_runs_over_the_same_archive_keep_little_in_memory(left_out: str, most: int) -> None:
    """What one of them lacks waits to the end; so do as many rows of the other, which is read ahead by as much."""
    keys = [f"/archive/{i:05d}.png" for i in range(4_000)]
    a, b = Stream(tables(keys, 100)), Stream(tables([key for key in keys if not key.endswith(left_out)], 100))
    waiting = [a.rows + b.rows for _ in pairs(a, b, are_unique=True, step=400)]
    assert len(waiting) >= 5
    assert max(waiting) <= most


@pytest.mark.parametrize(
    ("key", "inputs", "name"),
    [
        ("/a/archive/x/1.png", ["/a/archive"], "x/1.png"),
        ("/a/archive/x/1.png", ["/a/archive/*/?.png"], "x/1.png"),
        ("gs://b/archive/ü \n.png", ["gs://b/archive"], "ü \n.png"),
        ("gs://b/1.png", ["gs://b"], "1.png"),
        ("/a/x.tar!d/1.png", ["/a/x.tar"], "x.tar!d/1.png"),
        ("/a/x.tfrecord#7", ["/a/*.tfrecord"], "x.tfrecord#7"),
        ("/elsewhere/1.png", ["/a/list.csv"], "/elsewhere/1.png"),
        ("/a/b/1.png", ["/a", "/a/b"], "1.png"),
        ("/ab/1.png", ["/a"], "ab/1.png"),
    ],
)
def test_name_is_what_lies_behind_the_folder_of_the_input(key: str, inputs: list[str], name: str) -> None:
    keys = pa.chunked_array([[key]], pa.large_string())
    assert relative_names(keys, inputs).to_pylist() == [name]
