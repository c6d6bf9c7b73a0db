"""The training report: its numbers, and that it stands alone."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_training.build import build
from model_training.datasets import load
from model_training.report import TrainingRun
from model_training.training import Recipe
from pipeline.thumbnails import png

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
def page(folder: Path, run: TrainingRun) -> str:
    return (folder / "model" / "training" / "report.html").read_text(encoding="utf-8")


class Text(HTMLParser):
    """The words of a page, and the addresses that it would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_page_says_the_accuracy_and_its_interval(page: str, run: TrainingRun) -> None:
    low, high = run.evaluation.interval
    text = Text(page).text
    assert f"gets {100 * run.evaluation.accuracy:.2f} % of {len(run.evaluation.labels)} test images right" in text
    assert f"between {100 * low:.2f} % and {100 * high:.2f} %" in text
    assert run.spec.model_id in text


def test_page_says_what_was_learned_and_how(page: str, run: TrainingRun) -> None:
    text = Text(page).text
    images = run.spec.training["images"]
    assert f"{images['training']} images to learn from, {images['validation']} to watch the learning" in text
    assert "12 \u00d7 12 pixels, in color" in text
    for name, value in run.spec.training["recipe"].items():
        assert f"{name} {value}" in text
    for name, kind, shape, parameters in run.trained.layers:
        assert f"{name} {kind} {shape} {parameters:,}" in text
    for name, version in run.spec.versions.items():
        assert f"{name} {version}" in text


def test_page_has_a_row_an_epoch(page: str, run: TrainingRun) -> None:
    text = Text(page).text
    history = run.trained.history
    for i in range(2):
        assert f"{i + 1} {history.loss[i]:.4f} {100 * history.accuracy[i]:.2f} % {history.val_loss[i]:.4f}" in text


def test_page_names_what_was_left_out(page: str) -> None:
    text = Text(page).text
    assert "2 images were left out." in text
    assert text.count("<script>.png not a PNG, JPEG") == 2


def test_page_stands_alone_and_runs_nothing(page: str) -> None:
    parsed = Text(page)
    assert len(parsed.addresses) == 3 + 10
    assert all(
        address.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for address in parsed.addresses
    )
    assert parsed.tags.isdisjoint({"script", "i", "link", "iframe"})
    assert not re.search(r"url\(|@import", page)


def test_figures_and_history_are_files_too(folder: Path, run: TrainingRun) -> None:
    training = folder / "model" / "training"
    for name in ("curves", "confusion_matrix", "sample_predictions"):
        with Image.open(training / f"{name}.png") as image:
            assert image.format == "PNG"
    assert json.loads((training / "history.json").read_text()) == run.trained.history.to_json()
