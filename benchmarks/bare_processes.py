"""Bare processes, one a core, that do an image's work and nothing else: the program of the peer `limit`.

    python -m benchmarks.bare_processes --input FOLDER --kind png --model MODEL --output OUTPUT

Each process reads files, decodes them as the product does, calls LiteRT, and writes the product's rows as Parquet.
There is no plan, no check, no receipt, no summary, and no process waits for another.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.machine import cores
from pipeline.batches import EncodedBatch, ImageColumns, PredictionBatch
from pipeline.machine import refuse_import
from pipeline.model.directory import TFLITE, read_spec
from pipeline.model.engines.litert import CALL_IMAGES, LiteRTNetwork
from pipeline.model.preprocess import preprocess
from pipeline.model.spec import ModelSpec
from pipeline.model.stored_facts import facts_of
from pipeline.options import ScoreOptions
from pipeline.output.rows import PartWriter, row_schema, to_table

SUFFIX = {"png": ".png", "jpeg": ".jpg"}
PART_IMAGES = 2048
"""Images of a part, at most."""

PARTS = 4
"""Parts for each process, at least, so that all end at about the same time."""

PIECE_IMAGES = 256
"""Small images that are decoded together; large ones, as many as one call of LiteRT gets."""


@dataclass(frozen=True)
class Work:
    """What the processes share.

    Attributes:
        paths: of all files, in order.
        spec: of the model.
        options: the product's, for the rows; its output is the folder for the parts.
        part_images: files of a part.
    """

    paths: Sequence[str]
    spec: ModelSpec
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
    network = LiteRTNetwork(os.path.join(work.options.model, TFLITE), work.spec.input.shape)
    network(np.zeros((network.call_images, *work.spec.input.shape), np.uint8))  # the largest call first
    schema = row_schema(work.spec.task, work.options)
    piece = PIECE_IMAGES if network.call_images == CALL_IMAGES else network.call_images
    while (part := take()) < work.parts:
        paths = work.paths[part * work.part_images : (part + 1) * work.part_images]
        writer = PartWriter("parquet", schema)
        for i in range(0, len(paths), piece):
            writer.add(to_table(_predicted(paths[i : i + piece], work, network), work.spec.class_names, schema))
        Path(work.options.output, f"part-{part:06d}.parquet").write_bytes(writer.close())


def _predicted(paths: Sequence[str], work: Work, network: LiteRTNetwork) -> PredictionBatch:
    folders = [path.rsplit("/", 2)[1] for path in paths]
    numbers = {name: number for number, name in enumerate(work.spec.class_names)}
    labels = np.array([numbers.get(name, -1) for name in folders], np.int32)
    images = ImageColumns(paths, labels, labels >= 0, folders)
    encoded = [_read(path) for path in paths]
    batch = preprocess(EncodedBatch(images, encoded), work.spec.input)
    batch = replace(batch, images=replace(batch.images, facts=facts_of(encoded, batch, work.spec.input)))
    if batch.images.failures:
        raise ValueError(f"images that cannot be decoded: {batch.images.failures}")
    size = network.call_images
    scores = np.concatenate([network(batch.pixels[i : i + size]).scores for i in range(0, len(paths), size)])
    most = scores.shape[1] if work.options.top_k == "all" else work.options.top_k
    top = np.argsort(-scores, axis=1, kind="stable")[:, :most].astype(np.int32)
    label_scores = np.where(labels >= 0, scores[np.arange(len(labels)), labels], np.float32("nan"))
    return PredictionBatch(batch.images, top, np.take_along_axis(scores, top, axis=1), label_scores)


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
    for name in ("--input", "--model", "--output"):
        parser.add_argument(name, required=True)
    parser.add_argument("--kind", choices=tuple(SUFFIX), required=True)
    asked = parser.parse_args(argv)
    refuse_import("pandas")
    paths = files(asked.input, SUFFIX[asked.kind])
    os.makedirs(asked.output)
    part_images = max(1, min(PART_IMAGES, len(paths) // (PARTS * cores())))
    options = ScoreOptions((asked.input,), asked.model, asked.output)
    run_processes(Work(paths, read_spec(asked.model), options, part_images), cores())


def files(folder: str, suffix: str) -> list[str]:
    """Return the paths of all files with a suffix, below a folder, in order."""
    found: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        found += [f"{parent}/{name}" for name in sorted(names) if name.endswith(suffix)]
    return found


if __name__ == "__main__":
    main()
