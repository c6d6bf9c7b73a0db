"""Real files and a real model for all tests."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from azurite import az_bucket, azurite_process  # noqa: F401 - fixtures
from counting_store import counted  # noqa: F401 - a fixture
from foreign_models import foreign, photos  # noqa: F401 - fixtures
from gcs_emulator import emulator, emulator_server, gcs_bucket  # noqa: F401 - fixtures
from hypothesis import settings
from permissions import open_folder  # noqa: F401 - a fixture
from s3_server import s3_bucket, s3_server, s3_server_process  # noqa: F401 - fixtures
from small_models import fussy_model, hungry_model  # noqa: F401 - fixtures

from model_training.data.datasets import RawImages, from_raw, raw_images
from pipeline.model.directory import read_spec
from pipeline.model.engines.choice import choose
from pipeline.options import ScoreOptions
from pipeline.output.rows import read_part, row_schema
from pipeline.output.run import Run
from pipeline.scoring import arrangement
from pipeline.scoring.process_pool import processes
from pipeline.storage import retry

sys.path.insert(0, str(Path(__file__).parent / "tools" / "poisoned"))  # for child processes, which get our path
os.environ["IMPATIENT"] = "8"
# No test depends on speed; each run tries other examples, so that few of them are enough.
settings.register_profile("any machine", deadline=None, max_examples=25)
settings.load_profile("any machine")
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell has started us in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a test interrupts would ignore it as well


def pytest_collection_finish() -> None:
    """Leave what was imported out of the garbage collections: Keras makes a whole one at each epoch."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let Python end as usual."""
    gc.unfreeze()


SCHEMA = row_schema("classes", ScoreOptions(input=("archive",), model="model", output="night"))
SCHEMA_1 = row_schema("classes", ScoreOptions(input=("archive",), model="model", output="night"), rules=1)
"""The columns of the rows that a model of classes gives."""


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test does not wait for: storage that fails is tried three times, at once."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    retry.patience.cache_clear()
    retry.patience().start(0.0)
    yield
    retry.patience.cache_clear()


def forget_processes() -> None:
    """End this process's local processes, and forget how they share the work."""
    processes().close()
    arrangement._arranged.clear()


@pytest.fixture
def new_processes() -> Iterator[None]:
    """Let local processes start anew, and no other test have them."""
    forget_processes()
    yield
    forget_processes()


@pytest.fixture
def poisoned(new_processes: None, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let local processes that start now do as tests/tools/poisoned says; the environment is for them."""
    return monkeypatch


@pytest.fixture(scope="session")
def digits() -> RawImages:
    return raw_images("digits")


def made_once(factory: pytest.TempPathFactory, worker_id: str, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that the processes of one pytest run share: the first that needs it makes what is in it."""
    own = factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / name
    with open(folder.with_suffix(".lock"), "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not folder.with_suffix(".whole").exists():
            folder.mkdir()
            make(folder)
            folder.with_suffix(".whole").touch()
    return folder


@pytest.fixture(scope="session")
def task_models(tmp_path_factory: pytest.TempPathFactory, worker_id: str, digits: RawImages) -> Path:
    """A model directory of each task, by its name: see `task_networks`."""
    from task_networks import write_all

    return made_once(tmp_path_factory, worker_id, "tasks", lambda folder: write_all(digits, folder))


@pytest.fixture
def room_on_disk(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """Let one test at a time install packages: TensorFlow takes gigabytes of disk while it is installed."""
    own = tmp_path_factory.getbasetemp()
    with open((own if worker_id == "master" else own.parent) / "room.lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, worker_id: str, digits: RawImages) -> str:
    """The seed's CNN after two epochs of digits, with model.tflite."""
    from model_training.build import build
    from model_training.learning.recipe import Recipe

    def train(folder: Path) -> None:
        build(from_raw(digits), Recipe(epochs=2), str(folder / "digits"))

    return str(made_once(tmp_path_factory, worker_id, "model", train) / "digits")


LONGEST = (
    "release",
    "readme",
    "models_page",
    "checkpoint",
    "elsewhere_pages",
    "real_models",
    "trial",
    "dataflow",
    "base",
    "train_page",
    "declared",
    "import_command",
    "transfer_page",
    "report_in_browser",
    "tar_archive",
    "presets",
    "verify",
    "encoded_model",
    "tutorial",
    "end_to_end",
    "score",
    "train_command",
    "training_report",
    "format_1",
    "finish",
)
"""Files of tests that take long, in the heavy suite or the default one.

They come first, so that no process of the tests is left with one at the end.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {f"test_{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


WriteImages = Callable[..., Path]


@pytest.fixture
def write_images(tmp_path: Path, digits: RawImages) -> WriteImages:
    """Write the first n digits as PNG files in class folders; returns the archive's folder."""

    def write(n: int = 40, name: str = "archive", start: int = 0) -> Path:
        folder = tmp_path / name
        for i in range(start, start + n):
            path = folder / str(digits.labels[i]) / f"{i:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(digits.encoded(i))
        return folder

    return write


@pytest.fixture
def write_records(tmp_path: Path, digits: RawImages) -> WriteImages:
    """Write n digits as a TFRecord file by TensorFlow's own writer; returns its path."""

    def write(
        n: int = 40,
        name: str = "digits.tfrecord",
        compression: str = "",
        start: int = 0,
        keys: Sequence[str] = ("image/encoded", "image/class/label"),
    ) -> Path:
        import tensorflow as tf

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(path), compression) as writer:
            for i in range(start, start + n):
                feature = {
                    keys[0]: tf.train.Feature(bytes_list=tf.train.BytesList(value=[digits.encoded(i)])),
                    keys[1]: tf.train.Feature(int64_list=tf.train.Int64List(value=[int(digits.labels[i])])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
        return path

    return write


MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tiny_model: str, tmp_path: Path) -> MakeRun:
    """Return a run over inputs that has not started, by default of `tiny_model` into tmp_path/night."""

    def make(
        *inputs: Path | str,
        output: Path | str | None = None,
        name: str = "run-1",
        model: str = tiny_model,
        **options: Any,
    ) -> Run:
        chosen = ScoreOptions(
            input=tuple(map(str, inputs)), model=model, output=str(output or tmp_path / "night"), **options
        )
        spec = read_spec(model)
        choice = choose(chosen, spec, None)
        return Run.of(name, replace(chosen, engine=choice.engine), spec, choice.why)

    return make


@dataclass(frozen=True)
class DemoRun:
    """What `nightscore demo` printed and left, run in an empty folder."""

    code: int
    output: str
    folder: Path


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> DemoRun:
    def run(folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "nightscore", "demo"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        folder.with_suffix(".json").write_text(json.dumps([done.returncode, done.stdout]))

    folder = made_once(tmp_path_factory, worker_id, "newcomer", run)
    code, output = json.loads(folder.with_suffix(".json").read_text())
    return DemoRun(code, output, folder / "demo")


def rows_of(output: Path | str) -> list[dict[str, Any]]:
    """Return all rows of an OUTPUT's table, in its order."""
    parts = Path(output, "table.txt").read_text().split("\n")[:-1]
    tables = [read_part(Path(p).read_bytes(), "jsonl" if p.endswith("jsonl") else "parquet", SCHEMA) for p in parts]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return rows
