"""Drawings in the alpha channel alone: a failed row that says so, or a picture on the color that is chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import rows_of
from PIL import Image

from model_training.data.datasets import RawImages
from nightscore import Night, score
from pipeline.errors import UsageError


def write(folder: Path, digits: np.ndarray) -> Path:
    """Write ink on nothing, in four kinds of files, and the same on white."""
    for number, grey in enumerate(digits[:12]):
        ink = np.zeros((*grey.shape, 4), np.uint8)
        ink[:, :, 3] = grey
        drawn = Image.fromarray(ink)
        indexed = Image.fromarray(grey // 16)
        indexed.putpalette([0, 0, 0] * 16)
        (folder / "ink").mkdir(parents=True, exist_ok=True)
        (folder / "white").mkdir(parents=True, exist_ok=True)
        name = folder / "ink" / f"{number:02}"
        if number % 4 == 0:
            drawn.save(f"{name}.png")
        elif number % 4 == 1:
            drawn.convert("LA").save(f"{name}.png")
        elif number % 4 == 2:
            drawn.save(f"{name}.webp", lossless=True, exact=True)
        else:
            drawn.save(f"{name}.tif")
        Image.fromarray(255 - grey).save(folder / "white" / f"{number:02}.png")
    return folder


def run(folder: Path, model: str, output: Path, **options: str) -> Night:
    return score(folder, model, output, no_canary=True, **options)  # type: ignore[arg-type]


@pytest.mark.heavy
def test_each_is_told_or_laid_on_a_color(tmp_path: Path, tiny_model: str, digits: RawImages) -> None:
    folder = write(tmp_path / "pictures", digits.images)
    told = run(folder / "ink", tiny_model, tmp_path / "told")
    assert told.exit_code == 3
    assert all("only its transparency shows a picture" in row["error_message"] for row in rows_of(tmp_path / "told"))
    run(folder / "ink", tiny_model, tmp_path / "laid", background="white")
    run(folder / "white", tiny_model, tmp_path / "plain")
    laid, plain = rows_of(tmp_path / "laid"), rows_of(tmp_path / "plain")
    assert [row["score"] for row in laid] == [row["score"] for row in plain]
    run(folder / "ink", tiny_model, tmp_path / "dropped", background="drop")
    assert len({row["score"] for row in rows_of(tmp_path / "dropped")}) == 1, "as the loaders have it: all are black"


@pytest.mark.parametrize("color", ["rot", "#12345", "#gggggg", "255,255,255"])
def test_what_is_no_color_is_refused(color: str, tmp_path: Path, tiny_model: str) -> None:
    with pytest.raises(UsageError, match="is no color: give white, black, gray, #rrggbb or drop"):
        run(tmp_path, tiny_model, tmp_path / "night", background=color)
