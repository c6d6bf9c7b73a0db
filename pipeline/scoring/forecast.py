"""How long a night will take: from what a few images cost on this machine to a range and a recommendation. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.options import Precision

WORTH_IT = 1.1
"""bfloat16 is recommended if the model is so many times as fast with it: less is within what measuring is off by."""

ROW_COST = 3e-5
"""Seconds of one core for all else that happens to an image, its row above all; measured 3e-5 to 4e-5 on two cores."""


@dataclass(frozen=True)
class Costs:
    """What an image costs on this machine, in seconds.

    Attributes:
        start: before the first image: importing, loading the model.
        read: for which storage is waited, by each of those who read at once.
        readers: who read at once.
        decode: of one decoder.
        decoders: at work at once.
        predict: precision -> of all cores together at work on nothing else; float32 is always there.
        cores: of this machine.
    """

    start: float
    read: float
    readers: int
    decode: float
    decoders: int
    predict: Mapping[Precision, float]
    cores: int

    def seconds(self, images: int, precision: Precision) -> tuple[float, float]:
        """Return the shortest and the longest time for so many images.

        The shortest, if every step goes on beside the others and no core is ever idle; the longest, if the steps
        wait for each other.
        """
        read, decode, predict = self.read / self.readers, self.decode / self.decoders, self.predict[precision]
        best = max(read, decode, predict + (self.decode + ROW_COST) / self.cores)
        return self.start + images * best, self.start + images * (read + decode + predict + ROW_COST)

    @property
    def gain(self) -> float:
        """How many times as fast the model is in bfloat16; 0 where it cannot be had."""
        coarse = self.predict.get("bfloat16")
        return self.predict["float32"] / coarse if coarse else 0.0


def recommend(costs: Costs) -> str:
    """Return one line: which precision, and why."""
    if not costs.gain:
        return "--precision float32"
    if costs.gain < WORTH_IT:
        return f"--precision float32: with bfloat16 the model is {costs.gain:.1f} times as fast here"
    return f"--precision bfloat16: the same classes, and the model is {costs.gain:.1f} times as fast here"
