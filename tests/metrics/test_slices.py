"""Folders: their sums, and which of them count together."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from conftest import SCHEMA
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics import slices
from pipeline.metrics.accuracy import Metrics
from pipeline.metrics.slices import Counts, Folders

NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@st.composite
def archives(draw: Any) -> Folders:
    images = draw(st.dictionaries(NAMES.map("/{}".format), st.integers(1, 9), max_size=5))
    return Folders({folder: Counts(n, n, n, 0, n // 2) for folder, n in images.items()}).merge(Folders())


@given(archives(), archives(), archives())
def test_merge_is_associative_and_commutative_with_an_identity(a: Folders, b: Folders, c: Folders) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "MOST_FOLDERS", 4)
        a, b, c = (one.merge(Folders()) for one in (a, b, c))
        assert a.merge(b).merge(c) == a.merge(b.merge(c))
        assert a.merge(b) == b.merge(a)
        assert a.merge(Folders()) == a
        whole = a.merge(b).merge(c)
        assert len(whole.slices) <= 4
        assert sum(n.images for n in whole.slices.values()) == sum(
            n.images for one in (a, b, c) for n in one.slices.values()
        )


def test_too_many_folders_count_with_those_above_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "MOST_FOLDERS", 3)
    deep = Folders({f"/data/{x}/{i}": Counts(1) for x in "ab" for i in range(2)}).merge(Folders({"/data": Counts(5)}))
    assert deep == Folders({"/data": Counts(5), "/data/a": Counts(2), "/data/b": Counts(2)}, depth=3)


def test_depth_is_the_deepest_at_which_there_are_not_too_many() -> None:
    many = Folders({f"/x/{i:03d}/y": Counts(1) for i in range(200)}).merge(Folders())
    assert (len(many.slices), many.depth) == (200, None)
    assert list(many.merge(Folders({"/x/new/y": Counts(1)})).slices.items()) == [("/x", Counts(201))]


def table(*rows: tuple[str, int | None, str | None, int | None]) -> pa.Table:
    """Rows of (key, label, its name, what is predicted; None: failed)."""
    nothing = dict.fromkeys(SCHEMA.names)
    return pa.Table.from_pylist(
        [
            {
                **nothing,
                "key": key,
                "label": label,
                "label_name": name,
                "predicted": predicted,
                "label_score": 0.5 if label is not None and name is not None and predicted is not None else None,
                "status": "failed" if predicted is None else "ok",
            }
            for key, label, name, predicted in rows
        ],
        SCHEMA,
    )


def test_rows_are_counted_where_they_lie() -> None:
    rows = table(
        ("/a/x/1.png", 1, "one", 1),
        ("/a/x/2.png", 1, "one", 2),
        ("/a/x/3.png", 1, "one", None),
        ("/a/y/3.png", None, "strange", 2),
        ("/a/y/4.png", None, None, 2),
        ("/a/t.tar!m/1.png", None, None, 2),
        ("/a/r.tfrecord#0", 2, "two", 2),
        ("/a/r.tfrecord#11", 99, None, 2),
    )
    assert Folders.of(rows).slices == {
        "/a/x": Counts(images=3, scored=2, labelled=2, unknown_labels=0, correct=1),
        "/a/y": Counts(images=2, scored=2, unknown_labels=1),
        "/a/t.tar!m": Counts(images=1, scored=1),
        "/a/r.tfrecord": Counts(images=2, scored=2, labelled=1, unknown_labels=1, correct=1),
    }
    assert Folders.of(rows.slice(0, 0)) == Folders()


def test_sums_survive_their_json() -> None:
    folders = Folders({"/a": Counts(3, 2, 1, 0, 1), "/b": Counts(1)}, depth=2)
    assert Folders.from_json(folders.to_json()) == folders


def test_figures_have_an_interval_where_there_are_labels() -> None:
    figures = Counts.of(Metrics(images=10, scored=9, labelled=8, correct=6, unknown_labels=1)).figures()
    low, high = figures.pop("accuracy_interval_95")
    assert low < 0.75 < high
    assert figures == {
        "images": 10, "scored": 9, "failed": 1, "labelled": 8, "unknown_labels": 1, "accuracy": 0.75,
    }  # fmt: skip
    assert Counts(images=2).figures()["accuracy"] is Counts(images=2).figures()["accuracy_interval_95"] is None
