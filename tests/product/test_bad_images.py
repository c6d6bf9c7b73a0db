"""Each kind of bad or odd image gives the row that its table says, alone and among all the others."""

from __future__ import annotations

import functools
import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from bad_images import KINDS, Failed, Ok, suffix_of
from conftest import rows_of
from PIL import ImageFile

from pipeline.batches import EncodedBatch, Failure, ImageColumns
from pipeline.cli import score
from pipeline.model.input_rule import InputSpec
from pipeline.model.preprocess import preprocess

SECONDS = 1.0
"""Of processor time, for any kind; the limit finds hangs and bombs, on a slow machine as well."""

MEMORY = 512 << 20
"""Bytes that decoding the whole corpus, image by image, may add to a process."""


@functools.cache
def data_of(name: str) -> bytes:
    return KINDS[name].make()


@pytest.mark.filterwarnings("ignore:::PIL")  # Pillow's remarks; that a person never sees them is held below
@pytest.mark.parametrize("name", KINDS)
def test_a_kind_gives_its_row_in_little_time(name: str) -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    kind = KINDS[name]
    data = data_of(name)
    shown = kind.row.rgb if isinstance(kind.row, Ok) else None
    height, width = (8, 8) if shown is None else shown.shape[:2]
    started = time.process_time()
    batch = preprocess(EncodedBatch(ImageColumns.of([name]), [data]), InputSpec(height, width, "rgb"))
    assert time.process_time() - started < SECONDS
    if isinstance(kind.row, Failed):
        failure = batch.images.failures[0]
        assert failure == Failure("preprocess", kind.row.code, failure.message)
        assert failure.message
        assert kind.row.message in failure.message
        assert not batch.pixels.any()
    else:
        assert batch.images.failures == {}
        if shown is not None:
            np.testing.assert_allclose(batch.pixels[0].astype(int), shown.astype(int), rtol=0, atol=kind.row.off)


def test_there_are_many_kinds_and_no_two_of_the_same_bytes() -> None:
    assert len(KINDS) >= 100
    assert len({data_of(name) for name in KINDS}) == len(KINDS)


def test_kinds_are_made_the_same_every_time() -> None:
    assert [name for name, kind in KINDS.items() if kind.make() != data_of(name)] == []


def test_the_corpus_is_decoded_in_bounded_memory(tmp_path: Path) -> None:
    program = (
        "import resource, sys; from pathlib import Path; from pipeline.model.preprocess import preprocess; "
        "from pipeline.batches import EncodedBatch, ImageColumns; from pipeline.model.input_rule import InputSpec\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    preprocess(EncodedBatch(ImageColumns.of(['x']), [path.read_bytes()]), InputSpec(8, 8, 'rgb'))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    write_files(tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < MEMORY


def file_of(name: str) -> str:
    """Return a kind's file name; it begins with its number."""
    return f"{list(KINDS).index(name):03d}{suffix_of(name)}"


def write_files(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name in KINDS:
        (folder / file_of(name)).write_bytes(data_of(name))
    return folder


def write_tar(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in KINDS:
            data, member = data_of(name), tarfile.TarInfo(file_of(name))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def write_records(path: Path) -> Path:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for name in KINDS:
            feature = {"image/encoded": {"bytes_list": {"value": [data_of(name)]}}}
            writer.write(tf.train.Example(features={"feature": feature}).SerializeToString())
    return path


def number_in(key: str) -> int:
    """Return the number of the kind whose row has that key."""
    name = key.rpartition("/")[2]
    return int(name.rpartition("#")[2] if "#" in name else name.rpartition("!")[2][:3])


def statuses(numbers: Sequence[int]) -> list[tuple[int, str, str | None, str | None]]:
    """Return the number, status, stage and code that the table says, in the table's order."""
    rows = [kind.row for kind in KINDS.values()]
    return [
        (i, "failed", "preprocess", row.code) if isinstance(row, Failed) else (i, "ok", None, None)
        for i, row in enumerate(rows)
        if i in numbers
    ]


@pytest.mark.heavy
def test_every_kind_is_one_row_in_every_container_and_nothing_else_is_said(
    tiny_model: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    inputs = [write_files(tmp_path / "folder"), write_tar(tmp_path / "x.tar"), write_records(tmp_path / "x.tfrecord")]
    flags = [str(flag) for path in inputs for flag in ("--input", path)]
    options = ["--model", tiny_model, "--output", str(tmp_path / "night"), "--max_failed_fraction", "1"]
    capfd.readouterr()
    assert score.main([*flags, *options, "--no_canary", "--unit_images", "50"]) == 0
    assert capfd.readouterr().err == ""
    assert [str(warning.message) for warning in recwarn] == []
    assert [record.getMessage() for record in caplog.records] == []
    rows = rows_of(tmp_path / "night")
    for path in inputs:
        of_input = [row for row in rows if row["key"].startswith(str(path))]
        found = [(number_in(r["key"]), r["status"], r["error_stage"], r["error_code"]) for r in of_input]
        assert sorted(found) == statuses(range(len(KINDS))), path.name
        assert all((row["predicted"] is None) == (row["status"] == "failed") for row in of_input)
    summary = json.loads((tmp_path / "night" / "summary.json").read_text())
    failed = sum(isinstance(kind.row, Failed) for kind in KINDS.values())
    assert (summary["images"], summary["failed"]) == (3 * len(KINDS), 3 * failed)


@pytest.mark.filterwarnings("ignore:::PIL")
@pytest.mark.heavy
def test_the_pixels_of_a_good_image_do_not_depend_on_its_neighbors() -> None:
    """A batch of all kinds gives what each gives alone."""
    names, spec = list(KINDS), InputSpec(8, 8, "rgb")
    data = [data_of(name) for name in names]
    together = preprocess(EncodedBatch(ImageColumns.of(names), data), spec)
    for i, name in enumerate(names):
        alone = preprocess(EncodedBatch(ImageColumns.of([name]), [data[i]]), spec)
        assert np.array_equal(alone.pixels[0], together.pixels[i]), name
        assert alone.images.failures.get(0) == together.images.failures.get(i), name
