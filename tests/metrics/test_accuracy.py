"""Accuracy as an algebra: its laws, and its figures against scikit-learn's and plain loops."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import sklearn.metrics
from conftest import SCHEMA
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import Code, Failure, ImageColumns, PredictionBatch, Stage
from pipeline.metrics.accuracy import CALIBRATION_BINS, FIXED_POINT, LARGEST_MATRIX, Metrics, compute, measure
from pipeline.metrics.proportions import wilson
from pipeline.metrics.texts import Texts
from pipeline.output.rows import to_table

CLASSES = ("cat", "dog", "eel", "fox", "gnu")
Scores = npt.NDArray[np.float32]


def predictions(
    scores: Scores,
    labels: list[int | str | None],
    failed: dict[int, tuple[Stage, Code]] | None = None,
    k: int = 2,
) -> pa.Table:
    """Return the rows for the scores [n, classes] of images with these labels."""
    n, classes = scores.shape
    names = CLASSES[:classes]
    numbers = [label if isinstance(label, int) else None for label in labels]
    failures = {i: Failure(stage, code, "broken") for i, (stage, code) in (failed or {}).items()}
    images = ImageColumns(
        keys=[f"{i}.png" for i in range(n)],
        labels=np.array([number or 0 for number in numbers], np.int32),
        labelled=np.array([number is not None for number in numbers], np.bool_),
        label_names=[
            label if isinstance(label, str) else names[label] if label is not None and 0 <= label < classes else None
            for label in labels
        ],
        failures=failures,
    )
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int32)
    own = np.array(
        [
            scores[i, number] if number is not None and 0 <= number < classes and i not in failures else np.nan
            for i, number in enumerate(numbers)
        ],
        np.float32,
    )
    return to_table(PredictionBatch(images, top, np.take_along_axis(scores, top, axis=1), own), names, SCHEMA)


def random_scores(n: int, seed: int = 0, classes: int = len(CLASSES)) -> Scores:
    """Return probabilities that sum to 1, some of them near certainty."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.3), n).astype(np.float32)


def random_rows(n: int, seed: int = 0) -> tuple[pa.Table, Scores, npt.NDArray[np.int64]]:
    """Return labelled rows that nothing is wrong with, their scores and their labels."""
    scores = random_scores(n, seed)
    rng = np.random.default_rng(seed + 1)
    labels = np.where(rng.random(n) < 0.6, scores.argmax(axis=1), rng.integers(0, len(CLASSES), n))
    return predictions(scores, labels.tolist()), scores, labels


counts = st.integers(0, 10**12)
bins = st.dictionaries(st.integers(0, 19), st.integers(-(10**9), 10**12), max_size=4)
any_metrics = st.builds(
    Metrics,
    failures=st.dictionaries(st.tuples(st.sampled_from(["read", "predict"]), st.sampled_from(["A", "B"])), counts),
    confusion=st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 4)), counts, max_size=4),
    **dict.fromkeys(("images", "scored", "labelled", "unknown_labels", "correct", "top_k_correct"), counts),
    **dict.fromkeys(("unlabelled", "confidence", "calibration_images", "calibration_correct"), bins),
    log_loss=counts,
    calibration_confidence=bins,
    unknown_texts=st.lists(st.text(max_size=2)).map(Texts.of),
)

a_label = st.none() | st.integers(-2, 7) | st.sampled_from(["cow", ""])
a_failure = st.none() | st.tuples(st.sampled_from(["read", "preprocess"]), st.sampled_from(["NOT_FOUND", "DATA_LOSS"]))
a_score = st.floats(0, 1, width=32)


@st.composite
def any_rows(draw: st.DrawFn) -> pa.Table:
    """Rows with whatever labels, failures and scores."""
    images = draw(st.lists(st.tuples(a_label, a_failure, st.tuples(a_score, a_score, a_score)), max_size=12))
    scores = np.array([scores for _, _, scores in images], np.float32).reshape(-1, 3)
    failed: dict[int, Any] = {i: failure for i, (_, failure, _) in enumerate(images) if failure}
    return predictions(scores, [label for label, _, _ in images], failed)


class TestAlgebra:
    @given(any_metrics, any_metrics, any_metrics)
    def test_merge_is_associative_and_commutative_with_empty_as_identity(
        self, a: Metrics, b: Metrics, c: Metrics
    ) -> None:
        assert a.merge(b).merge(c) == a.merge(b.merge(c))
        assert a.merge(b) == b.merge(a)
        assert a.merge(Metrics()) == Metrics().merge(a) == a

    @given(any_metrics)
    def test_json_gives_back_what_was_written_and_is_the_same_for_equal_metrics(self, a: Metrics) -> None:
        text = json.dumps(a.to_json())
        assert Metrics.from_json(json.loads(text)) == a
        backwards: dict[str, Any] = {
            f.name: dict(reversed(value.items())) if isinstance(value := getattr(a, f.name), dict) else value
            for f in fields(Metrics)
        }
        assert json.dumps(Metrics(**backwards).to_json()) == text

    @given(any_rows(), st.lists(st.integers(0, 12), max_size=3))
    def test_measuring_parts_and_merging_is_measuring_the_whole(self, rows: pa.Table, cuts: list[int]) -> None:
        ends = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
        merged = Metrics()
        for start, stop in itertools.pairwise(ends):
            merged = merged.merge(measure(rows.slice(start, stop - start)))
        assert merged == measure(rows)

    @given(any_rows())
    def test_every_row_is_counted_once_in_each_breakdown(self, rows: pa.Table) -> None:
        m = measure(rows)
        assert m.images == len(rows) == m.scored + sum(m.failures.values())
        assert m.failed == sum(m.failures.values())
        assert m.scored == sum(m.confidence.values()) == m.labelled + sum(m.unlabelled.values())
        assert m.labelled == sum(m.confusion.values()) == sum(m.calibration_images.values())
        assert m.correct == sum(m.calibration_correct.values())
        assert m.correct == sum(count for (label, predicted), count in m.confusion.items() if label == predicted)
        assert m.correct <= m.top_k_correct <= m.labelled


@dataclass(frozen=True)
class Sample:
    """Random labelled rows, and what is computed from them."""

    scores: Scores
    labels: npt.NDArray[np.int64]
    figures: dict[str, Any]


@pytest.fixture(scope="module")
def sample() -> Sample:
    rows, scores, labels = random_rows(500)
    return Sample(scores, labels, compute(measure(rows), CLASSES, 2))


class TestFigures:
    def test_are_those_of_scikit_learn(self, sample: Sample) -> None:
        figures, scores, labels = sample.figures, sample.scores, sample.labels
        guesses, classes = scores.argmax(axis=1), range(len(CLASSES))
        assert figures["accuracy"] == sklearn.metrics.accuracy_score(labels, guesses)
        top2 = sklearn.metrics.top_k_accuracy_score(labels, scores, k=2, labels=classes)
        assert figures["top_k_accuracy"] == pytest.approx(top2)
        clipped = np.clip(scores.astype(np.float64), 1e-7, 1)
        expected = sklearn.metrics.log_loss(labels, clipped / clipped.sum(axis=1, keepdims=True), labels=classes)
        assert figures["log_loss"] == pytest.approx(expected, abs=1e-5)
        matrix = sklearn.metrics.confusion_matrix(labels, guesses, labels=classes)
        assert figures["confusion_matrix"] == matrix.tolist()
        ours = [[c["precision"], c["recall"], c["f1"], c["support"]] for c in figures["per_class"]]
        theirs = sklearn.metrics.precision_recall_fscore_support(labels, guesses, labels=classes)
        np.testing.assert_allclose(ours, np.transpose(theirs))
        assert [c["class"] for c in figures["per_class"]] == list(CLASSES)
        assert [c["predicted"] for c in figures["per_class"]] == matrix.sum(axis=0).tolist()

    def test_calibration_is_that_of_a_plain_loop(self, sample: Sample) -> None:
        figures, scores, labels = sample.figures, sample.scores, sample.labels
        bins: list[list[tuple[float, bool]]] = [[] for _ in range(CALIBRATION_BINS)]
        for row, label in zip(scores, labels, strict=True):
            confidence = float(row.max())
            bins[min(int(confidence * CALIBRATION_BINS), CALIBRATION_BINS - 1)].append(
                (confidence, int(row.argmax()) == label)
            )
        error = 0.0
        for shown, members in zip(figures["calibration"], bins, strict=True):
            assert shown["images"] == len(members)
            if members:
                confidence, accuracy = np.mean(members, axis=0)
                assert shown["confidence"] == pytest.approx(confidence, abs=2 / FIXED_POINT)
                assert shown["accuracy"] == pytest.approx(accuracy)
                error += len(members) / len(labels) * abs(confidence - accuracy)
        assert figures["expected_calibration_error"] == pytest.approx(error, abs=1e-5)
        edges = [shown["from"] for shown in figures["calibration"]] + [figures["calibration"][-1]["to"]]
        np.testing.assert_allclose(edges, np.linspace(0, 1, CALIBRATION_BINS + 1))

    def test_histogram_is_numpys(self, sample: Sample) -> None:
        expected = np.histogram(sample.scores.max(axis=1), 20, (0, 1))[0].tolist()
        assert sample.figures["confidence_histogram"] == expected

    def test_are_plain_json(self, sample: Sample) -> None:
        assert json.loads(json.dumps(sample.figures, allow_nan=False)) == sample.figures

    def test_of_no_rows_are_zeros_and_none(self) -> None:
        for nothing in (Metrics(), measure(SCHEMA.empty_table()), measure(predictions(random_scores(0), []))):
            assert nothing == Metrics()
            figures = compute(nothing, CLASSES, 5)
            ratios = ("accuracy", "accuracy_interval_95", "top_k_accuracy", "log_loss", "expected_calibration_error")
            assert [figures[name] for name in ratios] == [None] * 5
            assert figures["confusion_matrix"] is None
            assert figures["images"] == figures["labelled"] == 0
            assert {c["f1"] for c in figures["per_class"]} == {None}
            assert sum(figures["confidence_histogram"]) == 0

    def test_of_failures_alone_have_no_ratio_and_name_every_reason(self) -> None:
        failed: dict[int, tuple[Stage, Code]] = {
            0: ("read", "NOT_FOUND"),
            1: ("read", "DATA_LOSS"),
            2: ("read", "DATA_LOSS"),
        }
        figures = compute(measure(predictions(random_scores(3), [1, None, "cow"], failed)), CLASSES, 2)
        assert (figures["images"], figures["scored"], figures["failed"], figures["accuracy"]) == (3, 0, 3, None)
        assert figures["failures"] == [
            {"stage": "read", "code": "DATA_LOSS", "images": 2},
            {"stage": "read", "code": "NOT_FOUND", "images": 1},
        ]

    def test_labels_that_are_no_class_are_counted_and_left_out_of_the_accuracy(self) -> None:
        scores = np.tile(np.array([0.7, 0.2, 0.1], np.float32), (6, 1))
        figures = compute(measure(predictions(scores, [0, 1, None, "cow", 3, -1])), CLASSES[:3], 2)
        assert (figures["labelled"], figures["unlabelled"], figures["unknown_labels"]) == (2, 4, 3)
        assert figures["unknown_label_examples"] == [{"label": name, "images": 1} for name in ("-1", "3", "cow")]
        assert (figures["accuracy"], figures["top_k_accuracy"]) == (0.5, 1.0)
        assert figures["unlabelled_predicted"] == {"cat": 4}

    def test_a_class_never_predicted_has_no_precision(self) -> None:
        scores = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)
        _, dog = compute(measure(predictions(scores, [0, 1])), CLASSES[:2], 1)["per_class"]
        assert (dog["precision"], dog["recall"], dog["f1"], dog["support"]) == (None, 0.0, 0.0, 1)

    def test_a_label_with_probability_zero_has_the_largest_finite_loss(self) -> None:
        figures = compute(measure(predictions(np.array([[1.0, 0.0]], np.float32), [1])), CLASSES[:2], 1)
        assert figures["log_loss"] == pytest.approx(-math.log(1e-7), abs=1e-6)

    @pytest.mark.parametrize("scores", [[0.0, 0.0], [1.0, 1.0], [-3.5, -4.0], [2.5, 0.1]])
    def test_scores_that_are_no_probabilities_are_measured_without_a_crash(self, scores: list[float]) -> None:
        rows = predictions(np.array([scores] * 3, np.float32), [0, 1, None])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figures = compute(measure(rows).merge(measure(rows)), CLASSES[:2], 1)
        assert figures["accuracy"] == 0.5
        assert sum(figures["confidence_histogram"]) == 6

    @pytest.mark.parametrize(("classes", "shown"), [(LARGEST_MATRIX, True), (LARGEST_MATRIX + 1, False)])
    def test_the_matrix_is_left_out_for_very_many_classes(self, classes: int, shown: bool) -> None:
        m = Metrics(images=1, scored=1, labelled=1, correct=1, confusion={(0, 0): 1})
        assert (compute(m, [str(c) for c in range(classes)], 1)["confusion_matrix"] is not None) == shown


class TestWilson:
    @pytest.mark.parametrize(
        ("successes", "n", "low", "high"),
        [  # Newcombe, "Two-sided confidence intervals for the single proportion", Stat. Med. 17, 1998, method 3
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ],
    )
    def test_gives_published_values(self, successes: int, n: int, low: float, high: float) -> None:
        assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)

    def test_of_nothing_is_none(self) -> None:
        assert wilson(0, 0) is None

    @given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
    def test_holds_the_proportion_and_stays_within_0_and_1(self, counts: tuple[int, int]) -> None:
        interval = wilson(*counts)
        assert interval is not None
        low, high = interval
        assert 0 <= low <= counts[0] / counts[1] + 1e-12
        assert counts[0] / counts[1] - 1e-12 <= high <= 1
