"""A run within IPython, which notebooks are made of: the same pipeline, the same labels."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WriteImages

CELL = """
import nightscore
night = nightscore.score(input={archive!r}, model={model!r}, output={output!r})
print("in", type(get_ipython()).__name__, night.exit_code, night.record["scored"])
"""

PROGRAM = """
import sys
from IPython.core.interactiveshell import InteractiveShell
done = InteractiveShell.instance().run_cell(sys.argv[1])
sys.exit(not done.success)
"""


@pytest.mark.heavy
def test_images_are_scored_in_a_notebook(write_images: WriteImages, tiny_model: str, tmp_path: Path) -> None:
    cell = CELL.format(archive=str(write_images(20)), model=tiny_model, output=str(tmp_path / "night"))
    done = subprocess.run([sys.executable, "-c", PROGRAM, cell], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["in InteractiveShell 0 20"], done.stdout + done.stderr
    assert json.loads((tmp_path / "night" / "run.json").read_text())["complete"]


def test_beams_own_function_is_back_when_a_pipeline_is_assembled() -> None:
    from apache_beam import pipeline as beam_pipeline
    from apache_beam.utils.interactive_utils import alter_label_if_ipython

    from pipeline.beam.notebook import as_in_a_program

    with as_in_a_program():
        assert beam_pipeline.alter_label_if_ipython is not alter_label_if_ipython
    assert beam_pipeline.alter_label_if_ipython is alter_label_if_ipython
