"""`python -m benchmarks.row_facts`: what the facts about its file cost an image, in CPU time.

Prints the table of docs/performance.md. One thread; the least of a few passes over a batch, in CPU time: decoding, the
facts of `pipeline.model.stored_facts` with and without EXIF data, the hash of the pixels alone, what --pixel_facts
adds, and what five columns, and four of those, more cost in a part of 2,048 rows that is written and read once.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from pipeline.batches import EncodedBatch, PredictionBatch
from pipeline.model.input_rule import InputSpec
from pipeline.model.pixel_facts import pixel_facts
from pipeline.model.pixel_hash import pixel_hashes, rule_id
from pipeline.model.preprocess import preprocess
from pipeline.model.stored_facts import facts_of
from pipeline.options import ScoreOptions
from pipeline.output.rows import PartWriter, read_part, row_schema, to_table

PASSES = 9
"""Passes over a batch, of which the fastest counts."""

ROWS = 2048
"""Rows of a part."""


def small() -> list[bytes]:
    """Return a batch of 28 x 28 grey PNG files."""
    chance = np.random.default_rng(0)
    return [_encoded(Image.fromarray(chance.integers(0, 256, (28, 28), np.uint8)), "PNG") for _ in range(256)]


def large() -> list[bytes]:
    """Return a batch of 500 x 375 JPEG files."""
    picture = Image.effect_mandelbrot((500, 375), (-2, -1, 1, 1), 40).convert("RGB")
    return [_encoded(picture, "JPEG")] * 42


def _encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def cost(work: Callable[[], object], images: int) -> float:
    """Return the microseconds of CPU time that an image costs."""
    passes = []
    for _ in range(PASSES):
        started = time.process_time()
        work()
        passes.append(time.process_time() - started)
    return min(passes) / images * 1e6


def part_cost(files: Sequence[bytes], spec: InputSpec, rules: int, wants_pixel_facts: bool = False) -> float:
    """Return the microseconds that a row costs in a part by rules, from a batch to rows that are read again."""
    pixels = preprocess(EncodedBatch.of(files), spec)
    facts = facts_of(files, pixels, spec, wants_pixel_facts=wants_pixel_facts)
    chosen = [i % len(files) for i in range(ROWS)]
    images = replace(pixels.images, facts=facts).pick(chosen)
    tops = np.tile(np.arange(5, dtype=np.int32), (ROWS, 1))
    batch = PredictionBatch(images, tops, np.full((ROWS, 5), 0.2, np.float32), np.full(ROWS, 0.2, np.float32))
    schema = row_schema("classes", ScoreOptions(("a",), "m", "o", pixel_facts=wants_pixel_facts), rules=rules)

    def write_and_read() -> None:
        writer = PartWriter("parquet", schema)
        writer.add(to_table(batch, [str(i) for i in range(10)], schema))
        read_part(writer.close(), "parquet", schema)

    return cost(write_and_read, ROWS)


def main() -> None:
    """Print the table."""
    print("| CPU time an image | decoding | facts | of these the hash | with `--exif` | `--pixel_facts` adds |")
    print("|---|---|---|---|---|---|")
    for name, files, spec in (
        ("28x28 PNG", small(), InputSpec(28, 28, "grayscale")),
        ("500x375 JPEG to 224x224", large(), InputSpec(224, 224, "rgb")),
    ):
        n, batch = len(files), EncodedBatch.of(files)
        pixels = preprocess(batch, spec)
        works: list[Callable[[], object]] = [
            partial(preprocess, batch, spec),
            partial(facts_of, files, pixels, spec),
            partial(pixel_hashes, pixels.pixels, rule_id(spec)),
            partial(facts_of, files, pixels, spec, wants_exif=True),
            partial(pixel_facts, pixels.pixels, spec.color_mode),
        ]
        costs = [cost(work, n) for work in works]
        print(f"| {name} | {' | '.join(f'{one:.1f} µs' for one in costs)} |", flush=True)
    spec = InputSpec(28, 28, "grayscale")
    more = part_cost(small(), spec, 2) - part_cost(small(), spec, 1)
    print(f"\nFive columns more in a part that is written and read: {more:.1f} µs a row.")
    more = part_cost(small(), spec, 2, wants_pixel_facts=True) - part_cost(small(), spec, 2)
    print(f"The four of --pixel_facts: {more:.1f} µs a row.")


if __name__ == "__main__":
    main()
