"""How long a night will take: from what a few images cost on this machine to a range and a recommendation. Pure."""

from __future__ import annotations

import math
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


def duration(seconds: float) -> str:
    """Return a time for a person, who does not want more than two units of it.

    >>> [duration(s) for s in (0.2, 59.4, 61, 3599, 3700, 100_000)]
    ['1 s', '60 s', '1 min 1 s', '1 h', '1 h 2 min', '27 h 47 min']
    """
    whole = math.ceil(seconds)
    if whole <= 60:
        return f"{whole} s"
    whole = whole if whole < 600 else 60 * math.ceil(whole / 60)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{n} {unit}" for n, unit in parts if n)


def size(count: int) -> str:
    """Return a number of bytes for a person.

    >>> size(999), size(19_460_000), size(2_500_000_000_000)
    ('999 bytes', '19.5 MB', '2.5 TB')
    """
    if count < 1000:
        return f"{count} bytes"
    power = min(5, int(math.log10(count)) // 3)
    return f"{count / 1000**power:.1f} {' kMGTP'[power]}B"
