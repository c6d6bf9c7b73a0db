"""docs/train.md: its commands run as written, its flags exist, and its files are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_training import cli
from model_training.cli import _parser
from model_training.learning.recipe import RECIPES
from pipeline.model.directory import read_spec
from pipeline.model.thumbnails import png

PAGE = (Path(__file__).parents[2] / "docs" / "train.md").read_text()


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [shlex.split(line[2:])[2:] for block in blocks for line in block.splitlines()]


def test_commands_and_flags_of_the_page_exist_and_defaults_are_these() -> None:
    assert len([_parser().parse_args(words) for words in commands()]) == 7
    known = _parser().format_help_all()
    ours = set(re.findall(r"--[a-z_]+", PAGE)) - {"--input", "--logdir"}
    assert ours == {flag for flag in ours if flag in known}


def test_table_has_each_value_of_the_two_recipes() -> None:
    """Each value is the start of its cell: `0, none` is 0, and `off` is None."""
    rows = re.findall(r"^\| `--(\w+).*?` \|.*\| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 13
    for field, *cells in rows:
        for cell, recipe in zip(cells, (RECIPES["classic"], RECIPES["strong"]), strict=True):
            value = getattr(recipe, field)
            assert cell.partition(",")[0] == (
                "off" if value is None else f"{value:g}" if value != str(value) else value
            )


def write_images(folder: Path) -> None:
    """Write dark and light pictures in class folders, and two lists of them: with labels, and with a value."""
    tags, ages = ["file,label"], ["file,label"]
    random = np.random.default_rng(0)
    for i in range(90):
        low = 150 * (i % 2)
        path = folder / "photos" / ("light" if i % 2 else "dark") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(Image.fromarray(random.integers(low, low + 100, (16, 16, 3), np.uint8))))
        tags.append(f"{path},{'light|even' if i % 4 == 1 else 'even' if i % 4 == 0 else 'light' if i % 2 else 'dark'}")
        ages.append(f"{path},{low / 10 + i % 7}")
    (folder / "tags.csv").write_text("\n".join(tags) + "\n")
    (folder / "ages.csv").write_text("\n".join(ages) + "\n")


@pytest.mark.heavy
def test_commands_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path)
    monkeypatch.chdir(tmp_path)
    tasks = {}
    for words in commands():
        assert cli.main(words) == 0, words
        model = words[words.index("--output") + 1]
        spec = read_spec(model)
        tasks[model] = spec.task
        named = re.findall(r"^      ([\w.]+)", PAGE, re.MULTILINE)
        assert all((tmp_path / model / "training" / name).exists() for name in named)
    assert tasks == {"model": "classes", "tags": "labels", "age": "value", "vectors": "embedding"}
    assert read_spec("model").embedding is not None
