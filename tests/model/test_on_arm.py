"""A model that was trained here is scored on 64-bit ARM, in an emulator: same pixels, same golden scores.

It runs where TESTS_ARM names a folder that tests/tools/fetch_arm.py has filled, as `make heavy` does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_models import photographs

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "tools" / "tell_pixels_and_scores.py"
ARM = os.environ.get("TESTS_ARM", "")
QEMU = "qemu-aarch64-static"


def tell(python: list[str], model: str, images: Path) -> Any:
    words = [*python, str(PROGRAM), model, str(images)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.heavy
@pytest.mark.timeout(500)
def test_arm_makes_the_same_pixels_and_reproduces_the_golden_scores(tiny_model: str, tmp_path: Path) -> None:
    if not Path(ARM, "root").is_dir() or shutil.which(QEMU) is None:
        pytest.skip(f"TESTS_ARM names no folder with a Python for ARM, or {QEMU} is not installed")
    images = photographs(tmp_path / "photos", 8, broken=0)
    path = f"PYTHONPATH={ROOT}:{ARM}/site"
    emulated = [QEMU, "-cpu", "cortex-a72", "-L", f"{ARM}/root", "-E", path, "-E", "PYTHONDONTWRITEBYTECODE=1"]
    there = tell([*emulated, f"{ARM}/root/usr/bin/python3"], tiny_model, images)
    here = tell([sys.executable], tiny_model, images)
    assert there["machine"] == "aarch64"
    assert there["pixels"] == here["pixels"]
    np.testing.assert_allclose(there["scores"], here["scores"], atol=1e-5)
