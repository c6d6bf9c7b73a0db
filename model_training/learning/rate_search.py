"""The search for a learning rate: a few steps at rates that grow, and the rate a tenth of that with the least loss.

The method is the range test of L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2017
(https://arxiv.org/abs/1506.01186). Must not know what is learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model_training.learning.head import Head
from pipeline.errors import UsageError

LOWEST, HIGHEST = 1e-6, 1.0
STEPS = 100
"""Steps of the search, at most, from the lowest rate to the highest."""

SMOOTHING = 0.9
"""Momentum of the moving average of the losses."""

DIVERGED = 4.0
"""Times the least loss at which the search ends: the rate is far too high."""

BELOW_BEST = 10.0
"""Factor by which the chosen rate is below the one with the least loss."""


@dataclass(frozen=True)
class RateSearch:
    """What a search has found.

    Attributes:
        rates: the learning rates of its steps, rising.
        losses: the smoothed loss after each step.

    >>> RateSearch([1e-3, 1e-2, 1e-1], [2.0, 1.0, 5.0]).chosen
    0.001
    """

    rates: Sequence[float]
    losses: Sequence[float]

    @property
    def chosen(self) -> float:
        """The learning rate to train with."""
        best = min(range(len(self.losses)), key=self.losses.__getitem__)
        return float(f"{self.rates[best] / BELOW_BEST:.2g}")


def search_rate(network: Any, head: Head, batches: Any) -> RateSearch:
    """Search the learning rate of a network; it is then as it was before.

    Args:
        network: a Keras model, not compiled.
        head: its end.
        batches: yields (pixels, labels), STEPS times at least.

    Raises:
        UsageError: no step has a loss that is a number.
    """
    import keras

    before = network.get_weights()
    network.compile(keras.optimizers.Adam(LOWEST), head.loss, loss_weights=head.loss_weight)
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    for step, (pixels, labels) in zip(range(STEPS), batches, strict=False):
        rate = LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
        network.optimizer.learning_rate = rate
        average = SMOOTHING * average + (1 - SMOOTHING) * float(network.train_on_batch(pixels, labels))
        smoothed = average / (1 - SMOOTHING ** (step + 1))  # as Adam's moments: the average begins at 0
        if not math.isfinite(smoothed) or (losses and smoothed > DIVERGED * min(losses)):
            break
        rates.append(rate)
        losses.append(smoothed)
    network.set_weights(before)
    if not losses:
        raise UsageError(
            "the search for a learning rate found none: no loss is a number; give --learning_rate a number"
        )
    return RateSearch(rates, losses)
