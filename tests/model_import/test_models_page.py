"""docs/models.md: its commands run one after the other, its tables are whole, and its flags exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from foreign_models import photographs, small_network, write_signatures_of_files, write_tflite, written

from model_import.cli import _parser
from model_import.scaling import SCALINGS
from model_import.start import keras, tf
from pipeline.model.fit import FITS
from pipeline.model.presets import PRESETS

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [shlex.split(line[2:]) for block in blocks for line in block.splitlines()]


def first_cells(header: str) -> list[str]:
    table = PAGE.partition(f"\n{header}\n")[2].split("\n\n")[0]
    return re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)


def test_tables_are_whole() -> None:
    assert first_cells("| `--like` | what it is |") == list(PRESETS)
    assert first_cells("| `--fit` | what happens to an image | whose |") == list(FITS)
    assert first_cells("| `--scaling` | value of a pixel |") == [*SCALINGS, "'SCALE,OFFSET'"]


def test_every_import_of_the_page_is_a_command_line_that_exists() -> None:
    imports = [words[2:] for words in commands() if words[:2] == ["nightscore", "import-model"]]
    assert len(imports) >= 10
    for words in imports:
        assert _parser().parse_args(words).source == words[0]


def test_help_and_page_name_every_fit() -> None:
    told = " ".join(_parser().format_help().split())
    assert all(name in told for name in FITS)


def write_models(folder: Path) -> None:
    """Write the files that the page's commands name."""
    photographs(folder / "photos", 20, 0)
    (folder / "photos" / "000.jpg").rename(folder / "photos" / "daisy.jpg")
    for name in ("daisy", "dandelion", "rose", "sunflower", "tulip"):
        photographs(folder / "labelled" / name, 2, 0)
    flowers = small_network()
    written(folder, flowers, "flowers.keras")
    (folder / "flowers.txt").write_text("daisy\ndandelion\nrose\nsunflower\ntulip\n")
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    np.savez(folder / "golden.npz", images=images, scores=flowers.predict(images, verbose=0))
    network = keras().applications.MobileNetV2((96, 96, 3), 0.35, weights=None)
    network.layers[-1].weights[0].assign(np.random.default_rng(0).normal(0, 1, (1280, 1000)))
    written(folder, network, "mobilenet.h5")
    written(folder / "converted_keras", small_network((224, 224, 3), 2, rescale=False), "keras_model.h5")
    (folder / "converted_keras" / "labels.txt").write_text("0 cat\n1 dog\n")
    library = tf()
    module = library.Module()
    module.network = small_network((None, None, 3), 1001, None, rescale=False)
    call = library.function(lambda images: module.network(images), autograph=False)
    shape = library.TensorSpec((None, None, None, 3), library.float32, name="images")
    signature = call.get_concrete_function(shape)
    library.saved_model.save(module, str(folder / "hub"), signatures=signature)
    flowers.export(str(folder / "exported"), verbose=False)
    write_signatures_of_files(folder / "estimator")
    write_tflite(folder / "phone.tflite", flowers, "uint8")
    written(folder, small_network(classes=4, activation="sigmoid"), "tags.keras")
    written(folder, small_network(classes=1, activation=None), "age.keras")


@pytest.mark.heavy
def test_commands_run_as_written(tmp_path: Path) -> None:
    write_models(tmp_path)
    for words in commands():
        done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
