"""How pixels become the values that a network was trained on: a factor and an offset for each channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.errors import UsageError

TORCH_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's pixels as shares of 255: red, green, blue."""

TORCH_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's pixels as shares of 255: red, green, blue."""

CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Mean of ImageNet's pixels in grey levels: blue, green, red."""


@dataclass(frozen=True)
class Scaling:
    """How pixels become values: value = pixel * scale + offset.

    Attributes:
        name: what users call it: "raw", "unit", "sign", "torch", "caffe", or "custom".
        scale: one factor for all channels, or one a channel in the order of the input rule's color_mode.
        offset: one for all channels, or one a channel, likewise.
    """

    name: str
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the values of pixels, uint8 [..., channels] -> float32 of the same shape.

        >>> SCALINGS["sign"](np.array([[0, 255]], np.uint8)).tolist()
        [[-1.0, 1.0]]
        """
        scale, offset = (np.array(side, np.float32) for side in (self.scale, self.offset))
        values: npt.NDArray[np.float32] = pixels.astype(np.float32) * scale + offset
        return values

    @property
    def flag(self) -> str:
        """What a person types behind --scaling for it.

        >>> SCALINGS["unit"].flag, Scaling("custom", (0.5,), (-1.0,)).flag
        ('unit', "'0.5,-1'")
        """
        if self.name != "custom":
            return self.name
        scale, offset = (" ".join(f"{number:.6g}" for number in side) for side in (self.scale, self.offset))
        return f"'{scale},{offset}'"

    def for_channels(self, channels: int) -> Scaling:
        """Return the same scaling with one factor and one offset a channel.

        Raises:
            UsageError: it is for another number of channels.
        """
        sides = (self.scale, self.offset)
        if any(len(side) not in (1, channels) for side in sides):
            raise UsageError(
                f"the scaling {self.name!r} is for {max(map(len, sides))} channels, the model's images have {channels}"
            )
        scale, offset = (side * channels if len(side) == 1 else side for side in sides)
        return Scaling(self.name, scale, offset)


SCALINGS: Mapping[str, Scaling] = {
    scaling.name: scaling
    for scaling in (
        Scaling("raw"),
        Scaling("unit", (1 / 255,)),
        Scaling("sign", (1 / 127.5,), (-1.0,)),
        Scaling(
            "torch",
            tuple(1 / (255 * deviation) for deviation in TORCH_DEVIATION),
            tuple(-mean / deviation for mean, deviation in zip(TORCH_MEAN, TORCH_DEVIATION, strict=True)),
        ),
        Scaling("caffe", (1.0,), tuple(-mean for mean in CAFFE_MEAN)),
    )
}
"""Name -> scaling: raw = 0 to 255; unit = 0 to 1; sign = -1 to 1 (Keras calls it "tf"); torch = ImageNet's mean and
deviation, for rgb; caffe = ImageNet's mean, for bgr."""


def parse_scaling(text: str) -> Scaling:
    """Return the scaling that a user means: a name, or "scale,offset", or two lists "a b c,d e f".

    Raises:
        UsageError: it is none of these.

    >>> parse_scaling("unit") is SCALINGS["unit"], parse_scaling("0.5,-1")
    (True, Scaling(name='custom', scale=(0.5,), offset=(-1.0,)))
    """
    if text in SCALINGS:
        return SCALINGS[text]
    parts = text.split(",")
    try:
        scale, offset = (_numbers(part) for part in parts)
    except ValueError as error:
        names = ", ".join(SCALINGS)
        raise UsageError(
            f"--scaling {text!r} is unknown: give one of {names}, or numbers 'SCALE,OFFSET' (channels apart: "
            "'S S S,O O O'), so that a value is pixel * SCALE + OFFSET"
        ) from error
    return Scaling("custom", scale, offset)


def _numbers(text: str) -> tuple[float, ...]:
    numbers: Sequence[float] = [float(word) for word in text.split()]
    if not numbers or not np.isfinite(numbers).all() or len(numbers) not in (1, 3):
        raise ValueError(text)
    return tuple(numbers)
