"""The optimizer of a recipe: how a step changes the weights. Must not know what is learned."""

from __future__ import annotations

from typing import Any

from model_training.learning.recipe import Recipe


def optimizer_of(recipe: Recipe, learning_rate: float, steps: int, epochs: int) -> Any:
    """Return a new keras.optimizers.Adam as a recipe wants it.

    Args:
        recipe: see `Recipe`.
        learning_rate: at its highest.
        steps: of an epoch.
        epochs: after which the schedule has ended.
    """
    import keras

    rate: Any = learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps * epochs)
    more: dict[str, Any] = {"weight_decay": recipe.weight_decay} if recipe.weight_decay else {}
    if recipe.averaging:
        more |= {"use_ema": True, "ema_momentum": averaging_momentum(recipe.averaging, steps)}
    return keras.optimizers.Adam(rate, **more)


def averaging_momentum(averaging: float, steps: int) -> float:
    """Return the momentum of the average of weights: it reaches over an epoch at most.

    The average begins with the first weights, which are random. Where epochs have few steps, those of a large momentum
    would still be in it at the end.

    Args:
        averaging: momentum that the recipe asks for.
        steps: of an epoch.

    >>> [round(averaging_momentum(0.999, steps), 4) for steps in (20, 844, 10_000)]
    [0.95, 0.9988, 0.999]
    """
    return min(averaging, 1 - 1 / steps)
