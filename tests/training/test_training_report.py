"""The training report: its numbers, and that it stands alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from image_sets import load
from parsed_page import ParsedPage
from PIL import Image

from model_training.build import build
from model_training.learning.recipe import Recipe
from model_training.report.run import TrainingRun
from model_training.report.runs import RunRow, read_runs, runs_file
from pipeline.formatting import percent
from pipeline.model.thumbnails import png

CLASSES = ("<i>dark</i> & co", "light")

EARLIER = RunRow(
    "2026-01-02T03:04:05+00:00",
    "c0ffee",
    "other",
    9,
    {"epochs": 7},
    None,
    7,
    3,
    "val_accuracy",
    0.5,
    "accuracy",
    0.9,
    0.8,
    1.0,
    1.0,
)
"""What runs.csv says of the model that is replaced."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory of dark and light color images, three broken ones among them."""
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def run(folder: Path) -> TrainingRun:
    random = np.random.default_rng(0)
    for c, low in zip(CLASSES, (0, 128), strict=True):
        images = folder / "set" / c.replace("/", "|")
        images.mkdir(parents=True)
        for i in range(60):
            shown = 128 - low if i % 5 == 0 else low  # every fifth label is wrong
            pixels = random.integers(shown, shown + 128, (12, 12, 3), np.uint8)
            images.joinpath(f"{i}.png").write_bytes(png(Image.fromarray(pixels)))
        images.joinpath("<script>.png").write_bytes(b"no image & nothing else")
    folder.joinpath("set", "<i>notes.txt").touch()
    replaced = folder / "model" / "training"
    replaced.mkdir(parents=True)
    replaced.joinpath("runs.csv").write_bytes(runs_file([EARLIER]))
    replaced.parent.joinpath("model_spec.json").touch()
    recipe = Recipe(epochs=2, batch_size=8, augment="light")
    return build(load(str(folder / "set")), replace(recipe, calibrate=True), str(folder / "model"))


@pytest.fixture(scope="module")
def page(folder: Path, run: TrainingRun) -> ParsedPage:
    return ParsedPage((folder / "model" / "training" / "report.html").read_text(encoding="utf-8"))


def test_page_says_the_accuracy_and_its_interval(page: ParsedPage, run: TrainingRun) -> None:
    low, high = run.evaluation.interval
    text = page.text
    accuracy = percent(run.evaluation.accuracy).replace("\xa0", " ")
    assert f"gets {accuracy} of {len(run.evaluation.labels)} test images right" in text
    assert f"between {percent(low)} and {percent(high)}".replace("\xa0", " ") in text
    assert "no exact copy in training" in text
    assert run.spec.model_id in text


def test_page_says_what_was_learned_and_how(page: ParsedPage, run: TrainingRun) -> None:
    text = page.text
    images = run.spec.training["images"]
    assert f"{images['training']} images to learn from, {images['validation']} to watch the learning" in text
    assert "12 \u00d7 12 pixels, in color" in text
    for name, value in run.spec.training["recipe"].items():
        assert f"{name} {value}" in text
    for name, kind, shape, parameters in run.trained.layers:
        assert f"{name} {kind} {shape} {parameters:,}" in text
    for name, version in run.spec.versions.items():
        assert f"{name} {version}" in text


def test_page_has_a_row_an_epoch(page: ParsedPage, run: TrainingRun) -> None:
    text = page.text
    history = run.trained.history
    loss, accuracy, val_loss = (history.columns[name] for name in ("loss", "accuracy", "val_loss"))
    for i in range(2):
        mark = " ←" if i == history.chosen else ""
        assert f"{i + 1}{mark} {loss[i]:.4f} {100 * accuracy[i]:.2f} % {val_loss[i]:.4f}" in text


def test_page_names_what_was_left_out(page: ParsedPage) -> None:
    text = page.text
    assert "2 images were left out." in text
    assert text.count("<script>.png not a PNG, JPEG") == 2
    ((reason, n, example),) = page.table("Files of the inputs that were not read")[1:]
    assert (reason, n, example.rpartition("/")[2]) == ("other files", "1", "<i>notes.txt")


def test_page_stands_alone_and_names_are_text(page: ParsedPage) -> None:
    assert page.unclosed == []
    assert all(link.startswith(("#", "file:///")) for link in page.links)
    assert {link[1:] for link in page.links if link[0] == "#"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert {name for _, name, _ in page.attributes}.isdisjoint({"src", "onerror", "onload"})
    assert {element[0] for element in page.elements}.isdisjoint({"i", "link", "iframe", "img"})
    assert page.source.count("<script>") == 1
    assert "script-src 'sha256-" in page.source
    assert "<i>dark<|i> & co" in page.text


def test_page_draws_the_course_twice(page: ParsedPage, run: TrainingRun) -> None:
    drawn = re.findall(
        r"<title>(accuracy|loss \(nats\))</title>.*?</svg>", page.texts["course"] + page.source, re.DOTALL
    )
    assert drawn == ["accuracy", "loss (nats)"]
    last = 100 * run.trained.history.columns["val_accuracy"][1]
    assert f"<title>validation, epoch 2: {last:.2f}\xa0%</title>" in page.source


def test_matrix_is_that_of_the_test_images(page: ParsedPage, run: TrainingRun) -> None:
    rows = page.table("Rows: label")
    shown = [[0 if cell == "·" else int(cell) for cell in row[1:]] for row in rows[1:]]
    assert shown == run.evaluation.confusion.tolist()


def test_every_test_image_that_is_shown_has_its_picture(page: ParsedPage, run: TrainingRun) -> None:
    keys = re.findall(r"(?:light|co)/\d+\.png", page.texts["samples"])
    right = min(10, int(run.evaluation.correct.sum()))
    wrong = min(10, int((~run.evaluation.correct).sum()))
    assert len(keys) == right + wrong
    assert "no picture" not in page.text
    assert len(page.pictures) == len(set(page.pictures)) >= len(keys)
    assert page.source.count('class="pic p') >= len(keys) + len(run.golden.pixels)


def test_plots_and_history_are_files_too(folder: Path, run: TrainingRun) -> None:
    training = folder / "model" / "training"
    for name in ("curves", "confusion_matrix", "sample_predictions", "augmentation"):
        with Image.open(training / f"{name}.png") as image:
            assert image.format == "PNG"
    assert json.loads((training / "history.json").read_text()) == run.trained.history.to_json()


def test_page_says_first_whether_to_trust_the_model(page: ParsedPage, run: TrainingRun) -> None:
    text = page.text
    assert text.index("Can it be trusted?") < text.index("Course of the training", text.index("Versions"))
    assert "Uncertain: " in text
    assert "No validation or test image is the same picture as an image of another split" in text
    assert f"Only {len(run.dataset.validation)} validation images: which epoch is kept depends partly on chance" in text


def test_page_has_the_command_that_scores_with_the_model(page: ParsedPage, folder: Path) -> None:
    assert f"nightscore score --input ARCHIVE --model {folder / 'model'} --output NIGHT" in page.texts["use"]


def test_page_shows_changed_images_beside_their_originals(page: ParsedPage) -> None:
    assert "--augment light" in page.texts["augmentation"]
    assert page.source.count("(changed ") == 4 * 5


def test_runs_of_the_model_before_are_carried_over(page: ParsedPage, folder: Path, run: TrainingRun) -> None:
    rows = read_runs(str(folder / "model"))
    assert rows[0] == EARLIER
    assert (rows[1].model, rows[1].recipe) == (
        run.spec.model_id,
        {"epochs": 2, "batch_size": 8, "augment": "light"},
    )
    newest, first = page.table("The newest comes first")[1:]
    assert "epochs 7 → 2, batch_size 32 → 8, augment none → light, calibrated" in newest[1]
    assert first[0].startswith("2026-01-02 03:04")


def test_spec_has_the_temperature_and_the_page_tells_of_it(page: ParsedPage, run: TrainingRun) -> None:
    temperature = run.spec.training["temperature"]
    assert temperature == run.trained.temperature
    kinds = [kind for _, kind, *_ in run.trained.layers]
    if temperature == 1:  # chance, and the kind of CPU, may leave too few mistakes to fit it to
        assert kinds[-1] == "Dense"
    else:
        assert f"The logits are divided by {temperature:.3g}" in page.texts["calibration"]
        assert kinds[-3:] == ["Dense", "Rescaling", "Softmax"]
    assert run.spec.litert is not None
    assert run.spec.litert.sha256
    assert run.before.uncalibrated is not None
    assert run.before.uncalibrated.predicted.tolist() == run.evaluation.predicted.tolist()
    assert [row[0] for row in page.table("before and after")[1:]] == ["as trained", "calibrated"]


def test_labels_that_look_wrong_are_shown_and_listed(page: ParsedPage, folder: Path) -> None:
    lines = (folder / "model" / "training" / "label_errors.csv").read_text().splitlines()
    assert lines[0] == "key,split,label_name,suggested_name,label_score,predicted_name,score"
    assert len(lines) > 3
    for number in re.findall(r"/(\d+)\.png", "\n".join(lines)):
        assert int(number) % 5 == 0
    assert page.texts["doubtful"].count("suggested:") == len(lines) - 1
