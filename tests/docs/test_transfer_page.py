"""docs/transfer.md: its commands run as written, and its flags exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from foreign_models import photographs, small_network, written

from model_training import cli
from model_training.base.asked import Asked
from model_training.base.opening import open_base
from model_training.cli import _parser
from model_training.learning.recipe import TRANSFER, recipe_of

PAGE = (Path(__file__).parents[2] / "docs" / "transfer.md").read_text()


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [shlex.split(line[2:])[2:] for block in blocks for line in block.splitlines()]


def test_commands_and_flags_of_the_page_exist() -> None:
    parsed = [_parser().parse_args(words) for words in commands()]
    assert [one.base for one in parsed][:2] == ["MobileNetV2", "old"]
    known = _parser().format_help_all()
    assert all(flag in known for flag in re.findall(r"--[a-z_]+", PAGE))
    assert recipe_of(TRANSFER).epochs == 20


@pytest.mark.heavy
def test_commands_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, start in (("one", 0), ("two", 12)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for path in sorted(photographs(tmp_path / f"of {name}", 24, 0).iterdir())[start : start + 12]:
            path.rename(tmp_path / "photos" / name / path.name)
    flowers = small_network()
    written(tmp_path, flowers, "flowers.keras")
    written(tmp_path, small_network(activation=None, rescale=False), "logits.keras")
    flowers.export(str(tmp_path / "exported"), verbose=False)
    monkeypatch.chdir(tmp_path)
    old = ["--dataset", "photos", "--image_size", "16", "--epochs", "1", "--output", "old"]
    assert cli.main(old) == 0
    for words in commands()[1:]:  # the first needs the weights of ImageNet
        assert cli.main(words) == 0, words
    assert open_base("new", Asked()).facts["kind"] == "a model directory"
