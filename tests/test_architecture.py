"""The commands start fast."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["score", "--help"],
        ["train", "--help"],
        ["demo", "--help"],
        ["verify", "--help"],
        ["report", "--help"],
        ["status", "--help"],
        ["plan", "--help"],
    ],
)
def test_help_is_there_without_the_heavy_imports(argv: list[str]) -> None:
    program = (
        "import sys, nightscore; code = nightscore.main(sys.argv[1:]); "
        "assert not {'tensorflow', 'apache_beam', 'keras'} & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "example" in done.stdout or "nightscore score" in done.stdout
