"""Which label an image has: its own, its folder's, or none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import Failure
from pipeline.options import LabelSource
from pipeline.sources.labels import LabelRule, folder_of

CLASSES = ("cat", "dog", "7")
Own = int | str | None
Label = tuple[int | None, str | None]


def label(rule: LabelRule, own: Own, folder: str) -> Label:
    """Return the number and the name that one image gets."""
    columns = rule.columns(["key"], [own], [folder])
    assert columns.labels.dtype == np.int32
    return (int(columns.labels[0]) if columns.labelled[0] else None), columns.label_names[0]


@pytest.mark.parametrize(
    ("source", "own", "folder", "expected"),
    [
        ("auto", None, "dog", (1, "dog")),
        ("auto", None, "2024", (None, None)),
        ("auto", None, "", (None, None)),
        ("auto", 0, "dog", (0, "cat")),
        ("auto", "cat", "dog", (0, "cat")),
        ("auto", "cow", "dog", (None, "cow")),
        ("auto", "", "dog", (None, "")),
        ("auto", "7", "dog", (2, "7")),
        ("auto", 3, "dog", (3, None)),
        ("auto", -1, "dog", (-1, None)),
        ("from_directory", None, "dog", (1, "dog")),
        ("from_directory", 0, "dog", (1, "dog")),
        ("from_directory", "cat", "2024-11", (None, "2024-11")),
        ("none", None, "dog", (None, None)),
        ("none", 0, "dog", (None, None)),
        ("none", "cat", "dog", (None, None)),
    ],
)
def test_label_comes_from_where_the_source_says(source: LabelSource, own: Own, folder: str, expected: Label) -> None:
    assert label(LabelRule(CLASSES, source), own, folder) == expected


@pytest.mark.parametrize(
    ("offset", "own", "expected"),
    [
        (1, 1, (0, "cat")),
        (1, 3, (2, "7")),
        (1, 0, (-1, None)),
        (1, 4, (3, None)),
        (-1, -1, (0, "cat")),
        (0, 2**31 - 1, (2**31 - 1, None)),
        (0, 2**31, (2**31 - 1, None)),
        (0, 2**63 - 1, (2**31 - 1, None)),
        (0, -(2**63), (-(2**31), None)),
        (2**40, 2**40 + 2, (2, "7")),
    ],
)
def test_numbers_count_from_the_offset_and_stay_within_int32(offset: int, own: int, expected: Label) -> None:
    assert label(LabelRule(CLASSES, "auto", offset), own, "") == expected


def test_names_are_not_shifted_by_the_offset() -> None:
    assert label(LabelRule(CLASSES, "auto", 1), "cat", "") == (0, "cat")
    assert label(LabelRule(CLASSES, "auto", 1), None, "cat") == (0, "cat")


@given(
    st.sampled_from(["auto", "from_directory", "none"]),
    st.integers(-3, 3),
    st.lists(st.tuples(st.none() | st.integers(-(2**70), 2**70) | st.text(), st.sampled_from([*CLASSES, "x", ""]))),
)
def test_a_class_of_the_model_has_number_and_name_and_any_other_label_has_one_of_them(
    source: LabelSource, offset: int, images: list[tuple[Own, str]]
) -> None:
    keys = [str(i) for i in range(len(images))]
    columns = LabelRule(CLASSES, source, offset).columns(keys, [own for own, _ in images], [f for _, f in images])
    for number, labelled, name in zip(columns.labels, columns.labelled, columns.label_names, strict=True):
        if labelled and 0 <= number < len(CLASSES):
            assert name == CLASSES[number]
        else:
            assert not (labelled and name is not None)
            assert name not in CLASSES


def test_keys_and_failures_are_kept() -> None:
    gone = Failure("read", "NOT_FOUND", "gone")
    columns = LabelRule(CLASSES).columns(["a", "b"], [None, None], ["cat", "cat"], {1: gone})
    assert columns.keys == ["a", "b"]
    assert columns.failures == {1: gone}
    assert columns.label_names == ["cat", "cat"], "a failed image keeps its label"


@pytest.mark.parametrize(
    ("location", "folder"),
    [
        ("/data/cat/1.png", "cat"),
        ("/1.png", ""),
        ("gs://bucket/cat/1.png", "cat"),
        ("gs://bucket/1.png", "bucket"),
        ("/data/c at é/1.png", "c at é"),
        ("/data/\udcff/1.png", "�"),
    ],
)
def test_folder_is_the_name_of_what_holds_the_file(location: str, folder: str) -> None:
    assert folder_of(location) == folder
