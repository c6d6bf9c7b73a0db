"""The ways to score: engines and precisions; what an image costs in each, and which one is recommended.

Measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.options import Engine, Precision

WORTH_IT = 1.1
"""Factor by which another engine or precision must be faster to be recommended: less may be an error of measuring."""

ROW_COST = 3e-5
"""Seconds that one core needs for the rest of the work on an image, above all its row; measured 3e-5 to 4e-5."""


class Way(NamedTuple):
    """An engine and a precision: one way to score.

    Attributes:
        engine: name of the engine.
        precision: of its arithmetic.
    """

    engine: Engine
    precision: Precision

    def __str__(self) -> str:
        """Return it as a person reads it."""
        return self.engine if self.precision == "float32" else f"{self.engine} in {self.precision}"

    @property
    def flags(self) -> str:
        """The options that ask for it."""
        return f"--engine {self.engine}" + ("" if self.precision == "float32" else f" --precision {self.precision}")


WAYS = (Way("litert", "float32"), Way("tensorflow", "float32"), Way("tensorflow", "bfloat16"))
"""All ways; the first of equally fast ones is recommended."""


@dataclass(frozen=True)
class Costs:
    """The seconds that an image costs on this machine, by step.

    Attributes:
        start: seconds before the first image: importing, and loading the model.
        read: seconds that one reader waits for storage, an image.
        readers: number of readers that work at the same time.
        decode: seconds that one decoder takes, an image.
        predict: way -> seconds that all cores together take, an image; at least one way is there.
        cores: number of cores of this machine.
    """

    start: float
    read: float
    readers: int
    decode: float
    predict: Mapping[Way, float]
    cores: int

    def seconds(self, images: int, way: Way) -> tuple[float, float]:
        """Return the shortest and the longest time for a number of images, in seconds.

        The shortest holds if reading goes on beside the rest, and no core is ever idle; the longest, if each core waits
        for each image.
        """
        read = self.read / self.readers
        work = self.predict[way] + (self.decode + ROW_COST) / self.cores
        return self.start + images * max(read, work), self.start + images * (read + work)


def recommend(costs: Costs, usual: Way) -> tuple[Way, str]:
    """Return which way to score, and one line on it.

    Args:
        costs: measured for each way that is possible.
        usual: the way of a run without other flags; it is recommended unless another one is clearly faster.
    """
    fastest = min(costs.predict, key=lambda way: costs.predict[way])
    gain = costs.predict[usual] / costs.predict[fastest]
    if gain < WORTH_IT:
        others = [way for way in costs.predict if way != usual]
        beside = ", ".join(f"{costs.predict[way] / costs.predict[usual]:.1f} times as fast as {way}" for way in others)
        return usual, usual.flags + (f": here the model is {beside}" if beside else "")
    same = ": the same classes, and" if fastest.engine == usual.engine else ":"
    return fastest, f"{fastest.flags}{same} the model is {gain:.1f} times as fast here as with {usual}"
