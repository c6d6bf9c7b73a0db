"""The flags of `nightscore train` that say how a network learns: the fields of a recipe, and --resume.

Must not know what is learned from.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

from model_training.learning.recipe import (
    AUTO,
    RECIPES,
    Augment,
    ClassWeight,
    NetworkName,
    Recipe,
    Schedule,
    TrainingPrecision,
)

RECIPE_FLAGS = tuple(field.name for field in fields(Recipe))
"""Names of the flags that are fields of a recipe."""


def add_recipe_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags, each without a default: the recipe has the value of one that is not given."""
    add = parser.add_argument
    add(
        "--recipe",
        choices=tuple(RECIPES),
        help="strong: more epochs, images changed at random, averaged weights; transfer: the default with --base",
    )
    add("--network", choices=get_args(NetworkName), help="layers of the network (default: classic)")
    _add_steps(add)
    _add_generalization(add)
    _add_end(add)


def at_least_1(text: str) -> int:
    """Return the whole number of at least 1 that a flag is given."""
    return _integer(text, 1, 2**31 - 1)


def _defaults(field: str) -> str:
    """Return the values that the classic and the strong recipe have in a field, for --help.

    >>> _defaults("epochs")
    '(default: 5; strong: 24)'
    """
    return f"(default: {getattr(Recipe, field):g}; strong: {getattr(RECIPES['strong'], field):g})"


def _add_steps(add: Callable[..., Any]) -> None:
    """Add the flags that say which steps are taken, and how large they are."""
    add("--epochs", type=at_least_1, metavar="N", help=f"times every image is seen {_defaults('epochs')}")
    add("--batch_size", type=at_least_1, metavar="N", help=f"images in a step {_defaults('batch_size')}")
    add("--seed", type=_seed, metavar="N", help="seed of weights, order and changes (default: 0)")
    text = f"learning rate of Adam; auto: search for one first {_defaults('learning_rate')}"
    add("--learning_rate", type=_rate, metavar="RATE", help=text)
    add("--schedule", choices=get_args(Schedule), help="cosine: the learning rate goes down to 0 (default: constant)")
    add(
        "--precision",
        choices=(AUTO, *get_args(TrainingPrecision)),
        help="arithmetic of the training; auto: mixed on a GPU where that is faster (default: auto)",
    )


def _add_generalization(add: Callable[..., Any]) -> None:
    """Add the flags that keep a network from learning its images by heart."""
    add("--augment", choices=get_args(Augment), help="change training images at random (default: none)")
    add(
        "--averaging",
        type=float,
        metavar="MOMENTUM",
        help="keep a moving average of the weights with this momentum, over an epoch at most (default: 0, none)",
    )
    text = f"let each step shrink weights by it, as AdamW {_defaults('weight_decay')}"
    add("--weight_decay", type=float, metavar="SHARE", help=text)
    text = f"share of each training label that is spread over all classes {_defaults('label_smoothing')}"
    add("--label_smoothing", type=float, metavar="SHARE", help=text)
    add("--class_weight", choices=get_args(ClassWeight), help="balanced: small classes count as much as large ones")


def _add_end(add: Callable[..., Any]) -> None:
    """Add the flags that say when training ends, and what is kept of it."""
    add(
        "--monitor",
        metavar="FIGURE",
        help="keep the epoch that is best by it: val_loss, val_accuracy, ...; last: the last (default: val_loss)",
    )
    add("--patience", type=at_least_1, metavar="N", help="stop after N epochs without a better one")
    add(
        "--resume",
        action="store_true",
        default=None,
        help="continue an interrupted training (MODEL.unfinished)",
    )
    add(
        "--calibrate",
        action="store_true",
        default=None,
        help="make scores mean what they say: divide the logits by a temperature fitted to the validation images",
    )


def _rate(text: str) -> float | str:
    if text == AUTO:
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor auto") from None


def _seed(text: str) -> int:
    return _integer(text, 0, 2**32 - 1)


def _integer(text: str, lowest: int, highest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and lowest <= int(text) <= highest):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {lowest} to {highest}")
    return int(text)
