"""The recipe of a training: everything that decides how a network learns, but its images. Knows no Keras."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from pipeline.errors import UsageError

NetworkName = Literal["classic", "compact"]
"""The networks of `model_training.learning.network`."""

Augment = Literal["none", "light", "strong"]
"""How training images are changed at random, see `model_training.learning.augment`."""

Schedule = Literal["constant", "cosine"]
"""What becomes of the learning rate: "cosine" lowers it to zero by half a cosine, step by step."""

ClassWeight = Literal["none", "balanced"]
"""Weight of an image in the loss: "balanced" = images / (classes * images of its class), so classes weigh the same."""

TrainingPrecision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
"""Precision that layers compute in while they learn: a policy of Keras. Weights are float32 in each."""

AUTO = "auto"
"""Value of a field that is chosen before training: the precision by the GPU, the learning rate by a search."""

FineTune = Literal["none", "top", "all"]
"""Which layers of a base learn after the frozen epochs, see `model_training.learning.base`."""

LAST = "last"
"""Value of `Recipe.monitor`: the weights of the last epoch are kept."""


@dataclass(frozen=True)
class Recipe:
    """How a network learns. The default is the classic recipe for MNIST.

    Attributes:
        epochs: times every training image is seen, at most.
        batch_size: images in a step.
        seed: of the weights, of the order of the images and of what changes them.
        network: which network is built, if it has no base.
        learning_rate: of the Adam optimizer, at its highest; "auto": it is searched for before training.
        schedule: what becomes of the learning rate.
        augment: how training images are changed at random.
        averaging: momentum of the exponential moving average of the weights, which then are the network's; the average
            reaches over an epoch at most. 0: none.
        weight_decay: share of each weight that a step takes away, times the learning rate (AdamW). 0: none.
        label_smoothing: share of a training label that is spread evenly over all classes, if images have one class
            each; validation labels stay as they are. 0: none.
        class_weight: weight of an image in the loss.
        monitor: the epoch is kept in which this was best: "val_loss", "val_" and a metric of the task, or "last".
        patience: epochs without a better one after which training stops; None: it goes to the end.
        precision: that layers compute in while they learn; "auto": mixed where there is a GPU that is faster by it.
        calibrate: whether the logits are divided by the temperature that suits the validation images best; of the task
            "classes" only.
        with_embedding: whether what enters the last dense layer is given beside the scores.
        frozen_epochs: with a base, epochs at the start in which only the new last layer learns; None: half of them.
        fine_tune: with a base, which of its layers learn after that.
        fine_tune_rate: learning rate after that; None: a tenth of the one before.
    """

    epochs: int = 5
    batch_size: int = 32
    seed: int = 0
    network: NetworkName = "classic"
    learning_rate: float | Literal["auto"] = 1e-3
    schedule: Schedule = "constant"
    augment: Augment = "none"
    averaging: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    class_weight: ClassWeight = "none"
    monitor: str = "val_loss"
    patience: int | None = None
    precision: TrainingPrecision | Literal["auto"] = "auto"
    calibrate: bool = False
    with_embedding: bool = False
    frozen_epochs: int | None = None
    fine_tune: FineTune = "all"
    fine_tune_rate: float | None = None

    def steps(self, images: int) -> int:
        """Return how many steps an epoch of so many training images has.

        >>> Recipe(batch_size=32).steps(65)
        3
        """
        return math.ceil(images / self.batch_size)

    def facts(self) -> dict[str, Any]:
        """Return the fields that must be the same for a training to go on: those that decide how it learns.

        >>> "monitor" in Recipe().facts(), "calibrate" in Recipe().facts()
        (True, False)
        """
        return {name: value for name, value in asdict(self).items() if name not in AFTER_TRAINING}

    @property
    def epochs_frozen(self) -> int:
        """How many epochs a base does not learn: all of them if it is not tuned."""
        if self.fine_tune == "none":
            return self.epochs
        return (self.epochs + 1) // 2 if self.frozen_epochs is None else self.frozen_epochs


AFTER_TRAINING = ("calibrate", "with_embedding")
"""Names of the fields of a recipe that say what is made of a network when it has learned."""

TRANSFER = "transfer"
"""Name of the recipe that is taken with a base if no other is asked for."""

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "classic": Recipe(),
        "strong": Recipe(
            epochs=24,
            batch_size=64,
            learning_rate=2e-3,
            schedule="cosine",
            augment="light",
            averaging=0.999,
            weight_decay=0.05,
            label_smoothing=0.05,
            monitor=LAST,
        ),
        TRANSFER: Recipe(epochs=20, batch_size=16, learning_rate=3e-3),
    }
)
"""The recipes that have a name: "classic" takes minutes for MNIST, "strong" many more, and makes fewer mistakes.

"transfer" is for a base: it has more steps, since images are few then.
"""

OF_BASE = ("frozen_epochs", "fine_tune", "fine_tune_rate")
"""Names of the fields of a recipe that count only with a base."""


def recipe_of(name: str | None = None, **values: Any) -> Recipe:
    """Return a recipe by its name, with some values of one's own.

    Args:
        name: one of `RECIPES`; None takes "classic".
        values: fields of `Recipe`; None leaves one as the recipe has it.

    Raises:
        UsageError: there is no such recipe, or a value is none that its field may have.

    >>> recipe_of("strong", epochs=3).epochs, recipe_of().epochs
    (3, 5)
    """
    if name is not None and name not in RECIPES:
        raise UsageError(f"--recipe {name!r} is unknown: give {' or '.join(RECIPES)}")
    given = {field: one for field, one in values.items() if one is not None}
    recipe = replace(RECIPES[name or "classic"], **given)
    if "patience" in given and "monitor" not in given:
        recipe = replace(recipe, monitor=Recipe.monitor)
    _check_values(recipe)
    _check_base(recipe)
    if recipe.patience is not None and recipe.monitor == LAST:
        raise UsageError(
            "--patience stops when no better epoch comes, but --monitor last compares none: leave one of them out"
        )
    return recipe


def _check_values(recipe: Recipe) -> None:
    """Check each field by itself.

    Raises:
        UsageError: one has a value that it may not have.
    """
    for field, lowest in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("patience", 1), ("frozen_epochs", 0)):
        value = getattr(recipe, field)
        if value is not None and value < lowest:
            raise UsageError(f"--{field} {value} is too small: give a number of at least {lowest}")
    for field, choices in _CHOICES.items():
        if getattr(recipe, field) not in choices:
            raise UsageError(f"--{field} {getattr(recipe, field)!r} is unknown: give {', '.join(choices)}")
    if not isinstance(recipe.learning_rate, str) and not 0 < recipe.learning_rate < 10:
        text = f"--learning_rate {recipe.learning_rate:g} is out of range"
        raise UsageError(f"{text}: give a number above 0 and below 10, such as 0.001")
    for field, example in (("averaging", 0.99), ("weight_decay", 0.05), ("label_smoothing", 0.1)):
        value = getattr(recipe, field)
        if not 0 <= value < 1:
            raise UsageError(f"--{field} {value:g} is out of range: give a number from 0 to below 1, such as {example}")


def _check_base(recipe: Recipe) -> None:
    """Check the fields that say how a base learns.

    Raises:
        UsageError: one cannot be so.
    """
    if recipe.fine_tune_rate is not None and not 0 < recipe.fine_tune_rate < 10:
        text = f"--fine_tune_rate {recipe.fine_tune_rate:g} is out of range"
        raise UsageError(f"{text}: give a number above 0 and below 10, such as 0.0001")
    if recipe.fine_tune != "none" and recipe.frozen_epochs is not None and recipe.frozen_epochs >= recipe.epochs:
        raise UsageError(
            f"--frozen_epochs {recipe.frozen_epochs} of {recipe.epochs} epochs leaves no epoch to tune the base: give "
            "more --epochs, or --fine_tune none"
        )


_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "network": get_args(NetworkName),
        "schedule": get_args(Schedule),
        "augment": get_args(Augment),
        "class_weight": get_args(ClassWeight),
        "fine_tune": get_args(FineTune),
        "precision": (AUTO, *get_args(TrainingPrecision)),
    }
)
"""Fields of a recipe that have one of a few values."""
