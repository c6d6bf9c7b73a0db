"""Memory of a training on more pixels than it may hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from model_training.data.datasets import RawImages

ROOT = Path(__file__).parents[2]
ALLOWED_MB = 50
IMAGES = 3_500
"""Images of 224 x 224 in color: 527 MB of pixels."""

EPOCHS = """
import re, sys
from model_training.data.datasets import DataOptions, load
from model_training.data.streamed import StreamedImages

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024

if __name__ == "__main__":
    before = peak()
    dataset = load(DataOptions((sys.argv[1],), image_size=224, color_mode="rgb", memory_mb=int(sys.argv[2])))
    assert isinstance(dataset.train, StreamedImages)
    seen = pixels = 0
    for epoch in range(2):
        for images in (dataset.train, dataset.validation, dataset.test):
            for batch, numbers in images.batches(32, seed=epoch):
                seen, pixels = seen + len(numbers), pixels + batch.nbytes
    print(seen, round(pixels / 2e6), round(before), round(peak()))
"""


@pytest.mark.heavy
def test_pixels_of_ten_times_the_memory_are_streamed_within_it(digits: RawImages, tmp_path: Path) -> None:
    originals = {}
    for i in range(IMAGES):
        number = i % len(digits.images)
        path = tmp_path / "photos" / str(digits.labels[number]) / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number in originals:
            os.link(originals[number], path)
        else:
            path.write_bytes(digits.encoded(number))
            originals[number] = path
    program = tmp_path / "epochs.py"
    program.write_text(EPOCHS)
    command = [sys.executable, str(program), str(tmp_path / "photos"), str(ALLOWED_MB)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seen, megabytes, before, peak = map(int, re.findall(r"\d+", done.stdout))
    print(f"{megabytes} MB of pixels, {ALLOWED_MB} MB allowed: {before} MB before, at most {peak} MB")
    assert seen == 2 * IMAGES
    assert megabytes > 10 * ALLOWED_MB
    assert peak - before < 2 * ALLOWED_MB  # the buffer, what is under way, and the modules that reading takes
