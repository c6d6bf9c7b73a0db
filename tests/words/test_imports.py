"""Libraries that are kept out of others' imports."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from pipeline.machine import without


def test_module_seems_absent_and_is_found_later() -> None:
    sys.modules.pop("colorsys", None)
    with without("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    with without("colorsys"):
        import colorsys as again
    assert again is colorsys


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("from pipeline.machine import without\nwith without('pandas'):\n    import pipeline.beam.job", "pandas"),
        ("from pipeline.model.engines.tensorflow import tensorflow; tensorflow()", "keras"),
    ],
)
def test_libraries_do_without(statement: str, unwanted: str) -> None:
    assert importlib.util.find_spec(unwanted) is not None
    program = f"{statement}\nimport sys\nassert {unwanted!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
