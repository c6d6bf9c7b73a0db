"""`python -m benchmarks.input_rules`: what each input rule costs an image, and how far it is from the default.

Prints the table of docs/input_rules.md. One thread; the median of a few calls of `pipeline.model.preprocess.decode`,
in CPU time, on scikit-learn's photographs (640 x 427) and on one of 12 megapixels made of them, to 224 x 224.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from statistics import mean, median

import numpy as np
from PIL import Image

from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import decode
from pipeline.model.presets import PRESETS, rule_like

SIDE = 224
"""Pixels of each side of the input."""

FAR = 8
"""Levels, above which a pixel counts as another."""


def photographs() -> list[bytes]:
    """Return scikit-learn's two photographs, and eight parts of them, as JPEG files."""
    from sklearn.datasets import load_sample_images

    chance = np.random.default_rng(0)
    images = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    boxes = [(*chance.integers(0, 200, 2).tolist(), *chance.integers(240, 428, 2).tolist()) for _ in range(4)]
    return [_jpeg(image) for image in images] + [_jpeg(image.crop(box)) for image in images for box in boxes]


def large() -> bytes:
    """Return a photograph of 12 megapixels as a JPEG file."""
    with Image.open(io.BytesIO(photographs()[0])) as image:
        return _jpeg(image.resize((4000, 3000), Image.Resampling.BICUBIC))


def cost(data: bytes, rule: InputSpec, times: int) -> float:
    """Return milliseconds of CPU time, the median."""
    taken = []
    for _ in range(times):
        started = time.process_time()
        decode(data, rule)
        taken.append(time.process_time() - started)
    return 1000 * median(taken)


def share_far(files: Sequence[bytes], rule: InputSpec, other: InputSpec) -> float:
    """Return the share of pixels that differ by more than `FAR` levels in a channel, as a mean over files."""
    pairs = [(decode(data, rule).astype(int), decode(data, other).astype(int)) for data in files]
    return mean(float((abs(one - two).max(axis=2) > FAR).mean()) for one, two in pairs)


def main() -> None:
    """Print the table."""
    files, big = photographs(), large()
    print("| `--like` | what it is | 640 x 427 | 12 megapixels | other than the default |")
    print("|---|---|---|---|---|")
    default = rule_like("nightscore", SIDE, SIDE)
    for name, preset in PRESETS.items():
        rule = rule_like(name, SIDE, SIDE)
        shown = decode(files[0], rule)  # makes the tables
        assert shown.shape == rule.shape
        order = default if rule.color_mode == "rgb" else rule_like("nightscore", SIDE, SIDE, "bgr")
        far = share_far(files, rule, order)
        times = f"{cost(files[0], rule, 15):.1f} ms | {cost(big, rule, 3):.0f} ms"
        print(f"| `{name}` | {preset.about} | {times} | {100 * far:.0f} % |", flush=True)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
