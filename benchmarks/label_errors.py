"""`python -m benchmarks.label_errors --model MODEL --data FOLDER`: how many changed labels of MNIST a review finds.

Prints the table of docs/decide.md. Of MNIST's 10,000 test images 2 % get another label: any other digit, or one that
looks alike. They are scored by a model that was trained on MNIST, and `label_errors.csv` is held against what was
changed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

import nightscore

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
HEADER = 8
"""Bytes before the labels of an IDX file."""

SHARE = 0.02
"""Share of the images whose label is changed."""

ALIKE = {4: 9, 9: 4, 3: 5, 5: 3, 7: 1}
"""Digit -> the one that it is labelled as, where digits that look alike are mixed up."""


def change(
    labels: npt.NDArray[np.uint8], are_alike: bool, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Return the numbers of the images whose label is changed, and all labels after that."""
    chance = np.random.default_rng(seed)
    candidates = np.flatnonzero(np.isin(labels, list(ALIKE))) if are_alike else np.arange(len(labels))
    chosen = chance.choice(candidates, round(SHARE * len(labels)), replace=False)
    changed = labels.copy()
    if are_alike:
        changed[chosen] = [ALIKE[label] for label in labels[chosen].tolist()]
    else:
        changed[chosen] = (labels[chosen] + chance.integers(1, 10, len(chosen))) % 10
    return chosen, changed


def measure(model: Path, data: Path, are_alike: bool, seed: int) -> str:
    """Return a row of the table."""
    stored = gzip.decompress((data / f"{LABELS}.gz").read_bytes())
    labels = np.frombuffer(stored, np.uint8)[HEADER:]
    chosen, changed = change(labels, are_alike, seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / IMAGES).write_bytes(gzip.decompress((data / f"{IMAGES}.gz").read_bytes()))
        (place / LABELS).write_bytes(stored[:HEADER] + changed.tobytes())
        nightscore.score(place / IMAGES, model, place / "night")
        found = json.loads((place / "night" / "review.json").read_text())["label_errors"]
        with (place / "night" / "label_errors.csv").open(encoding="utf-8", newline="") as file:
            listed = {int(row["key"].rpartition("#")[2]) for row in csv.DictReader(file)}
    right = len(listed & set(chosen.tolist()))
    low, high = found["estimate_interval_95"]
    name = "digits that look alike" if are_alike else "any other digit"
    return (
        f"{name}: {len(listed)} listed, {right / len(listed):.0%} of them changed, {right / len(chosen):.0%} of the "
        f"{len(chosen)} changed ones listed, estimated {found['estimate']:.0f} ({low:.0f} to {high:.0f})"
    )


def main() -> None:
    """Print a row for labels changed to any digit, and one for digits that look alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, required=True, help="model directory of 'nightscore train --dataset mnist'"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with MNIST's four IDX files")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for are_alike in (False, True):
        print(measure(asked.model, asked.data, are_alike, asked.seed), flush=True)


if __name__ == "__main__":
    main()
