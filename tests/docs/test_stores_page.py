"""docs/stores.md: its command runs as written, on a bucket of the emulator."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from conftest import WriteImages
from gcs_emulator import upload

from pipeline import storage
from pipeline.cli import score

PAGE = (Path(__file__).parents[2] / "docs" / "stores.md").read_text()


@pytest.mark.heavy
def test_command_runs_as_written(gcs_bucket: str, tiny_model: str, write_images: WriteImages) -> None:
    upload(write_images(30), f"{gcs_bucket}/photos")
    upload(Path(tiny_model), f"{gcs_bucket}/model")
    ((command,),) = [
        block.splitlines() for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    ]
    program, name, *words = shlex.split(command[2:].replace("gs://bucket", gcs_bucket))
    assert (program, name) == ("nightscore", "score")
    assert score.main(words) == 0
    assert json.loads(storage.read(f"{gcs_bucket}/night/summary.json"))["images"] == 30
