"""Which label an image has: its own, its folder's, or none."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import Failure
from pipeline.options import LabelSource
from pipeline.sources.label_values import MISSING
from pipeline.sources.labels import LabelRule, as_label, folder_of
from pipeline.task import Task

CLASSES = ("cat", "dog", "7")
Own = int | float | str | list[Any] | None
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
        ("auto", "NaN", "dog", (None, None)),
        ("auto", "", "dog", (None, None)),
        ("auto", [], "dog", (None, None)),
        ("auto", "NaN", "x", (None, None)),
        ("auto", "7", "dog", (2, "7")),
        ("auto", 3, "dog", (3, None)),
        ("auto", -1, "dog", (-1, None)),
        ("auto", 0.5, "dog", (None, "0.5")),
        ("auto", [0], "dog", (0, "cat")),
        ("auto", [0, 1, 0], "x", (1, "dog")),
        ("auto", [0, 1, 1], "x", (None, "[0, 1, 1]")),
        ("auto", [0, 1], "x", (None, "[0, 1]")),
        ("auto", 7, "x", (2, "7")),
        ("auto", "7.0", "x", (2, "7")),
        ("auto", ["cat", "dog"], "dog", (None, '["cat", "dog"]')),
        ("auto", "cat|dog", "dog", (None, "cat|dog")),
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


def names_of(own: Own, folder: str = "", source: LabelSource = "auto", offset: int = 0) -> Any:
    """Return the names of the labels that one image gets from a model of labels."""
    columns = LabelRule(CLASSES, source, offset, "labels").columns(["key"], [own], [folder])
    assert columns.label_lists is not None
    assert columns.labelled[0] == (columns.label_lists[0] is not None)
    assert (columns.label_names, columns.labels.tolist()) == ([None], [0])
    return columns.label_lists[0]


@pytest.mark.parametrize(
    ("own", "names"),
    [
        (None, None),
        ([], []),
        ("[]", []),
        ("|", ["|"]),
        ("cat", ["cat"]),
        ("cat|dog", ["cat", "dog"]),
        (" dog | cat |", ["dog", "cat"]),
        ('["cat", 1]', ["cat", "dog"]),
        ("[cat", ["[cat"]),
        (["cat", "cow", "cat"], ["cat", "cow"]),
        ([0, "7", 2], ["cat", "7"]),
        ("7", ["7"]),
        ("1", ["dog"]),
        (1, ["dog"]),
        ([0, 0, 1], ["7"]),
        ([0, 0, 1, 1], ["cat", "dog"]),
        ("NaN", None),
        (["cat", "NaN"], ["cat"]),
        ([3, -1], ["#3", "#-1"]),
        ([0.5, "0.5"], ["0.5"]),
        ({"a": 1}, ['{"a": 1}']),
        ([["cat"], None, ""], ["cat"]),
        ([["cat", 1], None, ""], ["cat", "dog"]),
        ([["cat", 1], "cow"], ['["cat", 1]', "cow"]),
    ],
)
def test_labels_are_any_number_of_names_and_numbers(own: Any, names: list[str] | None) -> None:
    assert names_of(as_label(own)) == names


def test_labels_come_from_where_the_source_says() -> None:
    assert names_of(None, "dog") == ["dog"]
    assert names_of(None, "2024") is None
    assert names_of("cat", "2024", "from_directory") == ["2024"]
    assert names_of("cat", "dog", "none") is None


def test_number_outside_the_classes_is_never_called_as_a_class_is() -> None:
    classes = [str(i) for i in range(10)] + ["#0"]
    columns = LabelRule(classes, offset=1, task="labels").columns(["a"], [[0, 1, 11]], [""])
    assert columns.label_lists == [["##0", "0", "#0"]]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([0, 1, 1], ["dog", "7"]),
        ([0.0, 1.0, 0.0], ["dog"]),
        ([0, 0, 0], []),
        ([0, 2, 1], ["cat", "7", "dog"]),
        ([1, 0], ["dog", "cat"]),
        ([1], ["dog"]),
        (["cat", "dog"], ["cat", "dog"]),
        (["cat"], ["cat"]),
        ([], []),
        (None, None),
    ],
)
@pytest.mark.parametrize("offset", [0, 1])
def test_vector_of_zeros_and_ones_one_a_class_has_a_one_for_each_label(
    values: Any, names: list[str] | None, offset: int
) -> None:
    is_vector = values is not None and len(values) == 3 and set(values) <= {0, 1}
    if not is_vector and values:
        values = [value + offset if isinstance(value, int) else value for value in values]
    assert names_of(as_label(values), offset=offset) == names


@pytest.mark.parametrize(
    ("own", "value"),
    [
        (None, None),
        (7, 7.0),
        (-0.5, -0.5),
        ("-1.5e3", -1500.0),
        ("+.5", 0.5),
        ("7.", 7.0),
        ("", None),
        ("nan", None),
        ("[7.5]", 7.5),
        ("inf", math.nan),
        ("1e999", math.nan),
        ("1_000", math.nan),
        ("0x10", math.nan),
        ("٣", math.nan),
        ("7 years", math.nan),
        (10**400, math.nan),
        (float("inf"), math.nan),
        ([7], 7.0),
        ([7, 8], math.nan),
        ("1|2", math.nan),
        (True, math.nan),
    ],
)
def test_value_is_a_number_and_what_is_none_is_counted(own: Any, value: float | None) -> None:
    columns = LabelRule((), task="value").columns(["key"], [as_label(own)], ["37"])
    assert columns.label_values is not None
    assert columns.label_values.dtype == np.float64
    assert columns.labelled[0] == (value is not None)
    np.testing.assert_array_equal(columns.label_values[0], math.nan if value is None else value)


def test_value_is_the_folders_name_only_if_asked_for() -> None:
    for source, expected in (("auto", False), ("from_directory", True), ("none", False)):
        columns = LabelRule((), source, task="value").columns(["a"], [None], ["37"])  # type: ignore[arg-type]
        assert columns.labelled[0] == expected


def test_embedding_has_no_labels() -> None:
    gone = Failure("read", "NOT_FOUND", "gone")
    columns = LabelRule((), "from_directory", task="embedding").columns(["a", "b"], ["x", 1], ["x", "y"], {0: gone})
    assert not columns.labelled.any()
    assert columns.failures == {0: gone}
    assert (columns.label_lists, columns.label_values) == (None, None)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


def is_nothing(label: Any, task: Task) -> bool:
    """Return whether a label says that there is none; of a model of labels, an empty list says more."""
    if label is None or isinstance(label, str):
        return label is None or label in MISSING
    if task == "labels" or not isinstance(label, list):
        return False
    return label == [] or (task == "classes" and len(label) == 1 and is_nothing(label[0], task))


@given(anything, st.sampled_from(["classes", "labels", "value", "embedding"]), st.integers(-2, 2))
def test_whatever_an_archive_says_becomes_a_label_or_is_counted(value: Any, task: Task, offset: int) -> None:
    label = as_label(value)
    assert as_label(json.loads(json.dumps(label))) == label, "a plan holds it"
    columns = LabelRule(CLASSES if task in ("classes", "labels") else (), "auto", offset, task).columns(
        ["key"], [label], [""]
    )
    is_there = {
        "classes": bool(columns.labelled[0]) or columns.label_names[0] is not None,
        "labels": columns.label_lists is not None and columns.label_lists[0] is not None,
        "value": bool(columns.labelled[0]),
        "embedding": False,
    }[task]
    is_spelled = "[" in str(label[0] if isinstance(label, list) and label else label)  # an array in a text may be empty
    assert is_there == (task != "embedding" and not is_nothing(label, task)) or is_spelled
    for name in (columns.label_lists or [[]])[0] or ():
        name.encode()
