"""Receipts to a summary, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from conftest import MakeRun
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.metrics.accuracy import Metrics
from pipeline.metrics.cells import COLUMNS as CELL_COLUMNS
from pipeline.metrics.examples import OF_ARCHIVE, OF_UNIT
from pipeline.metrics.left_out import LeftOut
from pipeline.metrics.task_metrics import ClassMetrics
from pipeline.output.receipts import Extras, Receipt, Unfinished
from pipeline.output.summary import Summary, earlier_figures, figures
from pipeline.output.verdict import verdict

CODES = st.sampled_from([("read", "NOT_FOUND"), ("preprocess", "INVALID_ARGUMENT")])


@st.composite
def summaries(draw: Any) -> Summary:
    if draw(st.booleans()):
        unit = draw(st.text("abcdef0123456789", min_size=4, max_size=4))
        return Summary.of(Unfinished(unit, draw(st.integers(0, 9)), "HTTP 503"))
    keys = draw(st.lists(st.text("xyz", min_size=1, max_size=6), unique=True, max_size=6))
    examples = [mistake(k, draw(st.sampled_from([0.5, 0.9])), row=i) for i, k in enumerate(keys)]
    failures = [
        {"key": key, "stage": stage, "code": code, "message": "m", "row": 0}
        for key, (stage, code) in draw(st.lists(st.tuples(st.text("xyz", max_size=3), CODES), max_size=5))
    ]
    pictures = {i: key.encode() for i, key in enumerate(keys)}
    inside = draw(st.dictionaries(st.sampled_from(["junk", "other files"]), st.integers(1, 9)))
    left_out = LeftOut(inside, {reason: draw(st.text("xyz", min_size=1, max_size=3)) for reason in inside})
    extras = Extras(1.0, pictures, left_out=left_out)
    return Summary.of(Receipt("u", 3, 0, Metrics(images=3, scored=3), examples, failures, extras))


def mistake(key: str, score: float, row: int) -> dict[str, Any]:
    names = {"label_name": "a", "label_score": 1 - score, "predicted_name": "b"}
    return {"key": key, "label": 0, "predicted": 1, "row": row, "score": score, **names}


@given(summaries(), summaries(), summaries())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_merge_is_associative_and_commutative_with_an_identity(a: Summary, b: Summary, c: Summary) -> None:
    assert shown(a.merge(b).merge(c)) == shown(a.merge(b.merge(c)))
    assert shown(a.merge(b)) == shown(b.merge(a))
    assert shown(a.merge(Summary())) == shown(Summary().merge(a))


def shown(summary: Summary) -> Any:
    """The summary with equal examples in one order."""
    columns = (summary.examples, summary.cells, summary.failures, summary.unfinished_examples)
    order = [sorted(map(repr, column)) for column in columns]
    return (summary.units, summary.metrics, order, sorted(summary.thumbnails), summary.unfinished, summary.left_out)


def test_images_to_look_at_stay_with_their_pictures(make_run: MakeRun) -> None:
    summary = Summary()
    for i in range(50):
        receipt = Receipt(
            f"{i}", 1, 0, Metrics(images=1), [mistake(f"k{i:02d}", i / 50, 7)], [], Extras(0.0, {7: b"png"})
        )
        summary = summary.merge(Summary.of(receipt))
    content = figures(summary, make_run("x"))
    confident = [f"k{i:02d}" for i in range(49, 49 - OF_ARCHIVE.mistakes, -1)]
    assert [m["key"] for m in content["most_confident_mistakes"]] == confident
    assert "doubtful_labels" not in content, "review.json has the labels that look wrong"
    assert [m["key"] for m in content["confused"]] == confident[: OF_ARCHIVE.cell]
    assert [m["key"] for m in content["least_certain"]] == [f"k{i:02d}" for i in range(OF_ARCHIVE.uncertain)]
    assert set(summary.thumbnails) == {f"k{i:02d}" for i in (*range(24), *range(26, 50))}
    assert "row" not in content["least_certain"][0]


@pytest.mark.parametrize("units", [1, 2, 5])
def test_lists_end_where_a_receipt_may_lack_an_image(make_run: MakeRun, units: int) -> None:
    """Of 1,000 images of which every third is a mistake, each unit has its own range of scores."""
    metrics, run = ClassMetrics(("a", "b"), 2), make_run("x")
    every = [mistake(f"{i:04d}", ((i * 37) % 1000 + 1) / 1002, 0) for i in range(1_000)]
    every = [one if i % 3 else {**one, "label": 1, "label_name": "b"} for i, one in enumerate(every)]
    every.sort(key=lambda one: one["score"])
    summary = Summary()
    for unit in range(units):
        rows = every[unit * 1_000 // units : (unit + 1) * 1_000 // units]
        table = pa.Table.from_pylist([{**one, "status": "ok"} for one in rows]).drop_columns(["row"])
        receipt = Receipt(f"{unit}", len(rows), 0, Metrics(images=len(rows)), metrics.examples(table), [], Extras())
        summary = Summary.of(receipt).merge(summary)
    content = figures(summary, run)
    wrong = [one["key"] for one in reversed(every) if one["label"] != one["predicted"]]
    assert [one["key"] for one in content["least_certain"]] == [one["key"] for one in every[: OF_UNIT.uncertain]]
    assert [one["key"] for one in content["most_confident_mistakes"]] == wrong[: OF_UNIT.mistakes]
    assert len(earlier_figures(summary, run)["least_certain"]) == OF_ARCHIVE.uncertain


def test_figures_are_a_function_of_receipts_alone(make_run: MakeRun) -> None:
    receipt = Receipt(
        "u",
        2,
        0,
        Metrics(images=2, scored=2, labelled=2, correct=1, confusion={(1, 1): 1, (1, 2): 1}),
        [],
        [],
        Extras(3.0),
    )
    slow = Receipt("u", 2, 0, receipt.metrics, [], [], Extras(9.0), kept=True, rescored=1)
    run = make_run("x")
    assert figures(Summary.of(receipt), run) == figures(Summary.of(slow), run)
    assert figures(Summary.of(receipt), run)["accuracy"] == 0.5


def test_figures_have_a_slice_for_each_input_in_the_order_given(make_run: MakeRun) -> None:
    first = Receipt("u", 2, 0, Metrics(images=2, scored=2, labelled=2, correct=1), [], [], Extras(), input=1)
    second = Receipt("v", 3, 0, Metrics(images=3, scored=2, labelled=1, correct=1), [], [], Extras(), input=1)
    other = Receipt("w", 5, 0, Metrics(images=5, scored=5), [], [], Extras(), input=0)
    summary = Summary.of(first).merge(Summary.of(other)).merge(Summary.of(second))
    slices = figures(summary, make_run("/b", "/a", "/b", "/c"))["inputs"]
    shown = [(part["input"], part["images"], part["failed"], part["accuracy"]) for part in slices]
    assert shown == [("/b", 5, 0, None), ("/a", 5, 1, 2 / 3), ("/c", 0, 0, None)]


GOOD = Metrics(images=200, scored=199, labelled=100, correct=97, failures={("read", "NOT_FOUND"): 1})


@pytest.mark.parametrize(
    ("summary", "options", "planned", "lost", "code", "said"),
    [
        (Summary(1, metrics=GOOD), {}, 200, "", 0, None),
        (Summary(1, metrics=GOOD), {"max_failed_fraction": 0.004}, 200, "", 3, "1 of 200 images failed (0.50%)"),
        (Summary(1, metrics=GOOD), {"max_failed_fraction": 0.005}, 200, "", 0, None),
        (Summary(1, metrics=GOOD), {"max_failed_fraction": 0.0}, 200, "", 3, "--max_failed_fraction 0 allows"),
        (Summary(1, metrics=GOOD), {"min_accuracy": 0.97}, 200, "", 0, None),
        (Summary(1, metrics=GOOD), {"min_accuracy": 0.98}, 200, "", 4, "accuracy is 0.9700"),
        (Summary(1, metrics=GOOD), {"min_accuracy": 0.98, "max_failed_fraction": 0}, 200, "", 3, "failed"),
        (Summary(1, metrics=Metrics(images=5, scored=5)), {"min_accuracy": 0.5}, 5, "", 4, "cannot be checked"),
        (Summary(1, metrics=GOOD), {}, 201, "", 3, "201 images were planned but 200 are accounted for"),
        (Summary(1, metrics=GOOD), {}, None, "", 0, None),
        (Summary(stopped="canary: no"), {}, None, "", 3, "canary: no"),
        (Summary(1, metrics=GOOD), {}, 200, "2 receipts are gone", 3, "2 receipts are gone"),
        (
            Summary(1, metrics=GOOD, unfinished=2, unfinished_images=9, unfinished_examples=(("u1", "HTTP 503"),)),
            {},
            209,
            "",
            3,
            "2 units are unfinished (HTTP 503, unit u1); rerun to finish them",
        ),
        (Summary(), {}, 0, "", 3, "no image was found"),
    ],
)
def test_verdict(
    make_run: Callable[..., Any],
    summary: Summary,
    options: dict[str, Any],
    planned: int | None,
    lost: str,
    code: int,
    said: str | None,
) -> None:
    found, reasons = verdict(summary, make_run("x", **options), planned, lost)
    assert found == code
    assert (said is None and reasons == []) or (said is not None and said in "\n".join(reasons))


@pytest.mark.parametrize(
    ("labelled", "headline", "code", "said"),
    [
        (40, 0.95, 4, "accuracy of unseen images is 0.9500, less than --min_accuracy 0.96"),
        (40, 0.975, 0, None),
        (0, None, 4, "--min_accuracy 0.96 cannot be checked: every labelled image was seen in training"),
    ],
)
def test_accuracy_that_is_asked_for_is_that_of_unseen_images_where_they_are_known(
    make_run: Callable[..., Any], labelled: int, headline: float | None, code: int, said: str | None
) -> None:
    """All images together are 97 % right, as the training had most of them."""
    review: Any = {"unseen": {"seen_labelled": 60, "labelled": labelled, "headline": headline}}
    run = make_run("x", min_accuracy=0.96)
    assert verdict(Summary(1, metrics=GOOD), run, 200, review=review) == (code, [said] if said else [])
    nothing_seen: Any = {"unseen": {"seen_labelled": 0, "labelled": 100, "headline": 0.97}}
    assert verdict(Summary(1, metrics=GOOD), run, 200, review=nothing_seen)[0] == 0


def test_mistakes_of_cells_come_from_receipts_that_name_them_and_from_the_examples_of_older_ones() -> None:
    other = {name: value for name, value in mistake("new", 0.7, 3).items() if name in CELL_COLUMNS}
    new = Receipt("u", 9, 0, Metrics(images=9), [mistake("a", 0.9, 1)], [], Extras(0.0, {1: b"1", 3: b"3"}))
    new = replace(new, cells=[other])  # type: ignore[list-item]
    old = Receipt("v", 9, 0, Metrics(images=9), [mistake("old", 0.8, 1), right("right")], [], Extras())
    summary = Summary.of(new).merge(Summary.of(old))
    assert [one["key"] for one in summary.cells] == ["a", "old", "new"]
    assert summary.thumbnails == {"a": b"1", "new": b"3"}


def right(key: str) -> dict[str, Any]:
    return {**mistake(key, 0.2, 2), "label": 1}
