"""The shape of a network's input, read as an image: its sides, its channels, and in what order they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.model.feed import Order
from pipeline.model.input_rule import ColorMode
from pipeline.model.spec import Takes

PICTURE_SIDE = 64
"""Pixels of a side of the pictures that a report shows, if the network decodes files itself."""


@dataclass(frozen=True)
class Layout:
    """How an image stands in a network's input.

    Attributes:
        height: in pixels; None: any.
        width: in pixels; None: any.
        channels: 1 or 3.
        order: of the axes.
        batch: number of images in a call that the network is fixed to; None: any.
    """

    height: int | None
    width: int | None
    channels: int
    order: Order = "nhwc"
    batch: int | None = None


class HasLayout:
    """What follows from the layout of a model's input.

    Attributes:
        layout: of its input.
    """

    layout: Layout

    @property
    def takes(self) -> Takes:
        """Whether it is called with pixels, or with encoded files."""
        return "pixels"

    @property
    def height(self) -> int | None:
        """Pixels; None: any."""
        return self.layout.height

    @property
    def width(self) -> int | None:
        """Pixels; None: any."""
        return self.layout.width

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.layout.channels


def read_layout(shape: Sequence[int | None] | None, color_mode: ColorMode | None, path: str, name: str) -> Layout:
    """Return how an image stands in an input of a shape.

    Args:
        shape: with the batch first; None: it is not known.
        color_mode: that the user asked for, which decides the channels where the shape does not.
        path: of the model, for the error's text.
        name: of the input, likewise.

    Raises:
        UsageError: the input is none of images; the line says what it is.

    >>> read_layout([None, 224, 224, 3], None, "m", "x")
    Layout(height=224, width=224, channels=3, order='nhwc', batch=None)
    >>> read_layout([1, 3, 299, 299], None, "m", "x")
    Layout(height=299, width=299, channels=3, order='nchw', batch=1)
    """
    if shape is None:
        shape = (None, None, None, None)
    batch, *sides = shape
    asked = {None: None, "grayscale": 1}.get(color_mode, 3)
    if batch not in (None, 1):
        raise UsageError(f"{path!r} takes exactly {batch} images at a time: export it for any number, or for 1")
    if len(sides) == 2 and _is_large(sides[0]) and _is_large(sides[1]):
        return Layout(sides[0], sides[1], 1, "nhw", batch)
    if len(sides) != 3:
        raise UsageError(f"{path!r} takes no images: its input {name!r} has the shape {_written(shape)}")
    if sides[2] in (1, 3):
        return Layout(sides[0], sides[1], sides[2], "nhwc", batch)
    if sides[0] in (1, 3):
        return Layout(sides[1], sides[2], sides[0], "nchw", batch)
    if sides[2] is not None:
        raise UsageError(f"{path!r} takes images of {sides[2]} channels, and Nightscore makes images of 1 or 3")
    if asked is None:
        raise UsageError(
            f"{path!r} takes images of any number of channels: say which with --color_mode rgb, bgr or grayscale"
        )
    return Layout(sides[0], sides[1], asked, "nhwc", batch)


def _is_large(side: int | None) -> bool:
    """Return whether a side can be one of an image; a matrix of a few columns is none."""
    return side is not None and side >= 8


def _written(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('any' if side is None else str(side) for side in shape)}]"
