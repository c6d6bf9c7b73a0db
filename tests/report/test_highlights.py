"""What a person should look at first: each rule speaks where it should, and is silent otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from example_nights import Night, empty_night, night

from pipeline.formatting import percent
from pipeline.report.highlights import CLASSES, look_first


@pytest.fixture
def calm() -> Night:
    """A night in which nothing stands out."""
    return night()


def pointers(some: Night) -> list[tuple[str, str]]:
    return [(pointer.section, pointer.text) for pointer in look_first(some.figures, some.record, CLASSES)]


def test_calm_night_has_nothing_to_look_at(calm: Night) -> None:
    assert pointers(calm) == []


def test_nothing_at_all_is_said() -> None:
    assert [section for section, _ in pointers(empty_night())] == ["ran"]


@pytest.mark.parametrize(("units", "text"), [(1, "1 work unit is unfinished"), (1_200, "1,200 work units are")])
def test_unfinished_units_come_first(calm: Night, units: int, text: str) -> None:
    calm.record["unfinished_units"] = units
    calm.figures["unknown_labels"] = 2
    assert pointers(calm)[0][0] == "next"
    assert pointers(calm)[0][1].startswith(text)
    assert len(pointers(calm)) == 2


def test_reasons_of_many_failures_are_told_the_most_frequent_first(calm: Night) -> None:
    calm.figures["failures"] = [
        {"stage": "predict", "code": "INTERNAL", "images": 9},
        {"stage": "read", "code": "NOT_FOUND", "images": 10},
        {"stage": "preprocess", "code": "INVALID_ARGUMENT", "images": 300},
    ]
    assert pointers(calm) == [
        ("failures", "300 images (3.00\xa0%) are not decodable (broken, cut short, or no image at all)"),
        ("failures", "10 images (0.10\xa0%) are not found"),
    ]


def test_class_that_is_surely_much_worse_is_named(calm: Night) -> None:
    calm.figures["per_class"][7] |= {"recall": 0.80, "support": 1_000}
    overall = percent(calm.figures["accuracy"])
    assert pointers(calm) == [("classes", f"Of class “class 7” only 80.00\xa0% are recognized, of all {overall}")]
    calm.figures["per_class"][3] |= {"recall": 0.70, "support": 1_000}
    assert pointers(calm)[0][1].startswith("Of class “class 3” only 70.00\xa0% are recognized")
    assert pointers(calm)[0][1].endswith("; 1 more class like it")


def test_class_of_few_images_is_not_accused(calm: Night) -> None:
    calm.figures["per_class"][7] |= {"recall": 0.80, "support": 5}
    assert pointers(calm) == []


@pytest.mark.parametrize(("high", "stands_out"), [(0.97, True), (0.9795, False)])
def test_slice_whose_interval_lies_below_that_of_all_is_named(calm: Night, high: float, stands_out: bool) -> None:
    low, _ = calm.figures["accuracy_interval_95"]
    assert 0.97 < low < 0.9795
    worse: dict[str, Any] = {"accuracy": 0.95, "accuracy_interval_95": [0.9, high]}
    calm.figures["folders"]["slices"][2] |= worse
    calm.figures["inputs"].append({**calm.figures["inputs"][0], "input": "/other", **worse})
    assert [section for section, _ in pointers(calm)] == (["inputs", "folders"] if stands_out else [])
    if stands_out:
        assert pointers(calm)[0][1].startswith("In input “/other” the accuracy is only 95.00\xa0%")
        assert pointers(calm)[1][1].startswith("In folder “archive: 2” the accuracy is only 95.00\xa0%")


@pytest.mark.parametrize(
    ("folder", "labelled", "sections"),
    [
        ("/archive/class 7", 1_000, ["classes"]),
        ("/archive.zip!test/class 7/", 200, ["classes"]),
        ("/archive/class 7", 1_001, ["classes", "folders"]),
        ("/archive/class 8", 1_000, ["classes", "folders"]),
        ("/archive/class 7/dark", 100, ["classes", "folders"]),
    ],
    ids=["its folder", "a part of it", "more than it", "the folder of another", "a folder within it"],
)
def test_folder_of_a_class_that_is_named_is_not_named_again(
    calm: Night, folder: str, labelled: int, sections: list[str]
) -> None:
    calm.figures["per_class"][7] |= {"recall": 0.80, "support": 1_000}
    calm.figures["folders"]["slices"][2] |= {
        "folder": folder, "labelled": labelled, "accuracy": 0.8, "accuracy_interval_95": [0.77, 0.82],
    }  # fmt: skip
    assert [section for section, _ in pointers(calm)] == sections


def test_input_that_is_named_is_not_named_again_as_a_folder(calm: Night) -> None:
    worse: dict[str, Any] = {"accuracy": 0.95, "accuracy_interval_95": [0.9, 0.97]}
    calm.figures["inputs"].append({**calm.figures["inputs"][0], "input": "/other/", **worse})
    calm.figures["folders"]["slices"][2] |= {"folder": "/other", **worse}
    assert [section for section, _ in pointers(calm)] == ["inputs"]


@pytest.mark.parametrize(("psi", "stands_out"), [(0.26, True), (0.25, False), (None, False)])
@pytest.mark.parametrize("against", [0, 1])
@pytest.mark.parametrize("what", ["classes", "confidence"])
def test_large_drift_stands_out(calm: Night, psi: float | None, stands_out: bool, against: int, what: str) -> None:
    calm.record["drift"][against][what]["psi"] = psi
    assert [section for section, _ in pointers(calm)] == ["drift"] * stands_out
    if stands_out:
        assert ("training data", "run before")[against] in pointers(calm)[0][1]


@pytest.mark.parametrize(("then", "stands_out"), [([0.99, 0.995], True), ([0.97, 0.99], False), (None, False)])
@pytest.mark.parametrize("name", ["training", "previous"])
def test_accuracy_that_has_fallen_stands_out(
    calm: Night, name: str, then: list[float] | None, stands_out: bool
) -> None:
    interval = {"training": "test_accuracy_interval_95", "previous": "accuracy_interval_95"}[name]
    calm.record[name][interval] = then
    assert [section for section, _ in pointers(calm)] == ["drift"] * stands_out


def test_nothing_to_compare_with_is_no_reason_to_speak(calm: Night) -> None:
    calm.record |= {"training": None, "previous": None, "drift": []}
    assert pointers(calm) == []


@pytest.mark.parametrize(("error", "stands_out"), [(0.051, True), (0.05, False), (None, False)])
def test_bad_calibration_is_told_with_its_side(calm: Night, error: float | None, stands_out: bool) -> None:
    calm.figures["expected_calibration_error"] = error
    calm.figures["calibration"] = [{"images": 10, "confidence": 0.9, "accuracy": 0.5}]
    assert [section for section, _ in pointers(calm)] == ["scores"] * stands_out
    if stands_out:
        assert pointers(calm)[0][1] == "The scores are too high: they miss the accuracy by 5.10\xa0% on average"
        calm.figures["calibration"] = [{"images": 10, "confidence": 0.5, "accuracy": 0.9}]
        assert pointers(calm)[0][1].startswith("The scores are too low")


def test_too_few_images_tell_nothing_of_calibration(calm: Night) -> None:
    calm.figures["calibration"] = [{"images": 1, "confidence": 0.9, "accuracy": 1.0}]
    calm.figures |= {"expected_calibration_error": 0.1, "accuracy_interval_95": [0.21, 1.0]}
    assert "scores" not in dict(pointers(calm))


def test_unknown_labels_are_told(calm: Night) -> None:
    calm.figures["unknown_labels"] = 1
    assert pointers(calm) == [("classes", "1 image has a label that is no class of the model")]


def test_hostile_name_is_cut_and_harmless(calm: Night) -> None:
    calm.figures["per_class"][7] |= {"recall": 0.5, "support": 1_000, "class": "\x1b[2J" + "n" * 10_000}
    ((_, text),) = pointers(calm)
    assert len(text) < 200
    assert r"\x1b[2J" in text
