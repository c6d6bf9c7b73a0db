"""How pixels enter a model.tflite that was made elsewhere, and how its outputs become scores.

A network that was trained or wrapped here takes uint8 pixels and gives probabilities. A .tflite file from elsewhere is
scored as it is: it wants floats or quantized numbers, perhaps channels first, and may give logits. `Feed` says what
the file itself does not tell; type and quantization stand in the file. Knows no engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from pipeline.storage.formats import check_names

Order = Literal["nhwc", "nchw", "nhw"]
"""Order of an input's axes: n images, height, width, channels; "nhw" is grey without an axis of its own."""

Head = Literal["none", "softmax", "sigmoid", "pair", "sigmoid_pair"]
"""What makes scores of an output: "none" = it is taken as it is, "pair" = p becomes [1 - p, p]."""

F = TypeVar("F", np.float32, np.float64)

Values = npt.NDArray[Any]
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Quantization:
    """What a quantized number means: value = (number - zero) * step.

    Attributes:
        step: above 0.
        zero: the number that means 0.
    """

    step: float
    zero: int


@dataclass(frozen=True)
class Feed:
    """How pixels enter a network and scores leave it.

    Attributes:
        scale: of each channel; the network's value is pixel * scale + offset.
        offset: of each channel.
        order: of the axes of the network's input.
        output: number of the output that has the scores, as the file lists them; None: it gives an embedding alone.
        head: what makes scores of it.
        embedding: number of the output that has the embedding; None: there is none.
    """

    scale: Sequence[float]
    offset: Sequence[float]
    order: Order = "nhwc"
    output: int | None = 0
    head: Head = "none"
    embedding: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, as it is stored and enters the model's id."""
        return {**asdict(self), "scale": list(self.scale), "offset": list(self.offset)}

    @classmethod
    def from_json(cls, content: Any, channels: int, location: str = "") -> Feed:
        """Return the feed that `to_json` wrote.

        Args:
            content: that `to_json` wrote.
            channels: of the model's images.
            location: of the file that holds it.

        Raises:
            NewerFormatError: it has an unknown field.
            ValueError: it contradicts the model or itself.
        """
        if not isinstance(content, dict):
            raise ValueError("feed is no JSON object")
        check_names(content, (spec.name for spec in fields(cls)), "model", location)
        try:
            feed = cls(**content)
        except TypeError as error:
            raise ValueError(f"feed lacks fields: {error}") from error
        numbers = [feed.scale, feed.offset]
        if not all(isinstance(side, list) and len(side) == channels and all(map(_is_finite, side)) for side in numbers):
            raise ValueError(
                f"feed has scale {feed.scale!r} and offset {feed.offset!r}, expected {channels} numbers each"
            )
        if feed.order not in get_args(Order) or feed.head not in get_args(Head):
            raise ValueError(f"feed has order {feed.order!r} and head {feed.head!r}, unknown here")
        places = [feed.output, feed.embedding]
        if places == [None, None] or not all(place is None or _is_number(place) for place in places):
            raise ValueError(f"feed has output {feed.output!r} and embedding {feed.embedding!r}, expected numbers")
        return cls(tuple(feed.scale), tuple(feed.offset), feed.order, feed.output, feed.head, feed.embedding)


def _is_finite(value: Any) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


def tables(feed: Feed, dtype: npt.DTypeLike, quantization: Quantization | None) -> Values:
    """Return what each of the 256 grey levels is as a network's input, [channels, 256] of a type.

    Args:
        feed: see `Feed`.
        dtype: of the network's input.
        quantization: of it; None: it is not quantized.

    >>> tables(Feed((1 / 127.5,), (-1.0,)), np.int8, Quantization(1 / 127.5, -1))[0, [0, 128, 255]].tolist()
    [-128, 0, 127]
    """
    levels = np.arange(256, dtype=np.float32)
    scale, offset = (np.array(side, np.float32)[:, np.newaxis] for side in (feed.scale, feed.offset))
    return np.ascontiguousarray(quantized(levels * scale + offset, dtype, quantization))


def quantized(values: Values, dtype: npt.DTypeLike, quantization: Quantization | None) -> Values:
    """Return values as a network's input has them: as its numbers, of its type; what is beyond them is cut off.

    Args:
        values: of any type.
        dtype: of the network's input.
        quantization: of it; None: it is not quantized.
    """
    if quantization is not None:
        values = np.rint(values.astype(np.float64) / quantization.step) + quantization.zero
    if np.issubdtype(np.dtype(dtype), np.integer):
        limits = np.iinfo(np.dtype(dtype))
        values = np.clip(np.rint(values), limits.min, limits.max)
    return np.asarray(values.astype(dtype))


def values_of(pixels: npt.NDArray[np.uint8], levels: Values, order: Order) -> Values:
    """Return a network's input of pixels.

    Args:
        pixels: uint8 [n, height, width, channels].
        levels: from `tables`.
        order: of the input's axes.
    """
    if len(levels) == 1 or (levels == levels[0]).all():
        values = levels[0][pixels]
    else:
        values = np.stack([levels[i][pixels[..., i]] for i in range(len(levels))], axis=-1)
    return in_order(values, order)


def in_order(values: Values, order: Order) -> Values:
    """Return images, [n, height, width, channels], with their axes as a network wants them.

    >>> [in_order(np.zeros((1, 2, 3, 1)), order).shape for order in ("nhwc", "nchw", "nhw")]
    [(1, 2, 3, 1), (1, 1, 2, 3), (1, 2, 3)]
    """
    if order == "nchw":
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    return values[..., 0] if order == "nhw" else values


def rows_of(output: Values, quantization: Quantization | None) -> Rows:
    """Return a network's output as rows, float32 [n, k]: dequantized, and without sides of 1."""
    rows = output.reshape(len(output), -1)
    if quantization is None:
        return rows.astype(np.float32)
    step = np.float32(quantization.step)
    return np.asarray((rows.astype(np.float32) - np.float32(quantization.zero)) * step, np.float32)


def with_head(rows: npt.NDArray[F], head: Head) -> npt.NDArray[F]:
    """Return scores of a network's rows, [n, classes] of the rows' type.

    >>> with_head(np.array([[0.25]], np.float32), "pair").tolist()
    [[0.75, 0.25]]
    """
    if head == "softmax":
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), rows.dtype)
    if head in ("sigmoid", "sigmoid_pair"):
        with np.errstate(over="ignore"):
            rows = np.asarray(1 / (1 + np.exp(-rows)), rows.dtype)
    return np.concatenate([1 - rows, rows], axis=1) if head in ("pair", "sigmoid_pair") else rows


def quantization_of(details: Mapping[str, Any]) -> Quantization | None:
    """Return what LiteRT tells of a tensor's quantization; None where it is not quantized."""
    step, zero = details["quantization"]
    return Quantization(float(step), int(zero)) if step else None
