"""`nightscore train`, as a person meets it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from model_training import cli
from pipeline.model.directory import read_spec
from pipeline.model.input_rule import InputSpec
from pipeline.model.thumbnails import png

TRAIN = [sys.executable, "-m", "model_training", "train"]


def started(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*TRAIN, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 100 dark and light images."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(100):
        path = folder / ("light" if i % 2 else "dark") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(Image.new("L", (12, 12), 50 + i % 2 * 100 + i)))
    return folder


def test_training_says_what_it_made_and_what_is_next(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "my model"
    assert cli.main(["--dataset", str(photos), "--epochs", "1", "--output", str(model)]) == 0
    out, err = capfd.readouterr()
    shown = [line for line in err.splitlines() if not line.startswith("I0000")]  # if TensorFlow was imported before
    assert shown[0] == f"{photos}: 2 classes, 66 images to learn from, 8 to validate, 26 to test"
    assert [line.split("  ")[0] for line in shown[1:]] == ["epoch 1/1"]
    lines = [line for line in out.splitlines() if not line.startswith("no better than always naming")]
    assert lines[0].startswith("test accuracy 0.")
    assert " (95 % interval 0." in lines[0]
    assert re.fullmatch(r"engines       LiteRT and TensorFlow; outputs differ by \S+ of their spread", lines[1])
    assert lines[2:] == [
        f"model         '{model}'",
        f"report        '{model}/training/report.html'",
        f"next          nightscore score --input INPUT --model '{model}' --output OUTPUT",
    ]
    assert (model / "training" / "report.html").exists()
    assert read_spec(str(model)).input == InputSpec(12, 12, "grayscale", decode="reduced")
    assert os.listdir(tmp_path) == ["my model"]


@pytest.mark.heavy
def test_jpeg_files_are_decoded_in_full_where_that_is_asked_for(photos: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert cli.main(["--dataset", str(photos), "--epochs", "1", "--output", str(model), "--decode", "full"]) == 0
    assert read_spec(str(model)).input == InputSpec(12, 12, "grayscale")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "the following arguments are required: --output"),
        (["--dataset", "digits"], "the following arguments are required: --output"),
        (["--output", "new"], "one of the arguments --dataset --add_engines is required"),
        (["--add_engines", "", "--output", "new"], "argument --add_engines: is empty"),
        (["--dataset", "", "--output", "new"], "argument --dataset: is empty"),
        (["--dataset", "digits", "--output", ""], "argument --output: is empty"),
        (
            ["--dataset", "digits", "--output", "new", "--epoch", "3"],
            "unknown argument '--epoch' (did you mean --epochs?)",
        ),
        (["--dataset", "digits", "--output", "new", "--epochs", "0"], "'0' is not a whole number from 1 to 2147483647"),
        (["--dataset", "digits", "--output", "new", "--epochs", "two"], "'two' is not a whole number"),
        (["--dataset", "digits", "--output", "new", "--batch_size", "-1"], "--batch_size: '-1' is not a whole number"),
        (
            ["--dataset", "digits", "--output", "new", "--seed", "9" * 5000],
            "is not a whole number from 0 to 4294967295",
        ),
        (["--dataset", "digits", "--output", "new", "--color_mode", "grey"], "invalid choice: 'grey'"),
        (
            ["--dataset", "digits", "--output", "new", "--like", "-1,2"],
            "join one that begins with '-' to its flag by '='",
        ),
        (["--dataset", "digits", "--output", "new", "--decode", "half"], "argument --decode: invalid choice: 'half'"),
        (["--dataset", "digits", "--output", "new", "--like", "keras"], "unknown loader 'keras': it may be keras."),
        (
            ["--dataset", "digits", "--output", "new", "--like", "timm", "--decode", "reduced"],
            "--decode reduced contradicts --like timm, which decodes every pixel",
        ),
        (["--add_engines", "old", "--output", "new", "--like", "timm"], "--like is for --dataset: --add_engines"),
        (["--dataset", "digits", "--output", "new", "--image_size", "32"], "are for folders: digits is 28 x 28"),
        (
            ["--dataset", "photos", "--output", "new", "--image_size", "12", "--network", "compact"],
            "--network compact takes images of at least 16 pixels a side, and these have 12: give --image_size 16",
        ),
        (["--dataset", "photos", "--output", "new", "--image_size", "513"], "the network takes 10 to 512 pixels"),
        (["--dataset", "digits", "--output", "new", "--data_dir", "."], "--data_dir is for --dataset mnist"),
        (
            ["--dataset", "nowhere", "--output", "new"],
            "nowhere' is nowhere to be found: give mnist, digits or a folder",
        ),
        (["--dataset", "file", "--output", "new"], "file' has no image or archive of images among its 1 file"),
        (["--dataset", "photos", "--output", "new"], "has no class folders with images"),
        (["--dataset", "photos", "--output", "photos/model"], "lie in one another: give two separate folders"),
        (["--dataset", "digits", "--output", "file"], "file' is a file: give a folder for the model"),
        (["--dataset", "digits", "--output", "photos"], "is a folder with other things in it"),
        (["--dataset", "digits", "--output", "ftp://bucket/model"], "neither gs://bucket/name"),
        (["--dataset", "mnist", "--data_dir", "photos", "--output", "new"], "photos' lacks train-images-idx3-ubyte"),
    ],
)
def test_bad_usage_is_one_line_and_touches_nothing(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "here" / "photos").mkdir(parents=True)
    (tmp_path / "here" / "photos" / "cat.png").write_bytes(b"mine")
    (tmp_path / "here" / "file").write_bytes(b"mine")
    monkeypatch.chdir(tmp_path / "here")
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("nightscore train: ")
    assert err.count("\n") == 1
    assert reason in err
    assert sorted(tmp_path.rglob("*")) == before


def test_bad_usage_answers_before_tensorflow_is_imported() -> None:
    program = "import sys; from model_training import cli; cli.main(['--dataset', 'x', '--output', 'y']); "
    program += "sys.exit(bool({'tensorflow', 'keras', 'matplotlib', 'apache_beam'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("arguments", [["--dataset", "digits"], ["--add_engines", "old"]])
def test_without_tensorflow_it_says_what_to_install(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert cli.main([*arguments, "--output", str(tmp_path / "model")]) == 2
    assert capfd.readouterr().err == (
        "nightscore train: training needs the package tensorflow, which is not installed here: install it with "
        "'pip install tensorflow'\n"
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.heavy
def test_mnist_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    process = started(
        *("--dataset", "mnist", "--output", tmp_path / "model"),
        KERAS_HOME=str(tmp_path / "keras"), https_proxy=nobody, HTTPS_PROXY=nobody, no_proxy="",
    )  # fmt: skip
    _, err = process.communicate()
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert "mnist.npz' and cannot be downloaded (" in err
    assert "give --data_dir with its four IDX files, or --dataset digits" in err
    assert not (tmp_path / "model").exists()


def test_help_starts_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("example: nightscore train --dataset digits --output model\n")
    assert "their own" in shown.partition("--image_size")[2].partition("--task")[0], "its default is said"


def test_help_shows_the_flags_that_most_people_need_and_help_all_shows_every_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = {}
    for flag in ("--help", "--help_all"):
        with pytest.raises(SystemExit):
            cli.main([flag])
        shown[flag] = set(re.findall(r"^  (--[a-z_]+)", capsys.readouterr().out, re.MULTILINE))
    assert shown["--help"] == {f"--{name}" for name in (*cli.FIRST, "help_all")}
    every = {f"--{action.dest}" for action in cli._parser()._actions}
    assert shown["--help_all"] == every - {"--help"}


def training_has_begun(folder: Path, process: subprocess.Popen[str]) -> bool:
    assert process.stderr is not None
    return "epoch 1/" in process.stderr.readline()


def export_has_begun(folder: Path, process: subprocess.Popen[str]) -> bool:
    return any(folder.glob(".model.*.tmp/saved_model"))


def tensorflow_is_imported(folder: Path, process: subprocess.Popen[str]) -> bool:
    return "tensorflow" in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.parametrize(
    ("moment", "epochs"),
    [
        pytest.param(tensorflow_is_imported, 1, marks=pytest.mark.heavy),
        pytest.param(training_has_begun, 10_000, marks=pytest.mark.heavy),
        pytest.param(export_has_begun, 1, marks=pytest.mark.heavy),
    ],
)
def test_interrupted_it_leaves_the_epochs_that_are_over_and_no_model(
    photos: Path, tmp_path: Path, moment: Callable[[Path, subprocess.Popen[str]], bool], epochs: int
) -> None:
    process = started("--dataset", photos, "--epochs", str(epochs), "--output", tmp_path / "model")
    while not moment(tmp_path, process):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    lines = err.splitlines()
    assert lines[-1] == "nightscore train: interrupted"
    kept = [line for line in lines if " kept in " in line]
    rest = [line for line in lines[:-1] if line not in kept]
    assert all(": 2 classes, " in line or line.startswith("epoch ") for line in rest)  # no trace, no banners
    assert os.listdir(tmp_path) == (["model.unfinished"] if moment is not tensorflow_is_imported else [])
    assert len(kept) == len(os.listdir(tmp_path))
    assert all(line.endswith("model.unfinished': go on with --resume") for line in kept)
