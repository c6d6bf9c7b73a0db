"""An epoch of training batches as `nightscore train` gets them, of images that are decoded for each epoch.

    python -m benchmarks.our_epochs --input FOLDER --side 28 --color_mode grayscale --shuffle_mb 64

All images are there, those that a training would keep for validation and tests as well. Prints a line when it is
ready; each line that comes asks for an epoch, whose number of images it prints.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from model_training.data.archive import Archive
from model_training.data.found import find
from model_training.data.image_set import ImageSet
from model_training.data.options import DataOptions
from model_training.data.plan import plan
from model_training.data.streamed import ArchiveImages, StreamedImages

BATCH = 32


def everything(options: DataOptions) -> ImageSet:
    """Return all images of the inputs as one set whose pixels are in no memory."""
    planned = plan(options)
    archive: Archive = planned.archive
    found = find(planned, keep_bytes=0)
    rows = np.flatnonzero(found.usable)
    labels = found.labels.numbers.astype(np.int64)[rows]
    return StreamedImages(
        ArchiveImages(archive, found.starts, found.keys), rows, labels, found.hashes[rows], options.shuffle_mb << 20
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Serve epochs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="folder of class folders")
    parser.add_argument("--side", type=int, required=True, help="pixels of each side of the batches")
    parser.add_argument("--color_mode", choices=("grayscale", "rgb"), required=True)
    parser.add_argument("--shuffle_mb", type=int, required=True)
    asked = parser.parse_args(argv)
    images = everything(
        DataOptions((asked.input,), image_size=asked.side, color_mode=asked.color_mode, shuffle_mb=asked.shuffle_mb)
    )
    print("ready", flush=True)
    for epoch, _ in enumerate(sys.stdin):
        print(sum(len(numbers) for _, numbers in images.batches(BATCH, seed=epoch)), flush=True)


if __name__ == "__main__":
    main()
