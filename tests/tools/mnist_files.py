"""Where MNIST's own files are."""

from __future__ import annotations

import os
from pathlib import Path


def mnist_folder() -> str | None:
    """The four IDX files: NIGHTSCORE_MNIST, or ../shared/mnist beside the repository, else what Keras has."""
    for folder in (os.environ.get("NIGHTSCORE_MNIST"), Path(__file__).parents[3] / "shared" / "mnist"):
        if folder and Path(folder).is_dir():
            return str(folder)
    return None
