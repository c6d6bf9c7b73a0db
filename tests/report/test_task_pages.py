"""report.html of models of labels, of a value, and of an embedding: it says what the figures are, and stands alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from example_nights import Night
from parsed_page import ParsedPage
from task_nights import TASK_NIGHTS, embeddings_night, labels_night, values_night

from pipeline import formatting
from pipeline.report.page import report


def percent(share: float) -> str:
    """Return a share as the text of a page has it, where all spaces are alike."""
    return formatting.percent(share).replace("\xa0", " ")


def parsed(night: Night) -> ParsedPage:
    return ParsedPage(report(*night.arguments))


@pytest.fixture(scope="module", params=TASK_NIGHTS.values(), ids=TASK_NIGHTS.keys())
def any_page(request: pytest.FixtureRequest) -> ParsedPage:
    return parsed(request.param())


@pytest.fixture(scope="module")
def labels() -> ParsedPage:
    return parsed(labels_night())


@pytest.fixture(scope="module")
def values() -> ParsedPage:
    return parsed(values_night())


def test_page_is_well_formed_small_and_needs_no_network(any_page: ParsedPage) -> None:
    assert any_page.unclosed == []
    assert len(any_page.source.encode()) < 2_000_000
    assert {link.partition(":")[0] for link in any_page.links if not link.startswith("#")} <= {"file"}
    assert {name for _, name, _ in any_page.attributes}.isdisjoint({"src", "srcset", "data", "action"})
    assert not [name for _, name, _ in any_page.attributes if name.startswith("on")]


def test_links_lead_somewhere_and_every_table_has_a_caption(any_page: ParsedPage) -> None:
    assert len(any_page.ids) == len(set(any_page.ids))
    assert {link[1:] for link in any_page.links if link.startswith("#")} <= set(any_page.ids)
    assert any_page.source.count("<table") == any_page.source.count("<caption")


def test_page_of_no_images_shows_no_figure_that_was_not_measured() -> None:
    for name in ("no labels", "no values", "no embeddings"):
        page = parsed(TASK_NIGHTS[name]())
        assert "There is no image in the result." in page.text
        assert not {"labels", "residuals", "predictions", "norms", "mistaken"} & set(page.texts)


def test_labels_have_a_row_each_with_threshold_precision_recall_and_f1(labels: ParsedPage) -> None:
    figures = labels_night().figures
    rows = labels.table("4 labels")
    assert rows[0] == ["label", "threshold", "have it", "predicted", "precision", "recall", "F1"]
    dog = next(c for c in figures["per_class"] if c["class"] == "dog")
    shown = [percent(dog[name]) for name in ("precision", "recall", "f1")]
    assert [row for row in rows if row[0] == "dog"] == [
        ["dog", "0.5", f"{dog['support']}", f"{dog['predicted'] + dog['unlabelled']}", *shown]
    ]


def test_summary_of_labels_says_how_many_are_exactly_right(labels: ParsedPage) -> None:
    figures = labels_night().figures
    assert f"{percent(figures['exact_match'])} got exactly their labels" in labels.text
    assert f"the mean F1 of the classes is {percent(figures['macro']['f1'])}" in labels.text
    assert "1 image has labels that are no classes of the model, 1 label in all" in labels.text
    assert "accuracy" not in labels.text.lower()


def test_most_mistaken_images_come_with_their_pictures(labels: ParsedPage) -> None:
    worst = labels_night().figures["most_mistaken"][0]
    assert f"{worst['mistakes']} mistakes" in labels.texts["mistaken"]
    assert worst["key"] in labels.texts["mistaken"].replace(" ", "")
    assert 'class="pic p' in labels.source


def test_values_have_their_errors_and_charts(values: ParsedPage) -> None:
    figures = values_night().figures
    assert f"off by {figures['mae']:.4g} on average; RMSE {figures['rmse']:.4g}, R² {figures['r2']:.4g}" in values.text
    assert "Predictions against labels" in values.source
    assert re.search(
        r"2 images more from \S+ to \S+ not drawn", values.source
    )  # the outlier is left out of the histogram, and this is said
    assert "1 image has a label that is no number" in values.text
    assert "9000" in values.texts["farthest"]


def test_folder_with_surely_larger_errors_stands_out() -> None:
    night = values_night()
    far = {"mae": 90.0, "mae_interval_95": [80.0, 100.0]}
    night.figures["folders"]["slices"][1] |= far
    page = parsed(night)
    assert "In folder “/a/1” the mean error is 90, of all" in page.text
    assert "larger" in page.texts["folders"]


def test_bias_and_a_useless_model_stand_out() -> None:
    night = values_night()
    night.figures |= {"r2": -0.5, "mean_error": 4.0, "mean_error_interval_95": [3.5, 4.5], "rmse": 6.0}
    text = parsed(night).text
    assert "R² is -0.5: the mean of the labels, for every image, would be nearer to them" in text
    assert "The predictions are too high by 4 on average" in text


@pytest.mark.parametrize(("make", "name"), [(labels_night, "exact_match"), (values_night, "mae")])
def test_result_that_is_surely_worse_than_before_stands_out(make: Any, name: str) -> None:
    night = make()
    better = [0.999, 1.0] if name == "exact_match" else [0.0, 0.001]
    night.figures[f"{name}_interval_95"] = [0.4, 0.6]
    night.record["previous"][f"{name}_interval_95"] = better
    word, worse = ("exact match", "lower") if name == "exact_match" else ("mean error", "larger")
    assert f"The {word} is {worse} than in the run before" in parsed(night).text
    night.record["previous"][f"{name}_interval_95"] = None
    assert "than in the run before" not in parsed(night).text


def test_label_that_is_surely_found_less_often_stands_out() -> None:
    night = labels_night()
    night.figures["per_class"][1] |= {"recall": 0.2, "support": 500}
    assert "Label “dog” is found in only 20.00 % of the images that have it" in parsed(night).text


def test_embeddings_of_zeros_stand_out() -> None:
    page = parsed(embeddings_night())
    assert "1 image has an embedding that is 0 everywhere" in page.text
    assert "41 images have an embedding." in page.text
    assert "/a/zero.png" in page.texts["unusual"].replace(" ", "")


def test_drift_of_predictions_is_told_with_both_means(values: ParsedPage) -> None:
    mean = f"{values_night().figures['mean_prediction']:.4g}"
    assert f"Mean prediction: {mean} here, {mean} there." in values.texts["drift"]
    assert re.search(r"Values: .*no change", values.texts["drift"])


@pytest.mark.parametrize(
    ("night", "headline", "interval", "shown", "pointer"),
    [
        (labels_night, "test_exact_match", [0.9999, 1.0], "99.99", "The exact match is lower than on the test images"),
        (values_night, "test_mean_absolute_error", [0.0, 1e-6], "0 to", "The mean error is larger than on the test"),
    ],
)
def test_training_has_a_row_and_stands_out_where_it_was_better(
    night: Any, headline: str, interval: list[float], shown: str, pointer: str
) -> None:
    made = night()
    if headline.endswith("error"):
        made.figures["mae_interval_95"] = [10.0, 46.0]
    made.record["training"] = {
        "dataset": "animals",
        "test_accuracy": None,
        "test_accuracy_interval_95": None,
        "images_per_class": None,
        "confidence_histogram": None,
        headline: interval[0],
        f"{headline}_interval_95": interval,
    }
    page = parsed(made)
    (row,) = (row for row in page.table("what it is compared with") if row[0].startswith("the test images"))
    assert row[0] == "the test images of the training on animals"
    assert row[-2].startswith(shown)
    assert pointer in page.text
