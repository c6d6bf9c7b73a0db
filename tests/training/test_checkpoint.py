"""A training that is broken off goes on where it was, keeps its best epoch, and says what it cannot do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_disk import mounted

from model_training import cli, request
from model_training.build import build
from model_training.data.datasets import Dataset, from_raw
from model_training.data.raw_images import RawImages
from model_training.learning.checkpoint import Checkpoint, note_whole
from model_training.learning.evaluation import Evaluation
from model_training.learning.recipe import RECIPES, Recipe
from model_training.learning.training import train
from pipeline.errors import UsageError

STRONG = replace(RECIPES["strong"], batch_size=32, augment="none")
TRAIN = [sys.executable, "-m", "nightscore", "train"]


@pytest.fixture(scope="module")
def dataset(digits: RawImages) -> Dataset:
    """A few hundred digits."""
    few = np.arange(400)
    return from_raw(RawImages("digits", digits.images[few], digits.labels[few], digits.is_test[few]))


class BrokenOffError(Exception):
    """What breaks a training off."""


def breaks_after(epochs: int) -> Any:
    """Return a callback that breaks a training off at the end of an epoch, when all is stored."""
    import keras

    def end(epoch: int, logs: Any) -> None:
        if epoch + 1 == epochs:
            raise BrokenOffError

    return keras.callbacks.LambdaCallback(on_epoch_end=end)


def new(folder: Path, name: str = "model") -> Checkpoint:
    checkpoint = Checkpoint.beside(str(folder / name))
    checkpoint.begin({"seed": 0}, resume=True)
    return checkpoint


@pytest.mark.heavy
@pytest.mark.parametrize("recipe", [pytest.param(Recipe(), id="classic"), pytest.param(STRONG, id="strong")])
def test_training_that_goes_on_ends_like_one_that_was_never_broken_off(
    dataset: Dataset, tmp_path: Path, recipe: Recipe
) -> None:
    recipe = replace(recipe, epochs=2)
    whole = train(dataset, recipe, new(tmp_path, "whole"))
    with pytest.raises(BrokenOffError):
        train(dataset, recipe, new(tmp_path), breaks_after(1))
    resumed = train(dataset, recipe, new(tmp_path))
    assert len(resumed.history) == 2
    for name in ("loss", "val_loss", "learning_rate"):
        assert resumed.history.columns[name] == pytest.approx(whole.history.columns[name], rel=0.02, abs=1e-3), name
    assert resumed.history.chosen == whole.history.chosen


@pytest.mark.heavy
def test_training_that_was_over_is_not_trained_again(dataset: Dataset, tmp_path: Path) -> None:
    first = train(dataset, STRONG_OF_TWO, new(tmp_path))
    started = time.perf_counter()
    again = train(dataset, STRONG_OF_TWO, new(tmp_path))
    assert time.perf_counter() - started < first.history.seconds.sum() + 30
    assert again.history.to_json() == first.history.to_json()
    for one, other in zip(first.network.get_weights(), again.network.get_weights(), strict=True):
        assert (one == other).all()


STRONG_OF_TWO = replace(STRONG, epochs=2)


@pytest.mark.heavy
def test_best_epoch_is_kept_and_its_weights_are_the_networks(dataset: Dataset, tmp_path: Path) -> None:
    recipe = Recipe(epochs=4, learning_rate=0.02, batch_size=16)
    trained = train(dataset, recipe, new(tmp_path))
    losses = trained.history.columns["val_loss"]
    assert trained.history.chosen == int(np.argmin(losses))
    images = dataset.validation
    probabilities = np.asarray(trained.network(images.pixels(range(len(images)))))
    assert Evaluation.of(images.labels, probabilities).loss == pytest.approx(losses.min(), rel=1e-4)


@pytest.mark.heavy
def test_last_epoch_is_kept_where_that_is_asked_for(dataset: Dataset) -> None:
    assert train(dataset, Recipe(epochs=2, monitor="last")).history.chosen == 1


@pytest.mark.heavy
def test_training_stops_when_nothing_gets_better_also_if_it_was_broken_off_meanwhile(
    dataset: Dataset, tmp_path: Path
) -> None:
    recipe = Recipe(epochs=9, learning_rate=1e-8, monitor="val_accuracy", patience=2)
    with pytest.raises(BrokenOffError):
        train(dataset, recipe, new(tmp_path), breaks_after(2))
    trained = train(dataset, recipe, new(tmp_path))
    assert (len(trained.history), trained.history.chosen) == (3, 0)


@pytest.mark.heavy
def test_loss_that_is_no_number_is_said(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"val_loss is not a number after any of 1 epochs: give a smaller --learning"):
        train(
            dataset, Recipe(epochs=1, learning_rate=9.9, batch_size=400, averaging=0.5, schedule="cosine"), None, NAN()
        )


def NAN() -> Any:  # noqa: N802 - reads as a value above
    """Return a callback that gives the network weights which are no numbers."""
    import keras

    def spoil(step: int, logs: Any) -> None:
        for weight in callback.model.weights:
            weight.assign(weight * float("nan"))

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=spoil)
    return callback


def test_unknown_figure_is_refused_with_those_there_are(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="--monitor 'auc' is unknown: give val_loss, val_accuracy or last"):
        train(dataset, Recipe(monitor="auc"))


def test_model_of_a_bucket_has_its_folder_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Checkpoint.beside("gs://bucket/models/new").folder == str(tmp_path / "new.unfinished")
    assert Checkpoint.beside("/models/new").folder == "/models/new.unfinished"


@pytest.mark.heavy
def test_unfinished_training_is_neither_lost_nor_mistaken_for_another(dataset: Dataset, tmp_path: Path) -> None:
    model = str(tmp_path / "model")
    with pytest.raises(BrokenOffError):
        build(dataset, Recipe(epochs=2), model, breaks_after(1))
    assert os.listdir(tmp_path) == ["model.unfinished"]
    with pytest.raises(UsageError, match=r"holds 1 epoch of a training that was broken off: go on with --resume, or"):
        build(dataset, Recipe(epochs=2), model)
    with pytest.raises(UsageError, match=r"holds a training with batch_size 32, and this one has 8: give the same, or"):
        build(dataset, Recipe(epochs=2, batch_size=8), model, resume=True)
    run = build(dataset, Recipe(epochs=2), model, resume=True)
    assert len(run.trained.history) == 2
    assert os.listdir(tmp_path) == ["model"]


def test_training_that_fails_before_its_first_epoch_leaves_nothing(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--monitor"):
        build(dataset, Recipe(monitor="auc"), str(tmp_path / "model"))
    assert os.listdir(tmp_path) == []


@pytest.mark.heavy
@pytest.mark.parametrize("damaged", ["latest.weights.h5", "training_metadata.json"])
def test_state_that_is_cut_short_is_replaced_by_the_one_before(dataset: Dataset, tmp_path: Path, damaged: str) -> None:
    recipe = Recipe(epochs=3)
    with pytest.raises(BrokenOffError):
        train(dataset, recipe, new(tmp_path), breaks_after(2))
    path = Path(new(tmp_path).state(0), damaged)
    path.write_bytes(path.read_bytes()[: 10 if damaged.endswith("h5") else 0])
    assert len(train(dataset, recipe, new(tmp_path)).history) == 3


@pytest.mark.heavy
@pytest.mark.parametrize("epoch", [1, 2])
def test_epoch_whose_best_weights_are_cut_short_is_trained_again(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    import keras

    def cut_short(network: Any, filepath: str, **values: Any) -> None:
        save(network, filepath, **values)
        if f"best-{epoch:04d}" in str(filepath):
            os.truncate(filepath, 1000)
            raise BrokenOffError

    save = keras.Model.save_weights
    monkeypatch.setattr(keras.Model, "save_weights", cut_short)
    with pytest.raises(BrokenOffError):
        train(dataset, Recipe(epochs=2), new(tmp_path))
    monkeypatch.undo()
    checkpoint = new(tmp_path)
    assert (len(checkpoint.epochs()), [one for one, _ in checkpoint.best()]) == (epoch - 1, [0][: epoch - 1])
    trained = train(dataset, Recipe(epochs=2), checkpoint)
    assert (len(trained.history), trained.history.chosen) == (2, 1)


def waits_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it ended without {text!r}")


def command(model: Path, *more: str) -> Sequence[str]:
    return [*TRAIN, "--dataset", "digits", "--epochs", "4", "--output", str(model), *more]


@pytest.mark.parametrize(
    "signal_number",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.heavy),
        pytest.param(signal.SIGINT, marks=pytest.mark.soak),
    ],
)
def test_killed_training_goes_on(tmp_path: Path, signal_number: signal.Signals) -> None:
    model = tmp_path / "my model"
    process = subprocess.Popen(command(model), stderr=subprocess.PIPE, text=True)
    waits_for(process, "epoch 2/4")
    process.send_signal(signal_number)
    _, err = process.communicate()
    assert process.returncode == (-9 if signal_number == signal.SIGKILL else 130)
    assert os.listdir(tmp_path) == ["my model.unfinished"]
    if signal_number == signal.SIGINT:
        assert f"epochs kept in '{model}.unfinished': go on with --resume" in err
    done = subprocess.run(command(model, "--resume"), capture_output=True, text=True, check=True)
    assert [line.split("  ")[0] for line in done.stderr.splitlines() if line.startswith("epoch")][-1] == "epoch 4/4"
    assert "epoch 1/4" not in done.stderr
    assert os.listdir(tmp_path) == ["my model"]
    assert float(done.stdout.split()[2]) > 0.93


def test_training_that_nobody_resumes_is_refused_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "model.unfinished"
    (folder / "state-0").mkdir(parents=True)
    (folder / "epochs.csv").write_text("epoch,loss\n0,0.5\n1,0.25\n")
    (folder / "training.json").write_text('{"batch_size": 32}')
    (folder / "state-0" / "training_metadata.json").write_text('{"epoch": 2, "batch": 0}')
    (folder / "state-0" / "latest.weights.h5").write_bytes(b"weights")
    note_whole(str(folder / "state-0"))
    checkpoint = Checkpoint.beside(str(tmp_path / "model"))
    assert [row["loss"] for row in checkpoint.epochs()] == [0.5, 0.25]
    with pytest.raises(UsageError, match="holds 2 epochs of a training that was broken off: go on with --resume, or"):
        checkpoint.begin({"batch_size": 32}, resume=False)
    with pytest.raises(UsageError, match="holds a training with batch_size 32, and this one has 8: give the same, or"):
        checkpoint.begin({"batch_size": 8}, resume=True)
    checkpoint.begin({"batch_size": 32}, resume=True)
    assert len(checkpoint.epochs()) == 2
    (folder / "state-0" / "latest.weights.h5").write_bytes(b"wei")
    (folder / "state-0" / "latest.weights.h5.bkp").write_bytes(b"before")
    (folder / "state-0" / "training_metadata.json.bkp").write_text('{"epoch": 1, "batch": 0}')
    checkpoint.begin({"batch_size": 32}, resume=True)
    assert [row["loss"] for row in checkpoint.epochs()] == [0.5]
    assert (folder / "state-0" / "latest.weights.h5").read_bytes() == b"before"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--monitor", "val_accuracy"],
            "holds a training with monitor 'val_loss', and this one has 'val_accuracy'",
        ),
        (["--epochs", "9"], "holds a training with epochs 5, and this one has 9: give the same, or remove the folder"),
        (["--task", "embedding"], "holds a training with task 'classes', and this one has 'embedding'"),
        ([], ""),
    ],
)
def test_another_training_is_refused_before_an_image_is_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: list[str], said: str
) -> None:
    def read(*_: object) -> None:
        raise UsageError("an image is read")

    monkeypatch.setattr(request, "load", read)
    (tmp_path / "model.unfinished" / "state-0").mkdir(parents=True)
    facts = {"task": "classes", **Recipe().facts(), "base": {}}
    (tmp_path / "model.unfinished" / "training.json").write_text(json.dumps(facts))
    (tmp_path / "model.unfinished" / "epochs.csv").write_text("epoch,loss\n0,0.5\n")
    (tmp_path / "model.unfinished" / "state-0" / "training_metadata.json").write_text('{"epoch": 1, "batch": 0}')
    given = ["--dataset", "digits", "--output", str(tmp_path / "model"), "--resume", *flags]
    assert cli.main(given) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert (said in line, "an image is read" in line) == (True, not said)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB: room for the first epoch's weights and state, and for no second ones beside them."""
    with mounted(tmp_path / "small", "3m") as folder:
        yield folder


@pytest.mark.heavy
def test_disk_that_fills_while_a_checkpoint_is_written_is_one_line_and_the_training_goes_on(small_disk: Path) -> None:
    done = subprocess.run(command(small_disk / "model"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "model.unfinished' cannot be written: " in last
    assert last.endswith("; make room and go on with --resume")
    assert os.listdir(small_disk) == ["model.unfinished"]
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    done = subprocess.run(command(small_disk / "model", "--resume"), capture_output=True, text=True, check=True)
    assert "epoch 1/4" not in done.stderr
    assert "epoch 4/4" in done.stderr
    assert os.listdir(small_disk) == ["model"]
