"""The images by which two engines are compared: real ones where there are some, else ones that are made of these.

They are the same for the same data set on any machine. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

IMAGES = 256
"""Number of images by which two engines are compared, besides the golden ones."""

LARGEST_NOISE = 48.0
"""Standard deviation of the noise in grey levels, at most."""

Pixels = npt.NDArray[np.uint8]


def check_images(real: Sequence[Pixels], n: int = IMAGES) -> Pixels:
    """Return n images like the ones that a network will see, uint8 [n, height, width, channels].

    Args:
        real: sets of images, of one shape, the best first. Images are taken from all over a set before the next one.
            If all sets together have too few, the rest are mixtures of them.
        n: how many.

    >>> [int(image.max()) for image in check_images([np.full((1, 2, 2, 1), 7, np.uint8)], 1)]
    [7]
    """
    taken: list[Pixels] = []
    lacking = n
    for images in real:
        picked = np.unique(np.linspace(0, len(images) - 1, min(lacking, len(images))).astype(np.intp))
        taken.append(images[picked])
        lacking -= len(picked)
    found = np.concatenate(taken)
    return np.concatenate([found, *mixtures(found, lacking)]) if lacking else found


def mixtures(images: Pixels, n: int) -> list[Pixels]:
    """Return n sets of one image each: two of the images flipped, shifted and mixed, with noise.

    Args:
        images: at least one.
        n: how many.
    """
    random = np.random.default_rng(0)
    made: list[Pixels] = []
    for i in range(n):
        first, second = (images[int(random.integers(len(images)))].astype(np.float32) for _ in range(2))
        if i % 2:
            first = first[:, ::-1]
        height, width, _ = first.shape
        shift = (int(random.integers(-height // 4, height // 4 + 1)), int(random.integers(-width // 4, width // 4 + 1)))
        mixed = np.roll(first, shift, axis=(0, 1)) + random.uniform(0, 0.5) * (second - first)
        noise = random.normal(0, random.uniform(0, LARGEST_NOISE), first.shape)
        made.append(np.clip(np.rint(mixed + noise), 0, 255).astype(np.uint8)[np.newaxis])
    return made
