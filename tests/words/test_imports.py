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

    with without("colorsys", "this"):
        import colorsys as again

        with pytest.raises(ImportError):
            import this  # noqa: F401
    assert again is colorsys


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("from pipeline.model.engines.tensorflow import tensorflow; tensorflow()", "keras"),
    ],
)
def test_libraries_do_without(statement: str, unwanted: str) -> None:
    assert importlib.util.find_spec(unwanted) is not None
    program = f"{statement}\nimport sys\nassert {unwanted!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_local_process_imports_little() -> None:
    """Each of these would cost every local process time to start, and memory; editable installs may import some."""
    unwanted = [
        "apache_beam",
        "google.cloud",
        "google.protobuf",
        "jinja2",
        "keras",
        "matplotlib",
        "pandas",
        "tensorflow",
    ]
    for name in unwanted:
        assert importlib.util.find_spec(name) is not None
    program = (
        "import sys\nbefore = set(sys.modules)\nimport pipeline.scoring.process_main\n"
        f"found = {{*{unwanted}, 'importlib.metadata'}} & set(sys.modules) - before\nassert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
