"""A training that a person asks for, and its steps up to the published model directory.

`nightscore train` and `nightscore.train` share both. Must not know how a person is told of it: that is a `Watcher`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from model_training.base.asked import ASKED, Asked, check_alone
from model_training.base.opening import check_base, open_base
from model_training.data.datasets import DataOptions, Dataset, check_apart, load
from model_training.flags import DATA_FLAGS
from model_training.learning.base import Base
from model_training.learning.checkpoint import Checkpoint
from model_training.learning.head import check_smoothing
from model_training.learning.network import check_side
from model_training.learning.recipe import TRANSFER, Recipe, recipe_of
from model_training.learning.training import start_tensorflow
from model_training.publishing.publish import check_output
from model_training.recipe_flags import RECIPE_FLAGS

if TYPE_CHECKING:
    from model_training.report.run import TaskRun, TrainingRun


class Watcher(Protocol):
    """What is told of the steps of a training."""

    def start(self) -> AbstractContextManager[None]:
        """Return what TensorFlow starts within."""

    def read(self) -> AbstractContextManager[Callable[[int], None] | None]:
        """Return what images are read within; it gives what `load` tells of them."""

    def show_base(self, base: Base) -> None:
        """Show the network that the training starts from."""

    def learn(self, dataset: Dataset, recipe: Recipe, location: str) -> AbstractContextManager[Any]:
        """Return what the model at a location is made within; it gives a callback of Keras, or None."""


@dataclass(frozen=True)
class Request:
    """A training that a person asks for.

    Attributes:
        data: what is learned from.
        recipe: how.
        output: location of the model directory, as it was given.
        base: the network that it starts from, as it was given; None: it starts from scratch.
        asked: what is asked for beside the base.
        resume: whether to go on with a training that was broken off.
    """

    data: DataOptions
    recipe: Recipe
    output: str
    base: str | None
    asked: Asked
    resume: bool

    @classmethod
    def of(cls, dataset: Sequence[str], output: str, given: Mapping[str, Any]) -> Request:
        """Return the request that options make.

        Args:
            dataset: what is learned from.
            output: location of the model directory.
            given: name of a flag -> its value; None: it is not given.

        Raises:
            UsageError: a value is out of range, or two contradict each other.
        """
        base = given["base"]
        check_alone(base, given)
        usual = None if base is None else TRANSFER
        recipe = recipe_of(given["recipe"] or usual, **{name: given[name] for name in RECIPE_FLAGS})
        data = {name: given[name] for name in DATA_FLAGS if given.get(name) is not None}
        data |= {name: tuple(data[name]) for name in ("validation", "test") if name in data}
        options = DataOptions(tuple(dataset), seed=recipe.seed, **data)
        if given["label_smoothing"]:
            check_smoothing(options.task)
        if base is None and options.image_size is not None:
            check_side(recipe.network, options.image_size)
        asked = Asked(**{name: given[name] for name in ASKED})
        return cls(options, recipe, output, base, asked, bool(given["resume"]))


def carry_out(request: Request, watcher: Watcher) -> TrainingRun | TaskRun:
    """Train a network and publish it as a model directory.

    Args:
        request: what is asked for.
        watcher: is told of it.

    Raises:
        UsageError: it cannot be done; nothing was touched.
        TransientError: storage fails for now.
        NightscoreError: the model could not be written.
    """
    location, data, base = check_output(request.output), request.data, None
    check_apart(data, location)
    checkpoint = Checkpoint.beside(location)
    no_base: dict[str, Any] = {"base": {}} if request.base is None else {}
    checkpoint.check(request.resume, {"task": data.task, **request.recipe.facts(), **no_base})  # reading takes long
    if request.base is not None:
        check_base(request.base, location)
        _start(watcher)
        base = open_base(request.base, request.asked)
        watcher.show_base(base)
        checkpoint.check(request.resume, {"base": dict(base.facts)})
        data = data.with_rule(base.rule)
    elif data.name == "mnist" and data.data_dir is None:
        _start(watcher)  # Keras may have to download it
    with watcher.read() as seen:
        dataset = load(data, seen)
    _start(watcher)
    from model_training.build import build

    with watcher.learn(dataset, request.recipe, location) as progress:
        return build(dataset, request.recipe, location, progress, request.resume, base)


def _start(watcher: Watcher) -> None:
    with watcher.start():
        start_tensorflow()
