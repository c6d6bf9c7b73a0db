"""Data sets that a network learns from: labelled images in three splits, with the rule by which pixels are made.

    mnist    60,000 + 10,000 handwritten digits, 28 x 28, from IDX files or the Keras cache
    digits   1,797 handwritten digits, 8 x 8, bundled with scikit-learn, enlarged to 28 x 28
    PATH     any images that can be scored (`model_training.data.from_sources`)

Must not know how networks are trained. Imports TensorFlow nowhere, and Keras only to download MNIST.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from model_training.data.compressed_texts import CompressedTexts
from model_training.data.dataset import EXAMPLES, Dataset, spread
from model_training.data.from_sources import read_sources
from model_training.data.image_list import SPLITS, ImageList
from model_training.data.image_set import HeldImages
from model_training.data.options import DATASETS, DataOptions
from model_training.data.raw_images import DIGITS, RAW_SIDE, RawImages, raw_images
from model_training.data.sides import VALIDATION_SHARE
from model_training.publishing import publish
from pipeline.batches import EncodedBatch, ImageColumns
from pipeline.model.input_rule import ColorMode, InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.model.resize import takes_exact

__all__ = [
    "DATASETS",
    "EXAMPLES",
    "DataOptions",
    "Dataset",
    "RawImages",
    "check_apart",
    "from_raw",
    "load",
    "raw_images",
    "spread",
]

RuleOf = Callable[[int, int, ColorMode], InputSpec]
"""Makes an input rule of height, width and color mode."""

REDUCED: RuleOf = partial(InputSpec, decode="reduced")
"""Makes the input rule of models that are trained here, if nothing else is asked for."""


def load(options: DataOptions, seen: Callable[[int], None] | None = None) -> Dataset:
    """Return a data set.

    Args:
        options: say what it is.
        seen: is told of each number of images more that were read for the first time; None: nobody is.

    Raises:
        UsageError: it cannot be had, or nothing can be learned from it; the text says what to do.
        TransientError: storage fails for now.
    """
    if options.name is not None:
        return replace(
            from_raw(raw_images(options.name, options.data_dir), options.rule, options.seed), task=options.task
        )
    dataset = read_sources(options, seen)
    _ = dataset.examples  # while they are there
    return dataset


def check_apart(options: DataOptions, output: str) -> None:
    """Check that images and the place of the new model do not lie in one another.

    Args:
        options: name the images.
        output: location of the new model, as `check_output` returns it.

    Raises:
        UsageError: they do: a model that is replaced would take images with it, or become some.
    """
    if options.name is not None:
        return
    named = {"--dataset": options.sources, "--validation": options.validation, "--test": options.test}
    for flag, sources in named.items():
        for source in sources:
            publish.check_apart(flag, source, output, is_pattern=True)


def from_raw(raw: RawImages, rule_of: RuleOf = REDUCED, seed: int = 0) -> Dataset:
    """Return pictures as a data set: each one as if it were read from its PNG file.

    Their publishers tell which images test. Of the others, shuffled with the seed, the last tenth validates.

    Args:
        raw: the pictures.
        rule_of: makes the input rule of its height, width and color mode.
        seed: of the shuffle.
    """
    keys = [f"{raw.name}#{i}" for i in range(len(raw.images))]
    rule = rule_of(RAW_SIDE, RAW_SIDE, "grayscale")
    if (*raw.images.shape[1:], 1) == rule.shape and takes_exact(rule):
        pixels = raw.images[..., np.newaxis]  # PNG loses nothing and there is nothing to resize
    else:
        encoded = [raw.encoded(i) for i in range(len(raw.images))]
        pixels = preprocess(EncodedBatch(ImageColumns.of(keys), encoded), rule).pixels

    def images(rows: npt.NDArray[np.int64]) -> HeldImages:
        return HeldImages(rule, pixels, raw.labels, rows, keys.__getitem__, raw.encoded)

    rest = np.random.default_rng(seed).permutation(np.flatnonzero(~raw.is_test))
    learned = int(len(rest) * (1.0 - VALIDATION_SHARE))  # as Keras' validation_split counts
    places = dict(zip(SPLITS, (rest[:learned], rest[learned:], np.flatnonzero(raw.is_test)), strict=True))
    train, validation, test = map(images, places.values())
    listed = ImageList(CompressedTexts(keys), places, CompressedTexts([""] * len(keys)))
    return Dataset(raw.name, DIGITS, rule, train, validation, test, listed=listed)
