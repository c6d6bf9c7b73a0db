"""Damaged inputs, one after the other, through the decoders or through planning and reading; a process of its own.

    python tests/fuzz.py FOLDER FIRST COUNT TARGET...

runs the inputs FIRST to FIRST + COUNT of each target; FOLDER holds the input at work and, should one break a promise
or the process, stays as it is. The same numbers are the same inputs: give a count of 1 to see one again. Prints what
ran as JSON. What must hold for every input is in `check_decoder` and `check_source`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import random
import re
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from fuzz_corpus import ARCHIVES, FORMATS, SMALL, folder_of_files, image_input

from pipeline import sources
from pipeline.batches import EncodedBatch, ImageColumns, PixelBatch, PredictionBatch
from pipeline.errors import UsageError
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess
from pipeline.model.spec import ModelSpec
from pipeline.options import ScoreOptions
from pipeline.output.rows import row_schema, to_table
from pipeline.output.run import Run
from pipeline.scoring.planning import read_rule, units_of
from pipeline.sources import kinds
from pipeline.sources.skipped import Skipped
from pipeline.units import WorkUnit

LONGEST = 20.0
"""Seconds after which an input counts as hanging; the slowest takes under a second of its own time."""

MEMORY = 192 << 20
"""Bytes by which no input makes the process grow: 4 million pixels at 16 bytes, thrice, or a few blocks."""

MAX_PIXELS = 4 << 20
TELL = os.fdopen(os.dup(2), "w", buffering=1)
"""Where findings go: to libtiff, which has much to say, stderr is closed."""

Check = Callable[[str, random.Random, Path], Counter[str]]
DECODERS = tuple(FORMATS)
SOURCES = (*ARCHIVES, "folder")
CLASSES = ("cat", "dog")
SPECS = tuple(
    ModelSpec(InputSpec(*shape), CLASSES, "f00")
    for shape in ((8, 8, "rgb"), (16, 24, "rgb"), (5, 7, "grayscale", "nearest"), (9, 8, "rgb", "lanczos", False))
)


def check_decoder(target: str, rng: random.Random, folder: Path) -> Counter[str]:
    """An image is a row: pixels of the right shape and type, zero where it failed, and a reason on one line."""
    name, data = image_input(target, rng)
    (folder / "input").write_bytes(data)
    spec = rng.choice(SPECS).input
    batch = preprocess(EncodedBatch(ImageColumns.of([name]), [data]), spec, MAX_PIXELS)
    check_pixels(batch, spec)
    return Counter(failed=len(batch.images.failures), rows=1)


def check_pixels(batch: PixelBatch, spec: InputSpec) -> None:
    assert batch.pixels.shape == (len(batch.images), *spec.shape)
    assert batch.pixels.dtype == np.uint8
    for i, failure in batch.images.failures.items():
        assert not batch.pixels[i].any()
        assert len(failure.message.splitlines()) == 1
        assert " at 0x" not in failure.message, "the same image must give the same row"


def check_source(target: str, rng: random.Random, folder: Path) -> Counter[str]:
    """What can be found has a row or is counted; each unit has the rows that its plan says, under keys of their own."""
    named = write_folder(folder, rng) if target == "folder" else write_archive(folder, target, rng)
    limit = rng.choice((None, None, None, 1, 4))
    unit_images = rng.choice((1, 2, 3, 2048))
    if target in ("idx", "numpy", "parquet") and unit_images < 2048:
        limit = limit or 400  # a header may cost 65,536 failed rows, in as many units
    options = ScoreOptions(
        input=(str(named),), model="model", output="out", engine="tensorflow", max_pixels=MAX_PIXELS,
        unit_images=unit_images, limit=limit,
        label_source=rng.choice(("auto", "auto", "from_directory", "none")),
    )  # fmt: skip
    run = Run.of("run-1", options, rng.choice(SPECS))
    skipped = Skipped()
    try:
        units = list(units_of(run, skipped))
    except UsageError as error:
        if target not in ("manifest", "parquet", "numpy") or len(str(error).splitlines()) != 1:
            raise
        return Counter(refused=1)
    units = [WorkUnit.from_json(unit.to_json()) for unit in units]
    keys, failed = [], 0
    for unit in units:
        more, bad = check_unit(unit, run, skipped)
        keys, failed = keys + more, failed + bad
        assert len(check_unit(sources.first_images(unit, 2), run)[0]) <= 2
        assert len(rows_of(sources.sample(unit, 2), run)[0]) <= 2
    assert len(set(keys)) == len(keys)
    assert keys or skipped
    assert limit is None or len(keys) <= limit
    if target == "folder" and limit is None:
        files = [path for path in named.rglob("*") if path.is_file()]
        if not (named / "link.png").is_symlink() and {kinds.kind_by_name(str(f)) for f in files} <= {None, "images"}:
            assert len(keys) + skipped.total == len(files)
    return Counter(rows=len(keys), failed=failed)


def check_unit(unit: WorkUnit, run: Run, skipped: Skipped | None = None) -> tuple[list[str], int]:
    """Return the keys of a unit's rows, as many as planned, and how many failed; count what is no row."""
    keys, failed = rows_of(unit, run, skipped)
    assert unit.images in (None, len(keys)), f"{len(keys)} rows, {unit.images} planned"
    assert len(set(keys)) == len(keys)
    return keys, failed


def rows_of(unit: WorkUnit, run: Run, skipped: Skipped | None = None) -> tuple[list[str], int]:
    keys: list[str] = []
    failed = 0
    for batch in sources.read(unit, read_rule(run), skipped):
        pixels = preprocess(batch, run.spec.input, MAX_PIXELS)
        check_pixels(pixels, run.spec.input)
        n = len(pixels.images)
        zeros = np.zeros((n, 2))
        predictions = PredictionBatch(pixels.images, zeros.astype(np.int32), zeros.astype(np.float32), zeros[:, 0])
        schema = row_schema(run.spec.task, run.options)
        keys += to_table(predictions, CLASSES, schema)["key"].to_pylist()
        failed += len(pixels.images.failures)
    return keys, failed


def write_archive(folder: Path, target: str, rng: random.Random) -> Path:
    """Write a damaged archive, or list of the images that lie beside it; return what is named as the input."""
    for left in folder.iterdir():
        if left.is_file() and left.name not in SMALL:
            left.unlink()  # an earlier input's, which this one would find beside itself
    archive = rng.choice(ARCHIVES[target])
    for name, data in archive.damaged(ARCHIVES[target], rng).items():
        (folder / name).write_bytes(data)
    return folder / archive.name


def write_folder(folder: Path, rng: random.Random) -> Path:
    root = folder / "files"
    shutil.rmtree(root, ignore_errors=True)
    for name, data in folder_of_files(rng).items():
        path = os.path.join(os.fsencode(root), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(data)
    root.mkdir(exist_ok=True)
    if rng.random() < 0.3:
        (root / "link.png").symlink_to(rng.choice((".", "link.png", "..", "cat", "cat/a.png", "gone")))
    return root


def peak() -> int:
    """Return the most bytes of memory that this process ever had; elsewhere than on Linux, or one that it came from."""
    with contextlib.suppress(OSError):
        return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def run_one(check: Check, target: str, number: int, folder: Path, before: int) -> Counter[str]:
    faulthandler.dump_traceback_later(LONGEST, exit=True, file=TELL)
    try:
        found = check(target, random.Random(f"{target} {number}"), folder)
        assert peak() - before < MEMORY, f"the process grew by {peak() - before:,} bytes"
        return found
    except Exception:  # noqa: BLE001 - every one is a finding
        kept = folder.parent / f"{target}-{number}"
        shutil.copytree(folder, kept, dirs_exist_ok=True, symlinks=True)
        print(f"input {number} of {target}, kept in {kept}:\n{traceback.format_exc()}", file=TELL)
        return Counter(broken=1)
    finally:
        faulthandler.cancel_dump_traceback_later()


def main(folder: Path, first: int, count: int, targets: Sequence[str]) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    faulthandler.enable(TELL)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))  # rather a MemoryError than a machine that swaps
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, data in SMALL.items():
        (folder / "work" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "work" / name).write_bytes(data)
    done: dict[str, Counter[str]] = {target: Counter() for target in targets}
    slowest: tuple[float, str, int] = (0.0, "", 0)
    before = peak()
    for target in targets:
        check = check_decoder if target in DECODERS else check_source
        for number in range(first, first + count):
            (folder / "now").write_text(f"input {number} of {target}")
            started = time.process_time()
            done[target] += run_one(check, target, number, folder / "work", before)
            done[target]["inputs"] += 1
            slowest = max(slowest, (time.process_time() - started, target, number))
    print(json.dumps({"done": done, "slowest": slowest, "grown": peak() - before}))
    return int(any(counts["broken"] for counts in done.values()))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
