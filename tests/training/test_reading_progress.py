"""While images are read for the first time, a terminal shows how many there are by now."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from model_training.data.datasets import DataOptions, load
from model_training.reading_progress import reading_progress
from pipeline.model.thumbnails import png


def test_terminal_shows_a_count_and_anything_else_shows_nothing() -> None:
    for is_terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=is_terminal, width=80, legacy_windows=False)
        with reading_progress(console) as seen:
            assert (seen is not None) == is_terminal
            if seen is not None:
                seen(1_200)
                seen(34)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert ("reading images: 1,234" in text) == is_terminal


def test_every_image_that_is_read_is_told(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for i in range(40):
        path = tmp_path / "photos" / ("cat" if i % 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(Image.fromarray(random.integers(0, 256, (12, 12), np.uint8))))
    (tmp_path / "photos" / "cat" / "broken.png").write_bytes(b"no image")
    told: list[int] = []
    load(DataOptions((str(tmp_path / "photos"),)), told.append)
    assert sum(told) == 41
