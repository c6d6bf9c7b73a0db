"""Bare processes, one a core, that do an image's work and nothing else: the program of the peer `limit`.

    python -m benchmarks.bare_processes --input FOLDER --kind png --model MODEL --network NETWORK --output OUTPUT

Each process reads files, decodes them as the product does, calls LiteRT, and writes the product's rows as Parquet.
There is no plan, no check, no receipt, no summary, and no process waits for another. NETWORK is the model's SavedModel
as `benchmarks.convert` made it.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import cores
from pipeline.batches import EncodedBatch, ImageColumns, PredictionBatch
from pipeline.model.directory import read_spec
from pipeline.model.preprocess import preprocess
from pipeline.model.spec import ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output.rows import PartWriter, row_schema, to_table

SUFFIX = {"png": ".png", "jpeg": ".jpg"}
PART_IMAGES = 2048
"""Images of a part, at most."""

PARTS = 4
"""Parts for each process, at least, so that all end at about the same time."""

CALL_IMAGES = 16
CALL_BYTES = 1 << 19
"""A call of LiteRT gets at most so many images, and at most so many bytes of pixels: 3 images of 224 x 224."""

PIECE_IMAGES = 256
"""Small images that are decoded together; large ones, as many as one call of LiteRT gets."""


class NoPandas:
    """Makes `import pandas` fail, as where it is not installed.

    Arrow imports it when it first converts an array, for 0.2 seconds in each process, and needs nothing of it.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise for pandas; leave any other module to others."""
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)


class Network:
    """A network in LiteRT, with one thread."""

    def __init__(self, path: str, shape: tuple[int, int, int]) -> None:
        """Load it for images of a shape."""
        from ai_edge_litert.interpreter import Interpreter

        self.call_images = max(1, min(CALL_IMAGES, CALL_BYTES // math.prod(shape)))
        self._shape = shape
        self._interpreter: Any = Interpreter(model_path=path, num_threads=1)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._images = 0
        self._resize(self.call_images)

    def scores(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return float32 [n, classes] of uint8 [n, height, width, channels]."""
        calls = [pixels[i : i + self.call_images] for i in range(0, len(pixels), self.call_images)]
        return np.concatenate([self._call(images) for images in calls])

    def _call(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self._resize(len(images))
        self._interpreter.set_tensor(self._input, images)
        self._interpreter.invoke()
        scores: npt.NDArray[np.float32] = self._interpreter.get_tensor(self._output)
        return scores

    def _resize(self, images: int) -> None:
        if images != self._images:
            self._interpreter.resize_tensor_input(self._input, [images, *self._shape])
            self._interpreter.allocate_tensors()
            self._images = images


@dataclass(frozen=True)
class Work:
    """What the processes share.

    Attributes:
        paths: of all files, in order.
        spec: of the model.
        network: path of the converted network.
        options: the product's, for the rows; its output is the folder for the parts.
        part_images: files of a part.
    """

    paths: Sequence[str]
    spec: ModelSpec
    network: str
    options: ScoreOptions
    part_images: int

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-len(self.paths) // self.part_images)


def score(work: Work, take: Callable[[], int]) -> None:
    """Write parts in this process, as long as there are any.

    Args:
        work: what there is to do.
        take: returns the number of the next part that nobody has taken.
    """
    network = Network(work.network, work.spec.input.shape)
    schema = row_schema(work.spec.task, work.options)
    piece = PIECE_IMAGES if network.call_images == CALL_IMAGES else network.call_images
    while (part := take()) < work.parts:
        paths = work.paths[part * work.part_images : (part + 1) * work.part_images]
        writer = PartWriter("parquet", schema)
        for i in range(0, len(paths), piece):
            writer.add(to_table(_predicted(paths[i : i + piece], work, network), work.spec.class_names, schema))
        Path(work.options.output, f"part-{part:06d}.parquet").write_bytes(writer.close())


def _predicted(paths: Sequence[str], work: Work, network: Network) -> PredictionBatch:
    folders = [path.rsplit("/", 2)[1] for path in paths]
    numbers = {name: number for number, name in enumerate(work.spec.class_names)}
    labels = np.array([numbers.get(name, -1) for name in folders], np.int32)
    images = ImageColumns(paths, labels, labels >= 0, folders)
    batch = preprocess(EncodedBatch(images, [_read(path) for path in paths]), work.spec.input)
    if batch.images.failures:
        raise ValueError(f"images that cannot be decoded: {batch.images.failures}")
    scores = network.scores(batch.pixels)
    top = np.argsort(-scores, axis=1, kind="stable")[:, : work.options.top_k].astype(np.int32)
    label_scores = np.where(labels >= 0, scores[np.arange(len(labels)), labels], np.float32("nan"))
    return PredictionBatch(images, top, np.take_along_axis(scores, top, axis=1), label_scores)


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY)
    data = os.read(file, os.fstat(file).st_size)
    os.close(file)
    return data


def run_processes(work: Work, processes: int) -> None:
    """Write all parts with that many processes.

    Raises:
        SystemExit: one of them failed.
    """
    context = multiprocessing.get_context("fork")  # of what is imported; no thread runs yet
    taken = context.Value("q", 0)

    def take() -> int:
        with taken.get_lock():
            taken.value += 1
            return int(taken.value) - 1

    children = [context.Process(target=score, args=(work, take)) for _ in range(processes)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    if any(child.exitcode for child in children):
        sys.exit(f"exit codes {[child.exitcode for child in children]}")


def main(argv: Sequence[str] | None = None) -> None:
    """Score a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--input", "--model", "--network", "--output"):
        parser.add_argument(name, required=True)
    parser.add_argument("--kind", choices=tuple(SUFFIX), required=True)
    asked = parser.parse_args(argv)
    sys.meta_path.insert(0, NoPandas())
    paths = files(asked.input, SUFFIX[asked.kind])
    os.makedirs(asked.output)
    part_images = max(1, min(PART_IMAGES, len(paths) // (PARTS * cores())))
    options = ScoreOptions((asked.input,), asked.model, asked.output)
    run_processes(Work(paths, read_spec(asked.model), asked.network, options, part_images), cores())


def files(folder: str, suffix: str) -> list[str]:
    """Return the paths of all files with a suffix, below a folder, in order."""
    found: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        found += [f"{parent}/{name}" for name in sorted(names) if name.endswith(suffix)]
    return found


if __name__ == "__main__":
    main()
