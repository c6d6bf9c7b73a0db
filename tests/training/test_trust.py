"""What the training report says of whether to trust a model, from made-up predictions, hashes and courses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from model_training.learning.evaluation import Evaluation
from model_training.learning.head import head_of
from model_training.learning.history import History
from model_training.report.calibration import calibration_lines, calibration_of
from model_training.report.class_lacks import ClassCounts, class_lines, class_rows
from model_training.report.copies import copies_lines, shared_pictures
from model_training.report.course import course_lines
from model_training.report.label_errors import find_suspects
from model_training.report.part import Part, TrustLine
from model_training.report.runs import MOST_RUNS, RunRow, read_runs, runs_file
from model_training.report.runs_part import changes
from model_training.report.trust import accuracy_lines, accuracy_without, trust_of
from pipeline import storage


def hashes(*values: int) -> npt.NDArray[np.uint64]:
    return np.array(values, np.uint64)


def labels(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def evaluation(n: int, right: float, score: float, classes: int = 3) -> Evaluation:
    """Return that of n images, of which a share is right, all with one score."""
    label = np.arange(n) % classes
    says = np.where(np.arange(n) < right * n, label, (label + 1) % classes)
    rest = (1 - score) / (classes - 1)
    return Evaluation.of(label, np.where(np.eye(classes, dtype=bool)[says], score, rest).astype(np.float32))


def test_pictures_of_several_splits_are_counted_by_pair_and_those_whose_labels_differ_come_first() -> None:
    found = shared_pictures(
        {"train": hashes(5, 6, 7, 7), "validation": hashes(8, 9, 9), "test": hashes(7, 9, 1)},
        {"train": labels(0, 0, 2, 2), "validation": labels(1, 1, 1), "test": labels(2, 0, 0)},
    )
    counts = {(p.first, p.second): (p.pictures, p.first_images, p.second_images) for p in found.pairs}
    assert counts == {
        ("train", "validation"): (0, 0, 0),
        ("train", "test"): (1, 2, 1),
        ("validation", "test"): (1, 2, 1),
    }
    assert found.conflicts.tolist() == [True, False]
    groups = [
        sorted(zip(found.splits[a:b].tolist(), found.numbers[a:b].tolist(), strict=True)) for a, b in ((0, 3), (3, 6))
    ]
    assert groups == [[(1, 1), (1, 2), (2, 1)], [(0, 2), (0, 3), (2, 0)]]
    lines = list(copies_lines(found.pairs, {"train": 4, "validation": 3, "test": 3}))
    assert [line.level for line in lines] == ["bad", "doubt"]
    assert "1 of 3 test images is the same picture as training images" in lines[0].text


def test_labels_of_any_task_can_be_compared() -> None:
    several = {"train": hashes(5), "validation": hashes(5), "test": hashes(5)}
    same = np.array([[0.0, 1.0]], np.float32)
    found = shared_pictures(several, {"train": same, "validation": same, "test": same})
    assert (found.conflicts.tolist(), found.starts.tolist()) == ([False], [0, 3])


def test_no_picture_in_several_splits_is_good() -> None:
    found = shared_pictures(
        {"train": hashes(1, 1), "validation": hashes(2), "test": hashes(3)},
        {"train": labels(0, 1), "validation": labels(0), "test": labels(0)},
    )
    assert len(found.numbers) == 0
    assert [line.level for line in copies_lines(found.pairs, {"train": 2, "validation": 1, "test": 1})] == ["good"]


def test_accuracy_without_copies_is_said() -> None:
    known = np.arange(100) < 50
    assert accuracy_without(evaluation(100, 0.75, 0.9), ~known & known) == ""
    text = accuracy_without(evaluation(100, 0.75, 0.9), known).replace("\xa0", " ")
    assert text == "the accuracy is 50.00 % (36.64 to 63.36 %) on the 50 others, 75.00 % on all"


def test_wrong_labels_are_found_in_both_splits_but_not_where_the_network_has_learned_the_picture() -> None:
    truth = np.arange(120) % 3
    sure = np.where(np.eye(3, dtype=bool)[truth], 0.9, 0.05).astype(np.float32)
    said = truth.copy()
    said[[4, 7, 9]] = (said[[4, 7, 9]] + 1) % 3
    learned = np.arange(120) == 7
    found = find_suspects([Evaluation.of(truth, sure), Evaluation.of(said, sure)], [~learned & learned, learned])
    assert sorted(zip(found.splits.tolist(), found.numbers.tolist(), strict=True)) == [(1, 4), (1, 9)]
    assert found.suggested.tolist() == truth[found.numbers].tolist()
    assert (int(found.images.sum()), found.seen) == (239, 1)
    assert found.by_label.tolist() == np.bincount(said[[4, 9]], minlength=3).tolist()


@pytest.mark.parametrize(("right", "score", "level"), [(0.9, 0.91, "good"), (0.6, 0.9, "bad"), (0.97, 0.94, "doubt")])
def test_calibration_is_judged_by_the_interval_of_the_accuracy(right: float, score: float, level: str) -> None:
    found = calibration_of(evaluation(600, right, score))
    assert found.error == pytest.approx(abs(right - score), abs=1e-5)
    assert sum(one["images"] for one in found.bins) == 600
    assert [line.level for line in calibration_lines(found, False)] == [level]


def test_a_class_is_told_in_words_what_it_lacks() -> None:
    confusion = np.array([[11, 4, 5], [0, 300, 0], [0, 0, 0]], np.int64)
    rows = class_rows(
        ClassCounts(("cat", "dog", "emu"), labels(12, 400, 300), labels(2, 40, 30), labels(3, 0, 0), confusion)
    )
    assert [row.name for row in rows] == ["cat", "emu", "dog"]
    text = rows[0].text.replace("\xa0", " ")
    assert text == (
        "only 12 images to learn from; only 20 test images; recall 55 % (34 to 74 %); taken for “emu” 5 times; "
        "3 of 22 labels look wrong"
    )
    assert rows[1].lacks[0].startswith("no test image")
    assert [row.level for row in rows] == ["bad", "bad", "good"]  # of five images taken for emus none is one
    (line,) = class_lines(rows)
    assert (line.level, line.section) == ("bad", "classes")
    assert line.text.endswith("1 more class like it")


def course(chosen: int, **columns: list[float]) -> History:
    n = len(columns["loss"])
    known = {"accuracy": [0.5] * n, "val_accuracy": [0.5] * n, **columns}
    return History({name: np.array(values) for name, values in known.items()}, np.ones(n), chosen)


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (course(1, loss=[2, 1], val_loss=[2, 1.5]), "still fell in the last epoch, from 2.0000 to 1.5000"),
        (course(2, loss=[2, 1, 0.5], val_loss=[1, 2, 3]), "From epoch 1 to 3, which was kept"),
        (course(0, loss=[2, 1], val_loss=[1, 2]), "Epoch 1 of 2 was kept: its loss is 2.0000"),
        (course(0, loss=[1], val_loss=[1], accuracy=[0.99], val_accuracy=[0.8]), "the network learns by heart"),
        (course(0, loss=[1], val_loss=[1]), "Epoch 1 of 1 was kept"),
    ],
)
def test_course_is_judged_by_its_figures(history: History, words: str) -> None:
    (line,) = course_lines(history, head_of("classes", 3), 1_000)
    assert words in line.text
    assert (line.level == "good") == ("was kept: its" in line.text)


def test_accuracy_is_doubted_if_its_interval_is_wide_or_below_that_of_the_validation_images() -> None:
    good, few = evaluation(2_000, 0.9, 0.9), evaluation(30, 0.9, 0.9)
    assert [line.level for line in accuracy_lines(good, good)] == ["good"]
    assert [line.level for line in accuracy_lines(few, good)] == ["doubt"]
    assert [line.level for line in accuracy_lines(good, evaluation(2_000, 0.99, 0.9))] == ["good", "doubt"]


@pytest.mark.parametrize(("right", "level"), [(0.2, "bad"), (0.36, "doubt"), (0.5, None)])
def test_network_that_always_naming_the_largest_class_would_equal_is_told(right: float, level: str | None) -> None:
    """A third of the images is in each class; of 100 images 36 might be right by chance."""
    found = evaluation(100, right, 0.9)
    lines = [line for line in accuracy_lines(found, found) if "largest class" in line.text]
    assert [line.level for line in lines] == ([level] if level else [])
    assert ("no better than always naming the largest class" in "".join(found.lines)) == (level == "bad")


def test_the_gravest_line_comes_first() -> None:
    levels = ("good", "doubt", "bad", "doubt")
    trust = trust_of([Part("a", lines=[TrustLine(level, level, "a")]) for level in levels])  # type: ignore[arg-type]
    assert [line.level for line in trust.lines] == ["bad", "doubt", "doubt", "good"]
    assert trust.verdict == "1 point speaks against it, and 2 points are uncertain."
    assert trust_of([]).verdict == "Nothing speaks against it."


def row(**values: object) -> RunRow:
    known = {
        "ended": "2026-01-02T03:04:05+00:00",
        "model": "c0ffee",
        "dataset": 'a "b", c\n',
        "images": 100,
        "recipe": {"epochs": 9, "monitor": "last"},
        "temperature": None,
        "epochs": 9,
        "chosen_epoch": 4,
        "validation_figure": "val_accuracy",
        "validation": 0.5,
        "test_figure": "accuracy",
        "test": 0.9,
        "test_low": 0.8,
        "test_high": 0.95,
        "seconds": 1.5,
    }
    return RunRow(**{**known, **values})  # type: ignore[arg-type]


def test_table_of_runs_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_runs(str(tmp_path)) == []
    rows = [row(), row(temperature=1.25, recipe={})]
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "runs.csv").write_bytes(runs_file(rows))
    assert read_runs(str(tmp_path)) == rows
    assert runs_file([row()] * (MOST_RUNS + 5)) == runs_file([row()] * MOST_RUNS)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff",
        b"a,b\r\n1,2\r\n",
        runs_file([row()])[:-9],
        runs_file([row()]).replace(b"0.95", b"x"),
        runs_file([row()]).replace(b"{", b"["),
    ],
)
def test_damaged_table_of_runs_is_begun_anew_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "runs.csv").write_bytes(damage)
    assert read_runs(str(tmp_path)) == []
    (record,) = caplog.records
    assert "runs.csv is begun anew, as it is damaged: " in record.getMessage()
    assert "\n" not in record.getMessage()


def test_table_of_runs_is_read_from_a_bucket(gcs_bucket: str) -> None:
    assert read_runs(f"{gcs_bucket}/model") == []
    storage.replace(f"{gcs_bucket}/model/training/runs.csv", runs_file([row()]))
    assert read_runs(f"{gcs_bucket}/model") == [row()]


def test_what_changed_from_one_run_to_the_next_is_named() -> None:
    after = row(model="d00d", recipe={"epochs": 9, "seed": 1}, images=120, temperature=2.0)
    assert changes(row(), after) == "images 100 → 120, monitor last → val_loss, seed 0 → 1, calibrated"
    assert changes(row(), row()) == "the same model"
    assert changes(row(), row(model="d00d")) == "nothing that this table holds"
