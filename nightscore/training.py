"""`nightscore.train`: a data set in, a model directory out."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from nightscore.night import expected_errors
from nightscore.quiet import root_logger_kept, tensorflow_starts_quietly
from pipeline import storage
from pipeline.errors import NightscoreError
from pipeline.model.input_rule import ColorMode, Decode
from pipeline.options import LabelsAre, LabelSource
from pipeline.task import Task

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from model_training.data.datasets import Dataset
    from model_training.learning.base import Base
    from model_training.learning.evaluation import Evaluation
    from model_training.learning.recipe import (
        Augment,
        ClassWeight,
        FineTune,
        NetworkName,
        Recipe,
        Schedule,
        TrainingPrecision,
    )
    from model_training.learning.task_evaluation import TaskEvaluation

Path = str | os.PathLike[str]


Contradictions = Literal["refuse", "leave_out"]
"""What becomes of pictures that are there with different labels."""


class ReadingKeywords(TypedDict, total=False):
    """How `train` reads images and labels: as the flags of `nightscore train --help`, which tells of each."""

    task: Task
    label_source: LabelSource
    labels_are: LabelsAre
    label_offset: int
    image_key: str | None
    label_key: str | None
    labels_file: str | None
    file_column: str | None
    label_column: str | None
    zip_encoding: str | None
    max_pixels: int
    image_timeout: float
    bands: str
    background: str
    contradictions: Contradictions
    memory_mb: int | None
    shuffle_mb: int


_one_at_a_time = threading.Lock()
"""Held by the training that is under way in this process: its seed is the process's."""


@dataclass(frozen=True)
class TrainedModel(os.PathLike[str]):
    """A model directory, and how good its network is. It can be given as `model` to `score`.

    Attributes:
        directory: location of the model directory, absolute or gs://.
        accuracy: of a model of classes, on the test images, which the network has not seen; else None.
        accuracy_interval_95: of the accuracy; None if there is none.
        figures: name -> what was measured on the test images. Of classes "accuracy" and "loss", in nats; of labels
            "exact_match", "micro_f1", "macro_f1", and precision and recall likewise; of a value
            "mean_absolute_error", "root_mean_squared_error", "r2" and "mean_error", in its unit; of an embedding
            "neighbor_accuracy", among "neighbor_images". What these images cannot tell is left out.
    """

    directory: str
    accuracy: float | None
    accuracy_interval_95: tuple[float, float] | None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def report(self) -> str:
        """Location of the training report."""
        return storage.join(self.directory, "training", "report.html")

    def __fspath__(self) -> str:
        """Return the location of the model directory."""
        return self.directory


def train(
    dataset: Path | Sequence[Path],
    output: Path,
    *,
    validation: Path | Sequence[Path] = (),
    test: Path | Sequence[Path] = (),
    data_dir: Path | None = None,
    recipe: str | None = None,
    network: NetworkName | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    learning_rate: float | Literal["auto"] | None = None,
    schedule: Schedule | None = None,
    augment: Augment | None = None,
    averaging: float | None = None,
    weight_decay: float | None = None,
    label_smoothing: float | None = None,
    class_weight: ClassWeight | None = None,
    monitor: str | None = None,
    patience: int | None = None,
    precision: TrainingPrecision | Literal["auto"] | None = None,
    base: str | os.PathLike[str] | None = None,
    frozen_epochs: int | None = None,
    fine_tune: FineTune | None = None,
    fine_tune_rate: float | None = None,
    scaling: str | None = None,
    resume: bool = False,
    with_embedding: bool | None = None,
    calibrate: bool | None = None,
    image_size: int | None = None,
    color_mode: ColorMode | None = None,
    decode: Decode | None = None,
    like: str | None = None,
    progress: bool = False,
    **reading: Unpack[ReadingKeywords],
) -> TrainedModel:
    """Train a CNN and write a model directory; a model that is there is replaced when the new one is whole.

    Args:
        dataset: "mnist", "digits", a folder of class folders, or other images as `score` takes them: globs, lists,
            archives, on disk or in a bucket; or several.
        output: folder for the model, on disk or gs://.
        validation: images that validate, taken in the same way; default: a tenth of those that do not test.
        test: images that test; default: a fifth of the data set.
        data_dir: for mnist, the folder with its four IDX files; default: Keras' cache.
        recipe: "classic", "strong" = more epochs, images changed at random, averaged weights, or "transfer" = more
            epochs of small batches; default: "transfer" with a base, else "classic". What follows changes a value of
            the recipe; None leaves it.
        network: "classic" or "compact".
        epochs: times every image is seen, at most; of the classic recipe 5.
        batch_size: images in a step; of the classic recipe 32.
        seed: of weights and order, from 0.
        learning_rate: of the Adam optimizer, at its highest; of the classic recipe 0.001. "auto": a search finds it.
        schedule: "constant", or "cosine": the learning rate goes down to 0.
        augment: "none", "light" or "strong": how training images are changed at random.
        averaging: momentum of the moving average of the weights, over an epoch at most, which are then kept; 0: none.
        weight_decay: share of each weight that a step takes away, times the learning rate (AdamW); 0: none.
        label_smoothing: share of a training label that is spread over all classes, which makes scores less extreme;
            0: none.
        class_weight: "none", or "balanced": small classes count as much as large ones.
        monitor: the epoch is kept that is best in it: "val_loss", "val_accuracy", or "last".
        patience: epochs without a better one after which training stops; None: it goes to the end.
        precision: that layers compute in while they learn: "auto" = mixed on a GPU that is faster by it, "float32",
            "mixed_float16" or "mixed_bfloat16".
        base: a trained network to start from, without its last layer: a model directory, a .keras or .h5 file, a
            SavedModel folder, or the name of a network of keras.applications, such as "MobileNetV2". Its input rule is
            kept.
        frozen_epochs: epochs at the start in which only the new last layer learns; default: half of them.
        fine_tune: layers of the base that learn after that: "none", "top" = its last third, or "all", the default.
        fine_tune_rate: learning rate after that; default: a tenth of the one before.
        scaling: how a base that does not tell wants pixels scaled, as `nightscore train --scaling` takes it.
        resume: whether to go on with a training that was broken off, if `output` with ".unfinished" holds one.
        with_embedding: whether the model also gives an embedding of each image: what enters the network's last dense
            layer.
        calibrate: whether to divide the logits by one number, the temperature that suits the validation images best, so
            that scores mean what they say; no predicted class changes.
        image_size: side in pixels that images are resized to.
        color_mode: "grayscale" or "rgb"; default: grayscale if all images are grey.
        decode: of JPEG files, in training and in scoring: "reduced" = at 1/2, 1/4 or 1/8 of their size where both sides
            are then at least twice the model's, the default; "full" = every pixel.
        like: name of a loader, as `nightscore train --like` takes it: images are decoded and resized as it does, in
            training and in scoring.
        progress: whether to show progress on stderr.
        reading: see `ReadingKeywords`.

    Raises:
        UsageError: the data set cannot be had, or no model can be written to `output`; nothing was touched.
        TransientError: storage fails for now.
        NightscoreError: the model could not be written.
    """
    given: dict[str, Any] = dict(locals())  # each keyword has the name of its flag
    from model_training.learning.training import check_tensorflow
    from model_training.request import Request, carry_out

    check_tensorflow()
    unknown = sorted(reading.keys() - ReadingKeywords.__annotations__.keys())
    if unknown:
        raise TypeError(f"train() got an unexpected keyword argument {unknown[0]!r}")
    given |= {"validation": _locations(validation), "test": _locations(test), **reading}
    given |= {name: os.fspath(path) for name, path in (("data_dir", data_dir), ("base", base)) if path is not None}
    request = Request.of(_locations(dataset), os.fspath(output), given)
    with expected_errors(), _disk_errors(), _one_at_a_time, _seeds_kept(), root_logger_kept():
        run = carry_out(request, _Program(progress))
    return _trained(run.before.location, run.evaluation)


def _locations(given: Path | Sequence[Path]) -> tuple[str, ...]:
    return tuple(os.fspath(one) for one in ([given] if isinstance(given, str | os.PathLike) else given))


def _trained(location: str, measured: Evaluation | TaskEvaluation) -> TrainedModel:
    from model_training.learning.evaluation import Evaluation

    if isinstance(measured, Evaluation):
        return TrainedModel(location, measured.accuracy, measured.interval, measured.figures)
    return TrainedModel(location, None, None, measured.figures)


class _Program:
    """Keeps from a program what it has not asked for: see `model_training.request.Watcher`."""

    def __init__(self, progress: bool) -> None:
        self._progress = progress

    def start(self) -> contextlib.AbstractContextManager[None]:
        """Keep banners back."""
        return tensorflow_starts_quietly()

    def read(self) -> contextlib.AbstractContextManager[None]:
        """Show nothing."""
        return contextlib.nullcontext()

    def show_base(self, base: Base) -> None:
        """Show nothing."""

    @contextlib.contextmanager
    def learn(self, dataset: Dataset, recipe: Recipe, location: str) -> Iterator[Any]:
        """Show each epoch if that is asked for."""
        if not self._progress:
            yield None
            return
        from model_training.learning.progress import progress_on_stderr

        with contextlib.closing(progress_on_stderr(len(dataset.train), recipe)) as shown:
            yield shown.callback


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Turn what a disk refuses, such as a full one, into an error of our tree."""
    try:
        yield
    except PermissionError:
        raise
    except OSError as error:
        raise NightscoreError(f"the model cannot be written: {error}") from error


@contextlib.contextmanager
def _seeds_kept() -> Iterator[None]:
    """Give Python's and NumPy's random numbers back as they were: Keras seeds both."""
    import numpy as np

    ours, numpys = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)
