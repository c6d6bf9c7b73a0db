"""What the layers of a Keras model say of its input: those that scale, resize or crop before it computes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model_import.declared_values import Reading, is_same, named, reading
from model_import.foreign import FIRST_WEIGHTS, GRAPH, Layer
from model_import.scaling import SCALINGS, Scaling
from pipeline.errors import UsageError

OPERATIONS = frozenset(
    [
        "TrueDivide",
        "Divide",
        "Subtract",
        "Add",
        "Multiply",
        "GetItem",
        "Stack",
        "Flip",
        "Split",
        "Concatenate",
        "TFOpLambda",
        "TensorFlowOpLayer",
        "SlicingOpLambda",
    ]
)
"""Operations without weights that `preprocess_input` leaves where it is called within a model."""

PASSED_BY = frozenset(["InputLayer", "Permute", "Identity", "Activation", "Cast", "ToFloat"])
"""Layers before the first that computes which decide nothing of the input."""

LARGEST_FACTOR = 1 / 32
"""A layer that multiplies by less than this is made for pixels of 0 to 255, one that multiplies by more for 0 to 1."""

LARGEST_OFFSET = 16.0
"""A layer that subtracts more than this before it multiplies is made for pixels of 0 to 255."""

RAW = SCALINGS["raw"]

UNKNOWN = "a Normalization layer was adapted to data: what it takes is not in its configuration, 0 to 255 is assumed"
"""What is told of a layer whose mean and variance are weights."""

Numbers = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Factor and offset of a layer, one for all channels or one a channel."""

_INTERPOLATIONS = {
    "bilinear": "tf.bilinear",
    "nearest": "tf.nearest",
    "bicubic": "tf.bicubic",
    "area": "tf.area",
    "lanczos3": "tf.lanczos3",
    "lanczos5": "tf.lanczos5",
    "gaussian": "tf.gaussian",
    "mitchellcubic": "tf.mitchellcubic",
}
"""Keras' name of an interpolation -> ours."""


def first_layers(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Yield the layers before the first that computes: they see the image as it enters."""
    for layer in layers:
        if layer.kind in OPERATIONS or layer.kind in _NUMBERS or layer.kind in _SIZES:
            yield layer
        elif layer.kind not in PASSED_BY and not layer.kind.startswith("Random"):
            return


def layers_say(layers: Sequence[Layer], is_any_size: bool) -> Sequence[Reading]:
    """Return what the first layers say.

    Args:
        layers: of the model, in order.
        is_any_size: whether the model takes images of any size, so that a `Resizing` layer decides theirs.
    """
    first = list(first_layers(layers))
    scaling = _scaling(layers)
    sizes = [_SIZES[layer.kind](layer) for layer in first if layer.kind in _SIZES][:1]
    if sizes and not is_any_size:
        name = next(layer for layer in first if layer.kind in _SIZES)
        note = f"the layer {name.kind} {name.name!r} resizes, inside the network, what has the model's fixed size"
        sizes = [Reading(notes=(note,))]
    return [*([scaling] if scaling else []), *sizes]


def values_inside(layers: Sequence[Layer]) -> Scaling | None:
    """Return what the first layers make of pixels, None if they do not tell or do not scale."""
    numbers = _numbers([layer for layer in first_layers(layers) if layer.kind in _NUMBERS])
    return _folded([*numbers, (np.array(_entering(numbers).scale), np.zeros(1))]) if numbers else None


def check_scaling(given: Scaling, layers: Sequence[Layer], path: str) -> None:
    """Check that a scaling that the user gives goes with what the first layers do to the images.

    Layers that multiply by little or subtract much are made for 0 to 255: any other scaling would be done twice. Others
    that scale are made for small values: 0 to 255 would be out of their range.

    Raises:
        UsageError: it does not.
    """
    scalers = [layer for layer in first_layers(layers) if layer.kind in _NUMBERS]
    numbers = _numbers(scalers)
    divides = [layer for layer in first_layers(layers) if layer.kind in ("TrueDivide", "Divide")]
    if not scalers and divides and not is_same(given, RAW, 0.1):
        raise UsageError(
            f"--scaling {shown(given)} contradicts {path!r}: the network divides its images itself, by the operation "
            f"{divides[0].name!r}; leave --scaling out, or give raw, which leaves pixels at 0 to 255"
        )
    if not scalers or numbers[0] is None:
        return
    if _entering(numbers) == RAW:
        is_wrong = not is_same(given, RAW, 0.1)
    else:
        is_nothing = all(pair is not None and (pair[0] == 1).all() and (pair[1] == 0).all() for pair in numbers)
        is_wrong = not is_nothing and max(map(abs, given.scale)) * 255 > LARGEST_OFFSET
    if is_wrong:
        inside = values_inside(layers)
        does = f", which makes them {_range(inside)}" if inside else ", which scales them"
        wants = "raw, which leaves pixels at 0 to 255" if _entering(numbers) == RAW else "unit, 0 to 1"
        raise UsageError(
            f"--scaling {shown(given)} contradicts {path!r}: the network scales its images itself by "
            f"{_source(scalers)}{does}; leave --scaling out, or give {wants}"
        )


def folded_notes(scaling: Scaling, layers: Sequence[Layer]) -> Sequence[str]:
    """Return a line for a person where images are scaled and the first layer's weights are as small as for 0 to 255.

    Small weights alone prove nothing: it is no reason to refuse.
    """
    small = [one for one in layers if one.kind == FIRST_WEIGHTS and one.config["size"] < LARGEST_FACTOR]
    if not small or max(map(abs, scaling.scale)) >= LARGEST_FACTOR:
        return ()
    return (
        f"the weights of its first layer ({small[0].name}) are as small as in networks that take 0 to 255: a "
        f"converter folds a Rescaling layer into them. If the network had one, the scaling {shown(scaling)} "
        "is done twice, and --scaling raw is right: prove it with --golden or --check",
    )


def _so(entering: Scaling) -> str:
    return ", so pixels go in as they are" if entering == RAW else ""


def shown(scaling: Scaling) -> str:
    """Return a scaling as --scaling takes it."""
    numbers = ",".join(" ".join(f"{part:.6g}" for part in side) for side in (scaling.scale, scaling.offset))
    return repr(numbers) if scaling.name == "custom" else scaling.name


def _source(scalers: Sequence[Layer]) -> str:
    """Return what scales, as a phrase."""
    first = scalers[0]
    if first.kind == GRAPH:
        return f"operations at the start of its graph ({first.name})"
    return f"the layer {first.kind} {first.name!r}"


def _numbers(scalers: Sequence[Layer]) -> Sequence[Numbers | None]:
    return [_NUMBERS[layer.kind](layer.config) for layer in scalers]


def _scaling(layers: Sequence[Layer]) -> Reading | None:
    """Return what goes in, as what the layers do to it says: they are made for 0 to 255, or for 0 to 1."""
    first = list(first_layers(layers))
    scalers = [layer for layer in first if layer.kind in _NUMBERS]
    if scalers:
        source = _source(scalers)
        if scalers[0].kind == GRAPH and not scalers[0].config:
            note = (
                f"the graph begins with {scalers[0].name}, by numbers that are not read: it may scale its images itself"
            )
            return Reading(notes=(note,))
        entering, inside = _entering(_numbers(scalers)), values_inside(layers)
        is_unknown = _numbers(scalers)[0] is None
        notes = (
            [f"the network itself makes its values {_range(inside)}, by {source}{_so(entering)}"]
            if inside
            else [UNKNOWN] * is_unknown
        )
        return reading(f"from {source}", {"scaling": entering}, notes)
    operations = [layer for layer in first if layer.kind in OPERATIONS]
    if not operations:
        return None
    names = ", ".join(dict.fromkeys(layer.kind for layer in operations))
    source = f"from operations before the first layer, as preprocess_input leaves them: {names}"
    return reading(source, {"scaling": RAW, "color_mode": "rgb"})


def _entering(numbers: Sequence[Numbers | None]) -> Scaling:
    """Return what scaling layers are made for: 0 to 1 where they neither multiply by little nor subtract much."""
    factor = 1.0
    for pair in numbers:
        if pair is None:  # adapted to pixels: its mean and variance are weights
            return RAW
        factor *= float(np.abs(pair[0]).min())
        if factor < LARGEST_FACTOR or float(np.abs(pair[1]).max()) > LARGEST_OFFSET:
            return RAW
    return SCALINGS["unit"]


def _folded(numbers: Sequence[Numbers | None]) -> Scaling | None:
    """Return layers one after another as one scaling, the last entry being what comes first; None: one is unknown."""
    scale, offset = np.ones(1), np.zeros(1)
    for pair in (numbers[-1], *numbers[:-1]):
        if pair is None:
            return None
        scale, offset = scale * pair[0], offset * pair[0] + pair[1]
    return named(scale.tolist(), offset.tolist())


def _rescaling(config: Mapping[str, Any]) -> Numbers | None:
    scale, offset = config.get("scale", 1.0), config.get("offset", 0.0)
    try:
        return np.atleast_1d(np.asarray(scale, float)), np.atleast_1d(np.asarray(offset, float))
    except (TypeError, ValueError):
        return None


def _normalization(config: Mapping[str, Any]) -> Numbers | None:
    """Return factor and offset of a Normalization layer; None: it was adapted, its numbers are weights."""
    mean, variance = config.get("mean"), config.get("variance")
    if mean is None or variance is None:
        return None
    try:
        deviation = np.sqrt(np.asarray(variance, float).ravel())
        return 1 / np.maximum(deviation, 1e-7), -np.asarray(mean, float).ravel() / np.maximum(deviation, 1e-7)
    except (TypeError, ValueError):
        return None


def _range(scaling: Scaling) -> str:
    scale, offset = (np.array(side) for side in (scaling.scale, scaling.offset))
    low, high = float(offset.min()), float((scale * 255 + offset).max())
    return f"{low:.3g} to {high:.3g}" + ("" if scaling.name == "custom" else f", {scaling.name!r}")


def _resizing(layer: Layer) -> Reading:
    config = layer.config
    fit = "keras_crop" if config.get("crop_to_aspect_ratio") else "stretch"
    if config.get("pad_to_aspect_ratio"):
        fit = "keras_hub_pad"
    interpolation = str(config.get("interpolation", "bilinear")).lower()
    return reading(
        f"from the layer Resizing {layer.name!r}",
        {
            "height": config.get("height"),
            "width": config.get("width"),
            "fit": fit,
            "resize": _INTERPOLATIONS.get(interpolation, interpolation),
            "antialias": bool(config.get("antialias", False)),
        },
    )


def _center_crop(layer: Layer) -> Reading:
    size = f"{layer.config.get('height')} x {layer.config.get('width')}"
    note = f"the layer CenterCrop {layer.name!r} cuts {size} pixels out of what it gets, inside the network"
    return Reading(notes=(note,))


_NUMBERS: Mapping[str, Callable[[Mapping[str, Any]], Numbers | None]] = {
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    GRAPH: _rescaling,
}
_SIZES: Mapping[str, Callable[[Layer], Reading]] = {"Resizing": _resizing, "CenterCrop": _center_crop}
