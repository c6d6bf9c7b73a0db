"""A training that can go on after a crash: MODEL.unfinished, a folder beside the model to come.

    training.json             what is trained, and how; another training is refused
    epochs.csv                figures of each epoch that is over
    state-0/                  weights and optimizer after the last epoch of a stage, by Keras' BackupAndRestore, and the
                              ones before, should a crash damage them; whole.json notes which are whole
    best-0003.weights.h5      the weights of the best epoch so far, here of the fourth
    learning_rate.json        how the learning rate was found, if it was searched for
    tensorboard/              events for TensorBoard, if that is installed

The folder goes when the model is published. Must not know what is learned.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model_training.learning.rate_search import RateSearch
from pipeline import storage
from pipeline.errors import UsageError
from pipeline.formatting import counted

SUFFIX = ".unfinished"
_FACTS, _EPOCHS, _STATE, _TENSORBOARD = "training.json", "epochs.csv", "state", "tensorboard"
_RATES = "learning_rate.json"
_WHOLE = "whole.json"
_WEIGHTS, _METADATA = "latest.weights.h5", "training_metadata.json"
"""Names of the files of Keras' BackupAndRestore; it keeps those before as NAME.bkp."""

_BEST = re.compile(r"best-(\d{4,})\.weights\.h5")


class Checkpoint:
    """The folder of a training that is not finished.

    Attributes:
        folder: its path, on this machine.
    """

    def __init__(self, folder: str) -> None:
        """Name the folder; nothing is made."""
        self.folder = folder

    @classmethod
    def beside(cls, model: str) -> Checkpoint:
        """Return the folder for the model at a location; if that is remote, it is one in the working folder."""
        name = model.rstrip("/")
        if storage.is_remote(model):
            name = os.path.abspath(os.path.basename(name))
        return cls(name + SUFFIX)

    @contextlib.contextmanager
    def kept(self, facts: Mapping[str, Any], resume: bool) -> Iterator[None]:
        """Keep a training while the body runs: the folder goes at its end, or if the body fails in the first epoch.

        Args:
            facts: see `begin`.
            resume: see `begin`.

        Raises:
            UsageError: see `begin`.
        """
        self.begin(facts, resume)
        try:
            yield
        except BaseException:
            if not self.epochs():
                self.remove()
            raise
        self.remove()

    def check(self, resume: bool, facts: Mapping[str, Any]) -> None:
        """Check that no training is there that was broken off, or that it is to go on.

        Args:
            resume: see `begin`.
            facts: those of `begin` that are known by now.

        Raises:
            UsageError: one is, and nobody asked to resume it; or it differs in one of these facts.
        """
        epochs = len(self.epochs())
        if epochs and not resume:
            raise UsageError(
                f"{self.folder!r} holds {counted(epochs, 'epoch')} of a training that was broken off: go on with "
                "--resume, or remove the folder"
            )
        if epochs:
            self._compare(facts)

    def _compare(self, facts: Mapping[str, Any]) -> None:
        """Compare some facts of a training with those of the one that is there."""
        told = json.loads(json.dumps(facts))
        earlier = json.loads(Path(self.folder, _FACTS).read_text(encoding="utf-8"))
        others = [name for name in told if earlier.get(name) != told[name]]
        if others:
            name = others[0]
            raise UsageError(
                f"{self.folder!r} holds a training with {name} {earlier.get(name)!r}, and this one has "
                f"{told[name]!r}: give the same, or remove the folder"
            )

    def begin(self, facts: Mapping[str, Any], resume: bool) -> None:
        """Make the folder, or check that the training in it is the one that shall go on.

        Args:
            facts: what is trained and how, as JSON values.
            resume: whether to go on with what is there.

        Raises:
            UsageError: an unfinished training is there that nobody asked to resume, or it is another one.
        """
        self.check(resume, {})
        for state in self._states():
            _mend(state)
        over = len(self.epochs())
        for epoch, best in self.best():
            if epoch >= over:  # cut short, or of an epoch that is trained again
                os.remove(best)
        if over:
            self._compare(facts)
            return
        self.remove()
        os.makedirs(self.folder)
        Path(self.folder, _FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    def rate_search(self) -> RateSearch | None:
        """Return the search for a learning rate that this training began with; None: there was none."""
        try:
            found = json.loads(Path(self.folder, _RATES).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return RateSearch(found["rates"], found["losses"])

    def keep_rate_search(self, search: RateSearch) -> None:
        """Keep the search for a learning rate: a training that goes on must have the same."""
        Path(self.folder, _RATES).write_text(json.dumps(asdict(search)), encoding="utf-8")

    @property
    def csv(self) -> str:
        """Path of the figures, for Keras' CSVLogger."""
        return os.path.join(self.folder, _EPOCHS)

    def state(self, stage: int) -> str:
        """Return the folder for Keras' BackupAndRestore in a stage of the training, from 0."""
        return os.path.join(self.folder, f"{_STATE}-{stage}")

    @property
    def tensorboard(self) -> str:
        """Folder for Keras' TensorBoard."""
        return os.path.join(self.folder, _TENSORBOARD)

    @property
    def best_path(self) -> str:
        """Return the path of the best weights, with the place of the epoch's number, for Keras' ModelCheckpoint."""
        return os.path.join(self.folder, "best-{epoch:04d}.weights.h5")

    def epochs(self) -> list[dict[str, float]]:
        """Return the figures of the epochs that can be gone on from, in their order."""
        try:
            with open(self.csv, encoding="utf-8", newline="") as file:
                rows = {int(row["epoch"]): row for row in csv.DictReader(file) if None not in row.values()}
        except (FileNotFoundError, ValueError):
            return []
        done = range(max(map(_done, self._states()), default=0))
        return [{name: float(value) for name, value in rows[i].items()} for i in done if i in rows]

    def _states(self) -> list[str]:
        """Return the folders of Keras' BackupAndRestore, one a stage that has begun."""
        return [str(path) for path in sorted(Path(self.folder).glob(f"{_STATE}-*"))]

    def best(self) -> list[tuple[int, str]]:
        """Return index and file of each epoch whose weights are kept, the newest first."""
        names = os.listdir(self.folder) if os.path.isdir(self.folder) else []
        found = [
            (int(match[1]) - 1, os.path.join(self.folder, match[0])) for match in map(_BEST.fullmatch, names) if match
        ]
        return sorted(found, reverse=True)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def note_whole(state: str) -> None:
    """Note that a state is whole: called when that and the best weights of the same epoch have been written."""
    path = os.path.join(state, _WHOLE)
    Path(f"{path}.new").write_text(json.dumps(_stored(state)), encoding="utf-8")
    os.replace(f"{path}.new", path)


def _is_whole(state: str) -> bool:
    """Return whether a state is the one that was noted to be whole."""
    try:
        return bool(json.loads(Path(state, _WHOLE).read_text(encoding="utf-8")) == _stored(state))
    except (FileNotFoundError, ValueError):
        return False


def _stored(state: str) -> dict[str, int]:
    """Return what tells a state from one that was cut short: its epoch, and the size of its weights.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged.
    """
    return {"epoch": _epoch_of(state), "bytes": os.path.getsize(os.path.join(state, _WEIGHTS))}


def _done(state: str) -> int:
    """Return how many epochs are over according to a state; 0 if it is not there or damaged."""
    try:
        return _epoch_of(state)
    except (FileNotFoundError, ValueError):
        return 0


def _epoch_of(state: str) -> int:
    """Return how many epochs are over when a state was written.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged.
    """
    try:
        return int(json.loads(Path(state, _METADATA).read_text(encoding="utf-8"))["epoch"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{state} does not tell its epoch") from error


def _mend(state: str) -> None:
    """Replace a state that was cut short while it was written by the one before, if Keras has kept one beside it."""
    if not _is_whole(state):
        for name in (_WEIGHTS, _METADATA):
            path = os.path.join(state, name)
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{path}.bkp", path)
