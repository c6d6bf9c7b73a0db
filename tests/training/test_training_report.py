"""The training report: its numbers, and that it stands alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from parsed_page import ParsedPage
from PIL import Image

from model_training.build import build
from model_training.data.datasets import load
from model_training.learning.recipe import Recipe
from model_training.report.page import TrainingRun
from pipeline.formatting import percent
from pipeline.model.thumbnails import png

CLASSES = ("<i>dark</i> & co", "light")


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
            pixels = random.integers(low, low + 128, (12, 12, 3), np.uint8)
            images.joinpath(f"{i}.png").write_bytes(png(Image.fromarray(pixels)))
        images.joinpath("<script>.png").write_bytes(b"no image & nothing else")
    return build(load(str(folder / "set")), Recipe(epochs=2, batch_size=8), str(folder / "model"))


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
    measured = run.trained.history.columns
    loss, accuracy, val_loss = (measured[name] for name in ("loss", "accuracy", "val_loss"))
    for i in range(2):
        assert f"{i + 1} {loss[i]:.4f} {100 * accuracy[i]:.2f} % {val_loss[i]:.4f}" in text


def test_page_names_what_was_left_out(page: ParsedPage) -> None:
    text = page.text
    assert "2 images were left out." in text
    assert text.count("<script>.png not a PNG, JPEG") == 2


def test_page_stands_alone_and_names_are_text(page: ParsedPage) -> None:
    assert page.unclosed == []
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
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
    keys = re.findall(r"test image \d+", page.texts["samples"])
    right = min(10, int(run.evaluation.correct.sum()))
    wrong = min(10, int((~run.evaluation.correct).sum()))
    assert len(keys) == right + wrong
    assert "no picture" not in page.text
    assert len(page.pictures) == len(set(page.pictures)) >= len(keys)
    assert page.source.count('class="pic p') >= len(keys) + len(run.golden.pixels)


def test_plots_and_history_are_files_too(folder: Path, run: TrainingRun) -> None:
    training = folder / "model" / "training"
    for name in ("curves", "confusion_matrix", "sample_predictions"):
        with Image.open(training / f"{name}.png") as image:
            assert image.format == "PNG"
    assert json.loads((training / "history.json").read_text()) == run.trained.history.to_json()
