"""Image sets from arrays, and arrays from image sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from model_training.data import datasets
from model_training.data.datasets import DataOptions, Dataset
from model_training.data.image_set import HeldImages, ImageSet
from pipeline.model.input_rule import ColorMode, InputSpec
from pipeline.model.thumbnails import png

Pixels = npt.NDArray[np.uint8]


def held(pixels: Pixels, labels: npt.NDArray[Any]) -> HeldImages:
    """Return these images as a set, in their order; their files are PNG."""
    height, width, channels = pixels.shape[1:]
    color: ColorMode = "grayscale" if channels == 1 else "rgb"
    rule = InputSpec(height, width, color, decode="reduced")
    files = lambda i: png(Image.fromarray(pixels[i].squeeze()))  # noqa: E731
    return HeldImages(rule, pixels, labels, np.arange(len(pixels)), str, files)


def pixels_of(images: ImageSet) -> Pixels:
    """Return the pixels of all images of a set, in the order of their numbers."""
    return images.pixels(range(len(images)))


def load(*sources: str | Path, **options: Any) -> Dataset:
    """Return the data set of these sources; options as `DataOptions` has them."""
    return datasets.load(DataOptions(tuple(map(str, sources)), **options))
